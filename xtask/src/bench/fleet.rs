//! The fleet that polls, memory, writes and starts are measured with: the same documents each time, of the sizes
//! that real ones have, spread so that two clusters hardly ever have the same.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

/// Of Flux, as a poll names them.
pub(super) const PATHS: [&str; 3] = ["platform-components", "namespaces", "rolebindings"];
pub(super) const MIX: &str = "each cluster: 20 components out of a catalog of 40, 10 namespaces of 30, 4 role bindings of 12, \
     patches on 5 components; 3 in 10 have a tag of their own, 1 in 5 values, 1 in 7 a disabled component";

const CATALOG: [&str; 40] = [
    "cert-manager",
    "external-secrets",
    "ingress-nginx",
    "metrics-server",
    "node-local-dns",
    "kyverno",
    "prometheus-operator",
    "fluent-bit",
    "argo-rollouts",
    "cilium",
    "cluster-autoscaler",
    "crossplane",
    "descheduler",
    "dex",
    "external-dns",
    "falco",
    "gatekeeper",
    "grafana",
    "harbor",
    "istiod",
    "jaeger",
    "karpenter",
    "keda",
    "keycloak",
    "kube-state-metrics",
    "linkerd",
    "loki",
    "longhorn",
    "metallb",
    "mimir",
    "minio",
    "nats",
    "opencost",
    "opentelemetry-operator",
    "postgres-operator",
    "reloader",
    "rook-ceph",
    "strimzi",
    "tempo",
    "velero",
];
/// Every cluster has it, and patches of it.
pub(super) const COMMON_COMPONENT: &str = CATALOG[0];
/// The first of the catalog, which every cluster has.
const COMMON: usize = 8;
const REFERENCES: usize = 20;
const NAMESPACES: usize = 30;
const ROLES: usize = 12;

pub(super) fn id(n: usize) -> String {
    format!("cluster-{n:06}")
}

pub(super) fn dns(n: usize) -> String {
    format!("{}.k8s.example.com", id(n))
}

/// Writes a fleet of so many clusters as a seed file. Piece by piece: a large one is no value to be held.
pub(super) fn write_seed(clusters: usize, file: &Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    let catalog = (0..CATALOG.len()).map(component).collect::<Vec<_>>();
    let namespaces = (0..NAMESPACES).map(namespace).collect::<Vec<_>>();
    let roles = (0..ROLES).map(role).collect::<Vec<_>>();
    write!(out, "{{\"platform_components\":{},", Value::from(catalog))?;
    write!(
        out,
        "\"namespaces\":{},\"rolebindings\":{},\"clusters\":[",
        Value::from(namespaces),
        Value::from(roles)
    )?;
    for n in 0..clusters {
        write!(out, "{}{}", if n == 0 { "" } else { "," }, cluster(n))?;
    }
    out.write_all(b"]}")?;
    out.flush()?;
    Ok(())
}

/// The document of the `n`th cluster.
pub(super) fn cluster(n: usize) -> Value {
    let components: Vec<usize> =
        (0..COMMON).chain((0..REFERENCES - COMMON).map(|k| COMMON + spread(n, k, 32))).collect();
    let references: Vec<Value> =
        components.iter().enumerate().map(|(at, of)| reference(n, at, CATALOG[*of])).collect();
    let namespaces = (0..4).chain((0..6).map(|k| 4 + spread(n, k, NAMESPACES - 4)));
    let roles = std::iter::once(0).chain((0..3).map(|k| 1 + spread(n, k, ROLES - 1)));
    json!({
        "id": id(n), "cluster_name": id(n), "cluster_dns": dns(n), "environment": environment(n),
        "labels": {
            "region": format!("region-{:02}", n % 40), "tier": (n % 5).to_string(),
            "team": format!("team-{:03}", n % 150)
        },
        "node_count": 3 + n % 60, "kubernetes_version": "1.33.4", "k0s_version": "1.33.4+k0s.0",
        "platform_components": references,
        "namespaces": namespaces.map(|at| json!({"id": namespace_id(at)})).collect::<Vec<_>>(),
        "rolebindings": roles.map(|at| json!({"id": role_id(at)})).collect::<Vec<_>>(),
        "patches": {
            CATALOG[components[0]]: {"replicaCount": (2 + n % 3).to_string(), "webhook.timeoutSeconds": "10"},
            CATALOG[components[2]]: {
                "controller.replicaCount": (2 + n % 4).to_string(), "controller.config.domain": dns(n),
                "controller.service.loadBalancerIP": format!("10.{}.{}.1", n / 256 % 256, n % 256)
            },
            CATALOG[components[6]]: {"retention": format!("{}d", 7 + n % 24), "externalLabels.cluster": id(n)},
            CATALOG[components[9]]: {"ingress.hosts.main": dns(n), "logLevel": "info"},
            CATALOG[components[14]]: {"persistence.size": format!("{}Gi", 10 + n % 90)}
        }
    })
}

