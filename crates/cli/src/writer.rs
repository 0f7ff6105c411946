//! The one way by which commands write: planned, guarded and confirmed as the flags say.

use std::cell::RefCell;
use std::io::{self, Write};

use serde_json::Value;

use crate::client::{Answer, Client};
use crate::error::{Error, printable};
use crate::output::Shown;
use crate::paint::View;
use crate::plan::Plan;
use crate::request::Request;
use crate::writing::Writing;
use crate::{plan_text, question, whatif};

pub(crate) struct Writer<'a> {
    pub(crate) client: &'a Client<'a>,
    pub(crate) writing: &'a Writing,
    /// The digest of what was agreed to: a write that lost a race is the same write again.
    agreed: RefCell<Option<String>>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(client: &'a Client<'a>, writing: &'a Writing) -> Self {
        Writer { client, writing, agreed: RefCell::new(writing.plan_digest.clone()) }
    }

    /// Makes the write, or ends the command with what it would do.
    pub(crate) fn send(&self, write: &Request) -> Result<Value, Error> {
        Ok(self.answer(write)?.body)
    }

    pub(crate) fn answer(&self, write: &Request) -> Result<Answer, Error> {
        let write = write.clone().because(self.writing.reason());
        self.preview(&write)?;
        self.agree(&write)?;
        let agreed = self.agreed.borrow().clone();
        match self.client.send(&write.clone().if_plan(agreed.as_deref())) {
            Err(refusal) if refusal.code() == Some("confirmation_required") => self.confirm(&write, refusal),
            Err(refusal) if refusal.code() == Some("plan_changed") => Err(self.plan_changed(refusal)),
            done => done,
        }
    }

    /// The next write happens only if its effect is that of this plan.
    pub(crate) fn agree_to(&self, plan: &Plan) {
        self.agree_to_digest(&plan.said.digest);
    }

    pub(crate) fn agree_to_digest(&self, digest: &str) {
        self.agreed.replace(Some(digest.to_owned()));
    }

    /// What the write would do.
    pub(crate) fn plan(&self, write: &Request) -> Result<Plan, Error> {
        let body = self.client.body(&write.clone().planned())?;
        Plan::read(body).ok_or_else(|| {
            Error::Failed(format!(
                "{} {} was answered with something other than a plan; look whether it was carried out, and \
                 check that FLUX_API_URL is this API",
                write.method, write.path
            ))
        })
    }

    /// Where only a look was asked for, the look is the end.
    fn preview(&self, write: &Request) -> Result<(), Error> {
        if self.writing.needs_plans() {
            self.client.check_plans()?;
        }
        if !self.writing.is_preview() {
            return Ok(());
        }
        let plan = self.plan(write)?;
        Err(Error::Preview(Box::new(match &self.writing.whatif {
            Some(cluster) => whatif::shown(self.client, cluster, &plan)?,
            None => Shown::plan(plan),
        })))
    }

    /// With `--allow-removals` a plan is agreed to that destroys no more than that.
    fn agree(&self, write: &Request) -> Result<(), Error> {
        let Some(allowed) = self.writing.allow_removals else { return Ok(()) };
        let plan = self.plan(write)?;
        let destroyed = plan.said.destructive.clusters;
        if destroyed > allowed {
            say(&plan_text::whole(&plan, View::stderr()));
            return Err(Error::Failed(format!(
                "it destroys something on {}, more than --allow-removals {allowed}, so nothing was changed",
                plan_text::counted(destroyed, "cluster")
            )));
        }
        self.agree_to(&plan);
        Ok(())
    }

    /// Asks whoever is there; where nobody is, says how it could be agreed to.
    fn confirm(&self, write: &Request, refusal: Error) -> Result<Answer, Error> {
        let Some(plan) = refusal.plan() else { return Err(refusal) };
        if !question::is_possible() {
            say(&plan_text::short(plan, View::stderr()));
            return Err(unconfirmed(plan));
        }
        say(&plan_text::whole(plan, View::stderr()));
        question::ask(plan)?;
        self.agree_to(plan);
        match self.client.send(&write.clone().if_plan(Some(&plan.said.digest))) {
            Err(refusal) if refusal.code() == Some("plan_changed") => Err(self.plan_changed(refusal)),
            done => done,
        }
    }

    fn plan_changed(&self, refusal: Error) -> Error {
        let Some(plan) = refusal.plan() else { return refusal };
        say(&plan_text::whole(plan, View::stderr()));
        Error::Failed(format!(
            "its effect is no longer what was agreed to, so nothing was changed; above is what it would do now: \
             run it again with\n  --plan-digest {}",
            printable(&plan.said.digest)
        ))
    }
}

fn unconfirmed(plan: &Plan) -> Error {
    let reasons = plan_text::reasons(plan);
    let because = if reasons.is_empty() { String::new() } else { format!(", since {reasons}") };
    Error::Failed(format!(
        "this needs a confirmation{because}; nothing was changed. Run it again with one of\n  \
         --plan-digest {}\n  --allow-removals {}",
        printable(&plan.said.digest),
        plan.said.destructive.clusters
    ))
}

/// Says something beside the result. With stderr gone there is nobody to tell.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
