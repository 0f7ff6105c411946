//! What a change does to the fleet before it is made: two runs of a pure function, compared.
//!
//! Only what the changed documents have a part in is looked at, and values are made only of what
//! differs, so that the plan of a change to all clusters costs about as much as answering them once.

mod affected;
mod digest;
mod hidden;
mod kind;
mod planner;
mod rows;
mod warnings;

use std::collections::BTreeSet;

use flux_resourceset_model::OnRemove;
use flux_resourceset_model::change::Key;
use serde::Serialize;

pub use crate::plan::kind::EffectKind;
pub use crate::plan::warnings::WarningCode;

use crate::difference::FieldChange;
use crate::fleet::Fleet;
use crate::plan::planner::Planner;

/// What a change would do to the answers of a fleet. A frozen cluster's is what it gets once the
/// freeze is lifted; a held cluster's is what it would get if it were restored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The revision of the fleet that the change was planned on.
    pub revision: u64,
    /// 64 hexadecimal digits, equal for two plans exactly where the same inputs change in the same way
    /// (cluster, type, input, bytes before, bytes after), whatever else was written in between.
    pub digest: String,
    /// How many clusters have an answer, or an entry in the fleet list, that changes.
    pub clusters: usize,
    /// What the change destroys.
    pub destructive: Destruction,
    /// Why the change needs to be confirmed, where the one who holds the limits filled it in by
    /// [`Plan::confirmation`]; empty: it does not.
    pub confirmation: Vec<String>,
    /// What happens, grouped: destructive effects first, then what is new, then what changes; what
    /// concerns more clusters first.
    pub effects: Vec<Effect>,
    /// Which clusters a changed definition or profile does not reach, since they or a higher profile say otherwise.
    pub hidden: Vec<Hidden>,
    /// What is likely not meant, the gravest first.
    pub warnings: Vec<Warning>,
    /// Which of the clusters get nothing of this until a freeze is lifted.
    pub frozen: Vec<Frozen>,
    #[serde(skip)]
    protected: BTreeSet<String>,
    #[serde(skip)]
    emptied: BTreeSet<String>,
}

/// How many clusters lose something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Destruction {
    /// Clusters with a destructive effect.
    pub clusters: usize,
    /// Those of them that are in a protected environment, before or after.
    pub protected: usize,
    /// Clusters of which an answer had inputs and will have none. Where nobody is left in the fleet
    /// list, all who were.
    pub emptied: usize,
}

/// The same effect on one or more clusters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    /// What happens.
    pub effect: EffectKind,
    /// Whether it may destroy what runs.
    pub destructive: bool,
    /// The plural of the input's type; `clusters` for the list of clusters.
    #[serde(rename = "type")]
    pub kind: String,
    /// The input's id; empty where the inputs' order changes, and for the list of clusters, where the
    /// cluster itself is the input.
    pub input: String,
    /// What differs. Of an input that is new all that it says, without its id, its cluster and what is
    /// empty; of one that goes nothing; of the order, as `inputs`, the ids that stay. A cluster that is
    /// new in the list shows its environment alone.
    pub fields: Vec<FieldChange>,
    /// What becomes of the objects of an input that goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_remove: Option<OnRemove>,
    /// How many clusters.
    pub count: usize,
    /// Which ones, sorted.
    pub clusters: Vec<String>,
}

/// A change of a definition or a profile that does not reach clusters, since what a higher layer says wins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hidden {
    /// The profile that changes; `None`: it is the definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The plural of the input's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The input's id.
    pub input: String,
    /// What would have changed.
    pub fields: Vec<FieldChange>,
    /// How many clusters.
    pub count: usize,
    /// Which ones, sorted.
    pub clusters: Vec<String>,
}

/// Something that is allowed and likely not meant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Warning {
    /// For programs.
    pub code: WarningCode,
    /// For people: what it is about, and what comes of it.
    pub message: String,
    /// How many clusters.
    pub count: usize,
    /// Which ones, sorted.
    pub clusters: Vec<String>,
}

impl Warning {
    fn of_one(&self, only: impl Fn() -> Vec<String>) -> Self {
        if self.count == 0 { self.clone() } else { Warning { count: 1, clusters: only(), ..self.clone() } }
    }
}

