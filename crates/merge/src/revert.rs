//! What it takes to undo a past change, field by field, and where somebody has changed the same since.
//! The operations are judged by `Fleet::prepare` like any others.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::{Key, Operation, Verb};
use flux_resourceset_model::{
    Body, CLUSTERS, Parts, RESOURCE_TYPES, ResourceType, SOURCES, TOMBSTONES, Tombstone,
};
use serde::Serialize;
use serde_json::Value;

use crate::field::{Field, differences_at};
use crate::fleet::Fleet;

/// What a past change did to one document.
#[derive(Debug, Clone, PartialEq)]
pub struct PastChange {
    /// Which document.
    pub key: Key,
    /// What it was; `None` where the change created it.
    pub before: Option<Body>,
    /// What it became; `None` where the change removed it.
    pub after: Option<Body>,
}

/// How a past change is undone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reverted {
    /// What undoes it; none where nothing of it stands any more. `Fleet::prepare` has not judged them.
    pub operations: Vec<Operation>,
    /// The fields that were changed again since, which `operations` leave as they are.
    pub conflicts: Vec<RevertConflict>,
}

/// A field that was changed again since.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RevertConflict {
    /// In which document.
    pub document: Key,
    /// Where. A reference or the whole document: it was removed since, or made anew.
    pub field: Field,
}

impl Fleet {
    /// How the change that did this to its documents is undone now.
    ///
    /// Every field that it changed, and that still has the value which it gave, gets back the value before;
    /// a field with any other value is a conflict, unless that is the value before. What it created is
    /// removed and what it removed is made again, as a whole or not at all. A list of references gets back
    /// its order where that was not changed since. What sources own is left alone.
    pub fn revert(&self, changes: &[PastChange]) -> Reverted {
        let mut undo = Undo::new(self);
        let mut acts: BTreeMap<(&str, &str), Vec<&PastChange>> = BTreeMap::new();
        for change in changes.iter().filter(|change| change.key.kind != SOURCES) {
            // A cluster and its tombstone are one: what takes away the one makes the other.
            let kind = if change.key.kind == TOMBSTONES { CLUSTERS } else { &change.key.kind };
            acts.entry((kind, &change.key.id)).or_default().push(change);
        }
        for act in acts.values() {
            undo.act(act);
        }
        undo.reverted()
    }
}

/// What is to become of a document.
enum Target {
    Same,
    Gone,
    Is(Body),
}

struct Undo<'a> {
    fleet: &'a Fleet,
    conflicts: Vec<RevertConflict>,
    /// In the order in which they are done, so that nothing is in the way of what comes later.
    freed: Vec<Operation>,
    buried: Vec<Operation>,
    written: Vec<Operation>,
    removed: BTreeSet<Key>,
}

impl<'a> Undo<'a> {
    fn new(fleet: &'a Fleet) -> Self {
        Undo {
            fleet,
            conflicts: Vec::new(),
            freed: Vec::new(),
            buried: Vec::new(),
            written: Vec::new(),
            removed: BTreeSet::new(),
        }
    }

    /// Undoes what was done to one document, or to a cluster and its tombstone together.
    fn act(&mut self, changes: &[&PastChange]) {
        let known = self.conflicts.len();
        let mut targets: Vec<_> = changes.iter().map(|change| (&change.key, self.target(change))).collect();
        let apart = changes.len() == 1;
        if !apart && self.conflicts.len() > known {
            return;
        }
        // By plural, so that the cluster comes first.
        targets.sort_by_key(|(key, _)| *key);
        match targets.as_slice() {
            // Making a cluster takes its tombstone away.
            [(key, Target::Is(body)), (_, Target::Gone)] => self.write(key, body),
            [(key, Target::Gone), (tombstone, Target::Is(body))] => self.bury(key, tombstone, body),
            targets => targets.iter().for_each(|(key, target)| match target {
                Target::Same => {}
                Target::Gone => self.remove(key),
                Target::Is(body) => self.write(key, body),
            }),
        }
    }

