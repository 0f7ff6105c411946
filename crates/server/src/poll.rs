//! What Flux is answered, from the Fleet alone: a cluster's inputs, or the list of clusters.

use flux_resourceset_merge::{Fleet, FleetFilter, Shard};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::answer::{Answer, json_answer};
use crate::digest::digest;
use crate::error::{ApiError, unanswered, unlisted};
use crate::gzip;
use crate::precondition::{EntityTag, Precondition};
use crate::query::{Query, invalid};
use crate::service::{Notes, Service};
use crate::view::{Moment, Stale};

/// What the log says of a poll.
#[derive(Default)]
pub(crate) struct PollNotes {
    pub(crate) dns: String,
    pub(crate) kind: String,
    pub(crate) revision: u64,
    pub(crate) digest: String,
    pub(crate) stale: Option<Stale>,
}

impl PollNotes {
    /// What the answer's own header says of its age, where it is one that must say it.
    pub(crate) fn stale(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.stale?.to_string()).ok()
    }
}

impl Service {
    pub(crate) fn poll(
        &self,
        dns: String,
        kind: String,
        headers: &HeaderMap,
        notes: &mut Notes,
    ) -> Result<Answer, ApiError> {
        let noted = notes.poll.insert(PollNotes { dns, kind, ..PollNotes::default() });
        let asked =
            |noted: &PollNotes, fleet: &Fleet, out: &mut _| answer_poll(fleet, &noted.dns, &noted.kind, out);
        self.inputs(headers, noted, asked)
    }

    pub(crate) fn fleet_list(
        &self,
        query: &Query,
        headers: &HeaderMap,
        notes: &mut Notes,
    ) -> Result<Answer, ApiError> {
        let noted = notes.poll.insert(PollNotes { kind: "clusters".into(), ..PollNotes::default() });
        let filter = fleet_filter(query)?;
        self.inputs(headers, noted, |_, fleet, out| fleet.clusters(&filter, out).map_err(unlisted))
    }

    fn inputs(
        &self,
        headers: &HeaderMap,
        noted: &mut PollNotes,
        write: impl FnOnce(&PollNotes, &Fleet, &mut Vec<u8>) -> Result<(), ApiError>,
    ) -> Result<Answer, ApiError> {
        let precondition = Precondition::of(headers)?;
        let state = self.view.now();
        let head = state.servable(Moment::now(), self.config.max_staleness)?;
        noted.revision = head.position.revision;
        noted.stale = head.stale;
        let mut out = Vec::new();
        write(noted, head.fleet, &mut out)?;
        if out.is_empty() {
            return Err(ApiError::internal("the merge wrote no answer"));
        }
        noted.digest = digest(&out);
        self.metrics.polled();
        Ok(answered(out, &EntityTag::of_answer(&noted.digest), headers, &precondition))
    }
}

/// `out`, or 304 where the client has it already.
fn answered(out: Vec<u8>, tag: &EntityTag, headers: &HeaderMap, precondition: &Precondition) -> Answer {
    let mut answer = if precondition.is_unmodified(tag) {
        let mut unmodified = json_answer(StatusCode::NOT_MODIFIED, "");
        unmodified.headers_mut().remove(header::CONTENT_TYPE);
        unmodified
    } else {
        gzip::encoded(json_answer(StatusCode::OK, ""), out, headers)
    };
    // It may be kept, and never used without asking us: what we may no longer answer nobody may.
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer.headers_mut().insert(header::ETAG, tag.weak_header());
    answer
}

/// Appends what `fleet` answers to a poll.
pub(crate) fn answer_poll(fleet: &Fleet, dns: &str, kind: &str, out: &mut Vec<u8>) -> Result<(), ApiError> {
    fleet.answer(dns, kind, out).map_err(|reason| {
        let known: Vec<_> = fleet.types().iter().filter_map(|kind| kind.flux_path()).collect();
        unanswered(reason, dns, kind, &known)
    })
}

/// Which clusters a list of the fleet is asked for.
pub(crate) fn fleet_filter(query: &Query) -> Result<FleetFilter, ApiError> {
    let shard = query.get("shard").map(str::parse::<Shard>).transpose();
    let shard = shard.map_err(|_| invalid("shard", "must be k/n with k from 1 to n"))?;
    Ok(FleetFilter { environment: query.get("environment").map(str::to_owned), shard })
}
