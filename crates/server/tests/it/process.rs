//! The command as an operator runs it: exit codes, the seed file, restarts, signals, SQLite files.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use flux_resourceset_postgres_server::{Programs, Server, Stop};
use serde_json::json;
use tempfile::TempDir;

use crate::client::{Client, until};
use crate::server::{READ, WRITE};

const BINARY: &str = env!("CARGO_BIN_EXE_flux-resourceset");
pub(crate) const SEED: &str = r#"{
    "clusters": [{"cluster_name": "c1", "cluster_dns": "c1.example.com", "environment": "dev", "namespaces": [{"id": "n1"}]}],
    "namespaces": [{"_id": "n1"}]
}"#;
pub(crate) const POLL: &str = "/api/v2/flux/clusters/c1.example.com/namespaces";

pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
    /// Ends with the log.
    reading: Option<JoinHandle<()>>,
}

pub(crate) fn command(folder: &Path, pairs: &[(&str, &str)]) -> Command {
    let mut command = Command::new(BINARY);
    let url = format!("sqlite://{}/store.db?mode=rwc", folder.display());
    command.env_clear().current_dir(folder).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("AUTH_TOKEN", READ).env("CRUD_AUTH_TOKEN", WRITE).env("LISTEN_ADDR", "127.0.0.1:0");
    command.env("API_MODE", "crud").env("DATABASE_URL", url).envs(pairs.iter().copied());
    command
}

pub(crate) fn start(folder: &Path, pairs: &[(&str, &str)]) -> Process {
    started(command(folder, pairs))
}

pub(crate) fn started(mut command: Command) -> Process {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let log = Arc::new(Mutex::new(String::new()));
    let address = loop {
        let line = lines.next().expect("a line that says where it listens").unwrap();
        log.lock().unwrap().push_str(&format!("{line}\n"));
        if let Some((_, rest)) = line.split_once("listening on ") {
            break rest.split(['"', ' ']).next().unwrap().parse().unwrap();
        }
    };
    let shared = Arc::clone(&log);
    let reading = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            shared.lock().unwrap().push_str(&format!("{line}\n"));
        }
    });
    Process { child, address, log, reading: Some(reading) }
}

impl Process {
    pub(crate) fn ready(self) -> Process {
        until("ready", || self.reader().get("/ready").status == 200);
        self
    }

    pub(crate) fn reader(&self) -> Client {
        Client { address: self.address, token: Some(READ) }
    }

    pub(crate) fn writer(&self) -> Client {
        Client { address: self.address, token: Some(WRITE) }
    }

    pub(crate) fn logged(&self, text: &str) {
        until(text, || self.log.lock().unwrap().contains(text));
    }

