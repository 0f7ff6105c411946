//! How a cluster's `release` goes over the catalog's: objects key by key at every depth, anything else whole.

use flux_resourceset_model::Body;
use serde_json::Value;

/// `over` merged into `base`: where both hold an object it is merged key by key, anything else of
/// `over` replaces what `base` has. A `null` is a value like any other and reaches the chart.
pub fn merge_release(base: &Body, over: &Body) -> Body {
    let mut merged = base.clone();
    for (key, value) in over {
        let value = match (merged.get(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge_release(base, over).into(),
            _ => value.clone(),
        };
        merged.insert(key.clone(), value);
    }
    merged
}
