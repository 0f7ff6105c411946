//! Freezes as they are asked for: each has a name, and one that holds nobody is taken for a mistake.

use std::sync::Arc;

use flux_resourceset_merge::Fleet;
use flux_resourceset_model::change::{Key, Operation};
use flux_resourceset_model::{FREEZES, Selector, Violation};
use serde_json::Value;
use uuid::Uuid;

use crate::error::ApiError;
use crate::write::Wanted;

/// Gives the freeze `body` an id where it has none.
pub(crate) fn name(body: &mut Value) {
    if let Value::Object(body) = body
        && body.get("id").is_none_or(Value::is_null)
        && body.get("_id").is_none_or(Value::is_null)
    {
        let made_up = Uuid::new_v4().simple().to_string();
        body.insert("id".into(), format!("freeze-{}", &made_up[..8]).into());
    }
}

/// The operation that makes a freeze, if its selector selects somebody.
pub(crate) fn wanted(operation: Operation) -> Wanted {
    Arc::new(move |fleet: &Fleet| {
        let selector = operation.body.as_ref().and_then(|body| body.get("selector")?.as_str());
        // What is no selector is said by the checks.
        let parsed = selector.and_then(|text| text.parse::<Selector>().ok());
        if parsed.is_none_or(|selector| fleet.selected_by(&selector).next().is_some()) {
            return Ok(vec![operation.clone()]);
        }
        let message =
            format!("`{}` selects no cluster; allow_empty=true lets that be", selector.unwrap_or_default());
        let violation = Violation::new("/selector", "no_match", message.as_str());
        Err(ApiError::bad_request("invalid", format!("The document is not valid: {message}."))
            .violating(vec![violation]))
    })
}

/// When the first of the freezes began that held, in the fleet of `past`, a cluster which only the freeze
/// `key` holds now.
pub(crate) fn earlier(now: &Fleet, key: &Key, past: &Fleet) -> Option<u64> {
    let only_this = |id: &&str| {
        now.subject(id).is_some_and(|cluster| {
            let mut freezes = now.freezes_of(cluster);
            freezes.next().is_some_and(|freeze| freeze.id == key.id) && freezes.next().is_none()
        })
    };
    let clusters = now.subjects().filter(only_this).filter_map(|id| past.subject(id));
    let freezes = clusters.flat_map(|cluster| past.freezes_of(cluster));
    freezes.filter_map(|freeze| Some(past.get(&Key::new(FREEZES, &freeze.id))?.revision())).min()
}
