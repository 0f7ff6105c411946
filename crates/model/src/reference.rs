//! References of clusters and profiles to definitions, with what they override. Apart from the layers that hold
//! them: a fleet has millions, most of which say nothing, so they are kept small.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::Body;
use crate::component::OnRemove;
use crate::object::ObjectWriter;

/// What of a reference is about the reference itself and in no input.
pub(crate) const REMARKS: [&str; 2] = ["note", "expires"];

/// Whether every reference can say the field of itself, so that it is no property of a definition there.
pub(crate) fn is_said_of_references(field: &str) -> bool {
    field == "exclude" || REMARKS.contains(&field)
}

/// A reference to a catalog entry, with what it overrides.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "WrittenComponent")]
pub struct ComponentReference {
    /// The component's id.
    pub id: Arc<str>,
    /// `None` where nothing is said.
    said: Option<Box<ComponentOverrides>>,
}

/// What a reference says of a catalog entry.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ComponentOverrides {
    /// Whether the component is taken out of what lower layers refer to; then nothing else is said of it.
    pub exclude: bool,
    /// `None`: what a lower layer says, else the catalog, else true.
    pub enabled: Option<bool>,
    /// `None`: a lower layer's, else the catalog's.
    pub oci_tag: Option<Box<str>>,
    /// `None`: a lower layer's, else the catalog's.
    pub component_path: Option<Box<str>>,
    /// `None`: a lower layer's, else the catalog's.
    pub on_remove: Option<OnRemove>,
    /// Merged into what lower layers and the catalog say, key by key at every depth.
    pub release: Body,
}

/// A reference to a definition of any other type.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The definition's id.
    pub id: Arc<str>,
    /// `None` where nothing is said.
    said: Option<Box<Overrides>>,
}

/// What a reference says of a definition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Overrides {
    /// Whether the definition is taken out of what lower layers refer to; then nothing else is said of it.
    pub exclude: bool,
    /// `None`: a lower layer's, else the definition's.
    pub on_remove: Option<OnRemove>,
    /// What stands for the definition's properties here, each whole.
    pub overrides: Body,
}

impl ComponentReference {
    /// A reference to the component `id`, of which `said` is said.
    pub fn new(id: Arc<str>, said: ComponentOverrides) -> Self {
        ComponentReference { id, said: (said != ComponentOverrides::default()).then(|| said.into()) }
    }

    /// One that says nothing of the component `id`.
    pub fn to(id: &str) -> Self {
        ComponentReference { id: id.into(), said: None }
    }
}

/// A reference as documents have it.
pub(crate) trait Written {
    /// Appends it as JSON.
    fn write(&self, out: &mut Vec<u8>);
}

impl Written for ComponentReference {
    fn write(&self, out: &mut Vec<u8>) {
        // Taken apart whole, so that a field which is added cannot be forgotten here.
        let ComponentOverrides { exclude, enabled, oci_tag, component_path, on_remove, release } = &**self;
        let mut object = ObjectWriter::begin(out);
        object.optional("component_path", component_path.as_ref());
        object.optional("enabled", enabled.as_ref());
        object.optional("exclude", exclude.then_some(&true));
        object.optional("id", Some(&*self.id));
        object.optional("oci_tag", oci_tag.as_ref());
        object.optional("on_remove", on_remove.as_ref());
        object.optional("release", (!release.is_empty()).then_some(release));
        object.end();
    }
}

impl Written for Reference {
    fn write(&self, out: &mut Vec<u8>) {
        let Overrides { exclude, on_remove, overrides } = &**self;
        let mut object = ObjectWriter::begin(out);
        let mut rest = overrides.iter().peekable();
        let mut up_to = |name: &str, object: &mut ObjectWriter<'_>| {
            while let Some((name, value)) = rest.next_if(|(other, _)| other.as_str() < name) {
                object.optional(name, Some(value));
            }
        };
        up_to("exclude", &mut object);
        object.optional("exclude", exclude.then_some(&true));
        up_to("id", &mut object);
        object.optional("id", Some(&*self.id));
        up_to("on_remove", &mut object);
        object.optional("on_remove", on_remove.as_ref());
        rest.for_each(|(name, value)| object.optional(name, Some(value)));
        object.end();
    }
}

impl Deref for ComponentReference {
    type Target = ComponentOverrides;

    fn deref(&self) -> &ComponentOverrides {
        static NOTHING: LazyLock<ComponentOverrides> = LazyLock::new(ComponentOverrides::default);
        self.said.as_deref().unwrap_or_else(|| &NOTHING)
    }
}

impl Reference {
    /// A reference to the definition `id`, of which `said` is said.
    pub fn new(id: Arc<str>, said: Overrides) -> Self {
        Reference { id, said: (said != Overrides::default()).then(|| said.into()) }
    }

    /// One that says nothing of the definition `id`.
    pub fn to(id: &str) -> Self {
        Reference { id: id.into(), said: None }
    }
}

impl Deref for Reference {
    type Target = Overrides;

    fn deref(&self) -> &Overrides {
        static NOTHING: LazyLock<Overrides> = LazyLock::new(Overrides::default);
        self.said.as_deref().unwrap_or_else(|| &NOTHING)
    }
}

#[derive(Deserialize)]
struct WrittenComponent {
    id: Box<str>,
    #[serde(default)]
    exclude: bool,
    enabled: Option<bool>,
    oci_tag: Option<Box<str>>,
    component_path: Option<Box<str>>,
    on_remove: Option<OnRemove>,
    #[serde(default)]
    release: Body,
}

impl From<WrittenComponent> for ComponentReference {
    fn from(written: WrittenComponent) -> Self {
        let WrittenComponent { id, exclude, enabled, oci_tag, component_path, on_remove, release } = written;
        let said = ComponentOverrides { exclude, enabled, oci_tag, component_path, on_remove, release };
        ComponentReference::new(id.into(), said)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReferenceVisitor)
    }
}

struct ReferenceVisitor;

impl<'de> Visitor<'de> for ReferenceVisitor {
    type Value = Reference;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reference")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reference, A::Error> {
        let (mut id, mut said) = (None::<Box<str>>, Overrides::default());
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "id" => id = Some(map.next_value()?),
                "exclude" => said.exclude = map.next_value()?,
                "on_remove" => said.on_remove = map.next_value()?,
                remark if REMARKS.contains(&remark) => drop(map.next_value::<serde::de::IgnoredAny>()?),
                _ => drop(said.overrides.insert(field, map.next_value()?)),
            }
        }
        let id = id.ok_or_else(|| A::Error::missing_field("id"))?;
        Ok(Reference::new(id.into(), said))
    }
}
