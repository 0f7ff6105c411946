//! A resource type: what its documents are called, where they are found, and how one is judged alone.

use std::collections::BTreeSet;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError, Validator};
use serde_json::Value;

use crate::change::{Key, Part};
use crate::fields::{Fields, Kept};
use crate::text::check_text;
use crate::type_definition::{TypeDefinition, default_of, validator};
use crate::violation::Violation;
use crate::{
    Body, Cluster, Component, Definition, Freeze, Profile, Rules, Selector, Source, Tombstone, Unreadable,
};

/// What the merge does with a type's documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Cluster,
    Profile,
    Component,
    Definition,
    Tombstone,
    Freeze,
    Source,
    Type,
}

/// A type as it is declared.
pub(crate) struct Declaration {
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) plural: String,
    pub(crate) flux_path: Option<String>,
    pub(crate) description: String,
    pub(crate) id: Value,
    pub(crate) schema: Value,
    /// The properties that a cluster's reference may override.
    pub(crate) overridable: BTreeSet<String>,
    /// The plurals of the types that a cluster refers to, where the documents are or hold clusters.
    pub(crate) references: Vec<String>,
}

/// A resource type of the fleet.
pub struct ResourceType {
    declared: Declaration,
    validator: Validator,
    /// The properties of an input beside those that every input has, each with what stands for it where
    /// nothing was written.
    input_fields: Vec<(String, Value)>,
}

/// A document as its type reads it.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// Of type `clusters`.
    Cluster(Box<Cluster>),
    /// Of type `profiles`.
    Profile(Box<Profile>),
    /// Of type `platform_components`.
    Component(Box<Component>),
    /// Of a type that is declared as data.
    Definition(Box<Definition>),
    /// Of type `tombstones`.
    Tombstone(Box<Tombstone>),
    /// Of type `freezes`.
    Freeze(Box<Freeze>),
    /// Of type `sources`.
    Source(Box<Source>),
    /// Of type `resource_types`.
    Type(Box<TypeDefinition>),
}

/// How a field holds parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// A list of objects, each with its `id`.
    List,
    /// An object of objects, by id.
    Map,
}

impl ResourceType {
    /// The type of this release's own that is declared so.
    ///
    /// # Panics
    /// Where the declared schema is not JSON Schema; a test makes every built-in one.
    #[allow(clippy::expect_used, reason = "the schemas are this release's own constants")]
    pub(crate) fn new(declared: Declaration) -> Self {
        ResourceType::built(declared).expect("a built-in schema is JSON Schema")
    }

    /// The type that is declared so, by this release or of what a fleet declared.
    ///
    /// # Errors
    /// Where its schema is not JSON Schema, in one sentence.
    pub(crate) fn built(declared: Declaration) -> Result<Self, Unreadable> {
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
        let validator = options.build(&declared.schema).map_err(|error| Unreadable(error.to_string()))?;
        Ok(ResourceType::judging(declared, validator))
    }

    fn judging(declared: Declaration, validator: Validator) -> Self {
        let properties = declared.schema.get("properties").and_then(Value::as_object);
        let own =
            properties.into_iter().flatten().filter(|(name, _)| !matches!(name.as_str(), "id" | "on_remove"));
        let input_fields =
            own.map(|(name, property)| (name.clone(), default_of(&declared.schema, property))).collect();
        ResourceType { declared, validator, input_fields }
    }

    /// The type that a fleet's own document declares.
    ///
    /// # Errors
    /// Where its schema is not JSON Schema, in one sentence.
    pub(crate) fn of_definition(definition: &TypeDefinition) -> Result<Self, Unreadable> {
        let declared = definition.declaration()?;
        let validator = validator(&declared.schema).map_err(|fault| Unreadable(fault.sentence))?;
        Ok(ResourceType::judging(declared, validator))
    }

    /// In the singular, as in Firestone's `kind`: `namespace`.
    pub fn name(&self) -> &str {
        &self.declared.name
    }

    /// The type's name in keys, paths and cluster documents: `namespaces`.
    pub fn plural(&self) -> &str {
        &self.declared.plural
    }

