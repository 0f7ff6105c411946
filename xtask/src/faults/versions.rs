//! Processes of two releases on one store: a newer one writes what an older one must not answer, which then follows
//! no further; and the way back, which is a backup.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use flux_resourceset_model::change::{ChangeSet, DocumentChange, EntryId, Key, READER_VERSION};
use flux_resourceset_store::{Access, Committed, SqliteStore, Store};
use serde_json::json;

use super::Round;
use super::lineage::Lineage;
use super::replaced::{backup, confirmed, exchange};
use super::seen::{Outcome, Write};
use super::stage::{Stage, log_as};
use super::workload::reason;
use crate::server::sqlite;

/// Nobody of our servers' release may read what this one writes.
const NEWER: u32 = READER_VERSION + 1;

pub(super) fn newer(round: &mut Round<'_>) -> Result<()> {
    let processes = [("crud", "crud"), ("reader-1", "read-only"), ("reader-2", "read-only")];
    let stage = Stage::set(round.program, None, &processes)?;
    let store = stage.folder.path().join("store.db");
    let (kept, newest) = (stage.folder.path().join("kept.db"), stage.folder.path().join("newest.db"));
    let load = stage.load();
    round.random.pause(500);
    load.wait_for_writes()?;
    backup(&store, &kept)?;
    // What a process never saw it could not miss in the backup.
    let kept_at = stage.lineages.iter().map(Lineage::revision).max().unwrap_or_default();
    load.wait_for_writes()?;
    stage.lineages.iter().try_for_each(|lineage| lineage.wait_until_past(kept_at))?;
    round.random.pause(500);
    let number = stage.numbers.next();
    let revision = raise(&store, number)?;
    let at = stage.start.elapsed();
    stage.wait_until("store_too_new")?;
    // What it may not read it does not start on, either.
    for lineage in stage.lineages.iter() {
        lineage.kill()?;
        if let Ok(()) = lineage.start() {
            let status = lineage.ended()?;
            ensure!(
                status.code() == Some(2),
                "{} ended with {status} on a store that is too new",
                lineage.name
            );
        }
    }
    let mut seen = load.stop()?;
    let outcome = Outcome::Done { revision, at };
    // By a process of its own.
    let lineage = stage.lineages.len();
    seen.writes.push(Write { lineage, number, keys: vec![key()], outcome });
    exchange(&store, &kept, &newest)?;
    stage.judge_by(log_as(&sqlite(&newest), NEWER)?, 1, &seen)?;
    stage.lineages.iter().try_for_each(|lineage| lineage.start())?;
    stage.wait_until("store_diverged")?;
    confirmed(&stage, &sqlite(&store))
}

fn key() -> Key {
    Key::new("namespaces", "shared")
}

/// A commit by a newer release.
fn raise(store: &std::path::Path, number: u64) -> Result<u64> {
    let body = json!({"id": "shared", "labels": {"write": number.to_string()}});
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = SqliteStore::open_for_reader(store, Access::ReadWrite { create: false }, NEWER).await?;
        for _ in 0..1000 {
            let (_, head) = store.head().await?;
            let change_set = ChangeSet {
                entry: EntryId(u128::from(number) << 64 | 1),
                principal: "newer".into(),
                reason: Some(reason(number)),
                request_id: "newer".into(),
                operations: Vec::new(),
                documents: vec![DocumentChange { key: key(), body: Some(body.to_string().into()) }],
                min_reader: NEWER,
            };
            if let Committed::Done(entries) = store.commit(head, vec![change_set]).await? {
                return Ok(entries.first().context("nothing was committed")?.revision);
            }
            // Our servers were faster.
            thread::sleep(Duration::from_millis(3));
        }
        bail!("others were faster each time")
    })
}