/// Clusters with effects that a freeze holds back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Frozen {
    /// The freeze.
    pub freeze: String,
    /// Why it was put on.
    pub reason: String,
    /// How many clusters.
    pub count: usize,
    /// Which ones, sorted.
    pub clusters: Vec<String>,
}

/// What the change from `before` to `after` does; `changed` are the documents that differ. Pure.
pub fn plan<'k>(before: &'k Fleet, after: &'k Fleet, changed: impl IntoIterator<Item = &'k Key>) -> Plan {
    plan_of(before, after, changed, |_| true)
}

/// The same of the clusters that `wanted` says alone: its digest, too, is of them.
pub fn plan_of<'k>(
    before: &'k Fleet,
    after: &'k Fleet,
    changed: impl IntoIterator<Item = &'k Key>,
    wanted: impl Fn(&str) -> bool,
) -> Plan {
    let changed: BTreeSet<&Key> = changed.into_iter().collect();
    let mut planner = Planner::new((before, after), &changed, &wanted);
    for (id, scope) in affected::affected(before, after, &changed) {
        if wanted(id) {
            planner.add(id, &scope);
        }
    }
    planner.finish()
}

impl Plan {
    /// Why the change needs to be confirmed before it is made, in sentences; none where it does not.
    /// A change that destroys something on more than `removal_limit` clusters does, and one that does
    /// so on any protected cluster, and one that leaves an answer without inputs.
    pub fn confirmation(&self, removal_limit: usize) -> Vec<String> {
        let Destruction { clusters, protected, emptied } = self.destructive;
        let mut reasons = Vec::new();
        if clusters > removal_limit {
            reasons.push(format!(
                "it removes, disables or replaces something on {}; the limit is {removal_limit}",
                of_clusters(clusters)
            ));
        }
        if protected > 0 {
            reasons.push(format!(
                "it removes, disables or replaces something on {} of a protected environment",
                of_clusters(protected)
            ));
        }
        if emptied > 0 {
            reasons.push(format!(
                "it leaves an answer without any inputs, where there were some, on {}",
                of_clusters(emptied)
            ));
        }
        reasons
    }

    /// What it does to one cluster. The digest stays that of the whole: it is the whole that is written.
    pub fn of_cluster(&self, id: &str) -> Plan {
        let has = |clusters: &[String]| clusters.binary_search_by(|one| one.as_str().cmp(id)).is_ok();
        let only = || vec![id.to_owned()];
        let effects = self.effects.iter().filter(|effect| has(&effect.clusters));
        let effects: Vec<_> =
            effects.map(|effect| Effect { count: 1, clusters: only(), ..effect.clone() }).collect();
        let hidden = self.hidden.iter().filter(|hidden| has(&hidden.clusters));
        // What is said of no cluster at all is said of the change.
        let warnings = self.warnings.iter().filter(|one| one.count == 0 || has(&one.clusters));
        let frozen = self.frozen.iter().filter(|frozen| has(&frozen.clusters));
        let destructive = Destruction {
            clusters: usize::from(effects.iter().any(|effect| effect.destructive)),
            protected: usize::from(self.protected.contains(id)),
            emptied: usize::from(self.emptied.contains(id)),
        };
        let alone = |set: &BTreeSet<String>| set.get(id).cloned().into_iter().collect();
        Plan {
            revision: self.revision,
            digest: self.digest.clone(),
            clusters: usize::from(!effects.is_empty()),
            destructive,
            confirmation: Vec::new(),
            effects,
            hidden: hidden.map(|hidden| Hidden { count: 1, clusters: only(), ..hidden.clone() }).collect(),
            warnings: warnings.map(|one| one.of_one(only)).collect(),
            frozen: frozen.map(|one| Frozen { count: 1, clusters: only(), ..one.clone() }).collect(),
            protected: alone(&self.protected),
            emptied: alone(&self.emptied),
        }
    }
}

fn of_clusters(count: usize) -> String {
    if count == 1 { "1 cluster".into() } else { format!("{count} clusters") }
}
