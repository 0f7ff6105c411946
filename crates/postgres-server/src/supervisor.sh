# Keeps one PostgreSQL server: starts and stops it as it is told on standard input, and when that ends,
# because whoever holds it said so or was killed, stops the server and removes its folder.
# $1: the program postgres. $2: the server's folder. The rest: its settings.
postgres=$1 folder=$2
shift 2
server=

start() {
    "$postgres" -D "$folder/data" "$@" >>"$folder/log" 2>&1 </dev/null &
    server=$!
}

stop() {
    if [ -n "$server" ]; then
        kill -s "$1" "$server"
        wait "$server"
        server=
    fi
}

trap '' INT HUP TERM
while read -r word; do
    case $word in
    start) start "$@" ;;
    *) stop "$word" ;;
    esac
    echo "$word"
done
stop QUIT
rm -rf "$folder"
