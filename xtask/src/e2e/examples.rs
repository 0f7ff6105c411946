//! The worked examples of `deploy/examples`: each type, document, provider and template as it stands there, on an API
//! server that knows the kinds. Their controllers play no part.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{DNS, World, cluster, same};
use crate::fleet::Fleet;
use crate::kubectl::{FLUX_SYSTEM, PROVIDERS, RESOURCE_SETS, text};
use crate::manifests::examples as folder;
use crate::workspace::root;

const QUOTAS: &str = "resourcequotas";
const LIMIT_RANGES: &str = "limitranges";
const POLICIES: &str = "networkpolicies.networking.k8s.io";
const SECRETS: &str = "externalsecrets.external-secrets.io";
const GIT_REPOSITORIES: &str = "gitrepositories.source.toolkit.fluxcd.io";
const DEPLOYMENTS: &str = "kluctldeployments.flux.kluctl.io";

/// Every example, by the name of its document's file.
const EXAMPLES: [(&str, &str); 4] = [
    ("network-policies", "network_policy"),
    ("resource-quotas", "resource_quota"),
    ("external-secrets", "external_secret"),
    ("kluctl-deployments", "kluctl_deployment"),
];

pub(super) fn examples(world: &World) -> Result<()> {
    let kubectl = world.kubectl();
    let crds = world.tools.example_crds();
    let ours = root().join("xtask/crds");
    for crds in [&crds, &ours] {
        let crds = crds.to_str().context("the folder of the CRDs has an impossible name")?;
        kubectl.run(&["apply", "--server-side", "-f", crds])?;
    }
    kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;

    let namespaces = json!([{"id": "monitoring"}, {"id": "blue"}, {"id": "shop"}]);
    let fleet = world.fleet(&json!({
        "clusters": [cluster(json!({"namespaces": namespaces}))], "namespaces": namespaces
    }))?;
    world.join(&fleet)?;
    all_are_here()?;
    for (name, document) in EXAMPLES {
        add(world, &fleet, name, document)?;
    }
    world.poll()?;
    for (name, _) in EXAMPLES {
        safe(world, name)?;
    }
    as_defined(world)?;

    let part = |of: &str| format!("clusters/demo-cluster-01/{of}");
    let changes = json!({"changes": [
        {"patch": part("resource_quotas/team-blue"), "body": {"hard": {"pods": "100"}, "default_limits": {}, "default_requests": {}}},
        {"patch": part("external_secrets/database-login"), "body": {"store": {"kind": "SecretStore", "name": "yes"}}},
        {"patch": part("kluctl_deployments/microservices-demo"), "body": {"target": "prod", "prune": false, "rename_contexts": []}}
    ]});
    fleet.write("POST", "api/v2/changes", &changes)?;
    world.poll()?;
    as_overridden(world)
}

fn all_are_here() -> Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder())? {
        found.push(entry?.file_name().to_string_lossy().into_owned());
    }
    found.retain(|name| !name.contains('.'));
    found.sort();
    let mut known = EXAMPLES.map(|(name, _)| name);
    known.sort_unstable();
    ensure!(found == known, "in deploy/examples are {found:?}, tried are {known:?}");
    Ok(())
}

/// Registers the type, creates its document, has the cluster refer to it, and gives the cluster what polls it.
fn add(world: &World, fleet: &Fleet, name: &str, document: &str) -> Result<()> {
    let read = |file: &str| {
        let path = folder().join(name).join(file);
        fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))
    };
    let registered = fleet.register(&read("resource_type.yaml")?)?;
    let plural = text(&registered["id"]);
    let mut definition: Value = serde_saphyr::from_str(&read(&format!("{document}.yaml"))?)?;
    if definition["url"].is_string() {
        // The real source-controller runs here, and should fetch nothing from far away.
        definition["url"] = json!("http://127.0.0.1:9/kluctl-examples.git");
    }
    let part = format!("clusters/*/{plural}/{}", text(&definition["id"]));
    let changes = json!({"changes": [
        {"create": format!("{plural}/{}", text(&definition["id"])), "body": definition},
        {"update": part, "select": "environment=dev", "body": {}}
    ]});
    fleet.write("POST", "api/v2/changes", &changes)?;
    world.kubectl().apply(&world.manifests.example(&world.scene, name, &fleet.url(), DNS)?)
}