    /// Ends it as a machine does that fails: with whatever is under way.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let log = self.log.lock().unwrap();
        log.clone()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as Kubernetes does.
    pub(crate) fn terminate(mut self) -> String {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.reading.take().unwrap().join().unwrap();
        let log = self.log.lock().unwrap();
        log.clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs to an end that must be exit 2 with one line (or one and a list) on standard error.
#[track_caller]
pub(crate) fn refused(folder: &Path, pairs: &[(&str, &str)]) -> String {
    let Output { status, stderr, .. } = command(folder, pairs).output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{text}");
    let why = text.split_once("flux-resourceset: ").expect("a line for people").1.to_owned();
    assert!(!text.contains(READ) && !text.contains(WRITE), "{text}");
    why
}

#[test]
fn impossible_configurations_are_exit_2_and_one_sentence() {
    let folder = TempDir::new().unwrap();
    for (name, value) in [
        ("API_MODE", "both"),
        ("AUTH_TOKEN", ""),
        ("CRUD_AUTH_TOKEN", "a b"),
        ("STORE_BACKEND", "memory"),
        ("DATABASE_URL", "postgres://x"),
        ("DATABASE_CA_FILE", "ca.pem"),
        ("RUST_LOG", "=="),
        ("LOG_FORMAT", "xml"),
        ("MAX_STALENESS", "never"),
        ("LISTEN_ADDR", "nowhere"),
        ("LISTEN_ADDR", "192.0.2.1:80"),
        ("OPENAPI_FILE", "none.yaml"),
        ("TOKENS_FILE", "none.yaml"),
        ("PROTECTED_ENVIRONMENTS", "Prod"),
        ("REQUIRE_REASON", "perhaps"),
        ("REMOVAL_LIMIT", "many"),
        ("HISTORY_DAYS", "0"),
        ("MAX_BULK_BYTES", "64M"),
    ] {
        let why = refused(folder.path(), &[(name, value)]);
        // STORE_BACKEND=memory contradicts the DATABASE_URL that is set.
        let named = if name == "STORE_BACKEND" { "DATABASE_URL" } else { name };
        assert!(why.starts_with(named) && why.lines().count() == 1, "{name}={value}: {why}");
    }
}

#[test]
fn arguments_are_not_passed_over() {
    let output = Command::new(BINARY).arg("--port=80").env("AUTH_TOKEN", READ).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("takes no arguments but"));
}

#[test]
fn a_seed_fills_an_empty_store_once_and_a_restart_keeps_what_was_written() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("seed.json"), SEED).unwrap();
    let seeded = [("SEED_FILE", "seed.json")];
    let process = start(folder.path(), &seeded).ready();
    process.logged("seeded 2 documents");
    process.logged("listening on");
    process.writer().patch("/clusters/c1", json!({"environment": "prod"})).expect(200);
    process.writer().post("/namespaces", json!({"id": "n2"})).expect(201);
    process.reader().get(POLL).expect(200);
    process.logged("type=\"namespaces\"");
    let log = process.terminate();
    assert!(log.contains("dns=\"c1.example.com\"") && log.contains("digest="), "{log}");
    assert!(!log.contains(READ) && !log.contains(WRITE), "{log}");
    let process = start(folder.path(), &seeded).ready();
    process.logged("revision 3 already: not seeded");
    assert_eq!(process.reader().get("/clusters/c1").expect(200).json()["environment"], "prod");
    process.reader().get("/namespaces/n2").expect(200);
    // What was seeded and is not there any more stays gone, the file being damaged or not.
    process.terminate();
    std::fs::write(folder.path().join("seed.json"), "oops").unwrap();
    start(folder.path(), &seeded).ready().terminate();
}

#[test]
fn a_bad_seed_is_refused_whole() {
    let folder = TempDir::new().unwrap();
    let seed = folder.path().join("seed.json");
    let seeded = [("SEED_FILE", "seed.json")];
    std::fs::write(
        &seed,
        r#"{"clusters": [{"cluster_name": "C"}], "namespaces": [{"id": "ok"}], "extra": []}"#,
    )
    .unwrap();
    let why = refused(folder.path(), &seeded);
    for expected in ["SEED_FILE seed.json", "/clusters/0/cluster_dns", "/clusters/0/environment", "/extra"] {
        assert!(why.contains(expected), "{expected} in {why}");
    }
    std::fs::write(&seed, "{\n\"clusters\": }").unwrap();
    assert!(refused(folder.path(), &seeded).contains("line 2 column 13"));
    std::fs::remove_file(&seed).unwrap();
    assert!(refused(folder.path(), &seeded).starts_with("SEED_FILE seed.json: cannot be read"));
    std::fs::write(&seed, SEED).unwrap();
    start(folder.path(), &seeded).ready().logged("seeded 2 documents");
}

#[test]
fn a_foreign_or_damaged_file_is_refused_and_left_as_it_was() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.db");
    let foreign = "this is a shopping list\n".repeat(100);
    for mode in ["crud", "read-only"] {
        std::fs::write(&path, &foreign).unwrap();
        let why = refused(folder.path(), &[("API_MODE", mode)]);
        assert!(why.contains("store.db"), "{why}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), foreign);
    }
}

