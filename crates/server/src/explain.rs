//! Where each field of what a cluster gets comes from, and who changed it last.

use std::collections::{BTreeMap, BTreeSet};

use flux_resourceset_merge::{ExplainedField, Field, LastChange, LastChanges};
use flux_resourceset_model::change::Key;
use http::StatusCode;
use serde_json::{Value, json};

use crate::answer::{Answer, json_answer};
use crate::error::{ApiError, unexplained};
use crate::follow;
use crate::past::unreadable;
use crate::versions::{Walk, author};
use crate::view::Head;

/// What each field of a document was changed by last, in the words of the answer.
type Changes = BTreeMap<Field, Value>;

/// Explains the inputs of the cluster `cluster`: all, those of one type, or one.
pub(crate) async fn explain(
    head: &Head,
    cluster: &str,
    kind: Option<&str>,
    input: Option<&str>,
) -> Result<Answer, ApiError> {
    let explained = head.fleet.explain(cluster, kind, input).map_err(unexplained)?;
    let mut asked: BTreeMap<&Key, BTreeSet<&Field>> = BTreeMap::new();
    for field in explained.iter().flat_map(|input| &input.fields) {
        asked.entry(&field.document).or_default().insert(&field.field);
    }
    let mut walk = Walk::new(&*head.store);
    let mut walked = Vec::new();
    for (key, fields) in asked {
        walked.push((key, Walked::back(head, &mut walk, key, fields).await?));
    }
    // Asked afterwards: a history that was cut meanwhile is then known to be.
    let begins = follow::answered(head.store.history_begins()).await.map_err(|error| unreadable(&error))?;
    let changes: BTreeMap<_, _> =
        walked.into_iter().map(|(key, walked)| (key, walked.changes(begins))).collect();
    let field = |field: &ExplainedField| {
        let changed = changes.get(&field.document).and_then(|changes| changes.get(&field.field));
        let mut shown = serde_json::to_value(field).map_err(ApiError::internal)?;
        shown["changed"] = changed.cloned().unwrap_or_default();
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

/// What walking the versions of one document found.
struct Walked {
    last: LastChanges,
    authors: BTreeMap<u64, Value>,
    /// The oldest revision looked at.
    oldest: u64,
    /// Whether the walk went as far as it had to.
    whole: bool,
}

impl Walked {
    async fn back(
        head: &Head,
        walk: &mut Walk<'_>,
        key: &Key,
        fields: BTreeSet<&Field>,
    ) -> Result<Self, ApiError> {
        let mut last = LastChanges::new(&key.kind, fields.into_iter().cloned());
        let (mut authors, mut oldest) = (BTreeMap::new(), head.position.revision);
        // What was written since is not what is explained.
        let seen = walk.back(key, Some(head.position.revision + 1), |version, body| {
            authors.insert(version.revision, author(version));
            oldest = version.revision;
            last.feed(version.revision, body)
        });
        let whole = seen.await?;
        Ok(Walked { last, authors, oldest, whole })
    }

    fn changes(self, history_begins: u64) -> Changes {
        let Walked { last, authors, oldest, whole } = self;
        // Of a walk that ended early no version is the first one.
        let answers = last.finish(if whole { history_begins } else { u64::MAX }).into_iter();
        answers.map(|(field, change)| (field, changed(change, &authors, whole, oldest))).collect()
    }
}

fn changed(change: LastChange, authors: &BTreeMap<u64, Value>, whole: bool, oldest: u64) -> Value {
    match change {
        LastChange::At(revision) => authors.get(&revision).cloned().unwrap_or_default(),
        LastChange::BeforeHistory if whole => json!({"before_history": true}),
        // Looking further back would have been too much for one request.
        LastChange::BeforeHistory => json!({"not_after": oldest}),
    }
}
