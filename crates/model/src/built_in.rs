//! The resource types that this release ships, declared as data: name, plural, Flux path, JSON Schema.
//! `x-rule` beside a pattern is the rule in words, for the sentence that a violation gets.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::resource_type::{Declaration, ResourceType, Role};
use crate::{Unreadable, type_definition};

/// The plural of the cluster type.
pub const CLUSTERS: &str = "clusters";
/// The plural of the platform component type, and the field of a cluster that refers to them.
pub const PLATFORM_COMPONENTS: &str = "platform_components";
/// The field of a cluster that holds its patches, by component.
pub const PATCHES: &str = "patches";
/// The field of a cluster or profile that holds patch keys of lower layers which do not hold there.
pub const UNSET_PATCHES: &str = "unset_patches";
/// The plural of the type of profiles.
pub const PROFILES: &str = "profiles";
/// The plural of the type of what deleted clusters leave.
pub const TOMBSTONES: &str = "tombstones";
/// The plural of the type of freezes.
pub const FREEZES: &str = "freezes";
/// The plural of the type of what sources of files own.
pub const SOURCES: &str = "sources";
/// The plural of the type of resource types.
pub const RESOURCE_TYPES: &str = "resource_types";

/// The types of this release that depend on no other.
pub(crate) fn independent() -> Vec<Declaration> {
    vec![platform_component(), namespace(), rolebinding(), freeze(), source(), type_definition::declaration()]
}

/// The types of clusters, of their profiles and of what deleted clusters leave, where `types` are the others.
///
/// # Errors
/// Where an id's schema is none beside those of clusters, in one sentence.
pub(crate) fn of_clusters(types: &[Arc<ResourceType>]) -> Result<[ResourceType; 3], Unreadable> {
    let definitions = types.iter().filter(|kind| kind.is_definition());
    let references: Vec<String> = definitions.map(|kind| kind.plural().to_owned()).collect();
    let mut schema = cluster_schema();
    add_layer(&mut schema, types, &remarks());
    let clusters = Declaration {
        role: Role::Cluster,
        name: "cluster".into(),
        plural: CLUSTERS.into(),
        flux_path: None,
        description: "A cluster: its identity, what it refers to and where it differs from the catalog and its profiles."
            .into(),
        id: label(63),
        schema,
        overridable: BTreeSet::new(),
        references: references.clone(),
    };
    let mut schema = profile_schema();
    add_layer(&mut schema, types, &json!({}));
    let profiles = Declaration { references: references.clone(), schema, ..profile() };
    let tombstones = Declaration { references, ..tombstone() };
    Ok([ResourceType::built(clusters)?, ResourceType::built(profiles)?, ResourceType::built(tombstones)?])
}

/// What a cluster's reference can say of itself beside `exclude`.
fn remarks() -> Value {
    json!({
        "note": {
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "description": "Why the cluster says so, for the report of exceptions; of a component it speaks for the patches too."
        },
        "expires": {
            "type": "string",
            "maxLength": 64,
            "description": "A date or time (RFC 3339) from which the report shows it as expired. Nothing changes by itself."
        }
    })
}

/// Adds what clusters and profiles can both carry: a reference of every type, with `more` that it can say.
fn add_layer(schema: &mut Value, types: &[Arc<ResourceType>], more: &Value) {
    let reference = |mut properties: Value| {
        properties["exclude"] = json!({
            "type": "boolean",
            "description": "Takes out what lower layers refer to. Default: false.",
            "x-min-reader": 4
        });
        properties["on_remove"] = on_remove();
        for (field, said) in more.as_object().into_iter().flatten() {
            properties[field] = said.clone();
        }
        json!({"type": "object", "required": ["id"], "additionalProperties": false, "properties": properties})
    };
    let of = &mut schema["properties"];
    of[PLATFORM_COMPONENTS] = json!({
        "type": "array",
        "description": "References to catalog entries, in order, with what they override.",
        "items": reference(json!({
            "id": label(53),
            "enabled": {"type": "boolean"},
            "oci_tag": version(),
            "component_path": path(),
            "release": release()
        }))
    });
    for kind in types.iter().filter(|kind| kind.is_definition()) {
        let mut properties = json!({"id": kind.id_schema()});
        for field in kind.overridable() {
            // What it may be is judged together with the definition that it is put over.
            properties[field] = json!({});
        }
        of[kind.plural()] = json!({
            "type": "array",
            "description": format!("References to {}, in order.", kind.plural()),
            "items": reference(properties)
        });
    }
    of[PATCHES] = json!({
        "type": "object",
        "description": "Values, by component, by Helm value path (or substitution variable).",
        "propertyNames": label(53),
        "additionalProperties": {"type": "object", "additionalProperties": {
            "type": "string",
            "maxLength": 262_144
        }}
    });
    of[UNSET_PATCHES] = json!({
        "type": "object",
        "description": "Keys of patches that lower layers set and that do not hold here, by component.",
        "propertyNames": label(53),
        "additionalProperties": {"type": "array", "items": {"type": "string", "maxLength": 1024}, "uniqueItems": true},
        "x-min-reader": 4
    });
}