#[test]
fn read_only_waits_for_its_store_and_follows_it() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("seed.json"), SEED).unwrap();
    let seeded = |mode| [("API_MODE", mode), ("SEED_FILE", "seed.json")];
    let reader = start(folder.path(), &seeded("read-only"));
    assert_eq!(reader.reader().get("/ready").expect(503).code(), "starting");
    assert_eq!(reader.reader().get(POLL).expect(503).code(), "starting");
    assert!(!folder.path().join("store.db").exists(), "it creates nothing");
    let writer = start(folder.path(), &seeded("crud")).ready();
    let reader = reader.ready();
    reader.logged("SEED_FILE is ignored");
    // It may have met the store before it was seeded.
    until("the seed arrives", || reader.reader().get(POLL).status == 200);
    writer.writer().delete("/clusters/c1").expect(200);
    until("the write arrives", || reader.reader().get(POLL).json() == json!({"inputs": []}));
}

#[test]
fn one_writes_and_another_reads_on_postgresql() {
    let Some(programs) = Programs::or_skip() else { return };
    let database = Server::start(&programs, &["fsync=off"]).unwrap();
    database.new_database().unwrap();
    let url = database.url_with_password("d0");
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("seed.json"), SEED).unwrap();
    let on = |mode| [("DATABASE_URL", url.as_str()), ("API_MODE", mode), ("SEED_FILE", "seed.json")];
    let reader = start(folder.path(), &on("read-only"));
    reader.logged("trying again: database d0 at 127.0.0.1:");
    reader.logged("there is no store here");
    assert_eq!(reader.reader().get("/ready").expect(503).code(), "starting");
    let writer = start(folder.path(), &on("crud")).ready();
    writer.logged("the server runs with fsync=off");
    writer.logged("seeded 2 documents");
    let reader = reader.ready();
    until("the seed arrives", || reader.reader().get(POLL).status == 200);
    writer.writer().delete("/clusters/c1").expect(200);
    until("the write arrives", || reader.reader().get(POLL).json() == json!({"inputs": []}));

    // Restarted under both, it is found again: a write is refused meanwhile, and goes on afterwards.
    database.stop(Stop::Immediate).unwrap();
    writer.writer().post("/namespaces", json!({"id": "n2"})).expect(503);
    database.start_again().unwrap();
    until("writes go on", || writer.writer().post("/namespaces", json!({"id": "n3"})).status == 201);
    writer.reader().get("/namespaces/n2").expect(404);
    for log in [writer.terminate(), reader.terminate()] {
        assert!(!log.contains(database.password()), "{log}");
    }
}

#[test]
fn two_writers_on_one_file_see_each_other() {
    let folder = TempDir::new().unwrap();
    let one = start(folder.path(), &[]).ready();
    let two = start(folder.path(), &[]).ready();
    for n in 0..5 {
        one.writer().post("/namespaces", json!({"id": format!("one-{n}")})).expect(201);
        two.writer().post("/namespaces", json!({"id": format!("two-{n}")})).expect(201);
    }
    for process in [&one, &two] {
        until("all ten", || process.reader().get("/namespaces").header("x-total-count") == Some("10"));
    }
}

#[test]
fn a_memory_store_is_seeded_in_read_only_mode_too() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("seed.json"), SEED).unwrap();
    let pairs = [
        ("API_MODE", "read-only"),
        ("STORE_BACKEND", "memory"),
        ("DATABASE_URL", ""),
        ("SEED_FILE", "seed.json"),
    ];
    let process = start(folder.path(), &pairs).ready();
    process.logged("seeded 2 documents");
    process.reader().get(POLL).expect(200);
}

