//! What operations would leave behind: applied in order to a draft of the fleet, checked once at the end.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::{DocumentChange, Key, Operation, Part, Verb};
use flux_resourceset_model::{
    Body, CLUSTERS, DnsName, FREEZES, PROFILES, Parts, RESOURCE_TYPES, Resource, ResourceType, Selector,
    TOMBSTONES, Tombstone, Violation,
};
use serde_json::Value;

use crate::check::{check, clashes};
use crate::fleet::{Document, Fleet, LoadError, dns_taken};
use crate::part::{normalize_part, put_part, take_out};
use crate::refusal::Refusal;
use crate::rewrite::{forget_known, keep_alias, keep_name, rewritten};

/// As long as the selector of a freeze may be.
const LONGEST_SELECTOR: usize = 4096;

/// Violations of a valid document that does not fit the others.
const CONFLICTS: [&str; 7] =
    ["immutable", "dns_taken", "tombstone", "frozen", "exists", "referenced", "profiles_disagree"];

/// What operations would leave behind.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The documents that would change, each once and only where it differs from what is stored.
    pub documents: Vec<DocumentChange>,
    /// The fleet with them, still at the revision of the fleet before.
    pub after: Fleet,
    /// The lowest reader version that knows what `documents` hold otherwise than before. What stays was stored
    /// with its own, and a store lets in nobody who is older than any that it had.
    pub min_reader: u32,
    /// Whether `after` was made by putting one document in its place, once and for all.
    is_one: bool,
}

impl Prepared {
    /// The fleet that everyone who follows the store makes of this, where it is committed as the revision after
    /// that of `before`, which it was prepared on.
    ///
    /// # Errors
    /// As [`Fleet::apply`]: what nobody can follow must never be stored.
    pub fn next(&self, before: &Fleet) -> Result<Fleet, LoadError> {
        let revision = before.revision() + 1;
        match self.documents.as_slice() {
            // What others get by a profile or a type is looked at by whoever applies it.
            [DocumentChange { key, body: Some(_) }]
                if self.is_one && key.kind != PROFILES && key.kind != RESOURCE_TYPES =>
            {
                self.after.clone().servable(revision, [key])
            }
            documents => before.apply(revision, documents),
        }
    }
}

/// A document as a draft has it.
struct Written {
    bytes: Vec<u8>,
    min_reader: u32,
}

impl Fleet {
    /// What `operations` would leave behind; no documents where nothing would change. Applied in order,
    /// checked once at the end. Pure.
    ///
    /// # Errors
    /// A [`Refusal`] with everything that is wrong. Of one operation a violation does not name the
    /// document where that is the operation's own; of several each says the operation it comes from.
    pub fn prepare(&self, operations: &[Operation]) -> Result<Prepared, Refusal> {
        let mut draft = Draft::of(self, operations.len() > 1);
        draft.perform_all(operations)?;
        draft.after.settle();
        let between = check(self, &draft.after, &draft.touched, &draft.broken);
        // What was written after its type is judged by itself already.
        let known: BTreeSet<Violation> =
            draft.wrong.iter().map(|one| Violation { change: None, ..one.clone() }).collect();
        draft.wrong.extend(between.into_iter().filter(|one| !known.contains(one)));
        draft.refuse(operations)?;
        Ok(draft.prepared())
    }

    /// A part of a document; `None` where it has none such.
    pub fn part(&self, key: &Key, part: &Part) -> Option<Body> {
        let body = self.get(key)?.to_body();
        self.resource_type(&key.kind)?.part(&body, part).cloned()
    }
}

/// Whether `operation` may change what a document says under `field`. Only its lists and objects may be left out.
fn is_about(operation: &Operation, field: &str) -> bool {
    match (&operation.part, operation.verb, &operation.body) {
        (Some(part), ..) => part.field == field,
        (None, Verb::Patch, Some(Value::Object(asked))) => asked.contains_key(field),
        _ => true,
    }
}