    /// The last segment of the path that Flux polls: `namespaces`; `None` where Flux polls no such thing.
    pub fn flux_path(&self) -> Option<&str> {
        self.declared.flux_path.as_deref()
    }

    /// The rule of its ids, as JSON Schema.
    pub(crate) fn id_schema(&self) -> &Value {
        &self.declared.id
    }

    /// What a document of this type is, in one sentence.
    pub fn description(&self) -> &str {
        &self.declared.description
    }

    /// JSON Schema (2020-12) of a whole document.
    pub fn schema(&self) -> &Value {
        &self.declared.schema
    }

    /// What every input of a definition has beside its id, `on_remove` and its cluster: each property of the
    /// schema, in its order, with what stands for it where nothing was written.
    pub fn input_fields(&self) -> &[(String, Value)] {
        &self.input_fields
    }

    /// Whether its documents are definitions, which clusters refer to under the type's plural and which
    /// are answered by the definition rule.
    pub fn is_definition(&self) -> bool {
        self.declared.role == Role::Definition
    }

    /// The fields whose entries are parts with an address of their own, each with how it holds them.
    pub fn part_fields(&self) -> impl Iterator<Item = (&str, Parts)> {
        let properties = self.declared.schema.get("properties").and_then(Value::as_object);
        properties.into_iter().flatten().filter_map(|(field, schema)| {
            if schema.pointer("/items/properties/id").is_some() {
                return Some((field.as_str(), Parts::List));
            }
            let below = schema.pointer("/additionalProperties/type").and_then(Value::as_str);
            (below == Some("object")).then_some((field.as_str(), Parts::Map))
        })
    }

