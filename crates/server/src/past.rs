//! The fleet and its documents as they were: read from the store's history, for those who operate it.
//! A whole past fleet is as large as the present one, so there is at most one more at a time.

use std::sync::Arc;
use std::time::Duration;

use flux_resourceset_merge::Fleet;
use flux_resourceset_model::Body;
use flux_resourceset_model::change::{Key, Part};
use flux_resourceset_store::{Error, ErrorKind, Past, Store, Stored};
use http::{HeaderValue, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::answer::{Answer, json_answer};
use crate::documents;
use crate::error::{ApiError, Status, no_such_document, no_such_part, unlisted};
use crate::files::REVISION;
use crate::follow::{self, Behind};
use crate::poll::{answer_poll, fleet_filter};
use crate::precondition::Precondition;
use crate::query::{Query, invalid};
use crate::service::{Notes, Service};
use crate::time::milliseconds;
use crate::view::Head;
use crate::write::bytes_of;

/// How long a request waits until no other past fleet is in memory.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Which past is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Revision(u64),
    /// Milliseconds since 1970 UTC.
    At(i64),
}

impl When {
    /// `None` where the present is asked for.
    pub(crate) fn of(query: &Query) -> Result<Option<Self>, ApiError> {
        match (revision(query)?, time(query, "at")?) {
            (Some(_), Some(_)) => Err(invalid("at", "cannot be given together with `revision`")),
            (revision, at) => Ok(revision.map(When::Revision).or(at.map(When::At))),
        }
    }

    async fn revision(self, store: &dyn Store) -> Result<u64, ApiError> {
        match self {
            When::Revision(revision) => Ok(revision),
            When::At(at) => {
                let found = follow::answered(store.revision_at(at)).await;
                found.map_err(unreadable)?.ok_or_else(|| cut("that time"))
            }
        }
    }
}

/// The revision that `query` asks for.
pub(crate) fn revision(query: &Query) -> Result<Option<u64>, ApiError> {
    query.parsed("revision", "must be a whole number from 0 on")
}

/// The time that the parameter `name` says, in milliseconds since 1970 UTC.
pub(crate) fn time(query: &Query, name: &str) -> Result<Option<i64>, ApiError> {
    let rule =
        "must be a time with its zone as in RFC 3339, such as 2026-01-31T12:00:00Z (a + is sent as %2B)";
    query.get(name).map(|text| milliseconds(text).ok_or_else(|| invalid(name, rule))).transpose()
}

impl Service {
    /// What a poll was answered then. It is no poll: no cluster asks so.
    pub(crate) async fn past_poll(
        &self,
        when: When,
        dns: &str,
        kind: &str,
        notes: &mut Notes,
    ) -> Result<Answer, ApiError> {
        let (dns, kind) = (dns.to_owned(), kind.to_owned());
        self.past_inputs(when, notes, move |fleet, out| answer_poll(fleet, &dns, &kind, out)).await
    }

    /// What the fleet was then, as inputs.
    pub(crate) async fn past_fleet_list(
        &self,
        when: When,
        query: &Query,
        notes: &mut Notes,
    ) -> Result<Answer, ApiError> {
        let filter = fleet_filter(query)?;
        self.past_inputs(when, notes, move |fleet, out| fleet.clusters(&filter, out).map_err(unlisted)).await
    }

    async fn past_inputs(
        &self,
        when: When,
        notes: &mut Notes,
        write: impl FnOnce(&Fleet, &mut Vec<u8>) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Answer, ApiError> {
        notes.of_the_past()?;
        let question = |fleet: &Fleet| {
            let mut out = Vec::new();
            write(fleet, &mut out).map(|()| out)
        };
        let (out, revision) = self.pasts.ask(&self.known()?, when, question).await?;
        let mut answer = json_answer(StatusCode::OK, out);
        say_revision(&mut answer, revision);
        Ok(answer)
    }
}

/// The one place in memory for a past fleet.
pub(crate) struct Pasts(Arc<Semaphore>);

/// A past fleet, and the place that it takes.
pub(crate) struct PastFleet {
    pub(crate) fleet: Fleet,
    _place: Option<OwnedSemaphorePermit>,
}

impl Pasts {
    pub(crate) fn new() -> Self {
        Pasts(Arc::new(Semaphore::new(1)))
    }

    /// What the fleet of then says, with the revision that it says so of.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        head: &Head,
        when: When,
        question: impl FnOnce(&Fleet) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<(T, u64), ApiError> {
        let revision = when.revision(&*head.store).await?;
        let past = self.fleet(head, revision).await?;
        // The fleet is taken apart where it was asked: that takes as long as putting it together.
        let asked = spawn_blocking(move || question(&past.fleet));
        let said = asked.await.map_err(ApiError::internal)?;
        said.map(|said| (said, revision)).map_err(|error| error.at_revision(revision))
    }

