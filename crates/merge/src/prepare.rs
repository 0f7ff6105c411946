//! What operations would leave behind: applied in order to a draft of the fleet, checked once at the end.

use std::collections::BTreeSet;

use flux_resourceset_model::change::{DocumentChange, Key, Operation, Verb};
use flux_resourceset_model::{
    Body, CLUSTERS, DnsName, PLATFORM_COMPONENTS, ResourceType, TOMBSTONES, Tombstone, Violation,
};
use serde_json::Value;

use crate::check::check;
use crate::fleet::{Fleet, LoadError, dns_taken};
use crate::refusal::Refusal;

/// Violations of a valid document that does not fit the others.
const CONFLICTS: [&str; 3] = ["dns_taken", "immutable", "tombstone"];

impl Fleet {
    /// The documents that `operations` would leave behind, each once and only where it differs from what
    /// is stored; none where nothing would change. Applied in order, checked once at the end. Pure.
    ///
    /// # Errors
    /// A [`Refusal`] with everything that is wrong. A violation names its document, unless there is one
    /// operation and it is that operation's own.
    pub fn prepare(&self, operations: &[Operation]) -> Result<Vec<DocumentChange>, Refusal> {
        let mut draft = Draft::of(self);
        for operation in operations {
            draft.perform(operation)?;
        }
        draft.wrong.extend(check(self, &draft.after, &draft.touched, &draft.broken));
        draft.refuse(operations)?;
        Ok(draft.changes())
    }
}

/// The fleet as operations would leave it, before they are checked against each other.
pub(crate) struct Draft<'a> {
    before: &'a Fleet,
    after: Fleet,
    touched: BTreeSet<Key>,
    /// Documents that are wrong by themselves, so that the draft lacks them.
    broken: BTreeSet<Key>,
    wrong: Vec<Violation>,
}

impl<'a> Draft<'a> {
    fn of(before: &'a Fleet) -> Self {
        Draft {
            before,
            after: before.clone(),
            touched: BTreeSet::new(),
            broken: BTreeSet::new(),
            wrong: Vec::new(),
        }
    }

    /// The fleet that `operations` leave when only each document alone is judged.
    pub(crate) fn unchecked(before: &'a Fleet, operations: &[Operation]) -> Result<Fleet, Refusal> {
        let mut draft = Draft::of(before);
        for operation in operations {
            draft.perform(operation)?;
        }
        draft.refuse(operations)?;
        Ok(draft.after)
    }

    fn perform(&mut self, operation: &Operation) -> Result<(), Refusal> {
        let key = &operation.key;
        let kind = ResourceType::of(&key.kind).ok_or_else(|| Refusal::NotFound(key.clone()))?;
        let stored = self.after.get(key).map(|document| document.to_body());
        match (operation.verb, stored) {
            (Verb::Create, Some(_)) => Err(Refusal::Exists(key.clone())),
            (Verb::Create, None) => self.create(kind, operation),
            (_, None) if self.broken.contains(key) => Ok(()),
            (_, None) => Err(Refusal::NotFound(key.clone())),
            (Verb::Update, Some(body)) => self.rewrite(kind, operation, body, replace_fields),
            (Verb::Patch, Some(body)) => self.rewrite(kind, operation, body, merge_patch),
            (Verb::Delete, Some(body)) => self.delete(key, body, operation.force),
        }
    }

    fn create(&mut self, kind: &ResourceType, operation: &Operation) -> Result<(), Refusal> {
        let key = &operation.key;
        let Some(mut body) = self.object(operation) else { return Ok(()) };
        kind.normalize(&mut body);
        // Whoever names no id anywhere is told so by the schema.
        if !key.id.is_empty() {
            body.entry("id").or_insert_with(|| key.id.as_str().into());
        }
        if key.kind == CLUSTERS {
            self.bury_no_more(key, &body);
        }
        self.write(kind, key, &body, None);
        Ok(())
    }