    /// A part of the document `body`; `None` where it has none such.
    pub fn part<'a>(&self, body: &'a Body, part: &Part) -> Option<&'a Body> {
        let (_, parts) = self.part_fields().find(|(field, _)| *field == part.field)?;
        let field = body.get(&part.field)?;
        match parts {
            Parts::List => {
                let named = |one: &&Value| one.get("id").and_then(Value::as_str) == Some(&part.id);
                field.as_array()?.iter().find(named)?.as_object()
            }
            Parts::Map => field.get(&part.id)?.as_object(),
        }
    }

    /// The [`READER_VERSION`](crate::change::READER_VERSION) of the first release that knows what `body` holds.
    pub fn min_reader(&self, body: &Body) -> u32 {
        let schema = &self.declared.schema;
        let own = match self.declared.role {
            // Only the schemas of this release have words of this release at every depth.
            Role::Cluster | Role::Profile => min_reader_below(schema, body),
            _ => {
                let below = |field| said_min_reader(schema.get("properties")?.get(field)?);
                body.keys().filter_map(below).max()
            }
        };
        let highest = own.max(said_min_reader(schema)).unwrap_or(1);
        u32::try_from(highest).unwrap_or(u32::MAX)
    }

    /// Whether its schema depends on the types that clusters refer to.
    pub(crate) fn is_about_clusters(&self) -> bool {
        matches!(self.declared.role, Role::Cluster | Role::Profile | Role::Tombstone)
    }

    /// Reads a stored body. What the type does not know is passed over.
    pub fn read(&self, body: &[u8]) -> Result<Resource, Unreadable> {
        let types = &self.declared.references;
        Ok(match self.declared.role {
            Role::Cluster => return self.read_over(body, None, &|_| false),
            Role::Profile => Resource::Profile(Profile::read(&Fields::of(body)?, types)?.into()),
            _ => {
                let body = serde_json::from_slice(body);
                return self
                    .parse(body.map_err(|error| Unreadable(format!("is not a JSON object: {error}")))?);
            }
        })
    }

    /// The same of a body that takes the place of `known`'s, and in which the fields are as they were of which
    /// `stays` says so.
    pub fn read_over(
        &self,
        body: &[u8],
        known: Option<&Resource>,
        stays: &dyn Fn(&str) -> bool,
    ) -> Result<Resource, Unreadable> {
        if self.declared.role != Role::Cluster {
            return self.read(body);
        }
        let kept = match known {
            Some(Resource::Cluster(known)) => Kept::of(&**known, stays),
            _ => Kept::NOTHING,
        };
        Ok(Resource::Cluster(Cluster::read(&Fields::of(body)?, &self.declared.references, kept)?.into()))
    }

    /// The same of a body that was taken apart already.
    pub fn parse(&self, body: Body) -> Result<Resource, Unreadable> {
        Ok(match self.declared.role {
            Role::Cluster | Role::Profile => {
                let body = serde_json::to_vec(&body).map_err(|error| Unreadable(error.to_string()))?;
                return self.read(&body);
            }
            Role::Component => Resource::Component(Component::parse(body)?.into()),
            Role::Definition => Resource::Definition(Definition::parse(body)?.into()),
            Role::Tombstone => Resource::Tombstone(Tombstone::parse(body, &self.declared.references)?.into()),
            Role::Freeze => Resource::Freeze(Freeze::parse(body)?.into()),
            Role::Source => Resource::Source(Source::parse(body)?.into()),
            Role::Type => Resource::Type(TypeDefinition::parse(body)?.into()),
        })
    }

    /// The id that a body to be created says it has: `id`, or `_id`, or a cluster's `cluster_name`.
    pub fn id_of_new(&self, body: &Body) -> Option<String> {
        let fields: &[&str] = match self.declared.role {
            Role::Cluster => &["id", "_id", "cluster_name"],
            Role::Type => return TypeDefinition::id_of(body),
            _ => &["id", "_id"],
        };
        let written = fields.iter().find_map(|field| body.get(*field).filter(|id| !id.is_null()));
        written.and_then(Value::as_str).map(String::from)
    }

    /// Brings a body that somebody sent into the form that is stored: `_id` becomes `id`, and what is
    /// null becomes absent, except where null is a value (`release.values`).
    pub fn normalize(&self, body: &mut Body) {
        // One that contradicts `id` stays, and is refused as a field that nobody knows.
        let written = body.get("id").filter(|id| !id.is_null());
        if written.is_none_or(|id| Some(id) == body.get("_id"))
            && let Some(id) = body.remove("_id")
        {
            body.insert("id".into(), id);
        }
        drop_nulls(body, &self.declared.schema);
    }

    /// The properties that a cluster's reference to its documents may override, each whole.
    pub fn overridable(&self) -> &BTreeSet<String> {
        &self.declared.overridable
    }

    /// Everything that is wrong with a whole document, judged alone.
    pub fn validate(&self, body: &Body, rules: &Rules) -> Vec<Violation> {
        self.judge(body, &Value::Object(body.clone()), self.parse(body.clone()).as_ref(), rules)
    }

    /// Everything that is wrong with `body`, which is read as `resource`, in what it says otherwise than `stored`,
    /// which it takes the place of: a cluster is long, and most of it stays as it is. What is wrong with both may
    /// be left out.
    pub fn validate_rewrite(
        &self,
        body: &Body,
        resource: Result<&Resource, &Unreadable>,
        stored: &Body,
        rules: &Rules,
    ) -> Vec<Violation> {
        let judged = match self.declared.role {
            Role::Cluster | Role::Profile => rewritten_fields(body, stored),
            // One field may say what another one has to be.
            _ => body.clone(),
        };
        self.judge(body, &Value::Object(judged), resource, rules)
    }

    /// What is wrong with what `judged` has of `body`, and with the `resource` that it is.
    fn judge(
        &self,
        body: &Body,
        judged: &Value,
        resource: Result<&Resource, &Unreadable>,
        rules: &Rules,
    ) -> Vec<Violation> {
        let mut found: Vec<_> =
            self.validator.iter_errors(judged).flat_map(|error| self.explain(&error)).collect();
        found.extend(self.oversized(body));
        found.extend(self.selectors(body));
        check_text(judged, "", &mut found);
        match resource {
            Ok(Resource::Cluster(cluster)) => found.extend(cluster.check(body, rules)),
            Ok(Resource::Profile(profile)) => found.extend(profile.check(body)),
            Ok(Resource::Component(component)) => found.extend(component.check()),
            Ok(Resource::Type(definition)) => found.extend(definition.check(body)),
            Ok(_) => {}
            Err(unreadable) if found.is_empty() => {
                found.push(Violation::new("", "unreadable", unreadable.0.clone()));
            }
            // The schema has said why already.
            Err(_) => {}
        }
        found.sort();
        found.dedup();
        found
    }

    /// Whether `id` may name a document of this type, and if not, why.
    pub fn check_id(&self, key: &Key) -> Option<Violation> {
        let rule = jsonschema::options().build(&self.declared.id).ok()?;
        let id = Value::from(key.id.as_str());
        let first = rule.iter_errors(&id).next()?;
        Some(Violation::new("/id", "id", sentence(&first, &self.declared.id)))
    }

    fn selectors(&self, body: &Body) -> Vec<Violation> {
        let properties = self.declared.schema.get("properties").and_then(Value::as_object);
        let fields =
            properties.into_iter().flatten().filter(|(_, schema)| schema.get("x-selector").is_some());
        let wrong = fields.filter_map(|(field, _)| {
            let error = body.get(field)?.as_str()?.parse::<Selector>().err()?;
            Some(Violation::new(format!("/{field}"), "selector", error.to_string()))
        });
        wrong.collect()
    }

    fn oversized(&self, body: &Body) -> Option<Violation> {
        let properties = self.declared.schema.get("properties")?.as_object()?;
        properties.iter().find_map(|(field, schema)| {
            let limit = schema.get("x-max-total-bytes")?.as_u64()?;
            let entries = body.get(field)?.as_object()?;
            let bytes: usize =
                entries.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
            let message = format!("holds {bytes} bytes in all; Kubernetes takes at most {limit}");
            (bytes as u64 > limit).then(|| Violation::new(format!("/{field}"), "too_large", message))
        })
    }

    fn explain(&self, error: &ValidationError<'_>) -> Vec<Violation> {
        let pointer = error.instance_path().as_str().to_owned();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
                .iter()
                .map(|field| {
                    let message = format!("`{field}` is not a field here{}", self.allowed_at(error));
                    Violation::new(format!("{pointer}/{}", escape(field)), "unknown_field", message)
                })
                .collect(),
            ValidationErrorKind::Required { property } => {
                let field = property.as_str().unwrap_or_default();
                let message = format!("`{field}` is required");
                vec![Violation::new(format!("{pointer}/{}", escape(field)), "missing_field", message)]
            }
            ValidationErrorKind::PropertyNames { error: inner } => {
                let key = inner.instance().as_str().unwrap_or_default().to_owned();
                let message = format!("the key {}", sentence(inner, &self.declared.schema));
                vec![Violation::new(format!("{pointer}/{}", escape(&key)), "key", message)]
            }
            kind => vec![Violation::new(pointer, code_of(kind), sentence(error, &self.declared.schema))],
        }
    }

    fn allowed_at(&self, error: &ValidationError<'_>) -> String {
        let parent = error.schema_path().as_str().trim_end_matches("/additionalProperties");
        let properties =
            self.declared.schema.pointer(&format!("{parent}/properties")).and_then(Value::as_object);
        let fields: Vec<_> = properties.into_iter().flat_map(|fields| fields.keys().cloned()).collect();
        if fields.is_empty() { String::new() } else { format!("; known are {}", fields.join(", ")) }
    }
}