#[test]
fn one_token_for_all_is_warned_of_loudly() {
    let folder = TempDir::new().unwrap();
    let mut command = command(folder.path(), &[]);
    command.env_remove("CRUD_AUTH_TOKEN").env("LISTEN_ADDR", "127.0.0.1:0");
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let warned = lines
        .take_while(|line| !line.contains("the store is read"))
        .any(|line| line.contains("WARN") && line.contains("CRUD_AUTH_TOKEN"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(warned);
}

#[test]
fn a_store_that_is_taken_away_ends_polls_by_age_and_writes_at_once() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("seed.json"), SEED).unwrap();
    let process = start(folder.path(), &[("SEED_FILE", "seed.json"), ("MAX_STALENESS", "2s")]).ready();
    process.reader().get(POLL).expect(200);
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(name));
    }
    let refused = process.writer().post("/namespaces", json!({"id": "x"}));
    assert_eq!(refused.status, 503, "{refused:?}");
    until("stale", || process.reader().get(POLL).status == 503);
    process.reader().get("/health").expect(200);
    assert!(!folder.path().join("store.db").exists(), "an empty store in its place would be a lie");
}

#[test]
fn a_store_that_another_file_replaced_ends_polls_at_once() {
    let (ours, theirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let seed = |folder: &TempDir| std::fs::write(folder.path().join("seed.json"), SEED).unwrap();
    seed(&ours);
    seed(&theirs);
    start(theirs.path(), &[("SEED_FILE", "seed.json")]).ready().terminate();
    let server = start(ours.path(), &[("SEED_FILE", "seed.json"), ("MAX_STALENESS", "8s")]).ready();
    let reader = server.reader();
    reader.get(POLL).expect(200);
    std::fs::rename(theirs.path().join("store.db"), ours.path().join("store.db")).unwrap();
    until("the replaced file is noticed", || reader.get(POLL).status == 503);
    assert_eq!(reader.get(POLL).code(), "store_diverged");
    assert_eq!(server.writer().delete("/clusters/c1").expect(503).code(), "store_diverged");
}

#[test]
fn a_disk_that_takes_no_more_refuses_writes_and_keeps_answering_polls() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("seed.json"), SEED).unwrap();
    let plain = command(folder.path(), &[("SEED_FILE", "seed.json")]);
    // A limit on the size of files needs no disk to be filled. SQLite meets it as a disk that fails under
    // a commit, which may have taken all of it; a full one says so, and is `store_unavailable`.
    let mut limited = Command::new("/bin/sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\"", BINARY])
        .env_clear()
        .current_dir(folder.path());
    limited.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.stdout(Stdio::null()).stderr(Stdio::piped());
    let process = started(limited).ready();
    let large = "x".repeat(60_000);
    let post = |n: usize| {
        process.writer().post("/namespaces", json!({"id": format!("x{n}"), "annotations": {"a": large}}))
    };
    let (full, refused) =
        (0..100).map(|n| (n, post(n))).find(|(_, reply)| reply.status != 201).expect("a full disk");
    assert_eq!(refused.expect(503).code(), "outcome_unknown");
    process.reader().get(POLL).expect(200);
    process.reader().get("/ready").expect(200);
    process.reader().get(&format!("/namespaces/x{full}")).expect(404);
    assert_eq!(
        process.reader().get("/namespaces").header("x-total-count"),
        Some((full + 1).to_string().as_str())
    );
}

#[test]
fn each_request_is_a_line_however_the_process_ends() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("seed.json"), SEED).unwrap();
    let process = start(folder.path(), &[("SEED_FILE", "seed.json")]).ready();
    let poll = |n: u8| {
        let id = format!("poll-{n}-");
        process.reader().send("GET", POLL, &[("X-Request-Id", &id)], "").expect(200);
        id
    };
    process.logged(&poll(0));
    let ids: Vec<_> = (1..100).map(poll).collect();
    let log = process.terminate();
    for id in ids {
        assert_eq!(log.matches(&id).count(), 1, "{id} in {log}");
    }
}

