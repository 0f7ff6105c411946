//! Random histories over a small key space, so that ids, references and DNS names collide all the time.

use flux_resourceset_merge::{Fleet, Refusal};
use flux_resourceset_model::Rules;
use flux_resourceset_model::change::{DocumentChange, Key, Operation, Verb};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::naive::{Documents, SELECTORS};

/// Applies operations one write each, as a server would; a refused one changes nothing.
pub(crate) struct History {
    pub(crate) fleet: Fleet,
}

impl History {
    pub(crate) fn new() -> Self {
        History { fleet: Fleet::empty(Rules::default()) }
    }

    pub(crate) fn write(&mut self, operations: &[Operation]) -> Result<Vec<DocumentChange>, Refusal> {
        let prepared = self.fleet.prepare(operations)?;
        let followed = self.fleet.apply(self.fleet.revision() + 1, &prepared.documents);
        let followed = followed.expect("what is prepared can be followed");
        self.fleet = prepared.next(&self.fleet).expect("the writer follows it too");
        assert_eq!((stored(&self.fleet), self.fleet.revision()), (stored(&followed), followed.revision()));
        Ok(prepared.documents)
    }

    pub(crate) fn after(operations: &[Operation]) -> Self {
        let mut history = History::new();
        for operation in operations {
            let _refused = history.write(std::slice::from_ref(operation));
        }
        history
    }
}

/// Every document of `fleet`, as values.
pub(crate) fn documents(fleet: &Fleet) -> Documents {
    let table = |plural: &str| {
        let list = fleet.list(plural);
        list.map(|(id, document)| (id.to_owned(), serde_json::from_slice(&document.body()).unwrap()))
            .collect()
    };
    fleet.types().iter().map(|kind| (kind.plural().to_owned(), table(kind.plural()))).collect()
}

/// What `Fleet::load` takes of `fleet`.
pub(crate) fn stored(fleet: &Fleet) -> Vec<(Key, u64, Vec<u8>)> {
    let types = fleet.types().iter().map(|kind| kind.plural());
    types
        .flat_map(|plural| {
            let list = fleet.list(plural);
            list.map(move |(id, document)| {
                (Key::new(plural, id), document.revision(), document.body().to_vec())
            })
        })
        .collect()
}

pub(crate) const DNS_NAMES: [&str; 4] = ["one.example.com", "TWO.example.com", "two.example.com.", "three"];
pub(crate) const PATHS: [&str; 3] = ["platform-components", "namespaces", "rolebindings"];
const CLUSTERS: [&str; 3] = ["c1", "c2", "c3"];
const COMPONENTS: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 2] = ["n1", "n2"];
const ROLEBINDINGS: [&str; 2] = ["r1", "system:r2"];

/// A field that is absent, null, or one of `values`.
fn field(name: &'static str, values: Vec<Value>) -> impl Strategy<Value = Option<(&'static str, Value)>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some((name, Value::Null))),
        3 => select(values).prop_map(move |value| Some((name, value))),
    ]
}

