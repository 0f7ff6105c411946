//! Making the documents of one source equal its files: what that takes, and what others have a say in.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::{Key, Operation, Verb};
use flux_resourceset_model::{Body, FREEZES, ResourceType, SOURCES, Source, Violation};
use serde_json::Value;

use crate::file::File;
use crate::fleet::Fleet;
use crate::revert::dependents_first;

/// Files that are to be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    /// Every document, in the form of `data/seed.json`.
    pub documents: Value,
    /// Who keeps them. `None`: only to compare, since nobody would own what is written.
    pub source: Option<String>,
    /// Whether what the source owns and the files no longer have is deleted.
    pub prune: bool,
    /// Whether what others changed or own is taken over.
    pub take: bool,
}

/// What applying files takes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Applied {
    /// The operations; none where the documents equal the files already.
    pub operations: Vec<Operation>,
    /// Documents that others have a say in: nothing may be applied while there are some.
    pub disputed: Vec<Disputed>,
}

/// A document that the files would change, and that somebody else has changed or owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disputed {
    /// Which document.
    pub key: Key,
    /// The other source that owns it; `None`: it was written, or deleted, by somebody else since the
    /// source was last applied, or was there before.
    pub owner: Option<String>,
}

impl Fleet {
    /// What it takes for the documents of a source to equal `files`. Fields that a newer release wrote
    /// stay; whether the outcome is valid is for [`Fleet::prepare`] to say. Pure.
    ///
    /// # Errors
    /// Everything that is wrong with the form of the files, by pointers into them.
    pub fn apply_files(&self, files: &Files) -> Result<Applied, Vec<Violation>> {
        let read = File::read(&files.documents);
        if !read.violations.is_empty() {
            return Err(read.violations);
        }
        let mut apply = Apply::new(self, files);
        for operation in &read.operations {
            apply.write(operation);
        }
        if files.prune {
            apply.prune();
        }
        apply.own();
        Ok(Applied { operations: apply.operations, disputed: apply.disputed })
    }
}

struct Apply<'a> {
    fleet: &'a Fleet,
    files: &'a Files,
    /// The source as it was applied last, and the revision of that.
    last: Option<(&'a Source, u64)>,
    /// Which other source owns a document.
    owners: BTreeMap<Key, &'a str>,
    wanted: BTreeSet<Key>,
    operations: Vec<Operation>,
    disputed: Vec<Disputed>,
    pruned: BTreeSet<Key>,
}

impl<'a> Apply<'a> {
    fn new(fleet: &'a Fleet, files: &'a Files) -> Self {
        let own = files.source.as_deref();
        let last = own.and_then(|id| {
            let revision = fleet.get(&Key::new(SOURCES, id))?.revision();
            Some((fleet.source(id)?, revision))
        });
        let others = fleet.list(SOURCES).filter(|(id, _)| own != Some(*id));
        let owners = others.filter_map(|(id, _)| Some((id, fleet.source(id)?)));
        let owners = owners.flat_map(|(id, source)| keys(source).map(move |key| (key, id))).collect();
        Apply {
            fleet,
            files,
            last,
            owners,
            wanted: BTreeSet::new(),
            operations: Vec::new(),
            disputed: Vec::new(),
            pruned: BTreeSet::new(),
        }
    }

    fn owns(&self, key: &Key) -> bool {
        self.last.is_some_and(|(source, _)| {
            source.documents.get(&key.kind).is_some_and(|ids| ids.contains(&key.id))
        })
    }

    /// Brings one document to what the files say.
    fn write(&mut self, wanted: &Operation) {
        let key = &wanted.key;
        self.wanted.insert(key.clone());
        let Some(kind) = ResourceType::of(&key.kind) else { return };
        let mut body = wanted.body.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
        kind.normalize(&mut body);
        body.entry("id").or_insert_with(|| key.id.as_str().into());
        let stored = self.fleet.get(key).map(|document| (document.to_body(), document.revision()));
        let operation = match &stored {
            None => Some(Operation::new(Verb::Create, key.clone(), Some(body.into()))),
            Some((stored, _)) => update(kind, stored, body)
                .map(|change| Operation::new(Verb::Update, key.clone(), Some(change.into()))),
        };
        let owner = self.owners.get(key).map(|owner| (*owner).to_owned());
        let disputed =
            owner.is_some() || (operation.is_some() && self.is_others(key, stored.map(|(_, at)| at)));
        if disputed && !self.may_take() {
            self.disputed.push(Disputed { key: key.clone(), owner });
        }
        self.operations.extend(operation);
    }

