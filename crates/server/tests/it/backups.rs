//! `backup` and `restore` as an operator runs them: beside a server that is written to, into another file, into
//! another backend; what the servers make of it, and what is left where it went wrong.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use flux_resourceset_postgres_server::{Programs, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::until;
use crate::process::{POLL, Process, SEED, command, start};

const SNAPSHOT: (&str, &str) = ("SNAPSHOT_FILE", "snapshot");

/// Runs `backup` or `restore` with nothing in its environment but the database.
fn run(folder: &Path, arguments: &[&str], url: &str) -> (Option<i32>, String) {
    let mut command = command(folder, &[]);
    let Output { status, stderr, .. } =
        command.env_clear().env("DATABASE_URL", url).args(arguments).stdin(Stdio::null()).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[track_caller]
fn done(folder: &Path, arguments: &[&str], url: &str) -> String {
    let (code, said) = run(folder, arguments, url);
    assert_eq!(code, Some(0), "{said}");
    said
}

#[track_caller]
fn refused(folder: &Path, arguments: &[&str], url: &str) -> String {
    let (code, said) = run(folder, arguments, url);
    assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
    said
}

fn file(name: &str) -> String {
    format!("sqlite://{name}?mode=rwc")
}

/// A server over a seeded store in `store.db`, and three writes with reasons.
fn fleet(folder: &Path) -> Process {
    fs::write(folder.join("seed.json"), SEED).unwrap();
    let process = start(folder, &[("SEED_FILE", "seed.json"), SNAPSHOT]).ready();
    process.writer().post("/namespaces", json!({"id": "n2"})).expect(201);
    process.writer().patch("/clusters/c1", json!({"namespaces": [{"id": "n1"}, {"id": "n2"}]})).expect(200);
    let reason = [("X-Change-Reason", "INC-1"), ("Content-Type", "application/json")];
    process.writer().send("PATCH", "/namespaces/n1", &reason, r#"{"labels": {"v": "0"}}"#).expect(200);
    process
}

fn label(version: u64) -> Value {
    json!({"labels": {"v": version.to_string()}})
}

/// What is asked of the past, of the present, and where each field comes from.
fn told(process: &Process, revisions: u64) -> Vec<Value> {
    let mut told = vec![
        process.reader().get(POLL).expect(200).json(),
        process.reader().get("/api/v2/flux/clusters").expect(200).json(),
        process.writer().get("/api/v2/explain/c1/namespaces").expect(200).json()["inputs"].clone(),
        process.writer().get("/clusters/c1").expect(200).json(),
    ];
    for revision in 1..=revisions {
        told.push(process.writer().get(&format!("/api/v2/changes/{revision}")).expect(200).json());
    }
    told
}

fn newest(process: &Process) -> Value {
    process.writer().get("/api/v2/changes?limit=1").expect(200).json()[0].clone()
}

/// The revision in what was said.
fn revision(said: &str) -> u64 {
    said.split_once(", revision ").unwrap().1.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_backup_taken_under_writes_is_served_as_of_its_revision() {
    let folder = TempDir::new().unwrap();
    let process = fleet(folder.path());
    let (stop, mut said) = (AtomicBool::new(false), String::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Revision 5 is version 1, and so on.
            for version in 1.. {
                process.writer().patch("/namespaces/n1", label(version)).expect(200);
                if stop.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        for _ in 0..3 {
            said = done(folder.path(), &["backup", "fleet.backup"], "sqlite://store.db");
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert!(
        said.starts_with("flux-resourceset: the backup of 2") && said.contains(" is in fleet.backup"),
        "{said}"
    );
    let at = revision(&said);
    let head = newest(&process)["revision"].as_u64().unwrap();
    assert!((4..=head).contains(&at), "{at} of {head}");
    let restored = done(folder.path(), &["restore", "fleet.backup"], &file("copy.db"));
    assert!(restored.contains(&format!("is at revision {}", at + 1)), "{restored}");
    let left = ["copy.db-wal", "copy.db.restoring", "copy.db.restoring-wal", "fleet.backup.partial"];
    assert!(left.iter().all(|name| !folder.path().join(name).exists()));
    let copy = start(folder.path(), &[("DATABASE_URL", &file("copy.db"))]).ready();
    let polled = copy.reader().get(POLL).expect(200).json();
    assert_eq!(polled["inputs"][0]["labels"]["v"], (at - 4).to_string());
    let (one, two) = (told(&process, at), told(&copy, at));
    assert_eq!(one[4..], two[4..], "the history up to there is the same");
    let note = newest(&copy);
    assert_eq!((&note["principal"], &note["revision"]), (&json!("restore"), &json!(at + 1)));
    assert!(note["reason"].as_str().unwrap().contains(&format!("revision {at} of the store")), "{note}");
    copy.writer().patch("/namespaces/n1", label(99)).expect(200);
}

#[test]
fn who_is_mute_says_so_of_the_past_too() {
    let folder = TempDir::new().unwrap();
    let process = fleet(folder.path());
    done(folder.path(), &["backup", "fleet.backup"], "sqlite://store.db");
    done(folder.path(), &["restore", "fleet.backup"], &file("other.db"));
    fs::rename(folder.path().join("other.db"), folder.path().join("store.db")).unwrap();
    until("mute", || process.reader().get(POLL).status == 503);
    for question in ["/api/v2/changes", "/api/v2/changes/1", "/clusters/c1?revision=1"] {
        assert_eq!(process.writer().get(question).expect(503).code(), "store_diverged", "{question}");
    }
}

#[test]
fn who_remembers_is_mute_until_a_person_confirms() {
    let folder = TempDir::new().unwrap();
    let process = fleet(folder.path());
    done(folder.path(), &["backup", "fleet.backup"], "sqlite://store.db");
    process.writer().patch("/namespaces/n1", label(7)).expect(200);
    process.terminate();
    let refusal = refused(folder.path(), &["restore", "fleet.backup"], &file("store.db"));
    assert!(
        refusal.contains("the store is at revision 5 already, and a restore never overwrites"),
        "{refusal}"
    );
    fs::rename(folder.path().join("store.db"), folder.path().join("old.db")).unwrap();
    done(folder.path(), &["restore", "fleet.backup"], &file("store.db"));
    let process = start(folder.path(), &[SNAPSHOT]);
    until("mute", || process.reader().get("/ready").json()["error"] == "store_diverged");
    assert_eq!(process.reader().get(POLL).expect(503).code(), "store_diverged");
    let standing = process.writer().get("/api/v2/confirm").expect(200).json();
    assert_eq!((&standing["served"]["revision"], &standing["store"]["revision"]), (&json!(5), &json!(5)));
    assert_eq!(standing["plan"]["effects"][0]["clusters"], json!(["c1"]));
    process.writer().confirmed("POST", "/api/v2/confirm", None).expect(200);
    let polled = process.reader().get(POLL).expect(200).json();
    assert_eq!(polled["inputs"][0]["labels"]["v"], "0");
    process.terminate();
    start(folder.path(), &[SNAPSHOT]).ready();
}

/// The store that a server runs on is not restored into behind its back either.
#[test]
fn a_server_on_an_empty_store_is_mute_once_it_is_filled() {
    let folder = TempDir::new().unwrap();
    fleet(folder.path()).terminate();
    done(folder.path(), &["backup", "fleet.backup"], "sqlite://store.db");
    let soon = ("MAX_STALENESS", "2s");
    let empty = start(folder.path(), &[("DATABASE_URL", &file("empty.db")), soon]).ready();
    empty.reader().get(POLL).expect(404);
    done(folder.path(), &["restore", "fleet.backup"], &file("empty.db"));
    until("mute", || match empty.reader().get(POLL).status {
        404 => false,
        status => status == 503 || panic!("{status} before a person confirmed"),
    });
    assert_eq!(empty.reader().get(POLL).expect(503).code(), "store_diverged");
    empty.writer().confirmed("POST", "/api/v2/confirm", None).expect(200);
    empty.reader().get(POLL).expect(200);
    empty.writer().patch("/namespaces/n1", label(1)).expect(200);
}

#[test]
fn a_fleet_moves_from_sqlite_to_postgresql_and_back() {
    let Some(programs) = Programs::or_skip() else { return };
    let server = Server::start(&programs, &["fsync=off"]).unwrap();
    let url = server.url(&server.new_database().unwrap());
    let folder = TempDir::new().unwrap();
    let process = fleet(folder.path());
    let before = told(&process, 4);
    process.terminate();
    done(folder.path(), &["backup", "fleet.backup"], "sqlite://store.db");
    done(folder.path(), &["restore", "fleet.backup"], &url);
    let refusal = refused(folder.path(), &["restore", "fleet.backup"], &url);
    assert!(refusal.contains("already, and a restore never overwrites"), "{refusal}");
    let moved = start(folder.path(), &[("DATABASE_URL", &url)]).ready();
    let after = told(&moved, 4);
    assert_eq!(before, after);
    moved.writer().patch("/namespaces/n1", label(8)).expect(200);
    done(folder.path(), &["backup", "again.backup"], &url);
    done(folder.path(), &["restore", "again.backup"], &file("back.db"));
    let back = start(folder.path(), &[("DATABASE_URL", &file("back.db"))]).ready();
    assert_eq!(told(&back, 6), told(&moved, 6));
}

#[test]
fn what_is_damaged_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    fleet(folder.path()).terminate();
    done(folder.path(), &["backup", "whole"], "sqlite://store.db");
    let whole = fs::read(folder.path().join("whole")).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let newer = [b"{\"backup\":{\"format\":9}}\n", &whole[..]].concat();
    for (bytes, expected) in [
        (&whole[..whole.len() - 1], "backup: line 6: the file ends here, before its last line"),
        (&whole[..whole.len() / 2], "before its last line: it was cut short"),
        (&flipped, "backup: line "),
        (&newer, "backup: line 1: a newer release wrote this backup, in format 9"),
        (b"", "backup: line 1: this is no backup of a flux-resourceset store"),
    ] {
        fs::write(folder.path().join("backup"), bytes).unwrap();
        let why = refused(folder.path(), &["restore", "backup"], &file("new.db"));
        assert!(why.contains(expected), "{expected} in {why}");
        let mut piped = command(folder.path(), &[]);
        piped.env("DATABASE_URL", file("new.db")).args(["restore", "-"]);
        let input = fs::File::open(folder.path().join("backup")).unwrap();
        let output = piped.stdin(input).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
        for left in fs::read_dir(folder.path()).unwrap() {
            let name = left.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with("new.db"), "{name} is left");
        }
    }
    assert!(refused(folder.path(), &["restore", "none"], &file("new.db")).contains("none: No such file"));
    // A restore that was killed left this; the next one is in nobody's way.
    fs::write(folder.path().join("new.db.restoring"), "half").unwrap();
    done(folder.path(), &["restore", "whole"], &file("new.db"));
    assert!(!folder.path().join("new.db.restoring").exists());
}

#[test]
fn a_backup_that_fails_leaves_the_one_before() {
    let folder = TempDir::new().unwrap();
    fleet(folder.path()).terminate();
    done(folder.path(), &["backup", "kept"], "sqlite://store.db");
    let kept = fs::read(folder.path().join("kept")).unwrap();
    let (code, why) = run(folder.path(), &["backup", "kept"], "sqlite://none.db");
    assert!(code == Some(1) && why.contains("none.db: there is no store here"), "{why}");
    assert!(!why.contains("wait"), "{why}");
    // A file that somebody only touched.
    fs::write(folder.path().join("touched.db"), "").unwrap();
    let why = refused(folder.path(), &["restore", "kept"], "sqlite://touched.db");
    assert!(why.contains("touched.db: this file is empty, and no store: remove it"), "{why}");
    fs::create_dir(folder.path().join("kept.partial")).unwrap();
    let (code, why) = run(folder.path(), &["backup", "kept"], "sqlite://store.db");
    assert!(code == Some(1) && why.contains("kept: Is a directory"), "{why}");
    assert_eq!(fs::read(folder.path().join("kept")).unwrap(), kept);
    let mut piped = command(folder.path(), &[]);
    let output = piped.stdout(Stdio::piped()).args(["backup", "-"]).output().unwrap();
    // But for the moment, in the first line, and so in the checksum.
    let lines = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (one, two) = (lines(&output.stdout), lines(&kept));
    assert_eq!(one[1..one.len() - 1], two[1..two.len() - 1]);
    let memory = command(folder.path(), &[("STORE_BACKEND", "memory")])
        .env_remove("DATABASE_URL")
        .args(["backup", "x"])
        .output();
    assert!(String::from_utf8(memory.unwrap().stderr).unwrap().contains("STORE_BACKEND is memory"));
}

#[test]
fn help_says_what_there_is() {
    let folder = TempDir::new().unwrap();
    let output = command(folder.path(), &[]).stdout(Stdio::piped()).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("restore FILE") && text.contains("DATABASE_URL"),
        "{text}"
    );
    let output = command(folder.path(), &[]).stdout(Stdio::piped()).arg("--version").output().unwrap();
    let version = concat!("flux-resourceset ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), version.as_bytes()));
    assert!(refused(folder.path(), &["backup"], "").contains("backup takes one argument: a file, or `-`"));
}

/// A restore that is killed in its midst, with half of the backup read and written.
fn killed(folder: &Path, url: &str, is_under_way: impl FnMut() -> bool) {
    let whole = fs::read(folder.join("fleet.backup")).unwrap();
    let mut restore = command(folder, &[("DATABASE_URL", url)]);
    let mut child = restore.args(["restore", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&whole[..whole.len() - 20]).unwrap();
    until("it is under way", is_under_way);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(input);
}

#[test]
fn a_restore_that_is_killed_leaves_no_store() {
    let folder = TempDir::new().unwrap();
    fleet(folder.path()).terminate();
    done(folder.path(), &["backup", "fleet.backup"], "sqlite://store.db");
    let log = folder.path().join("new.db.restoring-wal");
    killed(folder.path(), &file("new.db"), || log.exists());
    assert!(!folder.path().join("new.db").exists());
    let server = start(folder.path(), &[("DATABASE_URL", "sqlite://new.db")]);
    server.logged("there is no store here");
    server.reader().get(POLL).expect(503);
    done(folder.path(), &["restore", "fleet.backup"], &file("new.db"));
    server.ready().reader().get(POLL).expect(200);
}

#[test]
fn a_restore_that_is_killed_leaves_a_database_empty() {
    let Some(programs) = Programs::or_skip() else { return };
    let server = Server::start(&programs, &["fsync=off"]).unwrap();
    let url = server.url(&server.new_database().unwrap());
    let folder = TempDir::new().unwrap();
    fleet(folder.path()).terminate();
    done(folder.path(), &["backup", "fleet.backup"], "sqlite://store.db");
    let other = folder.path().join("other");
    // Made by the first call, before the steps begin.
    killed(folder.path(), &url, || run(folder.path(), &["backup", "other"], &url).0 == Some(0));
    let said = done(folder.path(), &["backup", "other"], &url);
    assert!(said.contains("revision 0 of the store") && other.exists(), "{said}");
    until("the lock is gone", || run(folder.path(), &["restore", "fleet.backup"], &url).0 == Some(0));
}

/// The drill of the documentation: a reader is started on another database, in which the backup is.
#[test]
fn a_reader_on_a_restored_database_waits_for_a_person() {
    let Some(programs) = Programs::or_skip() else { return };
    let server = Server::start(&programs, &["fsync=off"]).unwrap();
    let (lost, new) =
        (server.url(&server.new_database().unwrap()), server.url(&server.new_database().unwrap()));
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("seed.json"), SEED).unwrap();
    let on = |url| [("DATABASE_URL", url), ("API_MODE", "read-only"), SNAPSHOT];
    let writer = start(folder.path(), &[("DATABASE_URL", &lost), ("SEED_FILE", "seed.json")]).ready();
    let reader = start(folder.path(), &on(&lost)).ready();
    done(folder.path(), &["backup", "fleet.backup"], &lost);
    writer.writer().patch("/namespaces/n1", label(3)).expect(200);
    let polled = |process: &Process| process.reader().get(POLL).json()["inputs"][0]["labels"]["v"].clone();
    until("the write arrives", || polled(&reader) == "3");
    reader.terminate();
    writer.terminate();
    done(folder.path(), &["restore", "fleet.backup"], &new);
    let writer = start(folder.path(), &[("DATABASE_URL", &new)]).ready();
    let reader = start(folder.path(), &on(&new));
    until("mute", || reader.reader().get("/ready").json()["error"] == "store_diverged");
    assert_eq!(reader.reader().get(POLL).expect(503).code(), "store_diverged");
    let plan = |of: &str| reader.writer().get("/api/v2/confirm").expect(200).json()["plan"][of].clone();
    assert_eq!(plan("clusters"), 1);
    writer.writer().patch("/namespaces/n1", label(3)).expect(200);
    assert_eq!(plan("clusters"), 0, "what was written since is there again");
    reader.writer().confirmed("POST", "/api/v2/confirm", None).expect(200);
    assert_eq!(polled(&reader), "3");
    reader.ready();
}
