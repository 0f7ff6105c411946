//! The patches of one component, kept as the text that answers have: most polls copy it, and nothing that a
//! fleet has so many of would be larger otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The values of one component, by patch key: a JSON object of strings, its keys sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patches(Box<str>);

impl Patches {
    /// The patches as JSON.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self.0 == *"{}"
    }

    /// What is set under `key`.
    pub fn get(&self, key: &str) -> Option<String> {
        self.to_map().remove(key)
    }

    /// The patches, to be looked into.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        // Written from such a map.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl From<&BTreeMap<String, String>> for Patches {
    fn from(patches: &BTreeMap<String, String>) -> Self {
        // Of strings only, that cannot fail.
        Patches(serde_json::to_string(patches).unwrap_or_else(|_| "{}".into()).into())
    }
}

impl Default for Patches {
    fn default() -> Self {
        Patches("{}".into())
    }
}

impl<'de> Deserialize<'de> for Patches {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Patches::from(&BTreeMap::deserialize(deserializer)?))
    }
}

impl Serialize for Patches {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_map().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_patches_are_equal_texts() {
        let read = |text: &str| serde_json::from_str::<Patches>(text).unwrap();
        let patches = read(r#" {"b": "\u00e9\"", "a.b[0]": ""} "#);
        assert_eq!(patches, read(r#"{"a.b[0]":"","b":"é\""}"#));
        assert_eq!(patches.as_json(), r#"{"a.b[0]":"","b":"é\""}"#);
        assert_eq!(
            patches.to_map().into_iter().collect::<Vec<_>>(),
            [("a.b[0]".into(), "".into()), ("b".into(), "é\"".into())]
        );
        assert!(read("{}").is_empty() && !patches.is_empty() && Patches::default().is_empty());
    }
}