/// The `k`th of `count` that the `n`th cluster has: all different, since 5 divides none of the counts.
fn spread(n: usize, k: usize, count: usize) -> usize {
    (n * 7 + n / count + k * 5) % count
}

fn environment(n: usize) -> &'static str {
    ["prod", "dev", "prod", "qa", "prod", "uat", "prod", "dev"][n % 8]
}

/// The `at`th reference of the `n`th cluster, with what it overrides.
fn reference(n: usize, at: usize, id: &str) -> Value {
    match at {
        3 if n % 10 < 3 => json!({"id": id, "oci_tag": format!("2.{}.1", n % 9)}),
        10 if n.is_multiple_of(5) => json!({"id": id, "release": {"values": {"replicas": 1 + n % 4}}}),
        12 if n.is_multiple_of(7) => json!({"id": id, "enabled": false}),
        _ => json!({"id": id}),
    }
}

fn component(n: usize) -> Value {
    let id = CATALOG[n];
    let depends_on: &[&str] = match n {
        0..COMMON => &[],
        _ if n.is_multiple_of(3) => &["cert-manager", "external-secrets"],
        _ => &["cert-manager"],
    };
    json!({
        "id": id, "component_path": format!("charts/{id}"), "component_version": format!("{}.{}.0", 1 + n % 4, n % 17),
        "cluster_env_enabled": n.is_multiple_of(4), "oci_url": "oci://registry.example.com/platform/charts",
        "oci_tag": format!("{}.{}.{}", 1 + n % 4, n % 17, n % 6), "depends_on": depends_on,
        "release": {"values": {
            "image": {"registry": "registry.example.com", "repository": format!("mirror/{id}"), "pullPolicy": "IfNotPresent"},
            "replicas": 2, "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "serviceMonitor": {"enabled": true}
        }}
    })
}

fn namespace_id(n: usize) -> String {
    format!("platform-area-{n:02}")
}

fn namespace(n: usize) -> Value {
    json!({
        "id": namespace_id(n),
        "labels": {
            "pod-security.kubernetes.io/enforce": if n.is_multiple_of(3) { "privileged" } else { "baseline" },
            "team": format!("team-{:03}", n * 5), "managed-by": "platform"
        },
        "annotations": {"contact": format!("team-{:03}@example.com", n * 5), "cost-center": format!("cc-{}", 4000 + n)}
    })
}

fn role_id(n: usize) -> String {
    format!("platform-role-{n:02}")
}

fn role(n: usize) -> Value {
    let group = |kind: &str| json!({"kind": "Group", "name": format!("{kind}-{n:02}@example.com"), "apiGroup": "rbac.authorization.k8s.io"});
    json!({
        "id": role_id(n), "role": (["view", "edit", "admin"][n % 3]),
        "subjects": [group("on-call"), group("owners"), {"kind": "ServiceAccount", "name": "deployer", "namespace": namespace_id(n)}]
    })
}