fn object(fields: Vec<Option<(&'static str, Value)>>) -> Value {
    Value::Object(fields.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn release() -> Vec<Value> {
    vec![
        json!({}),
        json!({"values": {"x": {"y": 1, "z": null}, "list": [1]}}),
        json!({"values": {"x": {"y": {"deep": true}}}, "timeout": "5m"}),
        json!({"values": {"x": "flat"}, "suspend": true, "target_namespace": "t"}),
    ]
}

fn on_remove() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    field("on_remove", vec!["delete".into(), "keep".into()])
}

prop_compose! {
    fn plain_component_reference()(
        id in select(COMPONENTS.to_vec()),
        enabled in field("enabled", vec![true.into(), false.into()]),
        tag in field("oci_tag", vec!["v1".into(), "v2".into()]),
        path in field("component_path", vec!["p1".into(), "p2".into()]),
        on_remove in on_remove(),
        release in field("release", release()),
    ) -> Value {
        object(vec![Some(("id", id.into())), enabled, tag, path, on_remove, release])
    }
}

/// One that takes out what lower layers give, now and then.
fn or_excluded(
    ids: &'static [&'static str],
    reference: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Value> {
    prop_oneof![7 => reference, 1 => select(ids).prop_map(|id| json!({"id": id, "exclude": true}))]
}

fn component_reference() -> impl Strategy<Value = Value> {
    or_excluded(&COMPONENTS, plain_component_reference())
}

fn references(ids: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let reference =
        (select(ids), on_remove()).prop_map(|(id, keep)| object(vec![Some(("id", id.into())), keep]));
    prop::collection::vec(or_excluded(ids, reference), 0..3).prop_map(Value::Array)
}

fn unset() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    let some =
        field("unset_patches", vec![json!({"a": ["x"]}), json!({"b": ["x", "y"], "c": []}), json!({})]);
    prop_oneof![3 => Just(None), 1 => some]
}

fn sometimes(
    name: &'static str,
    value: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Option<(&'static str, Value)>> {
    prop_oneof![1 => Just(None), 3 => value.prop_map(move |value| Some((name, value)))]
}

prop_compose! {
    pub(crate) fn cluster()(
        dns in select(DNS_NAMES.to_vec()),
        environment in select(vec!["dev", "prod"]),
        components in sometimes("platform_components", prop::collection::vec(component_reference(), 0..3).prop_map(Value::Array)),
        namespaces in sometimes("namespaces", references(&NAMESPACES)),
        rolebindings in sometimes("rolebindings", references(&ROLEBINDINGS)),
        labels in field("labels", vec![json!({"tier": "edge"}), json!({"tier": "core"}), json!({})]),
        aliases in prop_oneof![5 => Just(None), 1 => field("aliases", vec![json!([]), json!(["three"])])],
        patches in patches(),
        unset in unset(),
    ) -> Value {
        object(vec![
            Some(("cluster_dns", dns.into())), Some(("environment", environment.into())),
            components, namespaces, rolebindings, patches, unset, labels, aliases,
        ])
    }
}

fn patches() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    let some = vec![json!({"a": {"x": "1", "y.z": "2"}}), json!({"b": {"x": "3"}, "c": {}}), json!({})];
    field("patches", some)
}

prop_compose! {
    pub(crate) fn profile()(
        selector in select(SELECTORS.to_vec()),
        priority in field("priority", vec![0.into(), 5.into(), (-5).into(), 10.into()]),
        components in sometimes("platform_components", prop::collection::vec(component_reference(), 0..3).prop_map(Value::Array)),
        namespaces in sometimes("namespaces", references(&NAMESPACES)),
        rolebindings in sometimes("rolebindings", references(&ROLEBINDINGS)),
        patches in patches(),
        unset in unset(),
    ) -> Value {
        let selector = Some(("selector", selector.into()));
        object(vec![selector, priority, components, namespaces, rolebindings, patches, unset])
    }
}

pub(crate) const PROFILES: [&str; 4] = ["p1", "p2", "p3", "p4"];

pub(crate) fn profile_operation() -> BoxedStrategy<Operation> {
    let labels = select(vec![json!({"tier": "edge"}), json!({"tier": "core"}), Value::Null]);
    let moved = (select(CLUSTERS.to_vec()), labels).prop_map(|(id, labels)| {
        Operation::new(Verb::Update, Key::new("clusters", id), Some(json!({"labels": labels})))
    });
    prop_oneof![5 => of_type("profiles", &PROFILES, profile().boxed()), 1 => moved].boxed()
}

prop_compose! {
    fn component()(
        path in select(vec!["q1", "q2"]),
        version in field("component_version", vec!["1.0.0".into()]),
        tag in field("oci_tag", vec!["v3".into(), "v4".into()]),
        env in field("cluster_env_enabled", vec![true.into(), false.into()]),
        depends_on in field("depends_on", vec![json!([]), json!([]), json!([]), json!(["a"]), json!(["b"]), json!(["a", "c"])]),
        enabled in field("enabled", vec![true.into(), false.into()]),
        delivery in field("delivery", vec!["helm".into(), "helm".into(), "helm".into(), "helm".into(), "kustomize".into()]),
        on_remove in on_remove(),
        release in field("release", release()),
    ) -> Value {
        object(vec![
            Some(("component_path", path.into())), Some(("oci_url", "oci://registry/x".into())),
            version, tag, env, depends_on, enabled, delivery, on_remove, release,
        ])
    }
}

prop_compose! {
    fn namespace()(
        labels in field("labels", vec![json!({}), json!({"team": "x"})]),
        annotations in field("annotations", vec![json!({"a": "\"<<\n"})]),
        on_remove in on_remove(),
    ) -> Value {
        object(vec![labels, annotations, on_remove])
    }
}

prop_compose! {
    fn rolebinding()(
        role in select(vec!["view", "system:admin"]),
        subjects in field("subjects", vec![json!([]), json!([{"kind": "Group", "name": "g"}])]),
        on_remove in on_remove(),
    ) -> Value {
        object(vec![Some(("role", role.into())), subjects, on_remove])
    }
}

fn of_type(
    plural: &'static str,
    ids: &'static [&'static str],
    body: impl Strategy<Value = Value> + 'static,
) -> impl Strategy<Value = Operation> {
    let verb = prop_oneof![5 => Just(Verb::Create), 3 => Just(Verb::Update), 3 => Just(Verb::Patch), 2 => Just(Verb::Delete)];
    (verb, select(ids), body, any::<bool>()).prop_map(move |(verb, id, mut body, force)| {
        if plural == "clusters" && verb == Verb::Create {
            body["cluster_name"] = id.into();
        }
        let body = (verb != Verb::Delete).then_some(body);
        Operation { force: force && verb == Verb::Delete, ..Operation::new(verb, Key::new(plural, id), body) }
    })
}