fn profile() -> Declaration {
    Declaration {
        role: Role::Profile,
        name: "profile".into(),
        plural: PROFILES.into(),
        flux_path: None,
        description:
            "A layer between the catalog and the clusters that it selects, those that come later too.".into(),
        id: label(63),
        schema: Value::Null,
        overridable: BTreeSet::new(),
        references: Vec::new(),
    }
}

fn profile_schema() -> Value {
    json!({
        "type": "object",
        "required": ["id", "selector"],
        "additionalProperties": false,
        "x-min-reader": 4,
        "properties": {
            "id": label(63),
            "description": text(),
            "selector": selector("A label selector over clusters; an empty one selects every cluster."),
            "priority": {
                "type": "integer",
                "minimum": -1_000_000,
                "maximum": 1_000_000,
                "description": "A profile of higher priority goes over one of lower priority. Default: 0."
            }
        }
    })
}

fn selector(description: &str) -> Value {
    json!({"type": "string", "maxLength": 4096, "x-selector": true, "description": description})
}

fn cluster_schema() -> Value {
    json!({
        "type": "object",
        "required": ["id", "cluster_name", "cluster_dns", "environment"],
        "additionalProperties": false,
        "properties": {
            "id": label(63),
            "cluster_name": label(63),
            "cluster_dns": dns_name(),
            "aliases": {
                "type": "array",
                "items": dns_name(),
                "description": "Former DNS names under which it still polls.",
                "x-min-reader": 2
            },
            "environment": label(63),
            "labels": {
                "type": "object",
                "propertyNames": {"allOf": [qualified_name(), {
                    "not": {"enum": ["environment", "id"]},
                    "x-rule": "`environment` and `id` are fields of the cluster"
                }]},
                "additionalProperties": label_value(),
                "description": "Kubernetes labels to select clusters by."
            },
            "node_count": {"type": "integer", "minimum": 0},
            "vm_image": text(),
            "k0s_version": text(),
            "kubernetes_version": text()
        }
    })
}

fn platform_component() -> Declaration {
    Declaration {
        role: Role::Component,
        name: "platform_component".into(),
        plural: PLATFORM_COMPONENTS.into(),
        flux_path: Some("platform-components".into()),
        description: "A catalog entry: the defaults of a component for every cluster that refers to it."
            .into(),
        id: label(53),
        overridable: BTreeSet::new(),
        references: Vec::new(),
        schema: json!({
            "type": "object",
            "required": ["id", "component_path", "oci_url"],
            "additionalProperties": false,
            "properties": {
                "id": label(53),
                "component_path": path(),
                "component_version": version(),
                "oci_url": {
                    "type": "string",
                    "maxLength": 2048,
                    "pattern": "^(https?://[^\\s/?#%\\x00-\\x1f]+([^\\s%\\x00-\\x1f]|%[0-9A-Fa-f]{2})*|oci://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*)$",
                    "x-rule": "a URL: https:// or http:// of a chart repository, or oci:// of a registry and a lower-case repository without a tag"
                },
                "oci_tag": version(),
                "cluster_env_enabled": {"type": "boolean"},
                "depends_on": {"type": "array", "items": label(53), "uniqueItems": true},
                "requires": {
                    "type": "object",
                    "description": "Components that must be installed with it, each with a range of versions: >=1.12 <2.",
                    "propertyNames": label(53),
                    "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 256},
                    "x-min-reader": 4
                },
                "kubernetes": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 256,
                    "description": "The versions of Kubernetes that it runs on: >=1.28.",
                    "x-min-reader": 4
                },
                "enabled": {"type": "boolean"},
                "delivery": {"type": "string", "enum": ["helm", "kustomize"]},
                "on_remove": on_remove(),
                "release": release()
            }
        }),
    }
}

