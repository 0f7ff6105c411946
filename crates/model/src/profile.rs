//! A profile: what every cluster that its selector matches gets, between the catalog and the cluster.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use crate::fields::{Fields, Kept};
use crate::layer::Layer;
use crate::{Body, Cluster, Selector, Unreadable, Violation};

/// A layer over the catalog, for the clusters that it selects.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Names it.
    pub id: String,
    /// Which clusters it is for; those that come later too.
    pub selector: Selector,
    /// Of two profiles of one cluster the one of higher priority goes over the other. Default: 0.
    pub priority: i64,
    /// What it says.
    pub layer: Layer,
}

#[derive(Deserialize, Default)]
struct Priority(#[serde(deserialize_with = "whole")] i64);

/// A whole number as JSON Schema has it: 10.0 is one, and some write 10 so.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let rounded = || number.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64);
    number.as_i64().or_else(rounded).ok_or_else(|| D::Error::custom(format!("{number} is no whole number")))
}

impl Profile {
    /// Whether it is one of the profiles of `cluster`.
    pub fn matches(&self, cluster: &Cluster) -> bool {
        self.selector.matches(|key| cluster.label(key))
    }

    /// `types` are the plurals of the types that it may refer to.
    pub(crate) fn read(fields: &Fields<'_>, types: &[String]) -> Result<Self, Unreadable> {
        let selector: String = fields.required("selector")?;
        let selector = selector.parse().map_err(|error| Unreadable(format!("`selector`: {error}")))?;
        let Priority(priority) = fields.or_default("priority")?;
        let layer = Layer::read(fields, types, Kept::NOTHING)?;
        Ok(Profile { id: fields.required("id")?, selector, priority, layer })
    }

    /// What JSON Schema cannot say of a profile by itself.
    pub(crate) fn check(&self, body: &Body) -> Vec<Violation> {
        self.layer.check(body)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_priority_is_whole_however_it_is_written() {
        let priority = |priority: Value| {
            let body = json!({"id": "x", "selector": "", "priority": priority}).to_string();
            Profile::read(&Fields::of(body.as_bytes()).ok()?, &[]).map(|profile| profile.priority).ok()
        };
        for (written, read) in [
            (json!(10), Some(10)),
            (json!(10.0), Some(10)),
            (json!(-1e1), Some(-10)),
            (json!(1.5), None),
            (json!("10"), None),
        ] {
            assert_eq!(priority(written.clone()), read, "{written}");
        }
    }
}