/// The fleet as operations would leave it, before they are checked against each other.
pub(crate) struct Draft<'a> {
    before: &'a Fleet,
    after: Fleet,
    touched: BTreeSet<Key>,
    /// Those of them that are there, as they were written last.
    written: BTreeMap<Key, Written>,
    /// How often the draft was changed.
    steps: usize,
    /// Documents that are wrong by themselves, so that the draft lacks them.
    broken: BTreeSet<Key>,
    wrong: Vec<Violation>,
    /// Which operation asked for a document last.
    authors: BTreeMap<Key, u32>,
    /// Whether several operations were asked, so that each refusal is one of many.
    several: bool,
}

impl<'a> Draft<'a> {
    fn of(before: &'a Fleet, several: bool) -> Self {
        Draft {
            before,
            after: before.clone(),
            touched: BTreeSet::new(),
            written: BTreeMap::new(),
            steps: 0,
            broken: BTreeSet::new(),
            wrong: Vec::new(),
            authors: BTreeMap::new(),
            several,
        }
    }

    /// The fleet that `operations` leave when only each document alone is judged.
    pub(crate) fn unchecked(before: &'a Fleet, operations: &[Operation]) -> Result<Fleet, Refusal> {
        let mut draft = Draft::of(before, operations.len() > 1);
        draft.perform_all(operations)?;
        draft.after.settle();
        draft.wrong.extend(clashes(&draft.after));
        draft.refuse(operations)?;
        Ok(draft.after)
    }

    fn perform_all(&mut self, operations: &[Operation]) -> Result<(), Refusal> {
        for (at, operation) in (0..).zip(operations) {
            let known = self.wrong.len();
            let keys = self.keys(operation);
            let many = keys.len() != 1 || operation.key.id == Operation::EVERY;
            for key in keys {
                self.authors.insert(key.clone(), at);
                match self.perform(operation, &key) {
                    Err(refusal) if self.several || many => {
                        let violation = Violation::new("", refusal.code(), refusal.to_string());
                        self.wrong.push(violation.of(key));
                    }
                    outcome => outcome?,
                }
            }
            if self.several {
                self.wrong.iter_mut().skip(known).for_each(|violation| violation.change = Some(at));
            }
        }
        Ok(())
    }

    /// The documents that `operation` is about.
    fn keys(&mut self, operation: &Operation) -> Vec<Key> {
        match self.selected(operation) {
            Ok(keys) => keys,
            Err(violation) => {
                self.wrong.push(violation);
                Vec::new()
            }
        }
    }

    fn selected(&self, operation: &Operation) -> Result<Vec<Key>, Violation> {
        let select = "/select";
        let Some(text) = &operation.select else {
            if operation.key.id != Operation::EVERY {
                return Ok(vec![operation.key.clone()]);
            }
            let message = "`*` needs a selector; an empty one selects every cluster";
            return Err(Violation::new(select, "missing_field", message));
        };
        if operation.key.id != Operation::EVERY || operation.key.kind != CLUSTERS {
            let message = format!("a selector goes with {CLUSTERS}/*, not with {}", operation.target());
            return Err(Violation::new(select, "selector", message));
        }
        if operation.verb == Verb::Create {
            let message = "a create names its document; update appends what a selected cluster lacks";
            return Err(Violation::new(select, "selector", message));
        }
        if text.len() > LONGEST_SELECTOR {
            let message = format!("is longer than {LONGEST_SELECTOR} bytes");
            return Err(Violation::new(select, "too_long", message));
        }
        let selector = text.parse::<Selector>();
        let selector = selector.map_err(|error| Violation::new(select, "selector", error.to_string()))?;
        let clusters = self.after.selected_by(&selector).filter(|id| self.after.cluster(id).is_some());
        let mut keys: Vec<Key> = clusters.map(|id| Key::new(CLUSTERS, id)).collect();
        let selected = keys.len();
        // An update appends the part where it is missing; the others are about those that have it.
        if let Some(part) = operation.part.as_ref().filter(|_| operation.verb != Verb::Update) {
            let stored = |key: &Key| self.after.get(key).map(|document| document.to_body());
            let kind = self.after.resource_type(CLUSTERS);
            keys.retain(|key| {
                kind.zip(stored(key)).is_some_and(|(kind, body)| kind.part(&body, part).is_some())
            });
        }
        if keys.is_empty() && !operation.allow_empty {
            let message = match (&operation.part, selected) {
                (Some(part), 1..) => {
                    let clusters = if selected == 1 { "cluster" } else { "clusters" };
                    format!("`{text}` selects {selected} {clusters}, none with {}/{}", part.field, part.id)
                }
                _ => format!("`{text}` selects no cluster; allow_empty lets that be"),
            };
            return Err(Violation::new(select, "no_match", message));
        }
        Ok(keys)
    }