    /// A cluster may come back over its own tombstone, under the name it had.
    fn bury_no_more(&mut self, key: &Key, body: &Body) {
        let Some(tombstone) = self.after.tombstone(&key.id) else { return };
        let dns = body.get("cluster_dns").and_then(Value::as_str).unwrap_or_default();
        if DnsName::new(dns) == DnsName::new(&tombstone.cluster_dns) {
            let tombstone = Key::new(TOMBSTONES, &key.id);
            self.after.remove(&tombstone);
            self.touched.insert(tombstone);
        } else {
            let message = format!(
                "a deleted cluster with this id still answers as {}; create it with that DNS name, or delete {TOMBSTONES}/{} first",
                tombstone.cluster_dns, key.id
            );
            self.wrong.push(Violation::new("/id", "tombstone", message).of(key.clone()));
        }
    }

    fn rewrite(
        &mut self,
        kind: &ResourceType,
        operation: &Operation,
        stored: Body,
        how: fn(&ResourceType, Body, Body) -> Body,
    ) -> Result<(), Refusal> {
        let key = &operation.key;
        let Some(asked) = self.object(operation) else { return Ok(()) };
        let body = how(kind, stored.clone(), asked);
        let dns = |body: &Body| body.get("cluster_dns").and_then(Value::as_str).map(DnsName::new);
        if key.kind == CLUSTERS && dns(&body).is_some() && dns(&body) != dns(&stored) {
            let message = "a cluster's DNS name cannot be changed: the cluster would go on polling under the old one; create a cluster with the new name";
            self.wrong.push(Violation::new("/cluster_dns", "immutable", message).of(key.clone()));
        }
        self.write(kind, key, &body, Some(&stored));
        Ok(())
    }

    fn delete(&mut self, key: &Key, body: Body, force: bool) -> Result<(), Refusal> {
        let referrers: Vec<Key> = self.after.referrers(key).cloned().collect();
        if !referrers.is_empty() && !force {
            return Err(Refusal::Referenced { key: key.clone(), by: referrers });
        }
        for referrer in referrers {
            self.release(&referrer, key);
        }
        self.after.remove(key);
        self.touched.insert(key.clone());
        if key.kind == CLUSTERS {
            self.put_own(&Key::new(TOMBSTONES, &key.id), &Tombstone::body_of(body));
        }
        Ok(())
    }

    /// Takes every reference to `target` out of the document `referrer`.
    fn release(&mut self, referrer: &Key, target: &Key) {
        let Some(mut body) = self.after.get(referrer).map(|document| document.to_body()) else { return };
        if referrer.kind == CLUSTERS {
            if let Some(Value::Array(references)) = body.get_mut(&target.kind) {
                references
                    .retain(|reference| reference.get("id").and_then(Value::as_str) != Some(&target.id));
            }
            if target.kind == PLATFORM_COMPONENTS
                && let Some(Value::Object(patches)) = body.get_mut("patches")
            {
                patches.remove(&target.id);
            }
        } else if let Some(Value::Array(needed)) = body.get_mut("depends_on") {
            needed.retain(|id| id.as_str() != Some(&target.id));
        }
        self.put_own(referrer, &body);
    }

    /// Takes `body` as the document `key`, if it is right by itself.
    fn write(&mut self, kind: &ResourceType, key: &Key, body: &Body, stored: Option<&Body>) {
        let mut wrong = kind.validate(body, self.before.rules());
        if let Some(stored) = stored {
            forget_known(&mut wrong, &kind.validate(stored, self.before.rules()));
        }
        if body.get("id").and_then(Value::as_str).is_some_and(|id| id != key.id) {
            wrong.push(Violation::new("/id", "id", format!("the id of {key} cannot be changed")));
        }
        let dns = body.get("cluster_dns").and_then(Value::as_str);
        if let Some(dns) = dns
            && let Some(other) = self.after.other_holder(key, dns)
        {
            wrong.push(dns_taken(dns, &other));
        }
        // A wrong document is drafted too where it can be read, so that all that is wrong is said at once.
        if let Err(unreadable) = self.put(key, body) {
            self.broken.insert(key.clone());
            if wrong.is_empty() {
                wrong.push(Violation::new("", "unreadable", unreadable.reason));
            }
        }
        self.wrong.extend(wrong.into_iter().map(|violation| violation.of(key.clone())));
    }

