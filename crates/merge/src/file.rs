//! A whole fleet in one file, in the form of `data/seed.json`: for each type's plural a list of documents.
//! Everything that is wrong with it is said at once, by pointers into the file.

use std::collections::BTreeMap;

use flux_resourceset_model::change::{DocumentChange, Key, Operation, Verb};
use flux_resourceset_model::{
    FREEZES, PROFILES, RESOURCE_TYPES, Resource, ResourceType, Rules, SOURCES, TOMBSTONES, Types, Violation,
};
use serde_json::Value;

use crate::fleet::Fleet;
use crate::prepare::{Draft, Prepared};
use crate::refusal::Refusal;

/// What a file asks for and what would come of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedFile {
    /// A create for each document, in the file's order.
    pub operations: Vec<Operation>,
    /// The documents that they would leave behind.
    pub documents: Vec<DocumentChange>,
    /// The lowest reader version that knows what `documents` hold.
    pub min_reader: u32,
}

impl Fleet {
    /// Appends the whole fleet to `out` in the form of `data/seed.json`: by the plural of each type its
    /// documents, ordered by id; types of which there are none only where people write them. What
    /// sources own is not in it, since applying the file says so.
    pub fn export(&self, out: &mut Vec<u8>) {
        let described =
            |kind: &ResourceType| ![TOMBSTONES, FREEZES, RESOURCE_TYPES, PROFILES].contains(&kind.plural());
        let kinds = self.types().iter().filter(|kind| kind.plural() != SOURCES);
        let kinds = kinds.filter(|kind| described(kind.as_ref()) || self.len(kind.plural()) > 0);
        out.push(b'{');
        for (at, kind) in kinds.enumerate() {
            out.extend_from_slice(if at == 0 { b"\"" } else { b",\"" });
            out.extend_from_slice(kind.plural().as_bytes());
            out.extend_from_slice(b"\":[");
            for (at, (_, document)) in self.list(kind.plural()).enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(&document.body());
            }
            out.push(b']');
        }
        out.push(b'}');
    }

    /// What creating every document of `file` would leave behind. Pure.
    ///
    /// # Errors
    /// Every violation of every document, and between them, each with its pointer into the file.
    pub fn prepare_file(&self, file: &Value) -> Result<PreparedFile, Vec<Violation>> {
        let mut read = File::read(file, self.types());
        match self.prepare(&read.operations) {
            Ok(Prepared { documents, min_reader, .. }) if read.violations.is_empty() => {
                Ok(PreparedFile { operations: read.operations, documents, min_reader })
            }
            Ok(_) => Err(read.violations),
            Err(refusal) => Err(read.refused(&refusal)),
        }
    }

    /// The fleet that `text` describes, with the default [`Rules`]. A reference to what is not in it is
    /// skipped in answers; a server's loading and writing refuse it.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] with every violation of every document, by pointers into the file.
    pub fn from_json(text: &str) -> Result<Self, Refusal> {
        let file = serde_json::from_str(text)
            .map_err(|error| Refusal::Invalid(vec![Violation::new("", "json", error.to_string())]))?;
        let empty = Fleet::empty(Rules::default());
        let mut read = File::read(&file, empty.types());
        match Draft::unchecked(&empty, &read.operations) {
            Ok(fleet) if read.violations.is_empty() => Ok(fleet.at(1)),
            Ok(_) => Err(Refusal::Invalid(read.violations)),
            Err(refusal) => Err(Refusal::Invalid(read.refused(&refusal))),
        }
    }
}

/// A file as it is read: what it asks for, and what is wrong with its form.
pub(crate) struct File {
    /// Those of the fleet, and those that the file declares.
    types: Types,
    /// A create for each document.
    pub(crate) operations: Vec<Operation>,
    /// Where in the file each document stands.
    places: BTreeMap<Key, String>,
    pub(crate) violations: Vec<Violation>,
}

impl File {
    pub(crate) fn read(file: &Value, types: &Types) -> Self {
        let mut read = File {
            types: types.clone(),
            operations: Vec::new(),
            places: BTreeMap::new(),
            violations: Vec::new(),
        };
        match file {
            Value::Object(lists) => {
                // What a document is, is said by its type.
                let (types, others): (Vec<_>, Vec<_>) =
                    lists.iter().partition(|(plural, _)| *plural == RESOURCE_TYPES);
                types.into_iter().for_each(|(plural, documents)| read.add_type(plural, documents));
                read.declare();
                others.into_iter().for_each(|(plural, documents)| read.add_type(plural, documents));
            }
            _ => read.wrong("", "type", "a fleet's file is a JSON object of lists, one for each type".into()),
        }
        read
    }

    /// Takes the types that the operations so far declare, as far as they can be read.
    fn declare(&mut self) {
        for operation in &self.operations {
            let Some(kind) = self.types.of(RESOURCE_TYPES) else { continue };
            let Some(Value::Object(body)) = &operation.body else { continue };
            let mut body = body.clone();
            kind.normalize(&mut body);
            body.insert("id".into(), operation.key.id.as_str().into());
            if let Ok(Resource::Type(definition)) = kind.parse(body)
                && let Ok(types) = self.types.with(&definition)
            {
                self.types = types;
            }
        }
    }

    fn wrong(&mut self, pointer: impl Into<String>, code: &'static str, message: String) {
        self.violations.push(Violation::new(pointer, code, message));
    }

