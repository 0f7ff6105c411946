//! `confirm`: has one process of the server follow a store that is not the one it served before.

use clap::Args;
use serde_json::Value;

use crate::client::Client;
use crate::error::{Error, printable};
use crate::output::Shown;
use crate::paint::View;
use crate::plan::Plan;
use crate::writer::{Writer, say};
use crate::writing::{Writing, digest};
use crate::{plan_text, question, request};

#[derive(Args)]
pub(crate) struct Confirm {
    /// Show what would change, and change nothing; exit code 3 if anything would
    #[arg(long, conflicts_with = "plan_digest")]
    plan: bool,

    /// Do it, without a question, if what would change is still the plan with this digest
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    plan_digest: Option<String>,

    /// Why, for the server's log
    #[arg(long, value_name = "TEXT", env = "FLUX_API_REASON", hide_env_values = true)]
    reason: Option<String>,
}

pub(crate) fn run(client: &Client<'_>, confirm: &Confirm) -> Result<Shown, Error> {
    let standing = client.body(&request::confirmation())?;
    let Some(mute) = text(&standing, "/mute/message") else {
        return Ok(follows(standing, "This server follows its store: there is nothing to confirm"));
    };
    let Some(plan) = standing.get("plan").cloned().and_then(Plan::read) else {
        return Err(Error::Failed(mute.trim_end_matches('.').to_owned()));
    };
    say_standing(&standing, &mute);
    if confirm.plan {
        return Ok(Shown::plan(plan));
    }
    let writing = Writing { reason: confirm.reason.clone(), ..Writing::default() };
    let writer = Writer::new(client, &writing);
    match &confirm.plan_digest {
        Some(digest) => writer.agree_to_digest(digest),
        None => ask(&writer, &plan)?,
    }
    Ok(follows(writer.send(&request::confirm())?, "This server follows its store from here on"))
}

/// Nobody confirms what nobody saw.
fn ask(writer: &Writer<'_>, plan: &Plan) -> Result<(), Error> {
    say(&plan_text::whole(plan, View::stderr()));
    if !question::is_possible() {
        return Err(Error::Failed(format!(
            "nobody is there to be asked, so nothing was changed. If that is what shall happen, run it again with\n  \
             --plan-digest {}",
            printable(&plan.said.digest)
        )));
    }
    question::ask(plan)?;
    writer.agree_to(plan);
    Ok(())
}

fn say_standing(standing: &Value, mute: &str) {
    say(&format!("{mute}\n"));
    let revision = |of: &str| standing.pointer(&format!("/{of}/revision")).and_then(Value::as_u64);
    if let (Some(served), Some(store)) = (revision("served"), revision("store")) {
        say(&format!("Served was revision {served}; the store is at revision {store}.\n"));
    }
    for remark in standing.get("remarks").and_then(Value::as_array).into_iter().flatten() {
        say(&format!("{}\n", printable(remark.as_str().unwrap_or_default())));
    }
}

fn follows(standing: Value, sentence: &'static str) -> Shown {
    let revision = standing.pointer("/served/revision").and_then(Value::as_u64);
    let at = revision.map(|revision| format!(" (revision {revision})")).unwrap_or_default();
    Shown::text(standing, Vec::new(), move |_| format!("{sentence}{at}.\n"))
}

fn text(standing: &Value, pointer: &str) -> Option<String> {
    standing.pointer(pointer).and_then(Value::as_str).map(printable)
}
