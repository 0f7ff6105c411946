//! What a request that writes asks for, of whichever kind it is, and what is answered to it.

use std::sync::Arc;

use flux_resourceset_merge::{Files, Fleet};
use flux_resourceset_model::change::{Key, Operation, Verb};
use flux_resourceset_model::{CLUSTERS, FREEZES, RESOURCE_TYPES, ResourceType};
use http::StatusCode;
use http::request::Parts;
use hyper::body::Incoming;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::answer::{Answer, json_answer};
use crate::body::{self, Bound, JSON, MERGE_PATCH, YAML};
use crate::changes::{ChangeRequest, answer_changes};
use crate::documents;
use crate::error::{ApiError, no_such_document};
use crate::files::{self, ApplyRequest, NotApplied};
use crate::freezes;
use crate::guard::{Confirmation, Since};
use crate::precondition::Precondition;
use crate::query::Query;
use crate::reason;
use crate::routes::{Action, Route};
use crate::service::{Notes, Service};
use crate::write::{Ask, Condition, Done, Outcome, Wanted};

impl Service {
    /// A write as `parts` says it is to be made.
    pub(crate) fn ask(
        &self,
        parts: &Parts,
        query: &Query,
        notes: &Notes,
        wanted: Wanted,
    ) -> Result<Ask, ApiError> {
        Ok(Ask {
            wanted,
            condition: None,
            confirmation: Confirmation::of(&parts.headers, query.flag("plan")?)?,
            since: None,
            principal: notes.principal.shared_name(),
            reason: reason::of(&parts.headers)?,
            request_id: notes.request_id.clone(),
        })
    }

    /// Makes the write, or its plan where that is asked for: then there is nothing done to answer with.
    pub(crate) async fn make(&self, ask: Ask) -> Result<Result<Done, Answer>, ApiError> {
        match self.outcome(ask).await? {
            Outcome::Done(done) => Ok(Ok(*done)),
            Outcome::Planned(planned) => {
                let plan = serde_json::to_vec(&planned.plan).map_err(ApiError::internal)?;
                Ok(Err(json_answer(StatusCode::OK, plan)))
            }
        }
    }

    /// What comes of the write, which must say why it is made where the settings ask for that.
    pub(crate) async fn outcome(&self, ask: Ask) -> Result<Outcome, ApiError> {
        if self.config.require_reason && ask.reason.is_none() && !ask.confirmation.plan_only {
            let message = "This server keeps no change without a reason: send one in the header X-Change-Reason, or as `reason` of a change set.";
            return Err(ApiError::bad_request("reason_required", message));
        }
        self.writer.write(ask).await
    }

    /// A write of one document, or of a part of one.
    pub(crate) async fn write(
        &self,
        route: &Route,
        request: Written<'_>,
        body: Incoming,
    ) -> Result<Answer, ApiError> {
        let Written { kind, parameters, query, parts, notes } = request;
        let precondition = Precondition::of(&parts.headers)?;
        let (verb, types): (_, &[&str]) = match route.action {
            // As the definitions of types are written elsewhere.
            Action::Create if kind.plural() == RESOURCE_TYPES => (Verb::Create, &[JSON, YAML]),
            Action::Replace if kind.plural() == RESOURCE_TYPES => (Verb::Update, &[JSON, YAML]),
            Action::Create => (Verb::Create, &[JSON]),
            Action::Replace | Action::ReplacePart => (Verb::Update, &[JSON]),
            Action::Patch | Action::PatchPart => (Verb::Patch, &[MERGE_PATCH, JSON]),
            _ => (Verb::Delete, &[]),
        };
        let limits = &self.config.limits;
        let mut body = match verb {
            Verb::Delete => None,
            _ => Some(body::read_json(&parts.headers, body, types, Bound::document(limits), limits).await?),
        };
        let freeze = kind.plural() == FREEZES && verb == Verb::Create;
        if let Some(body) = body.as_mut().filter(|_| freeze) {
            freezes::name(body);
        }
        let id = parameters.first().cloned();
        let id = id.or_else(|| Some(documents::id_of_new(kind, body.as_ref()?))).unwrap_or_default();
        let mut operation = Operation {
            force: query.flag("force")?,
            ..Operation::new(verb, Key::new(kind.plural(), id), body)
        };
        if let (Some(field), Some(part)) = (&route.field, parameters.get(1)) {
            operation = operation.on(field, part);
        }
        let condition = Condition {
            key: operation.key.clone(),
            part: operation.part.clone(),
            creates: verb == Verb::Create || (verb == Verb::Update && operation.part.is_some()),
            precondition,
        };
        let wanted = match freeze && !query.flag("allow_empty")? {
            true => freezes::wanted(operation.clone()),
            false => this(operation.clone()),
        };
        let mut ask = Ask { condition: Some(condition), ..self.ask(parts, query, notes, wanted)? };
        if kind.plural() == FREEZES && verb == Verb::Delete && ask.confirmation != Confirmation::default() {
            ask.since = Some(self.since(&operation.key).await?);
        }
        let mut answer = match self.make(ask).await? {
            Ok(done) => documents::answer_write(kind, &operation, &done)?,
            Err(plan) => plan,
        };
        documents::say_frozen(&self.view.now().known()?.fleet, &operation.key, &mut answer);
        Ok(answer)
    }

