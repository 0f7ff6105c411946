//! What a person does about a store that is not the one seen before: look at what it would change, and
//! have this process follow it. Nothing is written to the store; each process is confirmed for itself.

use std::collections::VecDeque;
use std::sync::Arc;

use flux_resourceset_merge::{Fleet, Plan, plan};
use flux_resourceset_model::FREEZES;
use flux_resourceset_store::{Position, StoreId};
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::answer::{Answer, json_answer};
use crate::error::{ApiError, Status};
use crate::follow::{self, Behind};
use crate::guard::{self, Confirmation};
use crate::past;
use crate::query::Query;
use crate::reason;
use crate::seen::Seen;
use crate::service::{Notes, Service};
use crate::start::{self, Source};
use crate::view::{Head, Kept, Mute, View};
use crate::writer::Writer;

/// As many plans are remembered as shown, so that one who looks again and again shuts out nobody.
const REMEMBERED: usize = 64;

/// From where a store is opened that another one took the place of.
pub(crate) struct Confirming {
    source: Source,
    /// Held by the one who looks: each takes the memory of a whole fleet.
    shown: Mutex<VecDeque<Shown>>,
}

/// A plan that somebody may have looked at.
struct Shown {
    digest: String,
    /// The head that it was made of.
    head: Seen,
}

impl Confirming {
    pub(crate) fn of(source: Source) -> Self {
        Confirming { source, shown: Mutex::default() }
    }
}

/// What the store holds now, beside what was served last.
struct Found {
    served: Option<Seen>,
    head: Head,
    plan: Plan,
    remarks: Vec<String>,
}

impl Service {
    /// How it stands.
    pub(crate) async fn confirmation(&self) -> Result<Answer, ApiError> {
        let mut shown = self.confirming.shown.lock().await;
        let state = self.view.now().as_ref().clone();
        let Some(mute) = state.mute() else {
            return Ok(answered(&standing(None, served(state.last().as_ref()))));
        };
        if !mute.at_once {
            return Ok(answered(&standing(Some(mute), served(state.last().as_ref()))));
        }
        let found = self.find().await?;
        found.show(&mut shown);
        let mut body = standing(Some(mute), found.served);
        body["confirmable"] = true.into();
        body["store"] = place(found.at());
        body["remarks"] = found.remarks.into();
        body["plan"] = serde_json::to_value(&found.plan).map_err(ApiError::internal)?;
        Ok(answered(&body))
    }

    /// Follows what the store holds, if that changes what `If-Plan` says.
    pub(crate) async fn confirm(
        &self,
        query: &Query,
        parts: &Parts,
        notes: &Notes,
    ) -> Result<Answer, ApiError> {
        let confirmation = Confirmation::of(&parts.headers, query.flag("plan")?)?;
        let reason = reason::of(&parts.headers)?;
        if self.config.require_reason && reason.is_none() && !confirmation.plan_only {
            let message =
                "This server asks for a reason for each change: send one in the header X-Change-Reason.";
            return Err(ApiError::bad_request("reason_required", message));
        }
        let mut shown = self.confirming.shown.lock().await;
        match self.view.now().mute() {
            Some(mute) if mute.at_once => {}
            Some(mute) => return Err(mute.error()),
            None => return Err(nothing_to_confirm()),
        }
        let mut found = self.find().await?;
        let seen = confirmation.if_plan.as_ref();
        let seen = seen.and_then(|digest| shown.iter().find(|shown| shown.digest == *digest));
        let seen = seen.map(|shown| shown.head);
        found.show(&mut shown);
        if confirmation.plan_only {
            let plan = serde_json::to_vec(&found.plan).map_err(ApiError::internal)?;
            return Ok(json_answer(StatusCode::OK, plan));
        }
        match seen {
            // Who writes meanwhile does not shut out the one who confirms: what came after the head that was
            // seen is that store's ordinary history, as everyone follows it.
            Some(seen) if follow::holds(&found.head, seen).await.is_ok() => found.went_on_since(seen),
            _ => check(&confirmation, &found)?,
        }
        shown.clear();
        log(&found, notes, reason.as_deref());
        let mut body = standing(None, served(Some(&kept(&found.head))));
        body["remarks"] = found.remarks.into();
        body["plan"] = serde_json::to_value(&found.plan).map_err(ApiError::internal)?;
        // A task of its own: whoever asked may go away, and half of it would be nothing.
        let taken = tokio::spawn(take(Arc::clone(&self.view), Arc::clone(&self.writer), found.head));
        taken.await.map_err(ApiError::internal)?;
        self.view.opened(self.confirming.source.files());
        Ok(answered(&body))
    }

    /// Opens the store that is there now, and compares it with what was served last.
    async fn find(&self) -> Result<Found, ApiError> {
        let files = self.confirming.source.files();
        if let (Some(now), Some(before)) = (files, self.view.files())
            && now.are_mixed(before)
        {
            return Err(left_behind());
        }
        let store = follow::answered(self.confirming.source.open_known()).await;
        let store = store.map_err(past::unreadable)?;
        let head = follow::load(store, start::rules(&self.config)).await.map_err(|behind| match behind {
            Behind::Away(error) => past::unreadable(error),
            Behind::Mute(mute) => mute.error(),
        })?;
        let last = self.view.now().last();
        let work = spawn_blocking(move || compared(last.as_ref(), head));
        work.await.map_err(ApiError::internal)
    }
}