    fn target(&mut self, change: &PastChange) -> Target {
        let PastChange { key, before, after } = change;
        let now = self.fleet.get(key).map(|document| document.to_body());
        let whole = |body: &Option<Body>| body.clone().map(Value::Object);
        let (before, after, now) = (whole(before), whole(after), whole(&now));
        let mut merge = Merge { plural: &key.kind, conflicts: BTreeSet::new() };
        let sides = Sides { before: before.as_ref(), after: after.as_ref(), now: now.as_ref() };
        let target = merge.whole(&Field::document(), sides);
        let all = &merge.conflicts;
        // A reference that was made since says it all, without its fields.
        let below = |field: &Field| field.above().any(|above| all.contains(&above));
        let conflicts = all.iter().filter(|field| !below(field)).cloned();
        self.conflicts.extend(conflicts.map(|field| RevertConflict { document: key.clone(), field }));
        match target {
            target if target == now => Target::Same,
            Some(Value::Object(body)) => Target::Is(body),
            _ => Target::Gone,
        }
    }

    fn write(&mut self, key: &Key, target: &Body) {
        let now = self.fleet.get(key).map(|document| document.to_body());
        self.written.extend(match now {
            Some(now) if key.kind == TOMBSTONES => tombstone_updates(self.fleet, key, &now, target),
            Some(now) => updates(self.fleet, key, &now, target),
            None => vec![create(key, target)],
        });
    }

    fn remove(&mut self, key: &Key) {
        match key.kind.as_str() {
            TOMBSTONES => self.freed.push(Operation::new(Verb::Delete, key.clone(), None)),
            CLUSTERS => self.buried.push(Operation::new(Verb::Delete, key.clone(), None)),
            _ => drop(self.removed.insert(key.clone())),
        }
    }

    /// Deletes a cluster and makes of its tombstone what that was before.
    fn bury(&mut self, key: &Key, tombstone: &Key, target: &Body) {
        self.remove(key);
        let Some(document) = self.fleet.get(key) else { return };
        let cluster = self.fleet.cluster(&key.id);
        let held = cluster.is_some_and(|cluster| self.fleet.rules().protects(&cluster.environment));
        let left = Tombstone::body_of(document.to_body(), held);
        self.buried.extend(tombstone_updates(self.fleet, tombstone, &left, target));
    }

    fn reverted(mut self) -> Reverted {
        let mut operations = self.freed;
        operations.extend(self.buried);
        // What a document is, is said by its type.
        let (types, others): (Vec<_>, Vec<_>) =
            self.written.into_iter().partition(|operation| operation.key.kind == RESOURCE_TYPES);
        operations.extend(types.into_iter().chain(others));
        let removals = dependents_first(self.fleet, self.removed).into_iter();
        operations.extend(removals.map(|key| Operation::new(Verb::Delete, key, None)));
        self.conflicts.sort();
        Reverted { operations, conflicts: self.conflicts }
    }
}

/// `keys` in an order in which each can be removed: what refers to another goes before it, and the
/// documents of a type before the type.
pub(crate) fn dependents_first(fleet: &Fleet, keys: BTreeSet<Key>) -> Vec<Key> {
    let (types, mut keys): (BTreeSet<_>, BTreeSet<_>) =
        keys.into_iter().partition(|key| key.kind == RESOURCE_TYPES);
    let mut ordered = Vec::new();
    while !keys.is_empty() {
        let free = |key: &&Key| !fleet.referrers(key).iter().any(|referrer| keys.contains(referrer));
        let next: BTreeSet<Key> = keys.iter().filter(free).cloned().collect();
        // What is stored refers to nothing in circles; if it did, the order would not matter.
        let next = if next.is_empty() { keys.clone() } else { next };
        keys.retain(|key| !next.contains(key));
        ordered.extend(next);
    }
    ordered.extend(types);
    ordered
}

fn create(key: &Key, body: &Body) -> Operation {
    Operation::new(Verb::Create, key.clone(), Some(body.clone().into()))
}

/// The operations that make `target` of the tombstone `now`. What its cluster was cannot be edited, so with
/// another cluster it is made anew.
fn tombstone_updates(fleet: &Fleet, key: &Key, now: &Body, target: &Body) -> Vec<Operation> {
    if replacing(now, target).keys().all(|field| field == "held") {
        return updates(fleet, key, now, target);
    }
    vec![Operation::new(Verb::Delete, key.clone(), None), create(key, target)]
}

