//! Where each field of what a cluster gets comes from, and who changed it last.

use flux_resourceset_merge::ExplainedField;
use http::StatusCode;
use serde_json::{Value, json};

use crate::answer::{Answer, json_answer};
use crate::authorship::{Authorship, Changed};
use crate::error::{ApiError, unexplained};
use crate::versions::Walk;
use crate::view::Head;

/// Explains the inputs of the cluster `cluster`: all, those of one type, or one.
pub(crate) async fn explain(
    head: &Head,
    cluster: &str,
    kind: Option<&str>,
    input: Option<&str>,
) -> Result<Answer, ApiError> {
    let explained = head.fleet.explain(cluster, kind, input).map_err(unexplained)?;
    let fields = explained.iter().flat_map(|input| &input.fields);
    let fields = fields.map(|field| (&field.document, &field.field));
    let authorship = Authorship::of(head, &mut Walk::new(&*head.store), fields).await?;
    let field = |field: &ExplainedField| {
        let mut shown = serde_json::to_value(field).map_err(ApiError::internal)?;
        let changed = authorship.get(&field.document, &field.field);
        shown["changed"] = changed.map(Changed::shown).unwrap_or_default();
        Ok(shown)
    };
    let inputs = explained.iter().map(|input| {
        let fields = input.fields.iter().map(field).collect::<Result<Value, ApiError>>()?;
        Ok(json!({"type": input.kind, "id": input.id, "fields": fields}))
    });
    let inputs = inputs.collect::<Result<Value, ApiError>>()?;
    let body = json!({"cluster": cluster, "revision": head.position.revision, "inputs": inputs});
    Ok(json_answer(StatusCode::OK, body.to_string()))
}
