//! Addresses of fields within documents. What stands in a list of references is found by its id and
//! not by its position, so that an address means the same after others were added or taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use flux_resourceset_model::{Body, CLUSTERS, PROFILES, TOMBSTONES};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// The address of a field within a document: `platform_components/grafana/oci_tag`.
///
/// Written as its steps joined by `/`, escaped as in JSON pointers (`~1` is `/`, `~0` is `~`). The whole
/// document is the address without steps, written as nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Field(Vec<String>);

impl Field {
    /// The address of these steps.
    pub fn new<S: Into<String>>(steps: impl IntoIterator<Item = S>) -> Self {
        Field(steps.into_iter().map(Into::into).collect())
    }

    /// The whole document.
    pub fn document() -> Self {
        Field::default()
    }

    /// The address of what `step` leads to from here.
    pub fn below(&self, step: impl Into<String>) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.into());
        Field(steps)
    }

    /// The addresses of what holds what it leads to.
    pub(crate) fn above(&self) -> impl Iterator<Item = Field> {
        (0..self.0.len()).map(|end| Field(self.0[..end].to_vec()))
    }

    /// The keys and ids that lead there.
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// What stands there in the document `body` of the type with this plural. The whole document is no
    /// field of itself.
    pub fn value<'a>(&self, plural: &str, body: &'a Body) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        let mut value = body.get(first)?;
        for (depth, step) in rest.iter().enumerate() {
            value = match value {
                Value::Object(fields) => fields.get(step)?,
                Value::Array(items) if is_list(plural, &self.0[..=depth]) => {
                    items.iter().find(|item| id_of(item) == Some(step))?
                }
                _ => return None,
            };
        }
        Some(value)
    }

    /// Whether what it leads to is there or not as one: a whole document, or an item of a list.
    pub(crate) fn is_whole(&self, plural: &str) -> bool {
        self.0.split_last().is_none_or(|(_, list)| is_list(plural, list))
    }

    /// What `value` at this address lists, by id; `None` where it is no list whose items are told apart
    /// by their ids.
    pub(crate) fn items<'a>(&self, plural: &str, value: &'a Value) -> Option<Vec<(&'a str, &'a Value)>> {
        let items = value.as_array().filter(|_| is_list(plural, &self.0))?;
        let items = items.iter().map(|item| Some((id_of(item)?, item))).collect::<Option<Vec<_>>>()?;
        let ids: BTreeSet<_> = items.iter().map(|(id, _)| id).collect();
        (ids.len() == items.len()).then_some(items)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            let slash = if at == 0 { "" } else { "/" };
            write!(f, "{slash}{}", step.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

impl FromStr for Field {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Field::document());
        }
        Ok(Field::new(text.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"))))
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A field in which two documents differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldDifference {
    /// Where.
    pub field: Field,
    /// What stood there; `None` where nothing did.
    pub before: Option<Value>,
    /// What stands there now; `None` where nothing does.
    pub after: Option<Value>,
}

/// Every field in which two documents of the type with this plural differ, ordered by address.
///
/// Objects are gone through at every depth and references one by one; that a reference is there is a field
/// itself, of which the value is the reference with its id alone. Other lists are compared as wholes, and
/// the order of references is no field.
pub fn field_differences(plural: &str, before: &Body, after: &Body) -> Vec<FieldDifference> {
    compare(leaves(plural, before), leaves(plural, after))
}

/// As [`field_differences`], of what stands at `field` in two documents.
pub(crate) fn differences_at(
    plural: &str,
    field: &Field,
    before: &Value,
    after: &Value,
) -> Vec<FieldDifference> {
    let [before, after] = [before, after].map(|value| {
        let mut found = BTreeMap::new();
        gather(plural, field.clone(), value, &mut found);
        found
    });
    compare(before, after)
}

fn compare(mut before: BTreeMap<Field, Value>, mut after: BTreeMap<Field, Value>) -> Vec<FieldDifference> {
    let fields: BTreeSet<Field> = before.keys().chain(after.keys()).cloned().collect();
    let differences = fields.into_iter().map(|field| {
        let (before, after) = (before.remove(&field), after.remove(&field));
        FieldDifference { field, before, after }
    });
    differences.filter(|difference| difference.before != difference.after).collect()
}

/// Which of several versions of a document touched `field`: of each two that follow each other, the later
/// one where what stands at `field` differs. Of a whole document or reference that counts which makes or
/// removes it.
///
/// `versions` are the document's, each with its revision, oldest first, from the one on that is only
/// compared with; `None` is a version in which the document is gone.
pub fn changed_between<'a>(
    plural: &str,
    field: &Field,
    versions: impl IntoIterator<Item = (u64, Option<&'a Body>)>,
) -> Vec<u64> {
    let stands = |body: Option<&'a Body>| match body {
        Some(_) if field.0.is_empty() => Some(&Value::Null),
        Some(body) if field.is_whole(plural) => field.value(plural, body).map(|_| &Value::Null),
        body => field.value(plural, body?),
    };
    let mut earlier = None;
    let mut touched = Vec::new();
    for (revision, body) in versions {
        let now = stands(body);
        if earlier.is_some_and(|before| before != now) {
            touched.push(revision);
        }
        earlier = Some(now);
    }
    touched
}

/// The fields of a document that have no fields below them, and its references.
fn leaves(plural: &str, body: &Body) -> BTreeMap<Field, Value> {
    let mut found = BTreeMap::new();
    for (name, value) in body {
        gather(plural, Field::new([name]), value, &mut found);
    }
    found
}

fn gather(plural: &str, field: Field, value: &Value, found: &mut BTreeMap<Field, Value>) {
    if let Some(items) = field.items(plural, value).filter(|items| !items.is_empty()) {
        for (id, item) in items {
            let place = field.below(id);
            let fields = item.as_object().into_iter().flatten().filter(|(name, _)| *name != "id");
            fields.for_each(|(name, value)| gather(plural, place.below(name), value, found));
            found.insert(place, Body::from_iter([("id".to_owned(), id.into())]).into());
        }
        return;
    }
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| gather(plural, field.below(name), value, found));
        }
        leaf => drop(found.insert(field, leaf.clone())),
    }
}