    /// The fleet as it was before the freeze `key`.
    pub(crate) async fn since(&self, key: &Key) -> Result<Since, ApiError> {
        let head = self.view.now().known()?.clone();
        let document = head.fleet.get(key).ok_or_else(|| no_such_document(key))?;
        let mut revision = document.revision();
        loop {
            let past = self.pasts.fleet(&head, revision.saturating_sub(1)).await?;
            // Another freeze may have held these clusters when this one began, and have been lifted since.
            match freezes::earlier(&head.fleet, key, &past.fleet) {
                Some(began) if began < revision => revision = began,
                _ => return Ok(Since { past: Arc::new(past), freeze: key.id.clone() }),
            }
        }
    }

    /// Brings a deleted cluster back, or lets a held one go.
    pub(crate) async fn write_tombstone(
        &self,
        action: Action,
        request: Written<'_>,
    ) -> Result<Answer, ApiError> {
        let Written { kind, parameters, query, parts, notes } = request;
        let id = parameters.first().cloned().unwrap_or_default();
        let tombstone = Key::new(kind.plural(), &id);
        let wanted: Wanted = match action {
            Action::Restore => {
                let (tombstone, cluster) = (tombstone.clone(), Key::new(CLUSTERS, &id));
                Arc::new(move |fleet: &Fleet| {
                    let last = fleet.last_of(&tombstone.id).ok_or_else(|| no_such_document(&tombstone))?;
                    Ok(vec![Operation::new(Verb::Create, cluster.clone(), Some(last.clone().into()))])
                })
            }
            _ => this(Operation::new(Verb::Update, tombstone.clone(), Some(json!({"held": null})))),
        };
        let condition = Condition {
            key: tombstone,
            part: None,
            creates: false,
            precondition: Precondition::of(&parts.headers)?,
        };
        let ask = Ask { condition: Some(condition), ..self.ask(parts, query, notes, wanted)? };
        match self.make(ask).await? {
            Ok(done) => {
                let [operation] = done.operations.as_slice() else {
                    return Err(ApiError::internal("a tombstone is written by one operation"));
                };
                let kind = done.before.fleet.resource_type(&operation.key.kind).unwrap_or(kind);
                documents::answer_write(kind, operation, &done)
            }
            Err(plan) => Ok(plan),
        }
    }

    /// Several changes at once.
    pub(crate) async fn change(
        &self,
        query: &Query,
        parts: &Parts,
        body: Incoming,
        notes: &Notes,
    ) -> Result<Answer, ApiError> {
        let limits = &self.config.limits;
        let body = body::read_json(&parts.headers, body, &[JSON], Bound::bulk(limits), limits).await?;
        let request = ChangeRequest::parse(&body, self.known()?.fleet.types())?;
        let operations = request.operations;
        let wanted: Wanted = Arc::new(move |_: &Fleet| Ok(operations.clone()));
        let mut ask = self.ask(parts, query, notes, wanted)?;
        ask.reason = request.reason.or(ask.reason);
        Ok(match self.make(ask).await? {
            Ok(done) => answer_changes(&done),
            Err(plan) => plan,
        })
    }

    /// Makes the documents of a source equal its files.
    pub(crate) async fn apply(
        &self,
        query: &Query,
        parts: &Parts,
        body: Incoming,
        notes: &Notes,
    ) -> Result<Answer, ApiError> {
        let limits = &self.config.limits;
        let body = body::read_json(&parts.headers, body, &[JSON], Bound::bulk(limits), limits).await?;
        let ApplyRequest { reason, files } = ApplyRequest::parse(body)?;
        let plan_only = query.flag("plan")?;
        if files.source.is_none() && !plan_only {
            let message =
                "Files are applied for a source, which owns the documents then: name one in `source`.";
            return Err(ApiError::bad_request("invalid", message));
        }
        let (head, asked) = (self.known()?, files.clone());
        let fleet = head.fleet.clone();
        let looked = spawn_blocking(move || files::operations(&fleet, &asked));
        let mut disputed = Vec::new();
        let operations = match looked.await.map_err(ApiError::internal)? {
            Ok(operations) => operations,
            // One looks at a plan to see what is in the way, too.
            Err(NotApplied::Disputed(found)) if plan_only => {
                disputed = files::named(&found, &*head.store).await?;
                Vec::new()
            }
            Err(error) => return Err(error.named(&*head.store).await),
        };
        let files = Files { take: files.take || plan_only, ..files };
        let wanted: Wanted =
            Arc::new(move |fleet: &Fleet| files::operations(fleet, &files).map_err(NotApplied::into_error));
        let mut ask = self.ask(parts, query, notes, wanted)?;
        ask.reason = reason.or(ask.reason);
        // Whoever wrote files knows documents, and no operations.
        match self.outcome(ask).await.map_err(|error| error.naming(&operations))? {
            Outcome::Done(done) => Ok(answer_changes(&done)),
            Outcome::Planned(planned) => files::answer_plan(&planned, &disputed),
        }
    }
}

/// A write's request, but for its body.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a> {
    pub(crate) kind: &'a ResourceType,
    pub(crate) parameters: &'a [String],
    pub(crate) query: &'a Query,
    pub(crate) parts: &'a Parts,
    pub(crate) notes: &'a Notes,
}

/// Whatever the fleet is, this operation.
fn this(operation: Operation) -> Wanted {
    Arc::new(move |_: &Fleet| Ok(vec![operation.clone()]))
}
