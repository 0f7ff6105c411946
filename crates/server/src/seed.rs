//! The seed file: an empty store's first documents, checked whole and committed as one change set.
//! Apart from the start, so that its reading is pure and says all that is wrong at once.

use std::collections::BTreeMap;
use std::path::Path;

use flux_resourceset_merge::{Fleet, Refusal};
use flux_resourceset_model::change::{ChangeSet, EntryId, Key, Operation, Verb};
use flux_resourceset_model::{ResourceType, TOMBSTONES, Violation, built_in};
use serde_json::Value;
use uuid::Uuid;

use crate::json;
use crate::write::MIN_READER;

/// Why a seed file cannot be used: one line, or one and a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SeedError(String);

/// The change set that fills an empty `fleet` with what the file at `path` holds.
pub(crate) fn change_set(path: &Path, fleet: &Fleet) -> Result<ChangeSet, SeedError> {
    let wrong = |what: String| SeedError(format!("SEED_FILE {}: {what}", path.display()));
    let text = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let value = json::parse(&text).map_err(|error| wrong(format!("is not valid JSON: {error}")))?;
    parse(&value, fleet).map_err(|violations| {
        let lines: String = violations.iter().map(|violation| format!("\n  {violation}")).collect();
        wrong(format!("is refused and nothing was stored; violations: {}{lines}", violations.len()))
    })
}

fn parse(file: &Value, fleet: &Fleet) -> Result<ChangeSet, Vec<Violation>> {
    let mut seed = Seed::default();
    match file {
        Value::Object(types) => types.iter().for_each(|(plural, documents)| seed.add_type(plural, documents)),
        _ => seed.wrong("", "type", "a seed file is a JSON object of lists, one for each type".into()),
    }
    let prepared = fleet.prepare(&seed.operations);
    let documents = prepared.unwrap_or_else(|refusal| {
        seed.refused(&refusal);
        Vec::new()
    });
    if !seed.violations.is_empty() {
        seed.violations.sort();
        return Err(seed.violations);
    }
    Ok(ChangeSet {
        entry: EntryId(Uuid::new_v4().as_u128()),
        principal: "seed".into(),
        reason: None,
        request_id: Uuid::new_v4().to_string(),
        operations: seed.operations,
        documents,
        min_reader: MIN_READER,
    })
}

#[derive(Default)]
struct Seed {
    operations: Vec<Operation>,
    /// Where in the file each document stands.
    places: BTreeMap<Key, String>,
    violations: Vec<Violation>,
}

impl Seed {
    fn wrong(&mut self, pointer: impl Into<String>, code: &'static str, message: String) {
        self.violations.push(Violation::new(pointer, code, message));
    }

    fn add_type(&mut self, plural: &str, documents: &Value) {
        let pointer = format!("/{plural}");
        let Some(kind) = ResourceType::of(plural).filter(|kind| kind.plural() != TOMBSTONES) else {
            let known: Vec<_> =
                built_in().iter().map(ResourceType::plural).filter(|plural| *plural != TOMBSTONES).collect();
            return self.wrong(
                pointer,
                "unknown_field",
                format!("`{plural}` is not a resource type; known are {}", known.join(", ")),
            );
        };
        match documents {
            Value::Array(documents) => {
                for (at, body) in documents.iter().enumerate() {
                    self.add(kind, format!("{pointer}/{at}"), body);
                }
            }
            _ => self.wrong(pointer, "type", "is not a list of documents".into()),
        }
    }

    fn add(&mut self, kind: &ResourceType, place: String, body: &Value) {
        let id = body.as_object().and_then(|body| kind.id_of_new(body));
        // Without an id the document is still checked, so that all it lacks is said; no two share a name.
        let key = Key::new(kind.plural(), id.unwrap_or_else(|| place.clone()));
        if let Some(earlier) = self.places.get(&key) {
            let message = format!("`{}` is already the id of {earlier}", key.id);
            return self.wrong(format!("{place}/id"), "repeated", message);
        }
        self.places.insert(key.clone(), place);
        self.operations.push(Operation { verb: Verb::Create, key, body: Some(body.clone()), force: false });
    }

    /// Says of the file what `refusal` says of documents.
    fn refused(&mut self, refusal: &Refusal) {
        if refusal.violations().is_empty() {
            return self.wrong("", refusal.code(), refusal.to_string());
        }
        // With one document alone the checks do not name it.
        let only = self.operations.first().map(|operation| operation.key.clone());
        for violation in refusal.violations() {
            let key = violation.document.as_ref().or(only.as_ref());
            let place = key.and_then(|key| self.places.get(key)).map_or("", String::as_str);
            let pointer = format!("{place}{}", violation.pointer);
            self.violations.push(Violation::new(pointer, violation.code, violation.message.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use flux_resourceset_model::Rules;
    use serde_json::json;

    use super::*;

    fn pointers(file: &Value) -> Vec<String> {
        let violations = parse(file, &Fleet::empty(Rules::default())).unwrap_err();
        violations.into_iter().map(|violation| format!("{} {}", violation.pointer, violation.code)).collect()
    }

    #[test]
    fn a_good_file_is_one_change_set() {
        let file = json!({
            "clusters": [{"cluster_name": "a", "cluster_dns": "a.example.com", "environment": "dev", "namespaces": [{"id": "n"}]}],
            "namespaces": [{"_id": "n"}],
        });
        let change_set = parse(&file, &Fleet::empty(Rules::default())).unwrap();
        assert_eq!(change_set.principal, "seed");
        let keys: Vec<_> = change_set.documents.iter().map(|document| document.key.to_string()).collect();
        assert_eq!(keys, ["clusters/a", "namespaces/n"]);
    }

    #[test]
    fn everything_wrong_is_said_with_its_place_in_the_file() {
        let found = pointers(&json!({
            "clusters": [
                {"cluster_name": "a", "cluster_dns": "-", "environment": "dev"},
                {"cluster_name": "b", "cluster_dns": "b.example.com", "environment": "dev", "namespaces": [{"id": "gone"}]},
                {"cluster_dns": "c.example.com", "environment": "dev"},
            ],
            "namespaces": [{"id": "n"}, {"id": "n"}, 7],
            "tombstones": [],
            "profiles": [],
        }));
        for expected in [
            "/clusters/0/cluster_dns format",
            "/clusters/2/cluster_name missing_field",
            "/namespaces/1/id repeated",
            "/namespaces/2 type",
            "/profiles unknown_field",
            "/tombstones unknown_field",
        ] {
            assert!(found.iter().any(|line| line == expected), "{expected} in {found:#?}");
        }
        assert!(found.iter().any(|line| line.starts_with("/clusters/1/namespaces/0")), "{found:#?}");
    }

    #[test]
    fn one_document_alone_is_found_too() {
        let found =
            pointers(&json!({"clusters": [{"cluster_name": "a", "cluster_dns": "-", "environment": "dev"}]}));
        assert_eq!(found, ["/clusters/0/cluster_dns format"]);
        assert_eq!(pointers(&json!([])), [" type"]);
    }
}
