//! The commands of the resource types that a fleet registered: learnt from the API when the first word of the
//! command line is none of this program's own, and made of the same pieces as those of namespaces.

use std::collections::BTreeSet;
use std::env;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches, Subcommand};
use flux_resourceset_model::TypeDefinition;

use crate::args::{Cli, Options};
use crate::client::Client;
use crate::connection::Connection;
use crate::error::{self, Error, printable};
use crate::output::Shown;
use crate::reference::{self, Assign, CreateDefinition, Unassign};
use crate::resource::{self, DeleteDefinition, Get, List, Update};
use crate::setting::{self, Overrides, Settings};
use crate::types::{self, CLUSTER, Cell, Column, PROFILE, RESOURCE_TYPE, ResourceType};
use crate::writer::{Writer, say};
use crate::{resource_type, run, schema_text};

/// How many types a person is told by name.
const NAMED: usize = 20;
/// How long an example's settings may be in one line.
const FOLDED: usize = 30;

#[derive(Subcommand)]
enum Registered {
    List(List),
    Get(Get),
    Create(CreateDefinition<Settings>),
    Update(Update<Settings>),
    Delete(DeleteDefinition),
    Assign(Assign<Overrides>),
    Unassign(Unassign),
}

/// A type that the fleet registered. It is there as long as the program, which runs one command.
pub(crate) struct Type {
    pub(crate) kind: ResourceType,
    definition: TypeDefinition,
    /// The properties that a definition has beside its id.
    properties: Vec<&'static str>,
    /// Those that a cluster's reference may override.
    overridable: Vec<&'static str>,
}

/// Runs the command of a registered type. `refusal` is what this program alone says of the command line.
pub(crate) fn run(refusal: &clap::Error) -> ExitCode {
    let Some(word) = word() else { return refused(refusal) };
    let connection = match Connection::among(env::args_os().skip(1)) {
        Ok(connection) => connection,
        Err(refusal) => return refused(&refusal),
    };
    let types = match learnt(&Client::new(&connection)) {
        Ok(types) => types,
        Err(error) => return error::exit_code(Err(not_learnt(&word, refusal, error))),
    };
    let root = root(&types);
    let is_known = root.find_subcommand(&word).is_some();
    match parsed(root, &types) {
        Ok((options, kind, command)) => {
            let client = Client::new(&options.connection);
            let end = perform(&client, kind, &command);
            error::exit_code(run::show(&client, end, options.output))
        }
        Err(refusal) => {
            let code = refused(&refusal);
            if !is_known {
                say(&names(&types));
            }
            code
        }
    }
}

/// Help and usage go where clap wants them; a closed pipe there changes nothing.
fn refused(refusal: &clap::Error) -> ExitCode {
    let _ = refusal.print();
    ExitCode::from(u8::try_from(refusal.exit_code()).unwrap_or(error::USAGE))
}

/// The first word of the command line, where it is no command of this program's own.
fn word() -> Option<String> {
    let matches = Cli::command().allow_external_subcommands(true).try_get_matches().ok()?;
    let (word, _) = matches.subcommand()?;
    Cli::command().find_subcommand(word).is_none().then(|| word.to_owned())
}

/// The registered types. An API that knows none has none.
pub(crate) fn learnt(client: &Client<'_>) -> Result<Vec<&'static Type>, Error> {
    let documents = match client.list(RESOURCE_TYPE.plural, &[], None) {
        Err(missing) if missing.is_unknown_route() => Vec::new(),
        listed => listed?,
    };
    // One that this program cannot read is one that it does not know.
    let definitions = documents.into_iter().filter_map(|document| resource_type::definition(document).ok());
    Ok(definitions.map(|definition| &*Box::leak(Box::new(Type::new(definition)))).collect())
}

/// The type that clusters poll and that is meant by `name`: of this release, or else registered.
pub(crate) fn polled(client: &Client<'_>, name: &str) -> Result<Option<&'static ResourceType>, Error> {
    match types::definition(name) {
        Some(known) => Ok(Some(known)),
        None => Ok(learnt(client)?.into_iter().map(|one| &one.kind).find(|kind| kind.is_called(name))),
    }
}

/// A type's plural, by whatever name a person gives it: what this program does not know, the API may.
pub(crate) fn plural(client: &Client<'_>, name: &str) -> Result<String, Error> {
    let of_release =
        [&CLUSTER, &PROFILE, &RESOURCE_TYPE].into_iter().find(|kind| kind.singular == name.replace('-', "_"));
    let known = of_release.map_or_else(|| polled(client, name), |kind| Ok(Some(kind)))?;
    Ok(known.map_or_else(|| name.replace('-', "_"), |kind| kind.plural.to_owned()))
}

fn not_learnt(word: &str, refusal: &clap::Error, error: Error) -> Error {
    let similar = match refusal.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(names)) => format!(" (did you mean `{}`?)", names.join("`, `")),
        _ => String::new(),
    };
    let said = |text: String| {
        format!(
            "`{}` is no command of this program{similar}, and whether the fleet has such a resource type cannot \
             be asked: {text}",
            printable(word)
        )
    };
    match error {
        Error::Usage(text) => Error::Usage(said(text)),
        Error::Failed(text) => Error::Failed(said(text)),
        Error::Api(refusal) => Error::Failed(said(refusal.to_string())),
        other => other,
    }
}