    fn perform(&mut self, operation: &Operation, key: &Key) -> Result<(), Refusal> {
        let kind = self.after.types().of(&key.kind).cloned();
        let kind = &*kind.ok_or_else(|| Refusal::NotFound(key.clone()))?;
        let about = |field: &str| is_about(operation, field);
        let stored = self.after.get(key).map(|document| document.to_body_for(&about));
        if let Some(part) = &operation.part {
            return match stored {
                Some(body) => self.perform_on_part(kind, key, body, operation, part),
                None if self.broken.contains(key) => Ok(()),
                None => Err(Refusal::NotFound(key.clone())),
            };
        }
        match (operation.verb, stored) {
            (Verb::Create, Some(_)) => Err(Refusal::Exists(key.clone())),
            (Verb::Create, None) => self.create(kind, operation),
            (_, None) if self.broken.contains(key) => Ok(()),
            (_, None) => Err(Refusal::NotFound(key.clone())),
            (Verb::Delete, Some(body)) => self.delete(key, body, operation.force),
            (_, Some(body)) if key.kind == FREEZES => {
                let same =
                    operation.body.as_ref().and_then(Value::as_object).is_some_and(|asked| {
                        asked.iter().all(|(field, value)| body.get(field) == Some(value))
                    });
                if !same {
                    let message = "a freeze stays as it is until it is lifted; put on another one beside it";
                    self.wrong.push(Violation::new("", "immutable", message).of(key.clone()));
                }
                Ok(())
            }
            (verb, Some(body)) => {
                let Some(asked) = self.object(operation, key) else { return Ok(()) };
                let after = rewritten(verb, body.clone(), asked, |body| kind.normalize(body));
                if key.kind == TOMBSTONES {
                    self.refuse_edit(key, &body, &after);
                }
                self.rewrite(kind, key, after, &body, &about);
                Ok(())
            }
        }
    }

    fn create(&mut self, kind: &ResourceType, operation: &Operation) -> Result<(), Refusal> {
        let key = &operation.key;
        let Some(mut body) = self.object(operation, key) else { return Ok(()) };
        kind.normalize(&mut body);
        // Whoever names no id anywhere is told so by the schema.
        if !key.id.is_empty() {
            body.entry("id").or_insert_with(|| key.id.as_str().into());
        }
        if key.kind == TOMBSTONES && self.after.cluster(&key.id).is_some() {
            let message = format!("{CLUSTERS}/{} exists: what is not deleted has no tombstone", key.id);
            self.wrong.push(Violation::new("/id", "tombstone", message).of(key.clone()));
        }
        // What a newer release wrote into a cluster comes back with it.
        let buried = self.after.tombstone(&key.id).filter(|_| key.kind == CLUSTERS);
        let buried = buried.map(|tombstone| tombstone.cluster.clone());
        if buried.is_some() {
            self.bury_no_more(key, &mut body);
        }
        self.write(kind, key, &body, buried.as_ref(), &|_| true);
        Ok(())
    }

