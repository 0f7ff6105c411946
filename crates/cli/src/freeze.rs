//! `freeze`: the brake. Clusters that are frozen keep what they have until the freeze is lifted.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Error;
use crate::output::Shown;
use crate::paint::View;
use crate::types::FREEZE_COLUMNS;
use crate::writer::{Writer, say};
use crate::writing::Writing;
use crate::{plan_text, question, request};

#[derive(Subcommand)]
pub(crate) enum Freeze {
    /// Freeze the clusters that a selector matches: their polls fail, so they keep what they have
    ///
    /// --reason is told to whoever touches one of these clusters meanwhile.
    #[command(
        after_help = "Example:\n  flux-resourceset-cli freeze create --id incident-42 --select 'environment=prod,region=eu' --reason 'etcd is slow'"
    )]
    Create(Create),
    /// List the freezes
    #[command(after_help = "Example:\n  flux-resourceset-cli freeze list")]
    List,
    /// Show one freeze
    #[command(after_help = "Example:\n  flux-resourceset-cli freeze get incident-42")]
    Get {
        /// Id of the freeze
        freeze: String,
    },
    /// Lift a freeze: its clusters get all that has gathered since
    ///
    /// Says first what has gathered. On a terminal it asks before it lifts; elsewhere it lifts.
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli freeze lift incident-42 --plan\n  flux-resourceset-cli freeze lift incident-42"
    )]
    Lift(Lift),
}

#[derive(Args)]
pub(crate) struct Create {
    /// Label selector of the clusters; `environment` and `id` are labels too, and '' is all of them
    #[arg(long, value_name = "SELECTOR")]
    select: String,

    /// Its id; made up where it is left out
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// A selector that matches no cluster is a success
    #[arg(long)]
    allow_empty: bool,

    #[command(flatten)]
    writing: Writing,
}

#[derive(Args)]
pub(crate) struct Lift {
    /// Id of the freeze
    freeze: String,

    #[command(flatten)]
    writing: Writing,
}

pub(crate) fn run(client: &Client<'_>, command: &Freeze) -> Result<Shown, Error> {
    match command {
        Freeze::Create(create) => create_freeze(&Writer::new(client, &create.writing), create),
        Freeze::List => Ok(Shown::list(FREEZE_COLUMNS, client.array(&request::freezes())?)),
        Freeze::Get { freeze } => Ok(Shown::document(client.body(&request::get_freeze(freeze))?)),
        Freeze::Lift(lift) => lift_freeze(&Writer::new(client, &lift.writing), &lift.freeze),
    }
}

fn create_freeze(writer: &Writer<'_>, create: &Create) -> Result<Shown, Error> {
    let reason = writer.writing.reason().ok_or_else(|| {
        Error::Usage("why? Give --reason, or export FLUX_API_REASON: whoever meets the freeze is told".into())
    })?;
    let mut freeze = json!({"selector": create.select, "reason": reason});
    if let (Some(id), Value::Object(fields)) = (&create.id, &mut freeze) {
        fields.insert("id".into(), id.clone().into());
    }
    let write = request::create_freeze(freeze, create.allow_empty);
    // A wrong selector is the mistake to make here, so it is said whom it matched.
    let whom = match writer.writing.is_preview() {
        true => None,
        false => Some(writer.plan(&write)?),
    };
    let made = writer.send(&write)?;
    if let Some(whom) = whom {
        say(&plan_text::frozen(&whom, View::stderr()));
    }
    Ok(Shown::document(made))
}

fn lift_freeze(writer: &Writer<'_>, freeze: &str) -> Result<Shown, Error> {
    let write = request::lift_freeze(freeze);
    if !writer.writing.needs_plans() {
        let gathered = writer.plan(&write)?;
        match gathered.changes() {
            true => say(&plan_text::whole(&gathered, View::stderr())),
            false => say("Nothing has gathered since the freeze.\n"),
        }
        if gathered.changes() && question::is_possible() {
            question::ask(&gathered)?;
            writer.agree_to(&gathered);
        }
    }
    Ok(Shown::document(writer.send(&write)?))
}
