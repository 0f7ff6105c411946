//! What a plan promises, in terms of objects: which of a cluster's come, go and change, and what they then show.
//! Worked out from the plan's words and the rules of the templates alone, never from what the cluster did.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::objects::{Fate, Fates, Objects};
use super::{echo, same};
use crate::kubectl::{BINDINGS, FLUX_SYSTEM, Kubectl, NAMESPACES, name_of, text};

/// The part of a plan that is about one cluster.
pub(super) struct Promise<'a> {
    cluster: &'a str,
    effects: Vec<&'a Value>,
}

impl<'a> Promise<'a> {
    pub(super) fn of(plan: &'a Value, cluster: &'a str) -> Self {
        let of_it = |effect: &&Value| {
            effect["clusters"].as_array().is_some_and(|clusters| clusters.contains(&json!(cluster)))
        };
        Promise { cluster, effects: plan["effects"].as_array().into_iter().flatten().filter(of_it).collect() }
    }

    /// What becomes of the objects that are there `before`. Of those not named here nothing may come.
    pub(super) fn fates(&self, before: &Objects) -> Result<Fates> {
        let mut fates = BTreeMap::new();
        for effect in &self.effects {
            let (kind, input) = (text(&effect["type"]), text(&effect["input"]));
            let found = match (kind.as_str(), text(&effect["effect"]).as_str()) {
                // The order of inputs is none of the objects'.
                (_, "reorder") => Vec::new(),
                (_, "remove") if effect["on_remove"] == "keep" => Vec::new(),
                ("platform_components", effect_kind) => {
                    self.of_component(effect_kind, &input, effect, before)?
                }
                ("namespaces", effect_kind) => {
                    vec![(name_of("Namespace", "", &input), simple(effect_kind)?)]
                }
                ("rolebindings", effect_kind) => {
                    // A binding's role cannot be changed.
                    let anew = to(effect, "role").is_some();
                    let fate =
                        if anew && effect_kind == "change" { Fate::Anew } else { simple(effect_kind)? };
                    vec![(name_of("ClusterRoleBinding", "", &input), fate)]
                }
                _ => bail!("nobody knows what comes of {effect}"),
            };
            fates.extend(found);
        }
        Ok(fates)
    }

    fn of_component(
        &self,
        kind: &str,
        id: &str,
        effect: &Value,
        before: &Objects,
    ) -> Result<Vec<(String, Fate)>> {
        let release = name_of("HelmRelease", FLUX_SYSTEM, &format!("platform-{id}"));
        let repository = name_of("HelmRepository", FLUX_SYSTEM, &format!("charts-{id}"));
        let values = name_of("ConfigMap", FLUX_SYSTEM, &format!("values-{id}-{}", self.cluster));
        let shown =
            |namespace: &str, release: &str| name_of("ConfigMap", namespace, &format!("{release}-echo"));
        // Helm makes it where there is none, and nobody takes it away again.
        let namespace = |id: &str| {
            let name = name_of("Namespace", "", id);
            (!before.has(&name)).then_some((name, Fate::New))
        };
        let with_values = ["patches", "release.values"].iter().any(|field| {
            fields(effect).any(|(path, _)| path == *field || path.starts_with(&format!("{field}.")))
        });
        let mut fates = Vec::new();
        match kind {
            "install" | "enable" => {
                fates.extend([release, repository, shown(id, id)].map(|name| (name, Fate::New)));
                fates.extend(with_values.then_some((values, Fate::New)));
                fates.extend(namespace(id));
            }
            "remove" | "disable" => {
                fates.extend([release, repository, shown(id, id)].map(|name| (name, Fate::Gone)));
                fates.extend(before.has(&values).then_some((values, Fate::Gone)));
            }
            "replace" => {
                let given = |field| to(effect, field).and_then(Value::as_str);
                let old = shown(id, id);
                let (name, target) = (given("release.name"), given("release.target_namespace"));
                fates.extend([
                    (release, Fate::Changed),
                    (shown(target.unwrap_or(id), name.unwrap_or(id)), Fate::New),
                ]);
                fates.extend(target.and_then(namespace));
                // helm-controller looks for the old objects in the new namespace. Those of a chart that does not
                // name its namespace, as most do not, are forgotten where they are.
                fates.extend(target.is_none().then_some((old, Fate::Gone)));
            }
            "change" => {
                fates.extend([release, shown(id, id)].map(|name| (name, Fate::Changed)));
                fates.extend(with_values.then_some((values, Fate::Changed)));
            }
            other => bail!("nobody knows what comes of the effect {other}"),
        }
        Ok(fates)
    }

    /// Fails unless what changes, and what is new in objects of one's own, reads as the plan says.
    pub(super) fn shown(&self, kubectl: &Kubectl) -> Result<()> {
        for effect in self.effects.iter().filter(|effect| effect["effect"] == "change") {
            let (kind, id) = (text(&effect["type"]), text(&effect["input"]));
            for (path, to) in fields(effect) {
                let what = format!("{path} of {kind} {id}");
                match (kind.as_str(), path.split_once('.').unwrap_or((path, ""))) {
                    ("platform_components", ("source", "oci_tag")) => {
                        let chart = format!("podinfo {}", text(to));
                        same(&what, &json!(echo(kubectl, id.as_str(), &id)?.0), &json!(chart))?;
                    }
                    ("platform_components", ("patches", key)) => {
                        let values = echo(kubectl, id.as_str(), &id)?.1;
                        same(&what, &values[key], &serde_json::from_str(&text(to))?)?;
                    }
                    ("namespaces", ("labels", key)) => {
                        let namespace = kubectl.existing(NAMESPACES, "", &id)?;
                        same(&what, &namespace["metadata"]["labels"][key], to)?;
                    }
                    ("rolebindings", ("role", "")) => {
                        let binding = kubectl.existing(BINDINGS, "", &id)?;
                        same(&what, &binding["roleRef"]["name"], to)?;
                    }
                    _ => bail!("nobody knows where {what} shows"),
                }
            }
        }
        Ok(())
    }
}

/// For what is one object.
fn simple(effect: &str) -> Result<Fate> {
    match effect {
        "install" => Ok(Fate::New),
        "remove" => Ok(Fate::Gone),
        "change" => Ok(Fate::Changed),
        other => bail!("nobody knows what comes of the effect {other}"),
    }
}

/// The fields of an effect: path, and what it is to be.
fn fields(effect: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let fields = effect["fields"].as_array().into_iter().flatten();
    fields.map(|field| (field["path"].as_str().unwrap_or_default(), &field["to"]))
}

fn to<'e>(effect: &'e Value, path: &str) -> Option<&'e Value> {
    fields(effect).find(|(field, _)| *field == path).map(|(_, to)| to)
}
