//! What is on a cluster at one moment, and what became of it until another. Stricter than names and uids: an object
//! that was touched and left as it was counts as changed.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::kubectl::Kubectl;

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Gone,
    New,
    /// Deleted, and made again under the same name.
    Anew,
    Changed,
}

/// What becomes of objects, by kind, namespace and name; what stays as it is has no entry.
pub(super) type Fates = BTreeMap<String, Fate>;

/// Every object of the kinds that come of a fleet's data, by kind, namespace and name.
pub(super) struct Objects(BTreeMap<String, Value>);

impl Objects {
    pub(super) fn of(kubectl: &Kubectl) -> Result<Self> {
        Ok(Objects(kubectl.objects()?))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn fates(&self, now: &Objects) -> Fates {
        let mut fates: Fates =
            now.0.keys().filter(|name| !self.has(name)).map(|name| (name.clone(), Fate::New)).collect();
        for (name, was) in &self.0 {
            let fate = match now.0.get(name) {
                None => Fate::Gone,
                Some(now) if now["metadata"]["uid"] != was["metadata"]["uid"] => Fate::Anew,
                Some(now) if version(now) != version(was) => Fate::Changed,
                Some(_) => continue,
            };
            fates.insert(name.clone(), fate);
        }
        fates
    }

    /// Fails unless every object is still there, untouched, and there is no other.
    pub(super) fn unchanged(&self, kubectl: &Kubectl) -> Result<()> {
        let fates = self.fates(&Objects::of(kubectl)?);
        ensure!(fates.is_empty(), "nothing should have changed, but {fates:?}");
        Ok(())
    }

    /// The objects as they would be written: without what a server and controllers add.
    pub(super) fn written(&self) -> BTreeMap<&str, Value> {
        self.0.iter().map(|(name, object)| (name.as_str(), written(object.clone()))).collect()
    }
}

/// What says that an object was written to. Where it has a generation, controllers write to its status without anything
/// having changed, so that its resource version says nothing; the revision of a release does.
fn version(object: &Value) -> [&Value; 2] {
    let metadata = &object["metadata"];
    match &metadata["generation"] {
        Value::Null => [&metadata["resourceVersion"], &Value::Null],
        generation => [generation, &object["status"]["history"][0]["version"]],
    }
}

fn written(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"] {
            metadata.remove(field);
        }
    }
    object
}