    /// The fleet of `revision`.
    pub(crate) async fn fleet(&self, head: &Head, revision: u64) -> Result<PastFleet, ApiError> {
        if revision == head.position.revision {
            return Ok(PastFleet { fleet: head.fleet.clone(), _place: None });
        }
        let place = timeout(LONGEST_WAIT, Arc::clone(&self.0).acquire_owned()).await;
        let place = place.map_err(|_| occupied())?.map_err(ApiError::internal)?;
        // A task of its own: whoever asked may go away, and the place is taken for as long as the work is.
        let loading = tokio::spawn(load(head.clone(), revision, place));
        loading.await.unwrap_or_else(|error| Err(ApiError::internal(error)))
    }
}

async fn load(head: Head, revision: u64, place: OwnedSemaphorePermit) -> Result<PastFleet, ApiError> {
    let snapshot = match follow::answered(head.store.load(Some(revision))).await {
        Ok(snapshot) => snapshot,
        Err(error) if error.kind == ErrorKind::NotFound => return Err(outside(&head, revision).await),
        Err(error) => return Err(unreadable(error)),
    };
    let rules = head.fleet.rules().clone();
    let load = move || {
        let documents = snapshot.documents.into_iter();
        let documents = documents.map(|stored| (stored.key, stored.revision, stored.body));
        let fleet = Fleet::load(rules, revision, documents);
        fleet.map(|fleet| PastFleet { fleet, _place: Some(place) })
    };
    let loaded = spawn_blocking(load).await.map_err(ApiError::internal)?;
    loaded.map_err(|error| ApiError::internal(format_args!("revision {revision}: {error}")))
}

/// Why the store has no fleet of `revision`.
async fn outside(head: &Head, revision: u64) -> ApiError {
    match follow::answered(head.store.history_begins()).await {
        Ok(begins) if revision < begins => cut(format_args!("revision {revision}")),
        Ok(_) => ahead(head.position.revision),
        Err(error) => unreadable(error),
    }
}

/// A document, or a part of one, as it was at `revision`.
pub(crate) async fn read(
    head: &Head,
    key: &Key,
    part: Option<&Part>,
    revision: u64,
    precondition: &Precondition,
) -> Result<Answer, ApiError> {
    let stored = stored(head, key, revision).await?;
    let gone = |error: ApiError| error.at_revision(revision);
    let stored = stored.ok_or_else(|| gone(no_such_document(key)))?;
    let body = match part {
        None => stored.body,
        Some(part) => {
            let body: Body = serde_json::from_slice(&stored.body).map_err(ApiError::internal)?;
            let found = head.fleet.resource_type(&key.kind).and_then(|kind| kind.part(&body, part));
            bytes_of(found.ok_or_else(|| gone(no_such_part(key, part)))?)
        }
    };
    let mut answer = documents::answered(body.into(), stored.revision, precondition)?;
    say_revision(&mut answer, revision);
    Ok(answer)
}

async fn stored(head: &Head, key: &Key, revision: u64) -> Result<Option<Stored>, ApiError> {
    match follow::answered(head.store.read_at(key, revision)).await.map_err(unreadable)? {
        Past::Known(stored) => Ok(stored),
        Past::Forgotten(_) => Err(cut(format_args!("revision {revision}"))),
        Past::Ahead(head) => Err(ahead(head)),
    }
}

/// Says of which revision `answer` is.
pub(crate) fn say_revision(answer: &mut Answer, revision: u64) {
    answer.headers_mut().insert(REVISION, HeaderValue::from(revision));
}

/// The history no longer reaches back to `what`.
pub(crate) fn cut(what: impl std::fmt::Display) -> ApiError {
    let message = format!("The history no longer reaches back to {what} (HISTORY_DAYS).");
    ApiError::new(Status::NotFound, "history_cut", message)
}

fn ahead(head: u64) -> ApiError {
    invalid("revision", &format!("is above the head, which is revision {head}"))
}

fn occupied() -> ApiError {
    let message = "The fleet as it was is read by others: each of them takes the memory of a whole fleet, so try again.";
    ApiError::passing("busy", message)
}

/// What a question about the past ends with; where it is no use to ask again, that is said.
pub(crate) fn unreadable(error: Error) -> ApiError {
    match Behind::from(error) {
        Behind::Mute(mute) => mute.error(),
        Behind::Away(error) => {
            let message = "The store cannot be read now: try again.";
            ApiError::passing("store_unavailable", message).logged(follow::describe(&error))
        }
    }
}
