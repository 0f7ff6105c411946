//! What is wrong with clusters and stands in their profiles: said once, with how many clusters and which.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{PROFILES, Violation};

use crate::clash::Clash;
use crate::fleet::Fleet;

/// Every field of which profiles say different things of some cluster, and nothing decides.
pub(crate) fn clashes(fleet: &Fleet) -> Vec<Violation> {
    let mut found = Elsewhere::default();
    for id in fleet.subjects() {
        fleet.clashes(id).for_each(|clash| found.clash(clash, id));
    }
    found.violations(fleet, &BTreeSet::new()).collect()
}

/// What is wrong with clusters and stands in their profiles: said once, with the clusters.
#[derive(Default)]
pub(super) struct Elsewhere {
    found: BTreeMap<Violation, Vec<String>>,
    clashes: BTreeMap<Clash, Vec<String>>,
}

impl Elsewhere {
    pub(super) fn add(&mut self, violation: Violation, cluster: &str) {
        self.found.entry(violation).or_default().push(cluster.into());
    }

    pub(super) fn clash(&mut self, clash: &Clash, cluster: &str) {
        self.clashes.entry(clash.clone()).or_default().push(cluster.into());
    }

    pub(super) fn violations(
        self,
        after: &Fleet,
        touched: &BTreeSet<Key>,
    ) -> impl Iterator<Item = Violation> {
        let found = self.found.into_iter().map(|(violation, clusters)| {
            let message = format!("{} (on {})", violation.message, named_clusters(&clusters));
            Violation { message, ..violation }
        });
        let clashes = self.clashes.into_iter().map(|(clash, clusters)| {
            // Where somebody is writing, if it is one of the two.
            let keys = clash.profiles.each_ref().map(|id| Key::new(PROFILES, id));
            let [first, second] = &keys;
            let key = if touched.contains(second) && !touched.contains(first) { second } else { first };
            let layer = after.profile(&key.id).map(|profile| &profile.layer);
            let message = format!(
                "{} on {}; let a profile of higher priority or the clusters say it, or take one of the two out",
                clash.sentence(),
                named_clusters(&clusters)
            );
            let pointer = layer.map(|layer| clash.pointer(layer)).unwrap_or_default();
            Violation::new(pointer, "profiles_disagree", message).of(key.clone())
        });
        found.collect::<Vec<_>>().into_iter().chain(clashes.collect::<Vec<_>>())
    }
}

/// How many clusters, and which.
fn named_clusters(clusters: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<_> = clusters.iter().take(SHOWN).map(String::as_str).collect();
    let more = format!("{} more", clusters.len().saturating_sub(SHOWN));
    if clusters.len() > SHOWN {
        names.push(&more);
    }
    let count = if clusters.len() == 1 { "1 cluster".into() } else { format!("{} clusters", clusters.len()) };
    format!("{count}: {}", names.join(", "))
}
