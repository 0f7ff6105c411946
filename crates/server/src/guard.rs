//! What a write must be confirmed for: it is planned before it is made, and what destroys much, or in
//! a protected environment, happens only where its plan was seen.

use std::collections::BTreeSet;
use std::sync::Arc;

use flux_resourceset_merge::{Fleet, Plan, Prepared, plan};
use flux_resourceset_model::CLUSTERS;
use flux_resourceset_model::change::{Key, Operation, Verb};
use http::{HeaderMap, HeaderName};

use crate::error::{ApiError, Status};
use crate::past::PastFleet;
use crate::write::Ask;

const IF_PLAN: HeaderName = HeaderName::from_static("if-plan");

/// What a request says of its own plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Confirmation {
    /// Whether only the plan is asked for.
    pub(crate) plan_only: bool,
    /// The digest of the plan that was seen.
    pub(crate) if_plan: Option<String>,
    /// Whether the request names none of the documents: then nothing that it destroys is meant yet.
    pub(crate) unnamed: bool,
}

impl Confirmation {
    pub(crate) fn of(headers: &HeaderMap, plan_only: bool) -> Result<Self, ApiError> {
        let mut values = headers.get_all(IF_PLAN).iter();
        let malformed = || {
            let message = "The header If-Plan holds one plan's digest: 64 hexadecimal digits.";
            ApiError::bad_request("malformed_header", message)
        };
        let Some(value) = values.next() else {
            return Ok(Confirmation { plan_only, ..Confirmation::default() });
        };
        let digest = value.to_str().map_err(|_| malformed())?.trim().trim_matches('"').to_lowercase();
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_digest || values.next().is_some() {
            return Err(malformed());
        }
        Ok(Confirmation { plan_only, if_plan: Some(digest), unnamed: false })
    }
}

/// The fleet as it was when a freeze began: lifting that is planned from there.
#[derive(Clone)]
pub(crate) struct Since {
    pub(crate) past: Arc<PastFleet>,
    pub(crate) freeze: String,
}

/// The plan of `prepared` where only that was asked for; else nothing, if the write may be made.
pub(crate) fn judge(
    fleet: &Fleet,
    operations: &[Operation],
    prepared: &Prepared,
    ask: &Ask,
    removal_limit: usize,
) -> Result<Option<Plan>, ApiError> {
    let mut plan = match &ask.since {
        Some(since) => gathered(fleet, since, prepared),
        None => plan(fleet, &prepared.after, prepared.documents.iter().map(|change| &change.key)),
    };
    let named = !ask.confirmation.unnamed;
    plan.confirmation = match &ask.since {
        // Each of these changes was confirmed when it was made.
        Some(_) => Vec::new(),
        None if named && is_intent(operations) && plan.destructive.protected == 0 => Vec::new(),
        None => plan.confirmation(removal_limit),
    };
    if ask.confirmation.plan_only {
        return Ok(Some(plan));
    }
    match &ask.confirmation.if_plan {
        Some(digest) if *digest == plan.digest => Ok(None),
        Some(_) => {
            let message = "The write would no longer do what the plan named by If-Plan says; here is the plan as it is now.";
            Err(ApiError::new(Status::PreconditionFailed, "plan_changed", message).planning(&plan))
        }
        None if plan.confirmation.is_empty() => Ok(None),
        None => {
            let reasons = plan.confirmation.join("; ");
            let message = format!(
                "Nothing was changed, since the write needs to be confirmed: {reasons}. Look at the plan, then send the write again with the header `If-Plan: {}`.",
                plan.digest
            );
            Err(ApiError::new(Status::PreconditionRequired, "confirmation_required", message).planning(&plan))
        }
    }
}

/// Whether it names what it takes away: one cluster, or one part of one.
fn is_intent(operations: &[Operation]) -> bool {
    let [Operation { verb: Verb::Delete, key, .. }] = operations else { return false };
    key.kind == CLUSTERS && key.id != Operation::EVERY
}

/// What clusters get once the freeze is lifted and no other holds them.
fn gathered(fleet: &Fleet, since: &Since, prepared: &Prepared) -> Plan {
    let (before, after) = (&since.past.fleet, &prepared.after);
    let changed = differing(before, after);
    let lifted = |id: &str| {
        let held = fleet
            .subject(id)
            .is_some_and(|cluster| fleet.freezes_of(cluster).any(|freeze| freeze.id == since.freeze));
        held && after.subject(id).is_some_and(|cluster| after.freezes_of(cluster).next().is_none())
    };
    let mut plan = flux_resourceset_merge::plan_of(before, after, changed.iter(), lifted);
    // It is made on the head; the fleet of then is what that is compared with.
    plan.revision = fleet.revision();
    plan
}

/// The documents that differ between two fleets.
pub(crate) fn differing(before: &Fleet, after: &Fleet) -> Vec<Key> {
    let types = before.types().iter().chain(after.types().iter());
    let plurals: BTreeSet<&str> = types.map(|kind| kind.plural()).collect();
    let changed: BTreeSet<Key> =
        plurals.into_iter().flat_map(|plural| changed(before, after, plural)).collect();
    changed.into_iter().collect()
}

/// The documents of one type that differ; one that is in both is named twice.
fn changed(before: &Fleet, after: &Fleet, plural: &str) -> Vec<Key> {
    let differs = |id: &str| {
        let key = Key::new(plural, id);
        let same = match (before.get(&key), after.get(&key)) {
            (Some(before), Some(after)) => before.body() == after.body(),
            _ => false,
        };
        (!same).then_some(key)
    };
    let ids = before.list(plural).chain(after.list(plural)).map(|(id, _)| id);
    ids.filter_map(differs).collect()
}
