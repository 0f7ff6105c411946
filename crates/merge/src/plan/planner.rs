//! Goes through the affected clusters, one after the other, and gathers what happens to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{CLUSTERS, Cluster, OnRemove, PLATFORM_COMPONENTS, ResourceType};
use serde_json::Value;

use crate::answer::write;
use crate::difference::{FieldChange, difference, fields_of};
use crate::fleet::Fleet;
use crate::input::{Input, to_value};
use crate::list::Listed;
use crate::plan::digest::Digest;
use crate::plan::hidden::HiddenChanges;
use crate::plan::kind::EffectKind;
use crate::plan::rows::{Row, Rows, Subject};
use crate::plan::warnings::Warnings;
use crate::plan::{Destruction, Effect, Frozen, Plan};
use crate::scope::Scope;

/// The path under which an effect shows the order of inputs.
const ORDER: &str = "inputs";

/// What effects have in common to be one.
#[derive(PartialEq, Eq, Hash)]
struct Same<'a> {
    effect: EffectKind,
    kind: &'a str,
    input: &'a str,
    keep: Option<bool>,
    fields: Vec<FieldChange>,
}

/// A plan being made.
pub(crate) struct Planner<'a> {
    before: &'a Fleet,
    after: &'a Fleet,
    /// The types that Flux polls, by plural, as they were and as they will be.
    kinds: Vec<[&'a ResourceType; 2]>,
    digest: Digest,
    clusters: usize,
    effects: HashMap<Same<'a>, Vec<&'a str>>,
    destructive: BTreeSet<&'a str>,
    protected: BTreeSet<&'a str>,
    emptied: BTreeSet<&'a str>,
    /// Whether nobody is left in a list that had clusters.
    list_emptied: bool,
    frozen: BTreeMap<(&'a str, &'a str), Vec<&'a str>>,
    hidden: HiddenChanges<'a>,
    warnings: Warnings<'a>,
    buffers: (Vec<u8>, Vec<u8>),
}