    fn add_type(&mut self, plural: &str, documents: &Value) {
        let pointer = format!("/{plural}");
        let Some(kind) = self.types.of(plural).filter(|kind| kind.plural() != SOURCES).cloned() else {
            let known = self.types.iter().map(|kind| kind.plural()).filter(|plural| *plural != SOURCES);
            let known = known.collect::<Vec<_>>().join(", ");
            let message = format!("`{plural}` is not a resource type; known are {known}");
            return self.wrong(pointer, "unknown_field", message);
        };
        match documents {
            Value::Array(documents) => {
                for (at, body) in documents.iter().enumerate() {
                    self.add(&kind, format!("{pointer}/{at}"), body);
                }
            }
            _ => self.wrong(pointer, "type", "is not a list of documents".into()),
        }
    }

    fn add(&mut self, kind: &ResourceType, place: String, body: &Value) {
        let Value::Object(fields) = body else {
            return self.wrong(place, "type", "a document is a JSON object".into());
        };
        // Without an id the document is still judged, so that all it lacks is said.
        let Some(id) = kind.id_of_new(fields) else {
            let mut fields = fields.clone();
            kind.normalize(&mut fields);
            let wrong = kind.validate(&fields, &Rules::default()).into_iter();
            return self.violations.extend(wrong.map(|violation| violation.under(&place)));
        };
        let key = Key::new(kind.plural(), id);
        if let Some(earlier) = self.places.get(&key) {
            let message = format!("`{}` is already the id of {earlier}", key.id);
            return self.wrong(format!("{place}/id"), "repeated", message);
        }
        self.places.insert(key.clone(), place);
        self.operations.push(Operation::new(Verb::Create, key, Some(body.clone())));
    }

    /// The types of its documents.
    pub(crate) fn types(&self) -> &Types {
        &self.types
    }

    /// Where in the file the document stands.
    pub(crate) fn place(&self, key: &Key) -> &str {
        self.places.get(key).map_or("", String::as_str)
    }

    /// What `refusal` says of documents, said of the file, with what was wrong with the file before.
    fn refused(&mut self, refusal: &Refusal) -> Vec<Violation> {
        if refusal.violations().is_empty() {
            self.wrong("", refusal.code(), refusal.to_string());
        }
        // With one document alone the checks do not name it.
        let only = self.operations.first().map(|operation| operation.key.clone());
        for violation in refusal.violations() {
            let key = violation.document.as_ref().or(only.as_ref());
            let place = key.and_then(|key| self.places.get(key)).map_or("", String::as_str);
            self.violations
                .push(Violation { change: None, document: None, ..violation.clone() }.under(place));
        }
        self.violations.sort();
        std::mem::take(&mut self.violations)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn wrong(file: &Value) -> String {
        let violations = Fleet::empty(Rules::default()).prepare_file(file).unwrap_err();
        violations.iter().map(|violation| format!("{violation}\n")).collect()
    }

    #[test]
    fn a_good_file_is_one_set_of_documents() {
        let file = json!({
            "clusters": [{"cluster_name": "a", "cluster_dns": "a.example.com", "environment": "dev", "namespaces": [{"id": "n"}]}],
            "namespaces": [{"_id": "n"}],
        });
        let prepared = Fleet::empty(Rules::default()).prepare_file(&file).unwrap();
        let keys: Vec<_> = prepared.documents.iter().map(|document| document.key.to_string()).collect();
        assert_eq!(keys, ["clusters/a", "namespaces/n"]);
        assert_eq!(prepared.operations.len(), 2);
    }

    #[test]
    fn everything_wrong_is_said_with_its_place_in_the_file() {
        insta::assert_snapshot!(wrong(&json!({
            "clusters": [
                {"cluster_name": "a", "cluster_dns": "-", "environment": "dev"},
                {"cluster_name": "b", "cluster_dns": "b.example.com", "environment": "dev", "namespaces": [{"id": "gone"}]},
                {"cluster_dns": "c.example.com", "environment": "dev"},
            ],
            "namespaces": [{"id": "n"}, {"id": "n"}, 7],
            "sources": [],
            "profiles": [],
        })), @r#"
        /clusters/0/cluster_dns: "-" is not a DNS name: labels of letters, digits and dashes, separated by dots (format)
        /clusters/1/namespaces/0/id: namespaces/gone does not exist (reference)
        /clusters/2/cluster_name: `cluster_name` is required (missing_field)
        /clusters/2/id: `id` is required (missing_field)
        /namespaces/1/id: `n` is already the id of /namespaces/0 (repeated)
        /namespaces/2: a document is a JSON object (type)
        /sources: `sources` is not a resource type; known are clusters, profiles, platform_components, namespaces, rolebindings, freezes, resource_types, tombstones (unknown_field)
        "#);
    }

    #[test]
    fn one_document_alone_is_found_too() {
        let only = json!({"clusters": [{"cluster_name": "a", "cluster_dns": "-", "environment": "dev"}]});
        insta::assert_snapshot!(wrong(&only), @r#"/clusters/0/cluster_dns: "-" is not a DNS name: labels of letters, digits and dashes, separated by dots (format)"#);
        insta::assert_snapshot!(wrong(&json!([])), @"a fleet's file is a JSON object of lists, one for each type (type)");
    }
}