impl std::fmt::Debug for ResourceType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ResourceType").field(&self.plural()).finish()
    }
}

/// `body` without the lists and objects that are the same in `stored`: a schema of ours judges each by itself.
fn rewritten_fields(body: &Body, stored: &Body) -> Body {
    let is_judged = |field: &str, value: &Value| {
        !(value.is_array() || value.is_object()) || stored.get(field) != Some(value)
    };
    let judged = body.iter().filter(|(field, value)| is_judged(field, value));
    judged.map(|(field, value)| (field.clone(), value.clone())).collect()
}

fn said_min_reader(schema: &Value) -> Option<u64> {
    schema.get("x-min-reader")?.as_u64()
}

/// The highest that `schema` says of what `body` holds, in lists of objects too.
fn min_reader_below(schema: &Value, body: &Body) -> Option<u64> {
    let properties = schema.get("properties")?;
    let of_field = |(field, value): (&String, &Value)| {
        let schema = properties.get(field)?;
        let items = value.as_array().into_iter().flatten().filter_map(Value::as_object);
        let items = items.filter_map(|item| min_reader_below(schema.get("items")?, item));
        said_min_reader(schema).max(items.max())
    };
    body.iter().filter_map(of_field).max()
}

fn escape(field: &str) -> String {
    field.replace('~', "~0").replace('/', "~1")
}

