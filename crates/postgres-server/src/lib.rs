//! A PostgreSQL server for tests and measurements: started from the machine's own programs, in a folder of
//! its own that vanishes with the process, however that ends. Apart, since several crates test against it.
#![warn(missing_docs)]

mod programs;
mod supervisor;

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use programs::Programs;
use supervisor::Supervisor;

/// Long enough for any machine: a server that takes longer has failed.
const FOREVER: Duration = Duration::from_secs(60);

/// How a server is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// `fast`: it rolls back what is under way, writes all that it holds, and ends.
    Fast,
    /// `immediate`: as after a crash. What was not made durable is gone.
    Immediate,
}

/// A running server, reached through a socket in its folder and a port of the loopback interface.
///
/// The role `postgres` may do everything; through the port it needs [`password`](Server::password).
#[derive(Debug)]
pub struct Server {
    // Dropped first: it ends the server and removes what the server wrote.
    supervisor: Supervisor,
    programs: Programs,
    folder: TempDir,
    port: u16,
    password: String,
    databases: AtomicU32,
}

impl Server {
    /// Starts a new server with `settings`, each as in `postgresql.conf`: `fsync=off`.
    ///
    /// # Errors
    /// Where its programs fail; the sentence holds what they said.
    pub fn start(programs: &Programs, settings: &[&str]) -> io::Result<Server> {
        let folder = programs.folder()?;
        let password = uuid::Uuid::new_v4().simple().to_string();
        let file = folder.path().join("password");
        fs::write(&file, &password)?;
        programs.give(&file)?;
        let data = folder.path().join("data");
        let authentication = ["--auth-local=trust", "--auth-host=scram-sha-256", "--username=postgres"];
        let mut initdb = programs.command("initdb");
        initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C"]).args(authentication);
        programs::run(initdb.arg("--pwfile").arg(&file).arg("--pgdata").arg(&data))?;
        Self::serve(programs, folder, password, settings)
    }

    /// Starts a hot standby of this server, which follows it until it is promoted.
    ///
    /// # Errors
    /// Where its programs fail; the sentence holds what they said.
    pub fn standby(&self, settings: &[&str]) -> io::Result<Server> {
        let folder = self.programs.folder()?;
        let mut copy = self.programs.command("pg_basebackup");
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--username=postgres"]);
        copy.arg("--host").arg(self.socket()).arg("--port").arg(self.port.to_string());
        programs::run(copy.arg("--pgdata").arg(folder.path().join("data")))?;
        Self::serve(&self.programs, folder, self.password.clone(), settings)
    }

    fn serve(
        programs: &Programs,
        folder: TempDir,
        password: String,
        settings: &[&str],
    ) -> io::Result<Server> {
        // Free now, and asked for at once; another process may be as quick, which fails loudly.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let base = ["listen_addresses=127.0.0.1", "max_connections=400", "autovacuum=off"];
        let own = [format!("unix_socket_directories={}", folder.path().display()), format!("port={port}")];
        let settings = base.iter().chain(settings).map(|it| (*it).to_owned()).chain(own);
        let supervisor = Supervisor::start(programs, folder.path(), settings)?;
        let server = Server {
            supervisor,
            programs: programs.clone(),
            folder,
            port,
            password,
            databases: AtomicU32::new(0),
        };
        server.start_again()?;
        Ok(server)
    }

    /// Starts it again after [`stop`](Server::stop), with all that it held; returns once it answers.
    ///
    /// # Errors
    /// Where it does not start; the sentence holds the end of its log.
    pub fn start_again(&self) -> io::Result<()> {
        self.supervisor.tell("start")?;
        let deadline = Instant::now() + FOREVER;
        while !self.answers() {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let end = log.lines().rev().take(20).collect::<Vec<_>>();
                let end = end.into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(io::Error::other(format!("PostgreSQL does not start:\n{end}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its own file tells, without a connection.
    fn answers(&self) -> bool {
        let status = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap_or_default();
        status.lines().nth(7).is_some_and(|line| line.trim_end() == "ready")
    }

    /// Ends it; everybody's connections are cut.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&self, how: Stop) -> io::Result<()> {
        self.supervisor.tell(match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        })
    }

    /// Makes a standby a server of its own; returns once it takes writes.
    ///
    /// # Errors
    /// Where it is none.
    pub fn promote(&self) -> io::Result<()> {
        self.run_sql("postgres", "SELECT pg_promote()").map(drop)
    }

    /// The name of a new and empty database: `d0`, then `d1`, …
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new_database(&self) -> io::Result<String> {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run_sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"))?;
        Ok(name)
    }

    /// The URL of `database` through the server's socket, which asks for no password.
    pub fn url(&self, database: &str) -> String {
        let folder = self.socket().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{folder}:{}/{database}", self.port)
    }

    /// The URL of `database` through the loopback interface, with its password.
    pub fn url_with_password(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Runs `sql` as the role `postgres` and returns what it says, a row a line, columns parted by `|`.
    ///
    /// # Errors
    /// Where it fails; the sentence holds what the server said.
    pub fn run_sql(&self, database: &str, sql: &str) -> io::Result<String> {
        let mut psql = self.programs.command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--username=postgres"]);
        psql.args(["--set=ON_ERROR_STOP=1", "--dbname", database, "--command", sql]);
        programs::run(psql.arg("--host").arg(self.socket()).arg("--port").arg(self.port.to_string()))
    }

    /// The folder of its socket, which is named after its [`port`](Server::port).
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of its data, which its own user alone may read.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Copies `file` beside its data, for it alone to read: a key, a certificate.
    ///
    /// # Errors
    /// Where the file cannot be copied.
    pub fn take(&self, file: &Path) -> io::Result<()> {
        let name = file.file_name().ok_or_else(|| io::Error::other("a file has a name"))?;
        let copy = self.folder.path().join(name);
        fs::copy(file, &copy)?;
        self.programs.give(&copy)
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the role `postgres` needs through the port.
    pub fn password(&self) -> &str {
        &self.password
    }
}
