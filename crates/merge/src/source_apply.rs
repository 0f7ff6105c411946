//! Making the documents of one source equal its files: what that takes, and what others have a say in.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::{Key, Operation, Verb};
use flux_resourceset_model::{Body, CLUSTERS, FREEZES, ResourceType, SOURCES, Source, TOMBSTONES, Violation};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::file::File;
use crate::fleet::Fleet;
use crate::revert::dependents_first;
use crate::rewrite::{keep_alias, keep_name};

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
        let read = File::read(&files.documents, self.types());
        if !read.violations.is_empty() {
            return Err(read.violations);
        }
        let mut apply = Apply::new(self, files);
        for operation in &read.operations {
            if let Some(kind) = read.types().of(&operation.key.kind) {
                apply.write(kind, operation, read.place(&operation.key));
            }
        }
        if !apply.violations.is_empty() {
            return Err(apply.violations);
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
    /// The source as it was applied last.
    last: Option<&'a Source>,
    /// Which other source owns a document.
    owners: BTreeMap<Key, &'a str>,
    /// What the files hold, each with the digest of what will be stored.
    wanted: BTreeMap<Key, String>,
    operations: Vec<Operation>,
    disputed: Vec<Disputed>,
    pruned: BTreeSet<Key>,
    violations: Vec<Violation>,
}

impl<'a> Apply<'a> {
    fn new(fleet: &'a Fleet, files: &'a Files) -> Self {
        let own = files.source.as_deref();
        let others = fleet.list(SOURCES).filter(|(id, _)| own != Some(*id));
        let owners = others.filter_map(|(id, _)| Some((id, fleet.source(id)?)));
        let owners = owners.flat_map(|(id, source)| keys(source).map(move |key| (key, id))).collect();
        Apply {
            fleet,
            files,
            last: own.and_then(|id| fleet.source(id)),
            owners,
            wanted: BTreeMap::new(),
            operations: Vec::new(),
            disputed: Vec::new(),
            pruned: BTreeSet::new(),
            violations: Vec::new(),
        }
    }