#[test]
fn log_lines_as_json() {
    let folder = TempDir::new().unwrap();
    let process = start(folder.path(), &[("LOG_FORMAT", "json")]).ready();
    process.logged("the store is read");
    for line in process.terminate().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[test]
fn what_is_refused_is_logged_without_its_values() {
    let folder = TempDir::new().unwrap();
    let process = start(folder.path(), &[]).ready();
    let cluster = json!({
        "cluster_name": "c1", "cluster_dns": "c1.example.com", "environment": "dev",
        "patches": {"n": {"adminPassword": 1234567}},
    });
    let refused = process.writer().post("/clusters", cluster).expect(400);
    assert!(refused.json()["message"].as_str().unwrap().contains("1234567"), "the client is told");
    let body = r#"{"id": "n1", "s3cret": 1, "s3cret": 2}"#;
    let json_type = [("Content-Type", "application/json")];
    process.writer().send("POST", "/namespaces", &json_type, body).expect(400);
    process.reader().get("/namespaces?s3cret=1").expect(400);
    process.logged("unknown_parameter");
    let log = process.terminate();
    for said in ["invalid; /patches/n/adminPassword type", "malformed_json (line 1 column "] {
        assert!(log.contains(said), "{said} in {log}");
    }
    assert!(!log.contains("1234567") && !log.contains("s3cret"), "{log}");
}

#[test]
fn a_tokens_file_is_followed_and_a_broken_one_changes_nothing() {
    const OLD: &str = "old-secret-of-ci";
    const NEW: &str = "new-secret-of-ci";
    let folder = TempDir::new().unwrap();
    // As Kubernetes mounts a Secret: the file is a link through a link, and that one is swapped.
    let swap = |n: u8, text: &str| {
        let data = folder.path().join(format!("data-{n}"));
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("tokens.yaml"), text).unwrap();
        std::os::unix::fs::symlink(&data, folder.path().join("next")).unwrap();
        std::fs::rename(folder.path().join("next"), folder.path().join("..data")).unwrap();
    };
    std::os::unix::fs::symlink("..data/tokens.yaml", folder.path().join("tokens.yaml")).unwrap();
    let file = ("TOKENS_FILE", "tokens.yaml");
    swap(1, &format!("tokens:\n- {{name: writer, access: write, secret: {OLD}}}\n"));
    let why = refused(folder.path(), &[file]);
    assert!(why.starts_with("TOKENS_FILE tokens.yaml: line 2 column 10: /tokens/0/name must not"), "{why}");
    assert!(why.lines().count() == 1 && !why.contains(OLD), "{why}");

    let old = format!("- {{name: ci-prod, access: write, secret: {OLD}}}\n");
    let new = format!("- {{name: ci-prod, access: write, secret: {NEW}}}\n");
    swap(2, &format!("tokens:\n{old}"));
    let mut without = command(folder.path(), &[file]);
    without.env_remove("AUTH_TOKEN").env_remove("CRUD_AUTH_TOKEN");
    let process = started(without).ready();
    let client = |token| Client { address: process.address, token: Some(token) };
    let metric = |line: &str| {
        let reply = client(OLD).get("/metrics").expect(200);
        String::from_utf8(reply.body).unwrap().contains(line)
    };
    let unused = "flux_resourceset_token_last_used_timestamp_seconds{name=\"ci-prod\"} 0\n";
    assert!(metric(unused) && metric("flux_resourceset_tokens_file_error 0"));
    process.reader().get("/namespaces").expect(401);
    client(OLD).post("/namespaces", json!({"id": "n1"})).expect(201);
    assert!(!metric(unused) && metric("token_last_used_timestamp_seconds{name=\"ci-prod\"} "));
    process.logged("principal=\"ci-prod\"");

    swap(3, &format!("tokens:\n{old}{new}"));
    until("both are good", || client(NEW).get("/namespaces").status == 200);
    client(OLD).get("/namespaces").expect(200);
    swap(4, &format!("tokens:\n{new}  secret: {OLD}\n"));
    process.logged("TOKENS_FILE tokens.yaml: line 3 column ");
    process.logged("THE TOKENS THAT WERE READ BEFORE STAY IN FORCE");
    until("the metric says so", || metric("\nflux_resourceset_tokens_file_error 1\n"));
    for token in [OLD, NEW] {
        client(token).get("/namespaces").expect(200);
    }
    std::fs::remove_file(folder.path().join("tokens.yaml")).unwrap();
    process.logged("TOKENS_FILE tokens.yaml: cannot be read");
    client(OLD).get("/namespaces").expect(200);
    std::fs::write(folder.path().join("tokens.yaml"), format!("tokens:\n{new}")).unwrap();
    until("the old one is gone", || client(OLD).get("/namespaces").status == 401);
    client(NEW).get("/namespaces").expect(200);
    assert!(metric("flux_resourceset_tokens_file_error 0"));
    let log = process.terminate();
    assert!(!log.contains(OLD) && !log.contains(NEW), "{log}");
}