fn code_of(kind: &ValidationErrorKind) -> &'static str {
    match kind {
        ValidationErrorKind::Type { .. } => "type",
        ValidationErrorKind::Enum { .. } | ValidationErrorKind::Constant { .. } => "enum",
        ValidationErrorKind::Pattern { .. } | ValidationErrorKind::Not { .. } => "format",
        ValidationErrorKind::MaxLength { .. } => "too_long",
        ValidationErrorKind::MinLength { .. } => "too_short",
        ValidationErrorKind::UniqueItems => "repeated",
        ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. } => "out_of_range",
        ValidationErrorKind::FalseSchema => "not_here",
        _ => "schema",
    }
}

/// The sentence for `error`, with the rule in words where the schema has it.
fn sentence(error: &ValidationError<'_>, schema: &Value) -> String {
    let instance = shortened(&error.instance().to_string());
    match error.kind() {
        ValidationErrorKind::Pattern { .. } => rule_of(error, schema)
            .map_or_else(|| error.to_string(), |rule| format!("{instance} is not {rule}")),
        ValidationErrorKind::Not { .. } => rule_of(error, schema)
            .map_or_else(|| error.to_string(), |rule| format!("{instance} is reserved: {rule}")),
        ValidationErrorKind::Type { kind: TypeKind::Single(JsonType::String) } => match &**error.instance() {
            Value::Number(_) | Value::Bool(_) => format!("{instance} is not a string; write \"{instance}\""),
            _ => format!("{instance} is not a string"),
        },
        ValidationErrorKind::Type { kind: TypeKind::Single(expected) } => {
            format!("{instance} is not of type {expected}")
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<_> = options.as_array().into_iter().flatten().map(Value::to_string).collect();
            format!("{instance} is not one of {}", options.join(", "))
        }
        ValidationErrorKind::MinLength { limit: 1 } => "is empty".into(),
        ValidationErrorKind::MaxLength { limit } => {
            format!("{instance} is longer than {limit} characters")
        }
        ValidationErrorKind::FalseSchema => "does not belong here".into(),
        ValidationErrorKind::UniqueItems => "lists something twice".into(),
        _ => shortened(&error.to_string()),
    }
}