fn namespace() -> Declaration {
    let id = json!({"type": "string", "allOf": [label(63), {
        "not": {"type": "string", "pattern": "^(kube-.*|default|flux-system)$"},
        "x-rule": "`kube-*`, `default` and `flux-system` are never managed, since removing one would take the cluster down"
    }]});
    Declaration {
        role: Role::Definition,
        name: "namespace".into(),
        plural: "namespaces".into(),
        flux_path: Some("namespaces".into()),
        description: "A namespace definition, for the clusters that refer to it.".into(),
        schema: json!({
            "type": "object",
            "required": ["id"],
            "additionalProperties": false,
            "properties": {
                "id": id,
                "labels": {
                    "type": "object",
                    "propertyNames": {"allOf": [qualified_name(), {
                        "not": {"pattern": "^(kubernetes\\.io/metadata\\.name$|([a-z.]+\\.)?fluxcd\\.controlplane\\.io/)"},
                        "x-rule": "Kubernetes and the Flux Operator set it themselves"
                    }]},
                    "properties": Map::from_iter(["enforce", "audit", "warn"].map(|mode| {
                        let levels = json!({"type": "string", "enum": ["privileged", "baseline", "restricted"]});
                        (format!("pod-security.kubernetes.io/{mode}"), levels)
                    })),
                    "additionalProperties": label_value()
                },
                "annotations": {
                    "type": "object",
                    "propertyNames": {"allOf": [qualified_name(), {
                        "not": {"pattern": "^([a-z.]+\\.)?fluxcd\\.controlplane\\.io/"},
                        "x-rule": "it steers the Flux Operator (instead of `prune` use `on_remove`)"
                    }]},
                    "additionalProperties": {"type": "string"},
                    // Kubernetes takes 256 KiB; the ResourceSet adds one of its own for `on_remove`.
                    "x-max-total-bytes": 262_000
                },
                "on_remove": on_remove()
            }
        }),
        id,
        overridable: BTreeSet::new(),
        references: Vec::new(),
    }
}

fn rolebinding() -> Declaration {
    let id = json!({"type": "string", "allOf": [{
        "maxLength": 253,
        "pattern": "^[a-z0-9]([-a-z0-9:]*[a-z0-9])?$",
        "x-rule": "a name of lower case letters, digits, dashes and colons, starting and ending with a letter or digit"
    }, {
        "not": {"type": "string", "pattern": "^(cluster-admin|system:(basic-user|discovery|kube-.*|monitoring|node|node-proxier|public-info-viewer|service-account-issuer-discovery|volume-scheduler|controller:.*)|flux-operator.*|.*-flux-system)$"},
        "x-rule": "Kubernetes or Flux make it themselves, and removing it would lock people or Flux out"
    }]});
    Declaration {
        role: Role::Definition,
        name: "rolebinding".into(),
        plural: "rolebindings".into(),
        flux_path: Some("rolebindings".into()),
        description: "A ClusterRoleBinding definition, for the clusters that refer to it.".into(),
        schema: json!({
            "type": "object",
            "required": ["id", "role"],
            "additionalProperties": false,
            "properties": {
                "id": id,
                "role": {
                    "type": "string",
                    "maxLength": 253,
                    "pattern": "^[A-Za-z0-9]([-A-Za-z0-9:._]*[A-Za-z0-9])?$",
                    "x-rule": "the name of a ClusterRole: letters, digits, `-`, `.`, `_` and `:`"
                },
                "subjects": {"type": "array", "items": subject()},
                "on_remove": on_remove()
            }
        }),
        id,
        overridable: BTreeSet::new(),
        references: Vec::new(),
    }
}

fn subject() -> Value {
    json!({
        "type": "object",
        "required": ["kind", "name"],
        "additionalProperties": false,
        "properties": {
            "kind": {"type": "string", "enum": ["User", "Group", "ServiceAccount"]},
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": 1024,
                "pattern": "^[^\\x00-\\x1f]*$",
                "x-rule": "text without control characters"
            },
            "apiGroup": {"type": "string"},
            "namespace": label(63)
        },
        "if": {"properties": {"kind": {"const": "ServiceAccount"}}, "required": ["kind"]},
        "then": {
            "required": ["namespace"],
            "properties": {
                "apiGroup": {"enum": [""]},
                "name": {
                    "maxLength": 253,
                    "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
                    "x-rule": "the name of a ServiceAccount: lower-case labels of letters, digits and dashes, separated by dots"
                }
            }
        },
        "else": {
            "properties": {"namespace": false, "apiGroup": {"enum": ["rbac.authorization.k8s.io"]}}
        }
    })
}