/// What one of the clients below runs, in a process of its own: started by that test, never by itself.
#[test]
#[ignore = "a client of two_clients_of_one_cluster_lose_no_update"]
fn one_client_of_two() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let writer = Client { address: variable("ADDRESS").parse().unwrap(), token: Some(WRITE) };
    for turn in 0..20 {
        until("the write to be nobody else's", || {
            let read = writer.get("/clusters/c1").expect(200);
            let mut labels = read.json()["labels"].clone();
            labels[format!("{}-{turn}", variable("NAME"))] = "x".into();
            let headers = [("Content-Type", "application/json"), ("If-Match", read.header("etag").unwrap())];
            let body = json!({"labels": labels}).to_string();
            let written = writer.send("PUT", "/clusters/c1", &headers, &body);
            assert!(written.status == 200 || written.code() == "precondition_failed", "{written:?}");
            written.status == 200
        });
    }
}

#[test]
fn two_clients_of_one_cluster_lose_no_update() {
    let folder = TempDir::new().unwrap();
    let seed = folder.path().join("seed.json");
    std::fs::write(&seed, SEED).unwrap();
    let server = start(folder.path(), &[("SEED_FILE", &seed.display().to_string())]).ready();
    server.writer().patch("/clusters/c1", json!({"labels": {"base": "x"}})).expect(200);
    let client = |name: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "process::one_client_of_two", "--ignored"]);
        command.env("ADDRESS", server.address.to_string()).env("NAME", name).stdout(Stdio::null());
        command.spawn().unwrap()
    };
    let clients = ["one", "other"].map(client);
    for mut client in clients {
        assert!(client.wait().unwrap().success());
    }
    let labels = server.reader().get("/clusters/c1").expect(200).json()["labels"].clone();
    assert_eq!(labels.as_object().unwrap().len(), 41, "{labels}");
}

#[test]
fn registered_types_are_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let quotas = json!({
        "kind": "quota", "apiVersion": "v1",
        "schema": {"type": "object", "properties": {"cpu": {"type": "string", "default": "1"}}},
    });
    let cluster = json!({"cluster_name": "c1", "cluster_dns": "c1.example.com", "environment": "dev", "quotas": [{"id": "q"}]});
    let process = start(folder.path(), &[]).ready();
    process.writer().post("/resource_types", quotas).expect(201);
    process.writer().post("/quotas", json!({"id": "q"})).expect(201);
    process.writer().post("/clusters", cluster).expect(201);
    let poll = "/api/v2/flux/clusters/c1.example.com/quotas";
    let answer = process.reader().get(poll).expect(200).json();
    assert_eq!(answer["inputs"][0]["cpu"], "1");
    process.terminate();
    for mode in ["crud", "read-only"] {
        let process = start(folder.path(), &[("API_MODE", mode)]).ready();
        assert_eq!(process.reader().get(poll).expect(200).json(), answer, "{mode}");
        process.terminate();
    }
}