/// The rule in words that stands beside the keyword which `error` broke.
fn rule_of<'a>(error: &ValidationError<'_>, schema: &'a Value) -> Option<&'a str> {
    let (parent, _keyword) = error.schema_path().as_str().rsplit_once('/')?;
    schema.pointer(parent)?.get("x-rule")?.as_str()
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 120;
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

fn drop_nulls(body: &mut Body, schema: &Value) {
    if schema.get("x-keeps-null").is_some() {
        return;
    }
    body.retain(|_, value| !value.is_null());
    for (field, value) in body {
        let below = schema.get("properties").and_then(|properties| properties.get(field));
        drop_nulls_below(value, below.or_else(|| schema.get("additionalProperties")).unwrap_or(&Value::Null));
    }
}

fn drop_nulls_below(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(body) => drop_nulls(body, schema),
        Value::Array(items) => {
            let item = schema.get("items").unwrap_or(&Value::Null);
            items.iter_mut().for_each(|value| drop_nulls_below(value, item));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Types;

    #[track_caller]
    fn wrong(plural: &str, body: Value) -> String {
        let types = Types::built_in();
        let kind = types.of(plural).unwrap();
        let Value::Object(mut body) = body else { panic!("an object") };
        kind.normalize(&mut body);
        let found = kind.validate(&body, &Rules::default());
        found.iter().map(|violation| format!("{violation}\n")).collect()
    }

    #[test]
    fn a_cluster_says_everything_that_is_wrong_at_once() {
        insta::assert_snapshot!(wrong("clusters", json!({
            "id": "a.b", "cluster_name": 7, "enviroment": "dev", "cluster_dns": "-x",
            "labels": {"environment": "x", "k/": "v", "ok": "-"},
            "platform_components": [{"id": "X"}, {"enabled": "yes"}, {"id": "a", "release": {"name": "N", "timeout": "5"}}],
            "namespaces": ["cert-manager", {"id": "kube-system"}, {"id": "flux-system", "oci_tag": "v1"}],
            "patches": {"podinfo": {"replicaCount": 3}}
        })), @r#"
        /cluster_dns: "-x" is not a DNS name: labels of letters, digits and dashes, separated by dots (format)
        /cluster_name: 7 is not a string; write "7" (type)
        /enviroment: `enviroment` is not a field here; known are aliases, cluster_dns, cluster_name, environment, id, k0s_version, kubernetes_version, labels, namespaces, node_count, patches, platform_components, rolebindings, unset_patches, vm_image (unknown_field)
        /environment: `environment` is required (missing_field)
        /id: "a.b" is not a DNS-1123 label: lower case letters, digits and dashes, starting and ending with a letter or digit (format)
        /labels/environment: the key "environment" is reserved: `environment` and `id` are fields of the cluster (key)
        /labels/k~1: the key "k/" is not a Kubernetes qualified name: `name` or `dns.prefix/name`, the name of at most 63 letters, digits, `-`, `_` and `.` (key)
        /labels/ok: "-" is not a Kubernetes label value: at most 63 letters, digits, `-`, `_` and `.`, starting and ending with a letter or digit (format)
        /namespaces/0: "cert-manager" is not of type object (type)
        /namespaces/1/id: "kube-system" is reserved: `kube-*`, `default` and `flux-system` are never managed, since removing one would take the cluster down (format)
        /namespaces/2/id: "flux-system" is reserved: `kube-*`, `default` and `flux-system` are never managed, since removing one would take the cluster down (format)
        /namespaces/2/oci_tag: `oci_tag` is not a field here; known are exclude, expires, id, note, on_remove (unknown_field)
        /patches/podinfo/replicaCount: 3 is not a string; write "3" (type)
        /platform_components/0/id: "X" is not a DNS-1123 label: lower case letters, digits and dashes, starting and ending with a letter or digit (format)
        /platform_components/1/enabled: "yes" is not of type boolean (type)
        /platform_components/1/id: `id` is required (missing_field)
        /platform_components/2/release/name: "N" is not a Helm release name: lower case letters, digits and dashes (format)
        /platform_components/2/release/timeout: "5" is not a duration such as 90s, 5m or 1h30m (format)
        "#);
    }

    #[test]
    fn what_a_schema_cannot_say_is_said_too() {
        insta::assert_snapshot!(wrong("clusters", json!({
            "id": "c", "cluster_name": "c", "cluster_dns": "c.example.com", "environment": "production",
            "platform_components": [{"id": "a"}, {"id": "a"}], "namespaces": [{"id": "n"}, {"id": "n"}]
        })), @"
        /environment: `production` is not one of this fleet's environments: dev, qa, uat, prod (environment)
        /namespaces/1/id: `n` is already listed at /namespaces/0 (repeated)
        /platform_components/1/id: `a` is already listed at /platform_components/0 (repeated)
        ");
        insta::assert_snapshot!(wrong("platform_components", json!({
            "id": "a", "component_path": "", "oci_url": "https://x.example", "delivery": "kustomize",
            "depends_on": ["a"], "release": {"name": "x", "timeout": "5m"}
        })), @"
        /component_path: is empty (too_short)
        /oci_url: delivery kustomize reads overlays from an OCI artifact: oci_url must start with oci:// (delivery)
        /release/name: `name` is for Helm releases; this component's delivery is kustomize (delivery)
        ");
        insta::assert_snapshot!(wrong("platform_components", json!({
            "id": "a", "component_path": "p", "oci_url": "https://x.example", "delivery": "kustomize",
            "depends_on": ["a"], "release": {"name": "x", "timeout": "5m"}
        })), @"
        /oci_url: delivery kustomize reads overlays from an OCI artifact: oci_url must start with oci:// (delivery)
        /release/name: `name` is for Helm releases; this component's delivery is kustomize (delivery)
        ");
    }

    #[test]
    fn subjects_are_judged_by_their_kind() {
        insta::assert_snapshot!(wrong("rolebindings", json!({
            "id": "system:x", "role": "a b", "subjects": [
                {"kind": "ServiceAccount", "name": "flux", "namespace": "flux-system"},
                {"kind": "ServiceAccount", "name": "flux", "apiGroup": "rbac.authorization.k8s.io"},
                {"kind": "User", "name": "jane@example.com", "namespace": "x"},
                {"kind": "Robot", "name": ""}
            ]
        })), @r#"
        /role: "a b" is not the name of a ClusterRole: letters, digits, `-`, `.`, `_` and `:` (format)
        /subjects/1/apiGroup: "rbac.authorization.k8s.io" is not one of "" (enum)
        /subjects/1/namespace: `namespace` is required (missing_field)
        /subjects/2/namespace: does not belong here (not_here)
        /subjects/3/kind: "Robot" is not one of "User", "Group", "ServiceAccount" (enum)
        /subjects/3/name: is empty (too_short)
        "#);
    }

    #[test]
    fn annotations_have_a_total_size() {
        let text = "x".repeat(200_000);
        assert!(wrong("namespaces", json!({"id": "a", "annotations": {"a": text}})).is_empty());
        insta::assert_snapshot!(wrong("namespaces", json!({"id": "a", "annotations": {"a": text, "b": text}})), @"/annotations: holds 400002 bytes in all; Kubernetes takes at most 262000 (too_large)");
    }

    #[test]
    fn a_rewrite_is_judged_by_what_it_changes() {
        let types = Types::built_in();
        let kind = types.of("clusters").unwrap();
        let required = kind.schema()["required"].as_array().unwrap();
        for field in required.iter().map(|field| field.as_str().unwrap()) {
            assert_eq!(kind.schema()["properties"][field]["type"], "string", "{field} could be left out");
        }
        let stored = json!({
            "id": "c", "cluster_name": "c", "cluster_dns": "c.example.com", "environment": "dev",
            "aliases": ["old.example.com"], "namespaces": [{"id": "N"}],
            "patches": {"a": {"k": "1"}}, "unset_patches": {"b": ["x"]}, "future": {"x": 1}
        });
        let object = |value: &Value| value.as_object().unwrap().clone();
        let wrong = |changes: Value| {
            let mut body = object(&stored);
            body.extend(object(&changes));
            let resource = kind.parse(body.clone());
            let found = kind.validate_rewrite(&body, resource.as_ref(), &object(&stored), &Rules::default());
            found.into_iter().map(|violation| violation.pointer).collect::<Vec<_>>()
        };
        assert_eq!(wrong(json!({"node_count": 3})), [""; 0]);
        assert_eq!(wrong(json!({"node_count": "3"})), ["/node_count"]);
        assert_eq!(wrong(json!({"cluster_dns": "old.example.com"})), ["/aliases/0"]);
        assert_eq!(wrong(json!({"unset_patches": {"a": ["k"]}})), ["/unset_patches/a"]);
        assert_eq!(wrong(json!({"patches": {"b": {"x": "1"}}})), ["/unset_patches/b"]);
        assert_eq!(wrong(json!({"namespaces": [{"id": "N"}, {"id": "m"}]})), ["/namespaces/0/id"]);
        assert_eq!(wrong(json!({"future": {"x": 2}})), ["/future"]);
    }

    #[test]
    fn null_is_absent_except_among_a_charts_values() {
        let types = Types::built_in();
        let kind = types.of("clusters").unwrap();
        let Value::Object(mut body) = json!({
            "_id": "c", "labels": null, "patches": {"a": {"k": null}},
            "platform_components": [{"id": "a", "oci_tag": null, "release": {"name": null, "values": {"x": null}}}]
        }) else {
            unreachable!()
        };
        kind.normalize(&mut body);
        let expected = json!({
            "id": "c", "patches": {"a": {}},
            "platform_components": [{"id": "a", "release": {"values": {"x": null}}}]
        });
        assert_eq!(Value::Object(body), expected);
    }
}
