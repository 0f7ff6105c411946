//! The resource types of a fleet: those of this release, and those that the fleet registered.

use std::sync::{Arc, LazyLock};

use crate::built_in::{independent, of_clusters};
use crate::reference::is_said_of_references;
use crate::resource_type::ResourceType;
use crate::type_definition::TypeDefinition;
use crate::violation::Violation;
use crate::{Unreadable, type_definition};

/// The resource types of a fleet. A clone shares them.
#[derive(Debug, Clone)]
pub struct Types(Arc<[Arc<ResourceType>]>);

impl Types {
    /// Those of this release alone.
    ///
    /// # Panics
    /// Where a schema of this release is not JSON Schema; a test makes every one.
    #[allow(clippy::expect_used, reason = "the schemas are this release's own constants")]
    pub fn built_in() -> Self {
        static BUILT_IN: LazyLock<Types> = LazyLock::new(|| {
            let types = independent().into_iter().map(ResourceType::new).map(Arc::new).collect();
            Types::of_independent(types).expect("the built-in schemas are JSON Schema")
        });
        BUILT_IN.clone()
    }

    /// `others` and the types of clusters, which depend on them. Clusters come first.
    fn of_independent(others: Vec<Arc<ResourceType>>) -> Result<Self, Unreadable> {
        let [clusters, profiles, tombstones] = of_clusters(&others)?.map(Arc::new);
        Ok(Types([clusters, profiles].into_iter().chain(others).chain([tombstones]).collect()))
    }

    /// Every type.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ResourceType>> {
        self.0.iter()
    }

    /// The type with this plural.
    pub fn of(&self, plural: &str) -> Option<&Arc<ResourceType>> {
        self.iter().find(|kind| kind.plural() == plural)
    }

    /// Whether these are the very types that `other` shares.
    pub fn same(&self, other: &Types) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// These and the type that `definition` declares, instead of one with its plural.
    ///
    /// # Errors
    /// Where its schema is not JSON Schema, or where it would stand for a type of this release, in one
    /// sentence.
    pub fn with(&self, definition: &TypeDefinition) -> Result<Self, Unreadable> {
        if is_built_in(&definition.plural) {
            return Err(Unreadable(format!("`{}` is a type of this release", definition.plural)));
        }
        if let Some(field) = definition.overridable.iter().find(|field| is_said_of_references(field)) {
            // Read as that it would take software off clusters.
            return Err(Unreadable(format!(
                "`{field}` is what every reference can say, and so not overridable"
            )));
        }
        let kind = Arc::new(ResourceType::of_definition(definition)?);
        let mut others = self.independent(&definition.plural);
        // Those that a fleet registered by plural, so that the order tells nothing of the history.
        let own = others.iter().take_while(|other| is_built_in(other.plural())).count();
        let place = others[own..].partition_point(|other| other.plural() < definition.plural.as_str());
        others.insert(own + place, kind);
        Types::of_independent(others)
    }

    /// These without the type with this plural.
    ///
    /// # Errors
    /// None in practice: what is right together is right in part.
    pub fn without(&self, plural: &str) -> Result<Self, Unreadable> {
        Types::of_independent(self.independent(plural))
    }

    fn independent(&self, but: &str) -> Vec<Arc<ResourceType>> {
        let others = self.iter().filter(|kind| !kind.is_about_clusters() && kind.plural() != but);
        others.cloned().collect()
    }

    /// What of the names in `definition` belongs to another type, or to this release.
    pub fn collisions(&self, definition: &TypeDefinition) -> Vec<Violation> {
        let others: Vec<_> = self.iter().filter(|kind| kind.plural() != definition.plural).collect();
        let mut found = type_definition::reserved(definition);
        if is_built_in(&definition.plural) {
            let message = format!("`{}` is a type of this release", definition.plural);
            found.push(Violation::new("/plural", "taken", message));
        }
        if others.iter().any(|kind| kind.name() == definition.name) {
            let message = format!("another type is called `{}`", definition.name);
            found.push(Violation::new("/kind", "taken", message));
        }
        if others.iter().any(|kind| kind.flux_path() == Some(&definition.flux_path)) {
            let message = format!("another type is polled at `{}`", definition.flux_path);
            found.push(Violation::new("/flux_path", "taken", message));
        }
        found
    }
}

fn is_built_in(plural: &str) -> bool {
    Types::built_in().of(plural).is_some()
}