    /// Whether somebody else wrote the document, which is of `revision`, or deleted it, since the
    /// source was applied last.
    fn is_others(&self, key: &Key, revision: Option<u64>) -> bool {
        match (revision, self.last) {
            (Some(revision), Some((_, applied))) => !self.owns(key) || revision > applied,
            (Some(_), None) => true,
            (None, _) => self.owns(key),
        }
    }

    fn may_take(&self) -> bool {
        self.files.take || self.files.source.is_none()
    }

    /// Deletes what the files no longer have, whatever refers to something before that.
    fn prune(&mut self) {
        let Some((source, applied)) = self.last else { return };
        // A brake is let go by whoever looks at what has gathered, not by a file that lacks it.
        let gone = keys(source).filter(|key| !self.wanted.contains(key) && key.kind != FREEZES);
        let pending: BTreeSet<Key> = gone.clone().filter(|key| self.fleet.get(key).is_some()).collect();
        self.pruned = gone.collect();
        for key in &pending {
            let changed = self.fleet.get(key).is_some_and(|document| document.revision() > applied);
            if changed && !self.may_take() {
                self.disputed.push(Disputed { key: key.clone(), owner: None });
            }
        }
        let removals = dependents_first(self.fleet, pending).into_iter();
        self.operations.extend(removals.map(|key| Operation::new(Verb::Delete, key, None)));
    }

    /// Notes what the source owns now, and what others no longer do.
    fn own(&mut self) {
        let Some(id) = &self.files.source else { return };
        let mut source = self.last.map(|(source, _)| source.clone()).unwrap_or_default();
        let owned = source.documents.clone();
        for key in &self.pruned {
            remove(&mut source, key);
        }
        for key in &self.wanted {
            source.documents.entry(key.kind.clone()).or_default().insert(key.id.clone());
        }
        if self.operations.is_empty() && source.documents == owned {
            return;
        }
        let verb = if self.last.is_some() { Verb::Update } else { Verb::Create };
        source.id.clone_from(id);
        source.applies += 1;
        self.operations.push(Operation::new(verb, Key::new(SOURCES, id), Some(source.to_body().into())));
        let mut losers: BTreeMap<&str, Source> = BTreeMap::new();
        for (key, owner) in self.owners.iter().filter(|(key, _)| self.wanted.contains(key)) {
            let Some(source) = self.fleet.source(owner) else { continue };
            remove(losers.entry(owner).or_insert_with(|| source.clone()), key);
        }
        self.operations.extend(losers.into_iter().map(|(id, source)| {
            Operation::new(Verb::Update, Key::new(SOURCES, id), Some(source.to_body().into()))
        }));
    }
}

fn keys(source: &Source) -> impl Iterator<Item = Key> + Clone {
    source.documents.iter().flat_map(|(kind, ids)| ids.iter().map(move |id| Key::new(kind, id)))
}

fn remove(source: &mut Source, key: &Key) {
    if let Some(ids) = source.documents.get_mut(&key.kind) {
        ids.remove(&key.id);
        if ids.is_empty() {
            source.documents.remove(&key.kind);
        }
    }
}

/// The top-level fields that have to change for `stored` to say what `wanted` says; `None`: none.
fn update(kind: &ResourceType, stored: &Body, wanted: Body) -> Option<Body> {
    let known = kind.schema().get("properties").and_then(Value::as_object);
    let dropped = stored.keys().filter(|field| !wanted.contains_key(*field));
    let dropped = dropped.filter(|field| known.is_some_and(|known| known.contains_key(*field)));
    let mut change: Body = dropped.map(|field| (field.clone(), Value::Null)).collect();
    change.extend(wanted.into_iter().filter(|(field, value)| stored.get(field) != Some(value)));
    (!change.is_empty()).then_some(change)
}