/// The operations that make `target` of the stored document `now`: of its parts where that says it all.
fn updates(fleet: &Fleet, key: &Key, now: &Body, target: &Body) -> Vec<Operation> {
    let kind = fleet.resource_type(&key.kind);
    let parts: BTreeMap<_, _> = kind.into_iter().flat_map(ResourceType::part_fields).collect();
    let mut operations = Vec::new();
    let mut whole = replacing(now, target);
    whole.retain(|field, _| {
        let values = parts.get(field.as_str()).zip(now.get(field)).zip(target.get(field));
        let by_part = values.and_then(|((parts, now), target)| part_updates(key, field, *parts, now, target));
        let keep = by_part.is_none();
        operations.extend(by_part.into_iter().flatten());
        keep
    });
    if !whole.is_empty() {
        operations.insert(0, Operation::new(Verb::Update, key.clone(), Some(whole.into())));
    }
    operations
}

/// The same by parts of `field`; `None` where that would not put them in the right order.
fn part_updates(key: &Key, field: &str, parts: Parts, now: &Value, target: &Value) -> Option<Vec<Operation>> {
    let (now, target) = (entries(key, field, parts, now)?, entries(key, field, parts, target)?);
    let stored: BTreeMap<_, _> = now.iter().copied().collect();
    let wanted: BTreeMap<_, _> = target.iter().copied().collect();
    let left = now.iter().filter(|(id, _)| wanted.contains_key(id));
    let appended = target.iter().filter(|(id, _)| !stored.contains_key(id));
    if parts == Parts::List && !left.chain(appended).map(|(id, _)| id).eq(wanted_order(&target)) {
        return None;
    }
    let on = |verb, id: &str, body: Option<Value>| Operation::new(verb, key.clone(), body).on(field, id);
    let gone = now.iter().filter(|(id, _)| !wanted.contains_key(id));
    let gone = gone.map(|(id, _)| on(Verb::Delete, id, None));
    let nothing = Body::new();
    let changed = target.iter().filter(|(id, body)| stored.get(id) != Some(body)).map(|(id, body)| {
        let stored = stored.get(id).copied().unwrap_or(&nothing);
        on(Verb::Update, id, Some(replacing(stored, body).into()))
    });
    Some(gone.chain(changed).collect())
}

fn wanted_order<'a, 'b>(target: &'b [(&'a str, &'a Body)]) -> impl Iterator<Item = &'b &'a str> {
    target.iter().map(|(id, _)| id)
}

/// The parts that `value` holds, in order.
fn entries<'a>(key: &Key, field: &str, parts: Parts, value: &'a Value) -> Option<Vec<(&'a str, &'a Body)>> {
    let entries = match parts {
        Parts::List => Field::new([field]).items(&key.kind, value)?,
        Parts::Map => value.as_object()?.iter().map(|(id, part)| (id.as_str(), part)).collect(),
    };
    entries.into_iter().map(|(id, part)| Some((id, part.as_object()?))).collect()
}

/// The body of the PUT that makes `target` of `now`: what differs, and null for what goes.
fn replacing(now: &Body, target: &Body) -> Body {
    let differs = |field: &&String| now.get(*field) != target.get(*field);
    let fields: BTreeSet<&String> = now.keys().chain(target.keys()).filter(differs).collect();
    fields.into_iter().map(|field| (field.clone(), target.get(field).cloned().unwrap_or_default())).collect()
}

/// What was before, what a change made of it, and what stands now.
#[derive(Clone, Copy)]
struct Sides<T> {
    before: T,
    after: T,
    now: T,
}

impl<T> Sides<T> {
    fn map<U>(self, mut f: impl FnMut(T) -> U) -> Sides<U> {
        Sides { before: f(self.before), after: f(self.after), now: f(self.now) }
    }

    fn all(self) -> [T; 3] {
        [self.before, self.after, self.now]
    }
}

impl<'v> Sides<Option<&'v Value>> {
    /// What is to stand there, where that needs no closer look.
    fn decided(self) -> Option<Option<&'v Value>> {
        let Sides { before, after, now } = self;
        if before == after || now == before {
            return Some(now);
        }
        (now == after).then_some(before)
    }

    fn below(self, key: &str) -> Self {
        self.map(|value| value.and_then(|value| value.get(key)))
    }
}

/// Takes a change out of what stands now.
struct Merge<'a> {
    plural: &'a str,
    conflicts: BTreeSet<Field>,
}