impl<'a> Planner<'a> {
    /// A plan of the clusters that are `wanted`, before any is taken.
    pub(crate) fn new(
        (before, after): (&'a Fleet, &'a Fleet),
        changed: &BTreeSet<&'a Key>,
        wanted: impl Fn(&str) -> bool,
    ) -> Self {
        let polled =
            before.types().iter().chain(after.types().iter()).filter(|kind| kind.flux_path().is_some());
        let polled: BTreeMap<&str, &ResourceType> =
            polled.map(|kind| (kind.plural(), kind.as_ref())).collect();
        // A type that only one of the fleets has is read as that one says.
        let both = |(plural, any)| {
            [before, after].map(|fleet: &'a Fleet| fleet.resource_type(plural).unwrap_or(any))
        };
        let kinds = polled.into_iter().map(both).collect();
        let mut warnings = Warnings::of(before, after);
        warnings.freezes(changed, &wanted);
        warnings.layers(changed, &wanted);
        Planner {
            before,
            after,
            kinds,
            digest: Digest::default(),
            clusters: 0,
            effects: HashMap::new(),
            destructive: BTreeSet::new(),
            protected: BTreeSet::new(),
            emptied: BTreeSet::new(),
            list_emptied: before.subjects().next().is_some() && after.subjects().next().is_none(),
            frozen: BTreeMap::new(),
            hidden: HiddenChanges::of(before, after, changed),
            warnings,
            buffers: Default::default(),
        }
    }

    /// Takes the cluster `id`; each once, ordered by id.
    pub(crate) fn add(&mut self, id: &'a str, scope: &Scope<'a>) {
        let subject = Subject { id, was: self.before.subject(id), now: self.after.subject(id) };
        let mut changes = false;
        if scope.document {
            self.warnings.cluster(subject);
            changes |= self.entry(subject);
        }
        for at in 0..self.kinds.len() {
            let kinds = self.kinds[at];
            if scope.holds_some(kinds[1].plural()) {
                changes |= self.answer(subject, kinds, scope);
            }
        }
        if changes {
            self.clusters += 1;
            self.hold(subject);
        }
    }

    /// Compares the cluster's entry in the list of clusters.
    fn entry(&mut self, subject: Subject<'a>) -> bool {
        let [was, now] = [subject.was, subject.now].map(|cluster| cluster.map(Listed::from));
        let effect = match (&was, &now) {
            _ if was == now => return false,
            (Some(_), None) => EffectKind::Remove,
            (None, _) => EffectKind::Install,
            (Some(was), Some(now)) if was.environment != now.environment => EffectKind::Replace,
            _ => EffectKind::Change,
        };
        let fields = match (&was, &now) {
            (None, Some(now)) => vec![new_field("environment", now.environment.into())],
            (Some(was), Some(now)) => difference(&to_value(was), &to_value(now)),
            _ => Vec::new(),
        };
        if effect == EffectKind::Remove && self.list_emptied {
            self.emptied.insert(subject.id);
        }
        let [was, now] = [was, now].map(|entry| {
            let mut bytes = Vec::new();
            entry.inspect(|entry| write(entry, &mut bytes)).map(|_| bytes)
        });
        self.digest.add([subject.id, CLUSTERS, ""], was.as_deref(), now.as_deref());
        self.happens(subject, Same { effect, kind: CLUSTERS, input: "", keep: None, fields });
        true
    }

    /// Compares what is in `scope` of the cluster's answer of one type.
    fn answer(&mut self, subject: Subject<'a>, kinds: [&'a ResourceType; 2], scope: &Scope<'_>) -> bool {
        let kind = kinds[1];
        let watched = |id: &str| self.hidden.watches(kind.plural(), id);
        let Rows { rows, reordered } = Rows::of((self.before, self.after), subject, kinds, scope, watched);
        let mut changes = false;
        if let Some(orders) = reordered {
            changes = true;
            self.reorder(subject, kind.plural(), orders);
        }
        let mut removed = false;
        let mut differ = Vec::new();
        for row in rows {
            let effect = self.compare(subject, &row);
            removed |= effect == Some(EffectKind::Remove);
            differ.extend(effect.map(|effect| (effect, row)));
        }
        let left = || subject.now.is_some_and(|now| self.after.inputs(now, kind).next().is_some());
        if removed && !left() {
            self.emptied.insert(subject.id);
        }
        if !differ.is_empty() {
            self.warnings.inputs(subject, kind, &differ);
        }
        if kind.plural() == PLATFORM_COMPONENTS {
            self.warnings.requirements(subject, |id| scope.holds(PLATFORM_COMPONENTS, id));
        }
        changes || !differ.is_empty()
    }

    fn reorder(&mut self, subject: Subject<'a>, kind: &'a str, orders: [Vec<&str>; 2]) {
        let [from, to] = orders.map(Value::from);
        let [was, now] = [&from, &to].map(|ids| ids.to_string().into_bytes());
        self.digest.add([subject.id, kind, ""], Some(&was), Some(&now));
        let fields = vec![FieldChange { path: ORDER.into(), from, to }];
        self.happens(subject, Same { effect: EffectKind::Reorder, kind, input: "", keep: None, fields });
    }

    fn compare(&mut self, subject: Subject<'a>, row: &Row<'a>) -> Option<EffectKind> {
        let (before, after) = (row.before.as_ref(), row.after.as_ref());
        if !self.render(before, after) {
            self.hidden.add(subject.id, row, &[]);
            return None;
        }
        let (one, other) = (&self.buffers.0, &self.buffers.1);
        self.digest.add([subject.id, row.kind, row.id], before.map(|_| &**one), after.map(|_| &**other));
        let effect = EffectKind::of(before, after);
        let fields = match (before, after) {
            (Some(before), Some(after)) => {
                let (before, after) = before.differing(after);
                difference(&before, &after)
            }
            (None, Some(after)) => fields_of_new(after),
            _ => Vec::new(),
        };
        self.hidden.add(subject.id, row, &fields);
        let keep = before.filter(|_| effect == EffectKind::Remove);
        let keep = keep.map(|before| before.on_remove() == OnRemove::Keep);
        self.happens(subject, Same { effect, kind: row.kind, input: row.id, keep, fields });
        Some(effect)
    }