    /// Of a tombstone only whether it is held can be changed: the rest is what the cluster was.
    fn refuse_edit(&mut self, key: &Key, stored: &Body, body: &Body) {
        let fields = stored.keys().chain(body.keys()).filter(|field| *field != "held");
        let edited = fields.filter(|field| stored.get(*field) != body.get(*field));
        let edited: BTreeSet<String> = edited.cloned().collect();
        for field in edited {
            let message = "a tombstone says what its cluster was, and stays so";
            self.wrong.push(Violation::new(format!("/{field}"), "immutable", message).of(key.clone()));
        }
    }

    /// What is wrong with the cluster that the tombstone `body` keeps.
    fn check_kept(&self, body: &Body) -> Vec<Violation> {
        let Some(Value::Object(cluster)) = body.get("cluster") else { return Vec::new() };
        let mut wrong: Vec<_> = ["id", "cluster_dns"]
            .into_iter()
            .filter(|field| cluster.get(*field) != body.get(*field))
            .map(|field| {
                Violation::new(
                    format!("/{field}"),
                    "tombstone",
                    format!("its `{field}` is another one than the tombstone's"),
                )
            })
            .collect();
        // What a newer release wrote into it is no fault, and a wiped one is only remembered.
        if body.get("held").is_some_and(|held| *held == true)
            && let Some(kind) = self.after.resource_type(CLUSTERS)
        {
            let judged = kind.validate(cluster, self.before.rules()).into_iter();
            wrong.extend(judged.filter(|violation| violation.code != "unknown_field"));
        }
        wrong.into_iter().map(|violation| violation.under("/cluster")).collect()
    }

    /// What is wrong with the type that `body` declares, beside the others.
    fn check_type(&self, kind: &ResourceType, body: &Body, stored: Option<&Body>) -> Vec<Violation> {
        let read = |body: &Body| match kind.parse(body.clone()) {
            Ok(Resource::Type(definition)) => Some(definition),
            _ => None,
        };
        let Some(definition) = read(body) else { return Vec::new() };
        let mut wrong = self.after.types().collisions(&definition);
        let moved = stored.and_then(read).is_some_and(|was| was.flux_path != definition.flux_path);
        if moved && self.in_use(&definition.plural) {
            let message =
                "clusters poll it under the path that it has; register another type for another path";
            wrong.push(Violation::new("/flux_path", "immutable", message));
        }
        if stored.is_none() && wrong.is_empty() {
            // A newer release may have written a field of this name, or a cluster may have come back with
            // what it said of a type that is gone: nobody asked for that to mean something again.
            let taken = self.says(&definition.plural).into_iter().next();
            wrong.extend(taken.map(|key| {
                let message = format!("`{}` is a field of {key} already", definition.plural);
                Violation::new("/plural", "taken", message)
            }));
        }
        wrong
    }

    /// The documents of the clusters, held ones too, and of the profiles that have the field `plural`.
    fn says(&self, plural: &str) -> Vec<Key> {
        let clusters = self.after.list(CLUSTERS).filter(|(_, one)| one.to_body().contains_key(plural));
        let clusters = clusters.map(|(id, _)| Key::new(CLUSTERS, id));
        let tombstones = self.after.list(TOMBSTONES).map(|(id, _)| id);
        let held = tombstones.filter(|id| {
            let tombstone = self.after.tombstone(id);
            tombstone.is_some_and(|one| one.held.is_some() && one.cluster.contains_key(plural))
        });
        let profiles = self.after.list(PROFILES).filter(|(_, one)| one.to_body().contains_key(plural));
        let profiles = profiles.map(|(id, _)| Key::new(PROFILES, id));
        clusters.chain(held.map(|id| Key::new(TOMBSTONES, id))).chain(profiles).collect()
    }

    /// Whether a cluster, held or not, refers to a document of the type.
    fn in_use(&self, plural: &str) -> bool {
        self.after.list(plural).any(|(id, _)| self.after.is_referred_to(&Key::new(plural, id)))
    }