    /// The digest of what the source last made of the document, if it owns it.
    fn made(&self, key: &Key) -> Option<&'a str> {
        Some(self.last?.documents.get(&key.kind)?.get(&key.id)?)
    }

    /// Brings one document to what the files say.
    fn write(&mut self, kind: &ResourceType, wanted: &Operation, place: &str) {
        let key = &wanted.key;
        let mut body = wanted.body.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
        kind.normalize(&mut body);
        body.entry("id").or_insert_with(|| key.id.as_str().into());
        let stored = self.fleet.get(key).map(|document| document.to_body());
        let operation = match (&stored, key.kind.as_str()) {
            (None, TOMBSTONES) => self.bury(key, &body, place),
            (None, _) => {
                self.come_back(key, &mut body);
                Some(Operation::new(Verb::Create, key.clone(), Some(body.clone().into())))
            }
            (Some(stored), _) => {
                let change = update(kind, stored, &body);
                body = change.iter().fold(stored.clone(), |mut body, (field, value)| {
                    body.insert(field.clone(), value.clone());
                    body
                });
                body.retain(|_, value| !value.is_null());
                if key.kind == CLUSTERS {
                    keep_name(stored, &mut body);
                }
                let change = (!change.is_empty()).then_some(change);
                change.map(|change| Operation::new(Verb::Update, key.clone(), Some(change.into())))
            }
        };
        let owner = self.owners.get(key).map(|owner| (*owner).to_owned());
        let now = stored.as_ref().map(digest);
        // What is as the files say it may be taken up by whom nobody gainsays.
        let others = operation.is_some() && self.made(key) != now.as_deref();
        if (owner.is_some() || others) && !self.may_take() {
            self.disputed.push(Disputed { key: key.clone(), owner });
        }
        self.wanted.insert(key.clone(), digest(&body));
        self.operations.extend(operation);
    }

    /// A tombstone is made by deleting its cluster; only an empty fleet is given those of another.
    fn bury(&mut self, key: &Key, body: &Body, place: &str) -> Option<Operation> {
        let cluster = Key::new(CLUSTERS, &key.id);
        if self.fleet.get(&cluster).is_some() {
            return Some(Operation::new(Verb::Delete, cluster, None));
        }
        if self.fleet.len(CLUSTERS) + self.fleet.len(TOMBSTONES) > 0 {
            let message = "no such cluster was ever here; a tombstone is made by deleting its cluster";
            self.violations.push(Violation::new(place, "tombstone", message));
        }
        Some(Operation::new(Verb::Create, key.clone(), Some(body.clone().into())))
    }

    /// A cluster that comes back over its tombstone keeps the names that it had.
    fn come_back(&self, key: &Key, body: &mut Body) {
        let tombstone = self.fleet.tombstone(&key.id).filter(|_| key.kind == CLUSTERS);
        for alias in tombstone.into_iter().flat_map(|tombstone| &tombstone.aliases) {
            keep_alias(body, alias);
        }
    }

    fn may_take(&self) -> bool {
        self.files.take || self.files.source.is_none()
    }

    /// Deletes what the files no longer have, whatever refers to something before that.
    fn prune(&mut self) {
        let Some(source) = self.last else { return };
        // A brake is let go by whoever looks at what has gathered, not by a file that lacks it.
        let gone = keys(source).filter(|key| !self.wanted.contains_key(key) && key.kind != FREEZES);
        let buried = |key: &Key| self.wanted.contains_key(&Key::new(TOMBSTONES, &key.id));
        let pending = gone.clone().filter(|key| self.fleet.get(key).is_some());
        let pending: BTreeSet<Key> = pending.filter(|key| key.kind != CLUSTERS || !buried(key)).collect();
        self.pruned = gone.collect();
        for key in &pending {
            let now = self.fleet.get(key).map(|document| digest(&document.to_body()));
            if self.made(key) != now.as_deref() && !self.may_take() {
                self.disputed.push(Disputed { key: key.clone(), owner: None });
            }
        }
        let removals = dependents_first(self.fleet, pending).into_iter();
        self.operations.extend(removals.map(|key| Operation::new(Verb::Delete, key, None)));
    }

    /// Notes what the source owns now, and what others no longer do.
    fn own(&mut self) {
        let Some(id) = &self.files.source else { return };
        let mut source = self.last.cloned().unwrap_or_default();
        let owned = source.documents.clone();
        for key in &self.pruned {
            remove(&mut source, key);
        }
        for (key, digest) in &self.wanted {
            let of_kind = source.documents.entry(key.kind.clone()).or_default();
            of_kind.insert(key.id.clone(), digest.clone());
        }
        if source.documents == owned {
            return;
        }
        let verb = if self.last.is_some() { Verb::Update } else { Verb::Create };
        source.id.clone_from(id);
        self.operations.push(Operation::new(verb, Key::new(SOURCES, id), Some(source.to_body().into())));
        let mut losers: BTreeMap<&str, Source> = BTreeMap::new();
        for (key, owner) in self.owners.iter().filter(|(key, _)| self.wanted.contains_key(key)) {
            let Some(source) = self.fleet.source(owner) else { continue };
            remove(losers.entry(owner).or_insert_with(|| source.clone()), key);
        }
        self.operations.extend(losers.into_iter().map(|(id, source)| {
            Operation::new(Verb::Update, Key::new(SOURCES, id), Some(source.to_body().into()))
        }));
    }
}

fn keys(source: &Source) -> impl Iterator<Item = Key> + Clone {
    source.documents.iter().flat_map(|(kind, ids)| ids.keys().map(move |id| Key::new(kind, id)))
}

fn remove(source: &mut Source, key: &Key) {
    if let Some(ids) = source.documents.get_mut(&key.kind) {
        ids.remove(&key.id);
        if ids.is_empty() {
            source.documents.remove(&key.kind);
        }
    }
}

/// Tells a document from what it was, for whoever wrote it.
fn digest(body: &Body) -> String {
    let hash = Sha256::digest(serde_json::to_vec(body).unwrap_or_default());
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The top-level fields that have to change for `stored` to say what `wanted` says, null where one goes.
/// What was deleted is only remembered, and of that it is only said whether it is held.
fn update(kind: &ResourceType, stored: &Body, wanted: &Body) -> Body {
    let known = kind.schema().get("properties").and_then(Value::as_object);
    let is_said = |field: &String| {
        known.is_some_and(|known| known.contains_key(field))
            && (kind.plural() != TOMBSTONES || field == "held")
    };
    let dropped = stored.keys().filter(|field| !wanted.contains_key(*field) && is_said(field));
    let mut change: Body = dropped.map(|field| (field.clone(), Value::Null)).collect();
    let changed = wanted.iter().filter(|(field, value)| stored.get(*field) != Some(value));
    let changed = changed.filter(|(field, _)| kind.plural() != TOMBSTONES || *field == "held");
    change.extend(changed.map(|(field, value)| (field.clone(), value.clone())));
    change
}
