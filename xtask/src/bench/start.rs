//! `cargo xtask bench start`: how long a start takes, beside reading and parsing what is in the store.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::row::{Goal, Row};
use super::stores::Stores;
use super::{median, timed};
use crate::server::sqlite;

const CLUSTERS: usize = 100_000;
const ROUNDS: usize = 5;
const GOAL: Goal = Goal::AtMost(2.0, "x");

pub(super) fn run(stores: &Stores) -> Result<Vec<Row>> {
    let folder = stores.folder("start")?;
    let store = stores.of(CLUSTERS)?;
    // Once each, so that the file is in memory for both.
    let start = || {
        timed(|| stores.serve(&sqlite(&store), "read-only", &folder.join("server.log"))).map(|(_, time)| time)
    };
    let read = || timed(|| read_all(&store)).map(|(_, time)| time);
    read()?;
    start()?;
    let (mut starts, mut reads, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let [one, other] = [start()?, read()?];
        starts.push(one);
        reads.push(other);
        ratios.push(one.as_secs_f64() / other.as_secs_f64());
    }
    let [ours, theirs] = [starts, reads].map(|times| median::<Duration>(times).as_secs_f64());
    Ok(vec![Row::measured(
        format!("ready after a start, {CLUSTERS} clusters"),
        GOAL,
        format!("{ours:.2} s"),
        format!("reading and parsing all rows: {theirs:.2} s"),
        median(ratios),
    )])
}

/// On one thread: every current document, parsed and dropped.
fn read_all(store: &Path) -> Result<()> {
    let connection = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut bodies =
        connection.prepare("SELECT body FROM documents JOIN versions USING (type, id, revision)")?;
    let mut rows = bodies.query([])?;
    let mut documents = 0;
    while let Some(row) = rows.next()? {
        let body: Value = serde_json::from_slice(row.get_ref(0)?.as_blob()?)?;
        documents += usize::from(body.is_object());
    }
    ensure!(documents > CLUSTERS, "{documents} documents");
    Ok(())
}