    /// Writes both into the buffers and says whether they differ.
    fn render(&mut self, before: Option<&Input<'_>>, after: Option<&Input<'_>>) -> bool {
        let (one, other) = &mut self.buffers;
        for (input, out) in [(before, &mut *one), (after, &mut *other)] {
            out.clear();
            input.inspect(|input| write(input, out));
        }
        one != other
    }

    fn happens(&mut self, subject: Subject<'a>, same: Same<'a>) {
        if same.effect.is_destructive() {
            self.destructive.insert(subject.id);
            // Of a list that is filtered by environment it is the one left that loses a cluster.
            let now = subject.now.filter(|_| same.kind != CLUSTERS);
            let clusters = [(self.before, subject.was), (self.after, now)];
            let protects = |(fleet, cluster): (&Fleet, Option<&Cluster>)| {
                cluster.is_some_and(|cluster| fleet.rules().protects(&cluster.environment))
            };
            if clusters.into_iter().any(protects) {
                self.protected.insert(subject.id);
            }
        }
        let clusters = self.effects.entry(same).or_default();
        // An id that was stored twice is one effect on its cluster.
        if clusters.last() != Some(&subject.id) {
            clusters.push(subject.id);
        }
    }

    fn hold(&mut self, subject: Subject<'a>) {
        let freezes = subject.now.into_iter().flat_map(|now| self.after.freezes_of(now));
        for freeze in freezes {
            self.frozen.entry((&freeze.id, &freeze.reason)).or_default().push(subject.id);
        }
    }

    pub(crate) fn finish(self) -> Plan {
        let mut effects: Vec<Effect> = self.effects.into_iter().map(effect).collect();
        effects.sort_by(|one, other| {
            let by = |effect: &Effect| (effect.effect.part(), std::cmp::Reverse(effect.count));
            let then = |effect: &Effect| (effect.kind.clone(), effect.input.clone(), effect.effect);
            // No cluster has two effects on one input, so that in the end the clusters differ.
            let last = || one.clusters.cmp(&other.clusters);
            by(one).cmp(&by(other)).then_with(|| then(one).cmp(&then(other))).then_with(last)
        });
        let frozen = self.frozen.into_iter().map(|((freeze, reason), clusters)| Frozen {
            freeze: freeze.into(),
            reason: reason.into(),
            count: clusters.len(),
            clusters: owned(clusters),
        });
        Plan {
            revision: self.before.revision(),
            digest: self.digest.finish(),
            clusters: self.clusters,
            destructive: Destruction {
                clusters: self.destructive.len(),
                protected: self.protected.len(),
                emptied: self.emptied.len(),
            },
            confirmation: Vec::new(),
            effects,
            hidden: self.hidden.finish(),
            warnings: self.warnings.finish(),
            frozen: frozen.collect(),
            protected: owned(self.protected),
            emptied: owned(self.emptied),
        }
    }
}

pub(crate) fn owned<C: FromIterator<String>>(ids: impl IntoIterator<Item = impl Into<String>>) -> C {
    ids.into_iter().map(Into::into).collect()
}

fn effect((same, clusters): (Same<'_>, Vec<&str>)) -> Effect {
    let on_remove = same.keep.map(|keep| if keep { OnRemove::Keep } else { OnRemove::Delete });
    Effect {
        effect: same.effect,
        destructive: same.effect.is_destructive(),
        kind: same.kind.into(),
        input: same.input.into(),
        fields: same.fields,
        on_remove,
        count: clusters.len(),
        clusters: owned(clusters),
    }
}

fn new_field(path: &str, to: Value) -> FieldChange {
    FieldChange { path: path.into(), from: Value::Null, to }
}

/// What a new input says: all but what every input has, and what is empty.
fn fields_of_new(input: &Input<'_>) -> Vec<FieldChange> {
    let mut value = to_value(input);
    if let Value::Object(fields) = &mut value {
        fields.retain(|field, _| field != "id" && field != "cluster");
    }
    let mut fields = fields_of(&value);
    fields.retain(|field| !is_empty(&field.to));
    fields
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}