    fn put(&mut self, key: &Key, body: &Body) -> Result<(), LoadError> {
        self.touched.insert(key.clone());
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        self.after.put(key, self.before.revision() + 1, &bytes)
    }

    /// Puts what is made of a document that is stored already, and so cannot be unreadable.
    fn put_own(&mut self, key: &Key, body: &Body) {
        if let Err(error) = self.put(key, body) {
            self.wrong.push(Violation::new("", "unreadable", error.reason).of(key.clone()));
        }
    }

    fn object(&mut self, operation: &Operation) -> Option<Body> {
        if let Some(Value::Object(body)) = &operation.body {
            return Some(body.clone());
        }
        self.broken.insert(operation.key.clone());
        self.wrong.push(Violation::new("", "type", "a document is a JSON object").of(operation.key.clone()));
        None
    }

    fn refuse(&mut self, operations: &[Operation]) -> Result<(), Refusal> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        let mut wrong = std::mem::take(&mut self.wrong);
        let elsewhere = |violation: &Violation| {
            violation
                .document
                .as_ref()
                .is_none_or(|key| operations.iter().all(|operation| operation.key != *key))
        };
        let conflict =
            wrong.iter().all(|violation| elsewhere(violation) || CONFLICTS.contains(&violation.code));
        if let [operation] = operations {
            for violation in &mut wrong {
                violation.document = violation.document.take().filter(|key| *key != operation.key);
            }
        }
        Err(if conflict { Refusal::Conflict(wrong) } else { Refusal::Invalid(wrong) })
    }

    fn changes(self) -> Vec<DocumentChange> {
        let bytes = |fleet: &Fleet, key: &Key| fleet.get(key).map(|document| document.body().to_vec());
        let changed = self.touched.iter().filter(|key| bytes(self.before, key) != bytes(&self.after, key));
        changed.map(|key| DocumentChange { key: key.clone(), body: bytes(&self.after, key) }).collect()
    }
}

/// PUT: each top-level field that is asked for replaces the stored one; null removes it.
fn replace_fields(kind: &ResourceType, mut stored: Body, mut asked: Body) -> Body {
    stored.retain(|field, _| !asked.get(field).is_some_and(Value::is_null));
    kind.normalize(&mut asked);
    stored.extend(asked);
    stored
}

/// PATCH: JSON Merge Patch (RFC 7396), null removes at every depth.
fn merge_patch(kind: &ResourceType, mut stored: Body, asked: Body) -> Body {
    fn merge(into: &mut Body, patch: Body) {
        for (field, value) in patch {
            match value {
                Value::Null => drop(into.remove(&field)),
                Value::Object(patch) => {
                    let below = into.entry(field).or_insert_with(|| Body::new().into());
                    if !below.is_object() {
                        *below = Body::new().into();
                    }
                    if let Value::Object(below) = below {
                        merge(below, patch);
                    }
                }
                value => drop(into.insert(field, value)),
            }
        }
    }
    let named: Vec<String> = asked.keys().cloned().collect();
    merge(&mut stored, asked);
    // Only what was asked for: a field that a newer release wrote stays as it is.
    let mut changed: Body = named.into_iter().filter_map(|field| stored.remove_entry(&field)).collect();
    kind.normalize(&mut changed);
    stored.extend(changed);
    stored
}

/// Drops from `wrong` what was wrong with the stored document already: fields that a newer release
/// wrote survive a rewrite, wherever they moved within their list.
fn forget_known(wrong: &mut Vec<Violation>, known: &[Violation]) {
    let place = |violation: &Violation| {
        let steps = violation.pointer.split('/');
        let anywhere: Vec<_> =
            steps.map(|step| if step.parse::<usize>().is_ok() { "*" } else { step }).collect();
        anywhere.join("/")
    };
    wrong.retain(|violation| {
        !known.iter().any(|known| match violation.code {
            "unknown_field" => known.code == "unknown_field" && place(known) == place(violation),
            _ => known == violation,
        })
    });
}