/// What every provider and ResourceSet that we ship has.
fn safe(world: &World, name: &str) -> Result<()> {
    let provider = world.kubectl().existing(PROVIDERS, FLUX_SYSTEM, name)?;
    same("the limit of the provider", &provider["spec"]["filter"]["limit"], &json!(10_000))?;
    let url = text(&provider["spec"]["url"]);
    ensure!(url.ends_with(&format!("/{DNS}/{name}")), "the provider of {name} polls {url}");
    let set = world.kubectl().existing(RESOURCE_SETS, FLUX_SYSTEM, name)?;
    let guard = json!([{
        "apiVersion": "fluxcd.controlplane.io/v1", "kind": "ResourceSetInputProvider", "name": name,
        "namespace": FLUX_SYSTEM, "ready": true, "readyExpr": "has(status.lastExportedRevision)"
    }]);
    same("the guard", &set["spec"]["dependsOn"], &guard)?;
    for (object, annotation) in [(&provider, "prune"), (&set, "prune"), (&set, "substitute")] {
        let key = format!("kustomize.toolkit.fluxcd.io/{annotation}");
        same(&key, &object["metadata"]["annotations"][&key], &json!("disabled"))?;
    }
    Ok(())
}

fn as_defined(world: &World) -> Result<()> {
    let kubectl = world.kubectl();
    let spec = |kind: &str, namespace: &str, name: &str| -> Result<Value> {
        Ok(kubectl.existing(kind, namespace, name)?["spec"].take())
    };
    let policy = spec(POLICIES, "monitoring", "allow-monitoring")?;
    let from = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "prometheus"}}}]);
    same("whom the policy lets in", &policy["ingress"][0]["from"], &from)?;
    same("to which port", &policy["ingress"][0]["ports"][0]["port"], &json!(9090))?;

    let hard = json!({"hard": {"requests.cpu": "4", "requests.memory": "8Gi", "pods": "20"}});
    same("the quota", &spec(QUOTAS, "blue", "team-blue")?, &hard)?;
    let limits = json!({"limits": [{
        "type": "Container", "default": {"memory": "512Mi"}, "defaultRequest": {"cpu": "100m", "memory": "128Mi"}
    }]});
    same("the defaults of containers", &spec(LIMIT_RANGES, "blue", "team-blue")?, &limits)?;

    let secret = spec(SECRETS, "shop", "database-login")?;
    let store = json!({"kind": "ClusterSecretStore", "name": "vault-dev"});
    same("the store", &secret["secretStoreRef"], &store)?;
    same("how often it is fetched", &secret["refreshInterval"], &json!("1h"))?;
    same("the name of the Secret", &secret["target"]["name"], &json!("database-login"))?;
    let data: Vec<_> = secret["data"].as_array().into_iter().flatten().collect();
    ensure!(data.len() == 2, "the secret has {data:?}");
    same("a key of the Secret", &data[0]["secretKey"], &json!("password"))?;
    same("where that is kept", &data[0]["remoteRef"]["key"], &json!("shop/database"))?;
    same("in which property", &data[0]["remoteRef"]["property"], &json!("password"))?;
    same("the property of the other", &data[1]["remoteRef"]["property"], &Value::Null)?;

    let repository = spec(GIT_REPOSITORIES, FLUX_SYSTEM, "kluctl-microservices-demo")?;
    same("the branch", &repository["ref"], &json!({"branch": "main"}))?;
    let expected = deployment(json!({
        "target": "test", "prune": true,
        "renameContexts": [{"oldContext": "default", "newContext": "kind-kind"}]
    }));
    same("the deployment", &spec(DEPLOYMENTS, FLUX_SYSTEM, "kluctl-microservices-demo")?, &expected)
}

fn as_overridden(world: &World) -> Result<()> {
    let kubectl = world.kubectl();
    let quota = kubectl.existing(QUOTAS, "blue", "team-blue")?;
    same("the cluster's quota", &quota["spec"], &json!({"hard": {"pods": "100"}}))?;
    kubectl.absent(LIMIT_RANGES, "blue", "team-blue")?;
    let secret = kubectl.existing(SECRETS, "shop", "database-login")?;
    let store = json!({"kind": "SecretStore", "name": "yes"});
    same("the cluster's store", &secret["spec"]["secretStoreRef"], &store)?;
    same("what it did not override", &secret["spec"]["data"][0]["secretKey"], &json!("password"))?;
    let expected = deployment(json!({"target": "prod", "prune": false}));
    let found = kubectl.existing(DEPLOYMENTS, FLUX_SYSTEM, "kluctl-microservices-demo")?;
    same("the cluster's deployment", &found["spec"], &expected)
}

fn deployment(more: Value) -> Value {
    let mut spec = json!({
        "interval": "10m", "timeout": "2m", "path": "./microservices-demo/3-templating-and-multi-env/",
        "sourceRef": {"kind": "GitRepository", "name": "kluctl-microservices-demo"}
    });
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    spec
}
