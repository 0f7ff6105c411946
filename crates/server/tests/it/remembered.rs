//! What a process remembers across restarts (`SNAPSHOT_FILE`), and what it answers while its store is away
//! (`SERVE_STALE`): real processes, killed and started over files that were exchanged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::client::until;
use crate::process::{POLL, Process, SEED, refused, start};

const SNAPSHOT: (&str, &str) = ("SNAPSHOT_FILE", "snapshot");
const SIDES: [&str; 3] = ["store.db", "store.db-wal", "store.db-shm"];

/// A stopped fleet at revision 1, and a copy of its store.
fn seeded(pairs: &[(&str, &str)]) -> (TempDir, TempDir) {
    let (folder, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(folder.path().join("seed.json"), SEED).unwrap();
    let pairs = [&[("SEED_FILE", "seed.json")], pairs].concat();
    start(folder.path(), &pairs).ready().terminate();
    copy_store(folder.path(), copy.path());
    (folder, copy)
}

/// Puts the store of one folder in the place of that of another.
fn copy_store(from: &Path, to: &Path) {
    for name in SIDES {
        let _ = fs::remove_file(to.join(name));
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

fn take_away(folder: &Path) -> TempDir {
    let away = TempDir::new().unwrap();
    copy_store(folder, away.path());
    SIDES.iter().for_each(|name| drop(fs::remove_file(folder.join(name))));
    away
}

/// Writes what every later poll is told by.
fn write(process: &Process, version: u64) {
    process.writer().patch("/namespaces/n1", json!({"labels": {"v": version.to_string()}})).expect(200);
}

fn version(answer: &serde_json::Value) -> u64 {
    answer["inputs"][0]["labels"]["v"].as_str().map_or(0, |text| text.parse().unwrap())
}

fn polled(process: &Process) -> u64 {
    version(&process.reader().get(POLL).expect(200).json())
}

#[track_caller]
fn mute(process: &Process, code: &str) {
    until("mute", || process.reader().get("/ready").json()["error"] == code);
    assert_eq!(process.reader().get(POLL).expect(503).code(), code);
    assert_eq!(process.writer().post("/namespaces", json!({"id": "x"})).expect(503).code(), code);
}

/// Confirms whatever the store holds.
#[track_caller]
fn confirm(process: &Process) -> serde_json::Value {
    process.writer().confirmed("POST", "/api/v2/confirm", None).expect(200).json()
}

fn metric(process: &Process, line: &str) -> bool {
    let text = process.reader().get("/metrics").expect(200).body;
    String::from_utf8(text).unwrap().lines().any(|one| one == format!("flux_resourceset_{line}"))
}

#[test]
fn an_older_backup_is_not_served_until_it_is_confirmed() {
    let (folder, backup) = seeded(&[SNAPSHOT]);
    let process = start(folder.path(), &[SNAPSHOT]).ready();
    write(&process, 7);
    process.terminate();
    copy_store(backup.path(), folder.path());
    let process = start(folder.path(), &[SNAPSHOT]);
    mute(&process, "store_diverged");
    assert!(metric(&process, "mute{code=\"store_diverged\"} 1") && metric(&process, "polls_served 0"));
    let standing = process.writer().get("/api/v2/confirm").expect(200).json();
    assert_eq!((&standing["served"]["revision"], &standing["store"]["revision"]), (&json!(2), &json!(1)));
    assert_eq!((&standing["confirmable"], &standing["remarks"]), (&json!(true), &json!([])));
    let effect = &standing["plan"]["effects"][0];
    assert_eq!((&effect["effect"], &effect["clusters"]), (&json!("change"), &json!(["c1"])));
    // A restart forgets nothing of it.
    process.kill();
    let process = start(folder.path(), &[SNAPSHOT]);
    mute(&process, "store_diverged");
    let other = [("If-Plan", "0".repeat(64))];
    let other = other.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(
        process.writer().send("POST", "/api/v2/confirm", &other, "").expect(412).code(),
        "plan_changed"
    );
    assert_eq!(process.reader().get(POLL).status, 503);
    assert_eq!(confirm(&process)["served"]["revision"], 1);
    assert_eq!(polled(&process), 0);
    write(&process, 9);
    process.kill();
    let process = start(folder.path(), &[SNAPSHOT]).ready();
    assert_eq!(polled(&process), 9);
}

#[test]
fn without_a_snapshot_file_a_restart_takes_what_the_store_holds() {
    let (folder, backup) = seeded(&[]);
    let process = start(folder.path(), &[]).ready();
    write(&process, 7);
    process.terminate();
    copy_store(backup.path(), folder.path());
    assert_eq!(polled(&start(folder.path(), &[]).ready()), 0);
}

#[test]
fn another_store_and_an_empty_one_are_not_served_either() {
    let (folder, _) = seeded(&[SNAPSHOT]);
    let (other, _) = seeded(&[]);
    copy_store(other.path(), folder.path());
    let process = start(folder.path(), &[SNAPSHOT]);
    mute(&process, "store_diverged");
    process.kill();
    // Where there is none, none is made or filled.
    take_away(folder.path());
    let process = start(folder.path(), &[SNAPSHOT, ("SEED_FILE", "seed.json")]);
    process.logged("there is no store here");
    assert_eq!(process.reader().get(POLL).expect(503).code(), "starting");
    assert!(!folder.path().join("store.db").exists());
}

#[test]
fn a_kill_at_any_moment_forgets_nothing_that_was_said() {
    let (folder, first) = seeded(&[SNAPSHOT]);
    let mut highest = 0;
    for round in 0..6_u64 {
        let before = TempDir::new().unwrap();
        copy_store(folder.path(), before.path());
        let process = start(folder.path(), &[SNAPSHOT]).ready();
        // What was written and not said may be there, too.
        let known = polled(&process);
        assert!(known >= highest, "round {round}");
        let said = AtomicU64::new(known);
        let (writer, reader) = (process.writer(), process.reader());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for next in known + 1.. {
                    let body = json!({"labels": {"v": next.to_string()}}).to_string();
                    match writer.try_send("PATCH", "/namespaces/n1", &body) {
                        Some(reply) if reply.status == 200 => said.fetch_max(next, Ordering::SeqCst),
                        _ => return,
                    };
                }
            });
            scope.spawn(|| {
                while let Some(reply) = reader.try_send("GET", POLL, "") {
                    said.fetch_max(version(&reply.json()), Ordering::SeqCst);
                }
            });
            until("something is written", || said.load(Ordering::SeqCst) > known);
            std::thread::sleep(Duration::from_millis(23 * round));
            process.kill();
        });
        highest = said.into_inner();
        // What stood there before this round was all right then.
        let now = take_away(folder.path());
        for older in [before.path(), first.path()] {
            copy_store(older, folder.path());
            mute(&start(folder.path(), &[SNAPSHOT]), "store_diverged");
        }
        copy_store(now.path(), folder.path());
    }
    let process = start(folder.path(), &[SNAPSHOT]).ready();
    assert!(polled(&process) >= highest);
}