    /// A cluster may come back over its own tombstone, under the name it had; former names come with it.
    fn bury_no_more(&mut self, key: &Key, body: &mut Body) {
        let Some(tombstone) = self.after.tombstone(&key.id) else { return };
        let dns = body.get("cluster_dns").and_then(Value::as_str).unwrap_or_default();
        if DnsName::new(dns) == DnsName::new(&tombstone.cluster_dns) {
            for alias in tombstone.aliases.clone() {
                keep_alias(body, &alias);
            }
            self.take_away(Key::new(TOMBSTONES, &key.id));
        } else {
            let message = format!(
                "a deleted cluster with this id still answers as {}; create it with that DNS name, or delete {TOMBSTONES}/{} first",
                tombstone.cluster_dns, key.id
            );
            self.wrong.push(Violation::new("/id", "tombstone", message).of(key.clone()));
        }
    }

    /// Takes `body` in the place of `stored`, both of which may lack fields that it is not `about`: those stay.
    fn rewrite(
        &mut self,
        kind: &ResourceType,
        key: &Key,
        mut body: Body,
        stored: &Body,
        about: &dyn Fn(&str) -> bool,
    ) {
        if key.kind == CLUSTERS {
            keep_name(stored, &mut body);
        }
        self.write(kind, key, &body, Some(stored), about);
    }

    fn perform_on_part(
        &mut self,
        kind: &ResourceType,
        key: &Key,
        stored: Body,
        operation: &Operation,
        part: &Part,
    ) -> Result<(), Refusal> {
        let target = Key::new(format!("{key}/{}", part.field), &part.id);
        let Some((_, parts)) = kind.part_fields().find(|(field, _)| *field == part.field) else {
            return Err(Refusal::NotFound(target));
        };
        let present = kind.part(&stored, part);
        let after = match (operation.verb, present) {
            (Verb::Create, Some(_)) => return Err(Refusal::Exists(target)),
            (Verb::Patch | Verb::Delete, None) => return Err(Refusal::NotFound(target)),
            (Verb::Delete, Some(_)) => None,
            (verb, present) => {
                let Some(asked) = self.object(operation, key) else { return Ok(()) };
                let mut present = present.cloned().unwrap_or_default();
                let named = |body: &Body| body.get("id").or_else(|| body.get("_id")).cloned();
                if parts == Parts::List {
                    if named(&asked).is_some_and(|id| !id.is_null() && id != part.id) {
                        let message = format!("the id of {target} cannot be changed");
                        self.wrong.push(Violation::new("/id", "id", message).of(key.clone()));
                        return Ok(());
                    }
                    present.insert("id".into(), part.id.as_str().into());
                }
                let verb = if verb == Verb::Create { Verb::Update } else { verb };
                let mut part_after =
                    rewritten(verb, present, asked, |body| normalize_part(kind, part, parts, body));
                if parts == Parts::List {
                    part_after.insert("id".into(), part.id.as_str().into());
                }
                Some(part_after)
            }
        };
        let mut body = stored.clone();
        put_part(&mut body, part, parts, after);
        self.rewrite(kind, key, body, &stored, &|field| is_about(operation, field));
        Ok(())
    }

    fn delete(&mut self, key: &Key, body: Body, force: bool) -> Result<(), Refusal> {
        if key.kind == RESOURCE_TYPES {
            let by: Vec<Key> = self.after.list(&key.id).map(|(id, _)| Key::new(&key.id, id)).collect();
            if !by.is_empty() {
                return Err(Refusal::Referenced { key: key.clone(), by });
            }
            // Of no documents a cluster can list none: the empty list goes with what gave it a meaning.
            for says in self.says(&key.id) {
                self.forget_field(&says, &key.id);
            }
        }
        let referrers: Vec<Key> = self.after.referrers(key);
        if !referrers.is_empty() && !force {
            return Err(Refusal::Referenced { key: key.clone(), by: referrers });
        }
        for referrer in referrers {
            self.release(&referrer, key);
        }
        let held = self.after.cluster(&key.id).filter(|_| key.kind == CLUSTERS);
        let held = held.is_some_and(|cluster| self.before.rules().protects(&cluster.environment));
        self.take_away(key.clone());
        if key.kind == CLUSTERS {
            self.put_own(&Key::new(TOMBSTONES, &key.id), &Tombstone::body_of(body, held));
        }
        Ok(())
    }