/// Whether the items of the list that `steps` lead to are addressed by id.
fn is_list(plural: &str, steps: &[String]) -> bool {
    match steps {
        // What is referred to has an id, of whichever type it is; the one other list has plain names.
        [list] => (plural == CLUSTERS && list != "aliases") || plural == PROFILES,
        // A tombstone holds a cluster.
        [held, list] if plural == TOMBSTONES && held == "cluster" => {
            is_list(CLUSTERS, std::slice::from_ref(list))
        }
        _ => false,
    }
}

fn id_of(item: &Value) -> Option<&str> {
    item.get("id").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(value: Value) -> Body {
        let Value::Object(body) = value else { panic!("an object") };
        body
    }

    #[test]
    fn an_address_is_read_as_it_was_written() {
        for steps in [vec![], vec!["a"], vec!["labels", "example.com/team"], vec!["~", "~1", "/", ""]] {
            let field = Field::new(steps);
            assert_eq!(field.to_string().parse(), Ok(field));
        }
        assert_eq!(Field::new(["labels", "a/b~c"]).to_string(), "labels/a~1b~0c");
    }

    #[test]
    fn references_are_found_by_id_and_other_lists_are_whole() {
        let cluster = json!({
            "platform_components": [{"id": "a"}, {"id": "b", "release": {"values": {"l": [{"id": "x"}]}}}],
            "patches": {"a": {"k.l": "1"}},
        });
        let stands = |plural: &str, body: &Body, field: &str| {
            let field: Field = field.parse().unwrap();
            field.value(plural, body).map_or("-".into(), Value::to_string)
        };
        let tombstone = body(json!({"id": "c", "cluster": cluster}));
        let cluster = body(cluster);
        for (field, expected) in [
            ("platform_components/b/id", r#""b""#),
            ("platform_components/1/id", "-"),
            ("platform_components/b/release/values/l", r#"[{"id":"x"}]"#),
            ("platform_components/b/release/values/l/x", "-"),
            ("patches/a/k.l", r#""1""#),
            ("patches/b", "-"),
        ] {
            assert_eq!(stands("clusters", &cluster, field), expected, "{field}");
            assert_eq!(stands("tombstones", &tombstone, &format!("cluster/{field}")), expected, "{field}");
        }
    }

    #[test]
    fn documents_differ_field_by_field() {
        let before = body(json!({
            "labels": {}, "aliases": ["x"], "patches": {"a": {"k": "1"}},
            "namespaces": [{"id": "n"}, {"id": "m"}], "platform_components": [{"id": "a", "oci_tag": "1"}],
        }));
        let after = body(json!({
            "labels": {"team": "x"}, "aliases": ["x", "y"], "patches": {"a": {}},
            "namespaces": [{"id": "m", "on_remove": "keep"}, {"id": "n"}],
            "platform_components": [{"id": "b", "enabled": true}],
        }));
        let shown = |value: Option<Value>| value.map_or("-".into(), |value| value.to_string());
        let lines = field_differences("clusters", &before, &after).into_iter().map(|difference| {
            let FieldDifference { field, before, after } = difference;
            format!("{field}: {} -> {}\n", shown(before), shown(after))
        });
        insta::assert_snapshot!(lines.collect::<String>(), @r#"
        aliases: ["x"] -> ["x","y"]
        labels: {} -> -
        labels/team: - -> "x"
        namespaces/m/on_remove: - -> "keep"
        patches/a: - -> {}
        patches/a/k: "1" -> -
        platform_components/a: {"id":"a"} -> -
        platform_components/a/oci_tag: "1" -> -
        platform_components/b: - -> {"id":"b"}
        platform_components/b/enabled: - -> true
        "#);
    }

    #[test]
    fn a_field_was_changed_by_the_versions_in_which_it_differs() {
        let versions = [
            Some(json!({"namespaces": [{"id": "n"}]})),
            Some(json!({"namespaces": [{"id": "n", "on_remove": "keep"}]})),
            Some(json!({"namespaces": [], "node_count": 1})),
            None,
            Some(json!({"namespaces": [{"id": "n"}]})),
        ]
        .map(|version| version.map(body));
        let touched = |field: &str| {
            let versions = (1..).zip(&versions).map(|(revision, version)| (revision, version.as_ref()));
            changed_between("clusters", &field.parse().unwrap(), versions)
        };
        assert_eq!(touched("namespaces/n"), [3, 5]);
        assert_eq!(touched("namespaces/n/on_remove"), [2, 3]);
        assert_eq!(touched("node_count"), [3, 4]);
        assert_eq!(touched(""), [4, 5]);
    }
}