impl Found {
    fn at(&self) -> Seen {
        Seen { store: self.head.id, position: self.head.position }
    }

    fn show(&self, shown: &mut VecDeque<Shown>) {
        shown.retain(|other| other.digest != self.plan.digest);
        shown.truncate(REMEMBERED - 1);
        shown.push_front(Shown { digest: self.plan.digest.clone(), head: self.at() });
    }

    fn went_on_since(&mut self, seen: Seen) {
        let (then, now) = (seen.position.revision, self.head.position.revision);
        if now > then {
            self.remarks.push(format!(
                "The plan that was confirmed is of revision {then}; what was written after it is followed too, and is in this plan."
            ));
        }
    }
}

/// What `head` would change for clusters that were answered from `last`.
fn compared(last: Option<&Kept>, head: Head) -> Found {
    let nothing = Fleet::empty(head.fleet.rules().clone());
    let before = last.map_or(&nothing, |last| &last.fleet);
    let changed = guard::differing(before, &head.fleet);
    let plan = plan(before, &head.fleet, changed.iter());
    let mut remarks = Vec::new();
    match last {
        None => remarks.push(
            "What was served before is not known, so the plan compares with nothing: it does not show what clusters lose."
                .to_owned(),
        ),
        Some(last) if !last.is_last => remarks.push(format!(
            "The plan compares with revision {}, the last that was kept; later ones may have been served.",
            last.position.revision
        )),
        Some(_) => {}
    }
    // A plan looks through freezes, so it does not show that one ends.
    let lifted = before.list(FREEZES).map(|(id, _)| id);
    let lifted = lifted.filter(|id| head.fleet.list(FREEZES).all(|(other, _)| other != *id));
    remarks.extend(lifted.map(|id| {
        format!("The freeze {id} is not in this store: its clusters get all that has gathered behind it.")
    }));
    Found { served: served(last), head, plan, remarks }
}

fn check(confirmation: &Confirmation, found: &Found) -> Result<(), ApiError> {
    let digest = &found.plan.digest;
    let (status, code, message) = match &confirmation.if_plan {
        Some(seen) if seen == digest => return Ok(()),
        Some(_) => (
            Status::PreconditionFailed,
            "plan_changed",
            "The store would no longer change what the plan named by If-Plan says; here is the plan as it is now."
                .to_owned(),
        ),
        None => (
            Status::PreconditionRequired,
            "confirmation_required",
            format!(
                "The store is not followed until it is confirmed. Look at the plan, then send this again with the header `If-Plan: {digest}`."
            ),
        ),
    };
    Err(ApiError::new(status, code, message).planning(&found.plan))
}

fn left_behind() -> ApiError {
    let message = "Beside the file that took the store's place lies the write-ahead log of the one before, which would be taken for \
                   its own: move the files that end in -wal and -shm away, then look again.";
    ApiError::unavailable("store_corrupt", message)
}

fn nothing_to_confirm() -> ApiError {
    let message = "There is nothing to confirm: this server follows its store, or has not read it yet.";
    ApiError::new(Status::Conflict, "nothing_to_confirm", message)
}

/// Follows `head` from now on. Nobody writes while it is swapped in, since a mute process takes no write;
/// and nobody follows.
async fn take(view: Arc<View>, writer: Arc<Writer>, head: Head) {
    writer.idle().await;
    let following = view.following().await;
    if let Some(memory) = view.memory() {
        memory.accept(head.id, head.position).await;
    }
    view.follow_anew(&head);
    drop(following);
    if let Some(memory) = view.memory() {
        memory.save(&view).await;
    }
}

fn log(found: &Found, notes: &Notes, reason: Option<&str>) {
    let Found { served, head, plan, .. } = found;
    tracing::warn!(
        principal = notes.principal.name(),
        request_id = notes.request_id,
        reason,
        digest = plan.digest,
        served = served.map(|served| served.position.revision),
        revision = head.position.revision,
        clusters = plan.clusters,
        "a person confirmed what the store holds: it is followed from here"
    );
}

fn kept(head: &Head) -> Kept {
    Kept { fleet: head.fleet.clone(), position: head.position, id: head.id, is_last: true }
}

fn served(last: Option<&Kept>) -> Option<Seen> {
    last.map(|last| Seen { store: last.id, position: last.position })
}

fn standing(mute: Option<&Mute>, served: Option<Seen>) -> Value {
    json!({
        "mute": mute.map(|mute| json!({"code": mute.code, "message": mute.sentence})),
        "confirmable": false,
        "served": served.map(place),
        "store": null,
        "remarks": [],
    })
}

fn place(Seen { store: StoreId(store), position: Position { revision, entry } }: Seen) -> Value {
    json!({"store": format!("{store:032x}"), "revision": revision, "entry": entry.to_string()})
}

fn answered(body: &Value) -> Answer {
    json_answer(StatusCode::OK, body.to_string())
}