impl Merge<'_> {
    /// A document or a reference, which is there or not as one.
    fn whole(&mut self, field: &Field, sides: Sides<Option<&Value>>) -> Option<Value> {
        if let Some(decided) = sides.decided() {
            return decided.cloned();
        }
        let Sides { before, after, now } = sides;
        let found = match (before, after, now) {
            (Some(_), Some(_), Some(_)) => return self.fields(field, sides),
            (Some(before), Some(after), None) => {
                // Where the change only added fields, they are gone with the rest.
                let differences = differences_at(self.plural, field, before, after);
                let lost = differences.iter().any(|difference| difference.before.is_some());
                lost.then(|| field.clone()).into_iter().collect()
            }
            (None, Some(after), Some(now)) => {
                let differences = differences_at(self.plural, field, after, now);
                let fields: Vec<_> = differences.into_iter().map(|difference| difference.field).collect();
                // A changed order is no field.
                if fields.is_empty() { vec![field.clone()] } else { fields }
            }
            _ => vec![field.clone()],
        };
        self.conflicts.extend(found);
        now.cloned()
    }

    fn value(&mut self, field: &Field, sides: Sides<Option<&Value>>) -> Option<Value> {
        if let Some(decided) = sides.decided() {
            return decided.cloned();
        }
        let there = |f: &dyn Fn(&Value) -> bool| sides.all().into_iter().flatten().all(f);
        if there(&|value| field.items(self.plural, value).is_some()) {
            self.list(field, sides)
        } else if there(&Value::is_object) {
            self.fields(field, sides)
        } else {
            self.conflicts.insert(field.clone());
            sides.now.cloned()
        }
    }

    fn fields(&mut self, field: &Field, sides: Sides<Option<&Value>>) -> Option<Value> {
        let objects = sides.all().into_iter().flatten().filter_map(Value::as_object);
        let keys: BTreeSet<&String> = objects.flat_map(Body::keys).collect();
        let merged = keys.into_iter().filter_map(|key| {
            let value = self.value(&field.below(key), sides.below(key))?;
            Some((key.clone(), value))
        });
        let merged: Body = merged.collect();
        container(sides, merged.is_empty(), merged.into())
    }

    fn list(&mut self, field: &Field, sides: Sides<Option<&Value>>) -> Option<Value> {
        let lists =
            sides.map(|value| value.and_then(|value| field.items(self.plural, value)).unwrap_or_default());
        let orders = Sides { before: &lists.before, after: &lists.after, now: &lists.now };
        let orders = orders.map(|list| list.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        let tables = lists.map(BTreeMap::from_iter);
        let ids: BTreeSet<&str> = orders.before.iter().chain(&orders.now).copied().collect();
        let mut merged = BTreeMap::new();
        for id in ids {
            let item = Sides { before: &tables.before, after: &tables.after, now: &tables.now };
            let item = item.map(|table: &BTreeMap<&str, &Value>| table.get(id).copied());
            merged.extend(self.whole(&field.below(id), item).map(|item| (id, item)));
        }
        let order = order(&orders, |id| merged.contains_key(id));
        let items: Vec<Value> = order.into_iter().filter_map(|id| merged.remove(id)).collect();
        container(sides, items.is_empty(), items.into())
    }
}

/// What holds what was merged. Once it is empty it is there as it was before, unless it was emptied or
/// taken away since.
fn container(sides: Sides<Option<&Value>>, empty: bool, merged: Value) -> Option<Value> {
    let stays = match sides.now {
        _ if !empty => true,
        Some(now) if *now != merged => sides.before.is_some(),
        now => now.is_some(),
    };
    stays.then_some(merged)
}

/// The order of a list: as it is now; as it was before where the change had turned it and it was left so;
/// what comes back follows what it followed.
fn order<'v>(sides: &Sides<Vec<&'v str>>, stays: impl Fn(&str) -> bool) -> Vec<&'v str> {
    let Sides { before, after, now } = sides;
    let [before_set, after_set, now_set] =
        [before, after, now].map(|ids| BTreeSet::from_iter(ids.iter().copied()));
    let everywhere = |id: &&str| before_set.contains(id) && after_set.contains(id) && now_set.contains(id);
    let among = |ids: &[&'v str]| ids.iter().copied().filter(everywhere).collect::<Vec<_>>();
    let mut order = now.clone();
    if among(now) == among(after) {
        let slots = order.iter_mut().filter(|id| everywhere(id));
        slots.zip(among(before)).for_each(|(slot, id)| *slot = id);
    }
    order.retain(|id| stays(id));
    for (at, id) in before.iter().enumerate().filter(|(_, id)| stays(id) && !now_set.contains(**id)) {
        let former = before[..at].iter().rev();
        let place = former.filter_map(|id| order.iter().position(|other| other == id)).next();
        order.insert(place.map_or(0, |place| place + 1), id);
    }
    order
}
