//! What kind of effect a changed input is, by the terms of what Flux then does with it.

use flux_resourceset_model::Delivery;
use serde::Serialize;
use serde_json::Value;

use crate::input::{ComponentInput, Input};

/// What happens to an input. The gravest first: an effect that is two of these is the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectKind {
    /// It is gone from the answer. Destructive.
    Remove,
    /// It was enabled and is not. Destructive.
    Disable,
    /// Its delivery, chart name, release name or target namespace changes, so that Flux uninstalls
    /// what is there and installs anew; or a cluster's environment does, so that it leaves the list of
    /// that environment, and whatever protected it there. Destructive.
    Replace,
    /// It is new in the answer.
    Install,
    /// It was not enabled and is.
    Enable,
    /// Anything else of it changes.
    Change,
    /// The inputs that stay come in another order.
    Reorder,
}

impl EffectKind {
    /// Whether it may destroy what runs.
    pub fn is_destructive(self) -> bool {
        matches!(self, EffectKind::Remove | EffectKind::Disable | EffectKind::Replace)
    }

    /// In which part of a plan it stands: what destroys, what is new, what changes.
    pub(crate) fn part(self) -> u8 {
        match self {
            EffectKind::Remove | EffectKind::Disable | EffectKind::Replace => 0,
            EffectKind::Install | EffectKind::Enable => 1,
            EffectKind::Change | EffectKind::Reorder => 2,
        }
    }

    /// The kind of a change of an input from one to the other, which differ.
    pub(crate) fn of(before: Option<&Input<'_>>, after: Option<&Input<'_>>) -> Self {
        match (before, after) {
            (Some(_), None) => EffectKind::Remove,
            (None, _) => EffectKind::Install,
            (Some(Input::Component(before)), Some(Input::Component(after))) => of_component(before, after),
            _ => EffectKind::Change,
        }
    }
}

fn of_component(before: &ComponentInput<'_>, after: &ComponentInput<'_>) -> EffectKind {
    if before.enabled && !after.enabled {
        EffectKind::Disable
    } else if installed_as(before) != installed_as(after) {
        EffectKind::Replace
    } else if !before.enabled && after.enabled {
        EffectKind::Enable
    } else {
        EffectKind::Change
    }
}

/// What cannot change without Flux taking away what is there.
#[derive(PartialEq)]
enum InstalledAs<'a> {
    Helm { chart: &'a str, release: &'a str, namespace: &'a str },
    Kustomize { namespace: Option<&'a str> },
}

fn installed_as<'a>(input: &'a ComponentInput<'_>) -> InstalledAs<'a> {
    match input.delivery {
        Delivery::Helm => InstalledAs::Helm {
            chart: input.component_path,
            release: input.release.get("name").and_then(Value::as_str).unwrap_or(input.id),
            namespace: target_namespace(input).unwrap_or(input.id),
        },
        Delivery::Kustomize => InstalledAs::Kustomize { namespace: target_namespace(input) },
    }
}

/// The namespace that a component is put into: for Helm its id where none is said, for Kustomize none.
pub(crate) fn target_namespace<'a>(input: &'a ComponentInput<'_>) -> Option<&'a str> {
    let said = input.release.get("target_namespace").and_then(Value::as_str);
    said.or((input.delivery == Delivery::Helm).then_some(input.id))
}