fn names(types: &[&Type]) -> String {
    let names: Vec<_> = types.iter().take(NAMED).map(|one| printable(one.kind.singular)).collect();
    let more = if types.len() > NAMED { ", ..." } else { "" };
    match names.is_empty() {
        true => "The fleet has no resource types of its own (`resource_type create` registers one).\n".into(),
        false => format!("Resource types of the fleet: {}{more} (`resource_type list`).\n", names.join(", ")),
    }
}

type Parsed = (Options, &'static Type, Registered);

fn parsed(root: Command, types: &[&'static Type]) -> Result<Parsed, clap::Error> {
    let matches = root.try_get_matches()?;
    let unknown = || clap::Error::new(ErrorKind::InvalidSubcommand);
    let (name, below) = matches.subcommand().ok_or_else(unknown)?;
    let kind = types.iter().find(|one| one.kind.singular == name).ok_or_else(unknown)?;
    Ok((Options::from_arg_matches(&matches)?, kind, Registered::from_arg_matches(below)?))
}

/// The whole command line: this program's own, and the commands of these types.
pub(crate) fn root(types: &[&'static Type]) -> Command {
    let mut root = Cli::command();
    let mut taken: BTreeSet<String> = root
        .get_subcommands()
        .flat_map(|own| std::iter::once(own.get_name()).chain(own.get_all_aliases()))
        .chain(["help"])
        .map(str::to_owned)
        .collect();
    // Every name before any alias. A name that this release has taken is reached over the API alone.
    let types: Vec<_> = types.iter().filter(|one| taken.insert(one.kind.singular.into())).collect();
    for one in types {
        let ResourceType { singular, plural, flux_path, .. } = one.kind;
        let dashed = [singular, plural].map(|name| name.replace('_', "-"));
        let aliases = [plural, flux_path].map(str::to_owned).into_iter().chain(dashed);
        let aliases: Vec<_> = aliases.filter(|alias| taken.insert(alias.clone())).collect();
        root = root.subcommand(one.command().aliases(aliases.into_iter().map(leaked)));
    }
    root
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

impl Type {
    fn new(definition: TypeDefinition) -> Self {
        let properties: Vec<_> =
            schema_text::properties(&definition).map(|(name, _)| leaked(name.clone())).collect();
        let overridable =
            properties.iter().filter(|name| definition.overridable.contains(**name)).copied().collect();
        let columns = columns(&definition);
        let kind = ResourceType {
            plural: leaked(definition.plural.clone()),
            singular: leaked(definition.name.clone()),
            flux_path: leaked(definition.flux_path.clone()),
            columns,
            input_columns: columns,
        };
        Type { kind, definition, properties, overridable }
    }

    fn command(&'static self) -> Command {
        let Type { kind, definition, properties, overridable } = self;
        let required = schema_text::required(definition);
        let noun = kind.singular.replace('_', " ");
        let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        let one = format!("{article} {noun}");
        let id = self.sample_id();
        let set = self.example(&self.example_properties());
        let overriding = self.example(overridable.get(..1).unwrap_or_default());
        let fields = format!("Properties:\n{}\n", schema_text::described(definition, properties, &required));
        let overriden = match overridable.is_empty() {
            true => "A cluster can override none of its properties.\n\n".into(),
            false => {
                let lines = schema_text::described(definition, overridable, &[]);
                format!("Properties that a cluster can override:\n{lines}\n")
            }
        };
        let example =
            |words: &str| format!("Example:\n  flux-resourceset-cli {} {}", kind.singular, words.trim_end());
        let (cluster, targets) = (
            "--cluster demo-cluster-01",
            "a cluster, to a profile, or to all clusters that a selector matches",
        );
        let shown = |command: Command, about: String, after: String| command.about(about).after_help(after);
        Registered::augment_subcommands(Command::new(kind.singular))
            .subcommand_required(true)
            .arg_required_else_help(true)
            .about(printable(&definition.description))
            .after_help(fields.clone() + &example("list"))
            .mut_subcommand("list", |list| shown(list, format!("List every {noun}"), example("list")))
            .mut_subcommand("get", |get| shown(get, format!("Show {one}"), example(&format!("get {id}"))))
            .mut_subcommand("create", |create| {
                let after = fields.clone() + &example(&format!("create {id} {set}{cluster}"));
                self.with_set(shown(create, format!("Create {one}"), after), properties)
            })
            .mut_subcommand("update", |update| {
                let after = fields.clone() + &example(&format!("update {id} {set}--plan"));
                let about = format!("Change {one}, for every cluster that has it");
                self.with_set(shown(update, about, after), properties)
            })
            .mut_subcommand("delete", |delete| {
                shown(delete, format!("Delete {one}"), example(&format!("delete {id}")))
            })
            .mut_subcommand("assign", |assign| {
                let after = overriden + &example(&format!("assign {id} {cluster} {overriding}"));
                let assign = shown(assign, format!("Attach {one} to {targets}"), after);
                let known = PossibleValuesParser::new(overridable.iter().copied().chain([
                    "on_remove",
                    "note",
                    "expires",
                ]));
                self.with_set(assign, overridable).mut_arg("unset", |arg| arg.value_parser(known))
            })
            .mut_subcommand("unassign", |unassign| {
                let about = format!("Detach {one} from {}", targets.replace(" to ", " from "));
                shown(unassign, about, example(&format!("unassign {id} {cluster}")))
            })
    }

    /// The command, whose `--set` takes these properties.
    fn with_set(&'static self, command: Command, allowed: &'static [&'static str]) -> Command {
        command.mut_arg("set", |arg| {
            arg.value_parser(move |typed: &str| setting::parse(&self.definition, allowed, typed))
                .hide(allowed.is_empty())
        })
    }

    /// The properties that an example sets: those that must be there, or else the first.
    fn example_properties(&self) -> Vec<&'static str> {
        let required = schema_text::required(&self.definition);
        let named: Vec<_> = self.properties.iter().filter(|name| required.contains(name)).copied().collect();
        if named.is_empty() { self.properties.iter().take(1).copied().collect() } else { named }
    }

    fn example(&self, properties: &[&str]) -> String {
        let schemas = schema_text::properties(&self.definition);
        let schemas = schemas.filter(|(name, _)| properties.contains(&name.as_str()));
        let settings = schemas.map(|(name, schema)| {
            let value = schema_text::text(&schema_text::sample(schema));
            format!("--set {} ", quoted(&printable(&format!("{name}={value}"))))
        });
        let settings: Vec<_> = settings.collect();
        // Help is wrapped at spaces, which would tear a long line where a shell ends the command.
        let fold = if settings.concat().len() > FOLDED { "\\\n    " } else { "" };
        settings.into_iter().map(|setting| fold.to_owned() + &setting).collect()
    }

    fn sample_id(&self) -> String {
        let schema = self.definition.schema.pointer("/properties/id");
        let example = schema.and_then(|id| id.get("example")?.as_str());
        quoted(&printable(
            &example.map_or_else(|| format!("my-{}", self.kind.singular.replace('_', "-")), str::to_owned),
        ))
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@".contains(c);
    match word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The id, each property, and what becomes of its objects.
fn columns(definition: &TypeDefinition) -> &'static [Column] {
    let column = |name: &str, cell| Column {
        heading: leaked(name.replace('_', " ").to_uppercase()),
        pointer: leaked(format!("/{name}")),
        cell,
    };
    let own = schema_text::properties(definition).map(|(name, schema)| {
        // Objects in a list would be a line of their own each.
        let are_objects = schema.get("items").and_then(schema_text::kind) == Some("object");
        column(name, if are_objects { Cell::Count } else { Cell::Value })
    });
    let columns = [column("id", Cell::Value)].into_iter().chain(own);
    Vec::leak(columns.chain([column("on_remove", Cell::Value)]).collect())
}

fn perform(client: &Client<'_>, kind: &Type, command: &Registered) -> Result<Shown, Error> {
    let kind = &kind.kind;
    match command {
        Registered::List(list) => resource::list(client, kind, list, None),
        Registered::Get(get) => resource::get(client, kind, get),
        Registered::Create(create) => {
            reference::create(&Writer::new(client, &create.create.writing), kind, create)
        }
        Registered::Update(update) => resource::update(&Writer::new(client, &update.writing), kind, update),
        Registered::Delete(delete) => {
            resource::delete_definition(&Writer::new(client, &delete.writing), kind, delete)
        }
        Registered::Assign(assign) => reference::assign(&Writer::new(client, &assign.writing), kind, assign),
        Registered::Unassign(unassign) => {
            reference::unassign(&Writer::new(client, &unassign.writing), kind, unassign)
        }
    }
}
