//! `rolebinding`: definitions of role bindings, and which clusters have them.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::Client;
use crate::document::{Document, set};
use crate::error::Error;
use crate::output::Shown;
use crate::reference::{self, Assign, CreateDefinition, OnRemove, ReferenceFields, Unassign};
use crate::resource::{self, DeleteDefinition, Fields, Get, List, Update};
use crate::types::ROLEBINDING;
use crate::writer::Writer;

#[derive(Subcommand)]
pub(crate) enum Rolebinding {
    /// List all role binding definitions
    #[command(after_help = "Example:\n  flux-resourceset-cli rolebinding list")]
    List(List),
    /// Show one role binding definition
    #[command(after_help = "Example:\n  flux-resourceset-cli rolebinding get platform-admins")]
    Get(Get),
    /// Create a role binding definition, then attach it to a cluster or a profile
    ///
    /// Run again, it finds what it made and succeeds. A definition that exists with another role or
    /// other subjects than the ones given is an error.
    #[command(
        after_help = "Example:\n  flux-resourceset-cli rolebinding create dev-readers --role view --group developers --service-account ci/runner --cluster demo-cluster-01"
    )]
    Create(CreateDefinition<RolebindingFields>),
    /// Change a role binding definition, for every cluster that has it
    ///
    /// Any of --group, --user and --service-account replaces the whole list of subjects.
    #[command(
        after_help = "Example:\n  flux-resourceset-cli rolebinding update dev-readers --group developers --group testers"
    )]
    Update(Update<RolebindingFields>),
    /// Delete a role binding definition
    #[command(after_help = "Example:\n  flux-resourceset-cli rolebinding delete dev-readers")]
    Delete(DeleteDefinition),
    /// Attach a role binding to a cluster, to a profile, or to all clusters that a selector matches
    #[command(
        after_help = "Examples:\n  flux-resourceset-cli rolebinding assign dev-readers --cluster demo-cluster-01\n  flux-resourceset-cli rolebinding assign dev-readers --profile edge\n  flux-resourceset-cli rolebinding assign dev-readers --cluster demo-cluster-01 --exclude --note 'until the audit' --expires 2027-01-31\n  flux-resourceset-cli rolebinding assign dev-readers --select environment=dev"
    )]
    Assign(Assign<ReferenceFields>),
    /// Detach a role binding from a cluster, from a profile, or from all clusters that a selector matches
    ///
    /// A role binding that is defined but not attached is left so, with success. One that is not
    /// defined at all is an error.
    #[command(
        after_help = "Example:\n  flux-resourceset-cli rolebinding unassign dev-readers --cluster demo-cluster-01"
    )]
    Unassign(Unassign),
}

#[derive(Args, Default, PartialEq)]
pub(crate) struct RolebindingFields {
    /// Name of the ClusterRole
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,

    /// Group that gets the role (repeatable)
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,

    /// User that gets the role (repeatable)
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,

    /// Service account that gets the role (repeatable)
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = service_account)]
    service_account: Vec<(String, String)>,

    #[command(flatten)]
    on_remove: OnRemove,
}

fn service_account(typed: &str) -> Result<(String, String), String> {
    match typed.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.into(), name.into()))
        }
        _ => Err("write it as NAMESPACE/NAME".into()),
    }
}

impl RolebindingFields {
    fn subjects(&self) -> Vec<Value> {
        let named = |kind: &'static str| move |name: &String| json!({"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"});
        let account = |(namespace, name): &(String, String)| json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
        let groups = self.group.iter().map(named("Group"));
        let users = self.user.iter().map(named("User"));
        groups.chain(users).chain(self.service_account.iter().map(account)).collect()
    }
}

impl Fields for RolebindingFields {
    fn apply(&self, document: &mut Document) {
        set(document, "role", self.role.as_ref());
        set(document, "subjects", Some(&self.subjects()).filter(|subjects| !subjects.is_empty()));
        self.on_remove.apply(document);
    }
}

pub(crate) fn run(client: &Client<'_>, command: &Rolebinding) -> Result<Shown, Error> {
    match command {
        Rolebinding::List(list) => resource::list(client, &ROLEBINDING, list, None),
        Rolebinding::Get(get) => resource::get(client, &ROLEBINDING, get),
        Rolebinding::Create(create) => {
            reference::create(&Writer::new(client, &create.create.writing), &ROLEBINDING, create)
        }
        Rolebinding::Update(update) => {
            resource::update(&Writer::new(client, &update.writing), &ROLEBINDING, update)
        }
        Rolebinding::Delete(delete) => {
            resource::delete_definition(&Writer::new(client, &delete.writing), &ROLEBINDING, delete)
        }
        Rolebinding::Assign(assign) => {
            reference::assign(&Writer::new(client, &assign.writing), &ROLEBINDING, assign)
        }
        Rolebinding::Unassign(unassign) => {
            reference::unassign(&Writer::new(client, &unassign.writing), &ROLEBINDING, unassign)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_what_kubernetes_expects() {
        let fields = RolebindingFields {
            role: Some("view".into()),
            group: vec!["devs".into()],
            user: vec!["ann".into()],
            service_account: vec![service_account("ci/runner").unwrap()],
            ..Default::default()
        };
        let mut document = Document::new();
        fields.apply(&mut document);
        let api_group = "rbac.authorization.k8s.io";
        assert_eq!(
            Value::Object(document),
            json!({"role": "view", "subjects": [
                {"kind": "Group", "name": "devs", "apiGroup": api_group},
                {"kind": "User", "name": "ann", "apiGroup": api_group},
                {"kind": "ServiceAccount", "name": "runner", "namespace": "ci"},
            ]})
        );
    }

    #[test]
    fn a_service_account_has_a_namespace() {
        for typed in ["runner", "/runner", "ci/", "a/b/c"] {
            assert!(service_account(typed).is_err(), "{typed}");
        }
    }
}
