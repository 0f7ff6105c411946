//! What catalog entries say of each other.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_model::change::Key;
use flux_resourceset_model::{Component, PLATFORM_COMPONENTS, Violation};

use crate::fleet::Fleet;
use crate::requirement::requirement_cycle;

pub(super) fn catalog(fleet: &Fleet, component: &Component, broken: &BTreeSet<Key>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (at, id) in component.depends_on.iter().enumerate() {
        if fleet.component(id).is_none() && !broken.contains(&Key::new(PLATFORM_COMPONENTS, id)) {
            let message = format!("{PLATFORM_COMPONENTS}/{id} does not exist");
            found.push(Violation::new(format!("/depends_on/{at}"), "reference", message));
        }
    }
    for id in component.requires.keys() {
        if fleet.component(id).is_none() && !broken.contains(&Key::new(PLATFORM_COMPONENTS, id)) {
            let message = format!("{PLATFORM_COMPONENTS}/{id} does not exist");
            found.push(Violation::new(format!("/requires/{id}"), "reference", message));
        }
    }
    found.extend(requirement_cycle(fleet, component));
    if let Some(cycle) = cycle(fleet, component, |component| component.depends_on.iter().collect()) {
        let first = component.depends_on.iter().position(|id| cycle.get(1).is_some_and(|next| next == id));
        let pointer = format!("/depends_on/{}", first.unwrap_or_default());
        let message = format!("components would wait for each other for ever: {}", cycle.join(" -> "));
        found.push(Violation::new(pointer, "dependency_cycle", message));
    }
    found
}

/// A way along what components `need` from one back to itself. Every component is looked at once.
pub(crate) fn cycle<'a>(
    fleet: &'a Fleet,
    component: &'a Component,
    need: impl Fn(&'a Component) -> Vec<&'a String>,
) -> Option<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = vec![component];
    while let Some(from) = open.pop() {
        for next in need(from) {
            if *next == component.id {
                let mut path = vec![component.id.as_str(), from.id.as_str()];
                while let Some(earlier) = path.last().and_then(|last| came_from.get(last)) {
                    path.push(earlier);
                }
                path.reverse();
                return Some(path);
            }
            if !came_from.contains_key(next.as_str())
                && let Some(needed) = fleet.component(next)
            {
                came_from.insert(next, &from.id);
                open.push(needed);
            }
        }
    }
    None
}