fn tombstone() -> Declaration {
    Declaration {
        role: Role::Tombstone,
        name: "tombstone".into(),
        plural: TOMBSTONES.into(),
        flux_path: None,
        description: "What a deleted cluster leaves, so that its empty answer is meant.".into(),
        id: label(63),
        overridable: BTreeSet::new(),
        references: Vec::new(),
        schema: json!({
            "type": "object",
            "required": ["id", "cluster_dns"],
            "additionalProperties": false,
            "properties": {
                "id": label(63),
                "cluster_dns": dns_name(),
                "held": {
                    "type": "boolean",
                    "description": "Whether the cluster's polls get an error, so that it keeps what it has. Default: false.",
                    "x-min-reader": 2
                },
                "cluster": {"type": "object", "description": "The cluster's last document.", "x-keeps-null": true}
            }
        }),
    }
}

fn freeze() -> Declaration {
    Declaration {
        role: Role::Freeze,
        name: "freeze".into(),
        plural: FREEZES.into(),
        flux_path: None,
        description: "A brake: the clusters that it selects keep what they have until it is lifted.".into(),
        id: label(63),
        overridable: BTreeSet::new(),
        references: Vec::new(),
        schema: json!({
            "type": "object",
            "required": ["id", "selector", "reason"],
            "additionalProperties": false,
            "x-min-reader": 2,
            "properties": {
                "id": label(63),
                "selector": selector("A label selector over clusters; an empty one selects every cluster."),
                "reason": text()
            }
        }),
    }
}

fn source() -> Declaration {
    Declaration {
        role: Role::Source,
        name: "source".into(),
        plural: SOURCES.into(),
        flux_path: None,
        description: "A set of files that documents are applied from, and the documents that it owns.".into(),
        id: label(63),
        overridable: BTreeSet::new(),
        references: Vec::new(),
        schema: json!({
            "type": "object",
            "required": ["id", "documents"],
            "additionalProperties": false,
            "x-min-reader": 2,
            "properties": {
                "id": label(63),
                "documents": {
                    "type": "object",
                    "description": "By the plural of their type and their id: a digest of each document as it was applied.",
                    "additionalProperties": {"type": "object", "additionalProperties": {"type": "string"}}
                }
            }
        }),
    }
}

pub(crate) fn label(max_length: u32) -> Value {
    json!({
        "type": "string",
        "maxLength": max_length,
        "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "x-rule": "a DNS-1123 label: lower case letters, digits and dashes, starting and ending with a letter or digit"
    })
}

fn dns_name() -> Value {
    json!({
        "type": "string",
        "maxLength": 253,
        "pattern": "^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*\\.?$",
        "x-rule": "a DNS name: labels of letters, digits and dashes, separated by dots"
    })
}

fn qualified_name() -> Value {
    json!({
        "maxLength": 317,
        "pattern": "^((?=[^/]{1,253}/)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        "x-rule": "a Kubernetes qualified name: `name` or `dns.prefix/name`, the name of at most 63 letters, digits, `-`, `_` and `.`"
    })
}

fn label_value() -> Value {
    json!({
        "type": "string",
        "maxLength": 63,
        "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        "x-rule": "a Kubernetes label value: at most 63 letters, digits, `-`, `_` and `.`, starting and ending with a letter or digit"
    })
}

fn version() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 128,
        "pattern": "^[^\\x00-\\x1f]*$",
        "x-rule": "a version without control characters"
    })
}

fn path() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "pattern": "^[^\\x00-\\x20]*$",
        "x-rule": "a chart name or a folder within the artifact, without spaces or control characters"
    })
}

pub(crate) fn text() -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "pattern": "^[^\\x00-\\x1f]*$",
        "x-rule": "text without control characters"
    })
}

pub(crate) fn on_remove() -> Value {
    json!({
        "type": "string",
        "enum": ["delete", "keep"],
        "description": "What becomes of its objects when it goes. Default: delete."
    })
}

fn release() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "name": {
                "type": "string",
                "maxLength": 53,
                "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
                "x-rule": "a Helm release name: lower case letters, digits and dashes"
            },
            "target_namespace": label(63),
            "values": {"type": "object", "x-keeps-null": true},
            "timeout": {
                "type": "string",
                "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$",
                "x-rule": "a duration such as 90s, 5m or 1h30m"
            },
            "suspend": {"type": "boolean"},
            "crds": {"type": "string", "enum": ["Skip", "Create", "CreateReplace"]}
        }
    })
}