fn definition_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => of_type("platform_components", &COMPONENTS, component()),
        1 => of_type("namespaces", &NAMESPACES, namespace()),
        1 => of_type("rolebindings", &ROLEBINDINGS, rolebinding()),
    ]
}

pub(crate) fn cluster_operation() -> impl Strategy<Value = Operation> {
    of_type("clusters", &CLUSTERS, cluster())
}

/// Of a part of one cluster, or of all that a selector chooses.
fn part_operation() -> impl Strategy<Value = Operation> {
    let part = prop_oneof![
        3 => component_reference().prop_map(|body| ("platform_components", body)),
        1 => (select(NAMESPACES.to_vec()), on_remove())
            .prop_map(|(id, keep)| ("namespaces", object(vec![Some(("id", id.into())), keep]))),
        1 => select(vec![json!({"id": "a", "x": "5"}), json!({"id": "b", "x": null, "y": "6"})])
            .prop_map(|body| ("patches", body)),
    ];
    let verb = prop_oneof![1 => Just(Verb::Create), 4 => Just(Verb::Update), 2 => Just(Verb::Patch), 3 => Just(Verb::Delete)];
    let select_by = prop_oneof![3 => Just(None), 1 => select(SELECTORS.to_vec()).prop_map(Some)];
    (part, verb, select(CLUSTERS.to_vec()), select_by).prop_map(
        |((field, mut body), verb, cluster, select)| {
            let id = body["id"].as_str().unwrap_or_default().to_owned();
            if field == "patches" {
                body.as_object_mut().unwrap().remove("id");
            }
            let body = (verb != Verb::Delete).then_some(body);
            let every = select.map_or(cluster, |_| Operation::EVERY);
            let operation = Operation::new(verb, Key::new("clusters", every), body).on(field, id);
            Operation { select: select.map(String::from), ..operation }
        },
    )
}

/// Purges, wipes and restores a tombstone; puts on a freeze and lifts it.
fn rare_operation() -> impl Strategy<Value = Operation> {
    let tombstone = select(CLUSTERS.to_vec()).prop_map(|id| Key::new("tombstones", id));
    let freeze = || select(vec!["f1", "f2"]).prop_map(|id| Key::new("freezes", id));
    prop_oneof![
        2 => (tombstone, any::<bool>()).prop_map(|(key, wipe)| {
            let verb = if wipe { Verb::Update } else { Verb::Delete };
            Operation::new(verb, key, wipe.then(|| json!({"held": null})))
        }),
        1 => (freeze(), select(SELECTORS.to_vec())).prop_map(|(key, selector)| {
            Operation::new(Verb::Create, key, Some(json!({"selector": selector, "reason": "why"})))
        }),
        2 => freeze().prop_map(|key| Operation::new(Verb::Delete, key, None)),
    ]
}

/// Boxed, as large ones are, since they are moved about on the stack.
pub(crate) fn operation() -> BoxedStrategy<Operation> {
    prop_oneof![
        4 => definition_operation().boxed(),
        4 => cluster_operation().boxed(),
        3 => part_operation().boxed(),
        3 => profile_operation(),
        1 => rare_operation().boxed(),
    ]
    .boxed()
}

/// A history that first creates most definitions, so that most clusters are accepted.
pub(crate) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let first = [
        ("platform_components", "c"),
        ("platform_components", "a"),
        ("platform_components", "b"),
        ("namespaces", "n1"),
        ("rolebindings", "r1"),
    ];
    let base = first.map(|(plural, id)| {
        let body = match plural {
            "platform_components" => json!({"component_path": "q", "oci_url": "oci://registry/x"}),
            "rolebindings" => json!({"role": "view"}),
            _ => json!({}),
        };
        Operation::new(Verb::Create, Key::new(plural, id), Some(body))
    });
    prop::collection::vec(operation(), 0..40).prop_map(move |mut rest| {
        let mut all = base.to_vec();
        all.append(&mut rest);
        all
    })
}
