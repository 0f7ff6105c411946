//! Query parameters that choose documents by what other documents make of them: by labels, by a profile,
//! by a cluster. What the fields of a document itself say is compared in `documents.rs`.

use flux_resourceset_merge::Fleet;
use flux_resourceset_model::{CLUSTERS, Cluster, PROFILES, Profile, ResourceType, Selector};

use crate::error::ApiError;
use crate::query::{Query, invalid};

/// Which documents of a type are asked for.
#[derive(Default)]
pub(crate) struct Selection<'a> {
    selector: Option<Selector>,
    profile: Option<&'a Profile>,
    cluster: Option<&'a Cluster>,
}

/// The parameters of a list of documents of the type `kind` that choose in this way, each with what it does.
pub(crate) fn parameters(kind: &ResourceType) -> &'static [(&'static str, &'static str)] {
    match kind.plural() {
        CLUSTERS => &[
            (
                "label_selector",
                "Only clusters that this label selector selects; `environment` and `id` are labels too.",
            ),
            ("profile", "Only clusters that the profile of this id is for."),
        ],
        PROFILES => &[("cluster", "Only the profiles of the cluster of this id, which may be held.")],
        _ => &[],
    }
}

impl<'a> Selection<'a> {
    pub(crate) fn of(fleet: &'a Fleet, kind: &ResourceType, query: &Query) -> Result<Self, ApiError> {
        match kind.plural() {
            CLUSTERS => Ok(Selection {
                selector: label_selector(query)?,
                profile: profile(fleet, query)?,
                ..Selection::default()
            }),
            PROFILES => Ok(Selection { cluster: cluster(fleet, query)?, ..Selection::default() }),
            _ => Ok(Selection::default()),
        }
    }

    /// Whether the document `id` is one of them.
    pub(crate) fn has(&self, fleet: &Fleet, id: &str) -> bool {
        if let Some(cluster) = self.cluster {
            return fleet.profile(id).is_some_and(|profile| profile.matches(cluster));
        }
        let selected = |selector: &Selector| {
            fleet.subject(id).is_some_and(|cluster| selector.matches(|key| cluster.label(key)))
        };
        self.selector.iter().chain(self.profile.map(|profile| &profile.selector)).all(selected)
    }
}

pub(crate) fn label_selector(query: &Query) -> Result<Option<Selector>, ApiError> {
    let parsed = query.get("label_selector").map(str::parse::<Selector>).transpose();
    parsed.map_err(|error| invalid("label_selector", &format!("is no label selector: {error}")))
}

pub(crate) fn profile<'a>(fleet: &'a Fleet, query: &Query) -> Result<Option<&'a Profile>, ApiError> {
    let unknown = || invalid("profile", "must be the id of a profile; GET /profiles lists them");
    query.get("profile").map(|id| fleet.profile(id).ok_or_else(unknown)).transpose()
}

/// The cluster, held or not.
pub(crate) fn cluster<'a>(fleet: &'a Fleet, query: &Query) -> Result<Option<&'a Cluster>, ApiError> {
    let unknown = || invalid("cluster", "must be the id of a cluster, which may be held");
    query.get("cluster").map(|id| fleet.subject(id).ok_or_else(unknown)).transpose()
}
