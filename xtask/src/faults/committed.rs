//! Every committed revision, and what each cluster is to be answered at it: made anew from the log, by the merge.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use flux_resourceset_merge::Fleet;
use flux_resourceset_model::Rules;
use flux_resourceset_model::change::{Entry, EntryId};
use flux_resourceset_store::{Changes, Position, Store};

use super::workload::dns;

/// How many entries are asked for at once.
const PAGE: usize = 500;

/// The first and the last revision between which an answer held.
pub(super) type Held = (u64, u64);

/// A log, and the answers that it comes to.
pub(super) struct Committed {
    pub(super) entries: Vec<Entry>,
    /// Up to this revision it was there before: the seed, or what a backup brought.
    pub(super) begins: u64,
    /// Of each cluster, by what it is answered: the oldest first.
    answers: Vec<HashMap<Vec<u8>, Vec<Held>>>,
}

impl Committed {
    /// What `entries`, the whole log, come to for the first so many clusters. Those up to `begins` were there before.
    pub(super) fn of(entries: Vec<Entry>, begins: u64, clusters: usize) -> Result<Self> {
        let mut answers = vec![HashMap::<Vec<u8>, Vec<Held>>::new(); clusters];
        let mut fleet = Fleet::empty(Rules::default());
        for entry in &entries {
            let revision = entry.revision;
            let applied = fleet.apply(revision, &entry.change_set.documents);
            fleet = applied.with_context(|| format!("revision {revision} of the log cannot be applied"))?;
            for (cluster, held) in answers.iter_mut().enumerate() {
                let mut answer = Vec::new();
                if fleet.answer(&dns(cluster), "namespaces", &mut answer).is_ok() {
                    extend(held.entry(answer).or_default(), revision);
                }
            }
        }
        Ok(Committed { entries, begins, answers })
    }

    /// When the cluster was to be answered by these bytes; never, where it is empty.
    pub(super) fn held(&self, cluster: usize, body: &[u8]) -> &[Held] {
        let held = self.answers.get(cluster).and_then(|answers| answers.get(body));
        held.map_or(&[], Vec::as_slice)
    }
}

fn extend(held: &mut Vec<Held>, revision: u64) {
    match held.last_mut() {
        Some((_, last)) if *last + 1 == revision => *last = revision,
        _ => held.push((revision, revision)),
    }
}

/// The whole log of `store`, oldest first.
pub(super) async fn log(store: &dyn Store) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut position = Position { revision: 0, entry: EntryId::NIL };
    loop {
        match store.changes_since(position, PAGE).await? {
            Changes::Entries(page) if page.is_empty() => return Ok(entries),
            Changes::Entries(page) => entries.extend(page),
            other => bail!("the log of the store cannot be read: {other:?}"),
        }
        if let Some(last) = entries.last() {
            position = Position { revision: last.revision, entry: last.change_set.entry };
        }
    }
}