#[test]
fn what_was_seen_is_known_to_be_damaged() {
    let (folder, _) = seeded(&[SNAPSHOT]);
    let seen = folder.path().join("snapshot-seen");
    let whole = fs::read(&seen).unwrap();
    for at in (16..whole.len()).step_by(24) {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        fs::write(&seen, damaged).unwrap();
        let process = start(folder.path(), &[SNAPSHOT, ("SERVE_STALE", "true")]);
        mute(&process, "snapshot_damaged");
    }
    fs::remove_file(&seen).unwrap();
    let process = start(folder.path(), &[SNAPSHOT]);
    mute(&process, "snapshot_damaged");
    // Nothing changes for anybody, and still a person says so.
    let confirmed = confirm(&process);
    assert_eq!((&confirmed["plan"]["clusters"], &confirmed["mute"]), (&json!(0), &json!(null)));
    assert_eq!(polled(&process), 0);
    process.terminate();
    start(folder.path(), &[SNAPSHOT]).ready();
}

#[test]
fn a_damaged_snapshot_is_never_served_and_is_in_nobodys_way() {
    let (folder, _) = seeded(&[SNAPSHOT]);
    let snapshot = folder.path().join("snapshot");
    let whole = fs::read(&snapshot).unwrap();
    let away = take_away(folder.path());
    let stale = [SNAPSHOT, ("SERVE_STALE", "true")];
    assert!(whole.len() > 64);
    for at in (64..whole.len()).step_by(64) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        for bytes in [&damaged[..], &whole[..at]] {
            fs::write(&snapshot, bytes).unwrap();
            let process = start(folder.path(), &stale);
            process.logged("is damaged");
            process.logged("trying again");
            assert_eq!(process.reader().get(POLL).expect(503).code(), "starting", "{at}");
        }
    }
    copy_store(away.path(), folder.path());
    let process = start(folder.path(), &[SNAPSHOT]).ready();
    assert_eq!(polled(&process), 0);
    write(&process, 3);
    process.terminate();
    assert_ne!(fs::read(&snapshot).unwrap(), whole, "it was written anew");
}

#[test]
fn the_files_of_others_are_refused() {
    let (folder, _) = seeded(&[SNAPSHOT]);
    let store = fs::read(folder.path().join("store.db")).unwrap();
    let why = refused(folder.path(), &[("SNAPSHOT_FILE", "store.db")]);
    assert!(why.starts_with("SNAPSHOT_FILE: store.db is no file of this server"), "{why}");
    assert_eq!(fs::read(folder.path().join("store.db")).unwrap(), store);
    let why = refused(folder.path(), &[("SNAPSHOT_FILE", "none/snapshot")]);
    assert!(why.starts_with("SNAPSHOT_FILE: none/snapshot-seen cannot be opened"), "{why}");
    let _process = start(folder.path(), &[SNAPSHOT]).ready();
    let why = refused(folder.path(), &[SNAPSHOT]);
    assert!(why.contains("snapshot-seen is in use: give each process a file of its own"), "{why}");
}