    /// Takes the field `plural` out of the cluster or profile that stands in the document `key`.
    fn forget_field(&mut self, key: &Key, plural: &str) {
        let Some(mut body) = self.after.get(key).map(|document| document.to_body()) else { return };
        let layer = match key.kind.as_str() {
            TOMBSTONES => body.get_mut("cluster").and_then(Value::as_object_mut),
            _ => Some(&mut body),
        };
        layer.and_then(|layer| layer.remove(plural));
        self.put_own(key, &body);
    }

    /// Takes every reference to `target` out of the document `referrer`.
    fn release(&mut self, referrer: &Key, target: &Key) {
        let Some(mut body) = self.after.get(referrer).map(|document| document.to_body()) else { return };
        match referrer.kind.as_str() {
            CLUSTERS | PROFILES => take_out(&mut body, target),
            TOMBSTONES => {
                if let Some(Value::Object(cluster)) = body.get_mut("cluster") {
                    take_out(cluster, target);
                }
            }
            _ => {
                if let Some(Value::Array(needed)) = body.get_mut("depends_on") {
                    needed.retain(|id| id.as_str() != Some(&target.id));
                }
                if let Some(Value::Object(required)) = body.get_mut("requires") {
                    required.remove(&target.id);
                }
            }
        }
        self.put_own(referrer, &body);
    }

    /// Takes `body` as the document `key`, if it is right by itself. Where it rewrites what is there, fields that it
    /// is not `about` stay.
    fn write(
        &mut self,
        kind: &ResourceType,
        key: &Key,
        body: &Body,
        stored: Option<&Body>,
        about: &dyn Fn(&str) -> bool,
    ) {
        self.touched.insert(key.clone());
        let rules = self.before.rules();
        let known = self.after.get(key).filter(|_| stored.is_some());
        let bytes = match known {
            Some(known) => known.with(about, body),
            None => serde_json::to_vec(body).unwrap_or_default(),
        };
        let nothing = Body::new();
        let was = known.and(stored).unwrap_or(&nothing);
        let stays = |field: &str| body.get(field) == was.get(field);
        let resource = kind.read_over(&bytes, known.map(Document::resource), &stays);
        let mut wrong = kind.validate_rewrite(body, resource.as_ref(), was, rules);
        if let Some(stored) = stored.filter(|_| !wrong.is_empty()) {
            // Said of the whole, as it was and as it would be.
            let whole = serde_json::from_slice(&bytes).unwrap_or_default();
            let stored = known.map_or_else(|| stored.clone(), Document::to_body);
            wrong = kind.validate(&whole, rules);
            forget_known(&mut wrong, &kind.validate(&stored, rules));
        }
        if key.kind == TOMBSTONES && stored.is_none() {
            wrong.extend(self.check_kept(body));
        }
        if key.kind == RESOURCE_TYPES && wrong.is_empty() {
            wrong.extend(self.check_type(kind, body, stored));
        }
        if body.get("id").and_then(Value::as_str).is_some_and(|id| id != key.id) {
            wrong.push(Violation::new("/id", "id", format!("the id of {key} cannot be changed")));
        }
        let dns = body.get("cluster_dns").and_then(Value::as_str).map(|dns| ("/cluster_dns".to_owned(), dns));
        let aliases = body.get("aliases").and_then(Value::as_array).into_iter().flatten().enumerate();
        let aliases = aliases.filter_map(|(at, alias)| Some((format!("/aliases/{at}"), alias.as_str()?)));
        for (pointer, dns) in dns.into_iter().chain(aliases) {
            // Who gives a name up and who takes it are two changes, each of which is seen.
            let before = || self.before.other_holder(key, dns).filter(|other| other.id != key.id);
            if let Some(other) = self.after.other_holder(key, dns).or_else(before) {
                wrong.push(dns_taken(&pointer, dns, &other));
            }
        }
        // A wrong document is drafted too where it can be read, so that all that is wrong is said at once.
        let put = resource.map_err(|error| LoadError::new(key, error.0));
        if let Err(unreadable) = put.and_then(|resource| self.put(kind, key, body, bytes, resource)) {
            self.broken.insert(key.clone());
            if wrong.is_empty() {
                wrong.push(Violation::new("", "unreadable", unreadable.reason));
            }
        }
        self.wrong.extend(wrong.into_iter().map(|violation| violation.of(key.clone())));
    }

