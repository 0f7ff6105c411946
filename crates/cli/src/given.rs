//! Which clusters get something from their profiles, without a word of their own.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::client::Client;
use crate::document;
use crate::error::Error;
use crate::reference;
use crate::types::{CLUSTER, PROFILE, ResourceType};
use crate::{profile, remarks};

/// The ids of the clusters among those that `selector` matches to which their profiles give `id`.
pub(crate) fn by_profiles(
    client: &Client<'_>,
    kind: &ResourceType,
    id: &str,
    selector: &str,
) -> Result<BTreeSet<String>, Error> {
    let mut profiles = match client.list(PROFILE.plural, &[], None) {
        // One that knows no profiles has none.
        Err(missing) if missing.is_unknown_route() => Vec::new(),
        listed => listed?,
    };
    profile::sort(&mut profiles);
    let mut given = BTreeSet::new();
    for profile in &profiles {
        let Some(reference) = reference::to(profile, kind, id) else { continue };
        let selectors = [selector, profile.get("selector").and_then(Value::as_str).unwrap_or_default()];
        let both = selectors.into_iter().filter(|one| !one.trim().is_empty()).collect::<Vec<_>>().join(",");
        for cluster in client.list(CLUSTER.plural, &[], Some(&both))? {
            let cluster = document::id(&cluster).unwrap_or_default();
            // The lowest comes first, so that a higher one has the last word.
            if remarks::excludes(reference) {
                given.remove(cluster);
            } else {
                given.insert(cluster.to_owned());
            }
        }
    }
    Ok(given)
}