#[test]
fn only_serve_stale_answers_before_the_store_is_there() {
    let (folder, _) = seeded(&[SNAPSHOT]);
    let process = start(folder.path(), &[SNAPSHOT]).ready();
    write(&process, 5);
    process.terminate();
    let away = take_away(folder.path());
    let process = start(folder.path(), &[SNAPSHOT]);
    process.logged("the snapshot is read");
    process.logged("trying again");
    assert_eq!(process.reader().get(POLL).expect(503).code(), "starting");
    process.kill();
    let process = start(folder.path(), &[SNAPSHOT, ("SERVE_STALE", "true")]);
    process.logged("SERVE_STALE is set");
    let process = process.ready();
    let ready = process.reader().get("/ready").expect(200).json();
    assert_eq!(ready, json!({"status": "ok", "revision": 2, "stale": true}));
    let poll = process.reader().get(POLL).expect(200);
    assert_eq!((version(&poll.json()), poll.header("x-stale")), (5, Some("unconfirmed")));
    assert_eq!(process.reader().get("/api/v2/flux/clusters").header("x-stale"), Some("unconfirmed"));
    assert_eq!(process.reader().get("/clusters/c1").expect(503).code(), "starting");
    assert!(metric(&process, "serving_stale 1") && metric(&process, "snapshot_revision 2"));
    copy_store(away.path(), folder.path());
    until("confirmed", || process.reader().get(POLL).header("x-stale").is_none());
    assert!(metric(&process, "serving_stale 0"));
    write(&process, 6);
    assert_eq!(polled(&process), 6);
}

#[test]
fn serve_stale_is_silent_once_another_store_is_there() {
    let (folder, backup) = seeded(&[SNAPSHOT]);
    let process = start(folder.path(), &[SNAPSHOT]).ready();
    write(&process, 5);
    process.terminate();
    take_away(folder.path());
    let process = start(folder.path(), &[SNAPSHOT, ("SERVE_STALE", "true")]).ready();
    assert_eq!(polled(&process), 5);
    copy_store(backup.path(), folder.path());
    mute(&process, "store_diverged");
}

#[test]
fn a_store_that_goes_away_later_is_served_stale() {
    let (folder, _) = seeded(&[]);
    let pairs = [("SERVE_STALE", "true"), ("MAX_STALENESS", "200ms")];
    let process = start(folder.path(), &pairs).ready();
    assert_eq!(process.reader().get(POLL).expect(200).header("x-stale"), None);
    let away = take_away(folder.path());
    until("stale", || process.reader().get(POLL).expect(200).header("x-stale").is_some());
    assert_eq!(process.reader().get("/ready").expect(200).json()["stale"], true);
    drop(away);
}

#[test]
fn a_snapshot_that_cannot_be_written_stops_nothing() {
    let (folder, _) = seeded(&[SNAPSHOT]);
    fs::create_dir(folder.path().join("snapshot.tmp")).unwrap();
    let process = start(folder.path(), &[SNAPSHOT]).ready();
    write(&process, 5);
    process.logged("SNAPSHOT_FILE cannot be written");
    assert!(metric(&process, "snapshot_error 1") && metric(&process, "snapshot_revision 1"));
    assert_eq!(polled(&process), 5);
    process.kill();
    // What was seen stands apart, and the older snapshot is a beginning all the same.
    let process = start(folder.path(), &[SNAPSHOT]).ready();
    assert_eq!(polled(&process), 5);
}

#[test]
fn a_snapshot_is_whole_whenever_the_process_ends() {
    let (folder, _) = seeded(&[SNAPSHOT]);
    for round in 0..5_u64 {
        let process = start(folder.path(), &[SNAPSHOT]).ready();
        let large = "x".repeat(100_000);
        for n in 0..20 {
            let id = format!("r{round}-{n}");
            process.writer().post("/namespaces", json!({"id": id, "annotations": {"a": large}})).expect(201);
        }
        // It writes the snapshot when it is told to end.
        Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
        std::thread::sleep(Duration::from_millis(7 * round));
        let log = process.kill();
        assert!(!log.contains("is damaged"), "{log}");
    }
    let process = start(folder.path(), &[SNAPSHOT]).ready();
    assert_eq!(process.reader().get("/namespaces").header("x-total-count"), Some("101"));
    assert!(!process.terminate().contains("is damaged"));
    assert!(folder.path().join("snapshot").metadata().unwrap().len() > 10_000_000);
}

#[test]
fn a_stale_unfinished_snapshot_is_passed_over() {
    let (folder, _) = seeded(&[SNAPSHOT]);
    let unfinished: PathBuf = folder.path().join("snapshot.tmp");
    fs::write(&unfinished, "flux-rs-snap").unwrap();
    let process = start(folder.path(), &[SNAPSHOT]).ready();
    write(&process, 2);
    process.terminate();
    assert!(!unfinished.exists());
}