    fn take_away(&mut self, key: Key) {
        self.steps += 1;
        self.after.remove(&key);
        self.written.remove(&key);
        self.touched.insert(key);
    }

    /// Takes the document `key` that was read as `resource`.
    fn put(
        &mut self,
        kind: &ResourceType,
        key: &Key,
        body: &Body,
        bytes: Vec<u8>,
        resource: Resource,
    ) -> Result<(), LoadError> {
        self.steps += 1;
        let min_reader = kind.min_reader(body);
        self.after.put_read(key, self.before.revision() + 1, &bytes, resource)?;
        self.written.insert(key.clone(), Written { bytes, min_reader });
        Ok(())
    }

    /// Puts what is made of a document that is stored already, and so cannot be unreadable.
    fn put_own(&mut self, key: &Key, body: &Body) {
        self.touched.insert(key.clone());
        let bytes = serde_json::to_vec(body).unwrap_or_default();
        let kind = self.after.types().of(&key.kind).cloned();
        let put = kind.ok_or_else(|| LoadError::unknown_type(key)).and_then(|kind| {
            let resource = kind.read(&bytes).map_err(|error| LoadError::new(key, error.0))?;
            self.put(&kind, key, body, bytes, resource)
        });
        if let Err(error) = put {
            self.wrong.push(Violation::new("", "unreadable", error.reason).of(key.clone()));
        }
    }

    fn object(&mut self, operation: &Operation, key: &Key) -> Option<Body> {
        if let Some(Value::Object(body)) = &operation.body {
            return Some(body.clone());
        }
        self.broken.insert(key.clone());
        let what = if operation.part.is_some() { "a part of a document" } else { "a document" };
        self.wrong.push(Violation::new("", "type", format!("{what} is a JSON object")).of(key.clone()));
        None
    }

    fn refuse(&mut self, operations: &[Operation]) -> Result<(), Refusal> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        let mut wrong = std::mem::take(&mut self.wrong);
        if self.several {
            for violation in &mut wrong {
                let author = violation.document.as_ref().and_then(|key| self.authors.get(key));
                violation.change = violation.change.or(author.copied());
            }
        }
        let elsewhere = |violation: &Violation| {
            violation.document.as_ref().is_some_and(|key| !self.authors.contains_key(key))
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

    fn prepared(mut self) -> Prepared {
        let mut min_reader = 1;
        let mut documents = Vec::new();
        for key in self.touched {
            let written = self.written.remove(&key);
            let before = self.before.get(&key).map(|document| document.body());
            if before.as_deref() != written.as_ref().map(|written| written.bytes.as_slice()) {
                min_reader = min_reader.max(written.as_ref().map_or(1, |written| written.min_reader));
                documents.push(DocumentChange { key, body: written.map(|written| written.bytes) });
            }
        }
        Prepared { documents, after: self.after, min_reader, is_one: self.steps == 1 }
    }
}
