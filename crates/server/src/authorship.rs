//! Who gave the fields of documents the values that they have. Apart from those who ask: where a field comes
//! from, and where clusters say something else than their profiles, are asked of one history in one way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flux_resourceset_merge::{Field, LastChange, LastChanges};
use flux_resourceset_model::change::Key;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::follow;
use crate::past::unreadable;
use crate::versions::{Walk, author};
use crate::view::Head;

/// The last change of a field, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) enum Changed {
    /// What made this revision: by whom, when and why.
    By(u64, Arc<Value>),
    /// It was so already where the history begins.
    BeforeHistory,
    /// It was so already at this revision. Looking further back would have been too much for one request.
    NotAfter(u64),
}

impl Changed {
    /// In the words of an answer.
    pub(crate) fn shown(&self) -> Value {
        match self {
            Changed::By(_, author) => Value::clone(author),
            Changed::BeforeHistory => json!({"before_history": true}),
            Changed::NotAfter(revision) => json!({"not_after": revision}),
        }
    }

    /// The last revision that may have brought it about: what is lower, is older.
    pub(crate) fn age(&self) -> u64 {
        match self {
            Changed::By(revision, _) | Changed::NotAfter(revision) => *revision,
            Changed::BeforeHistory => 0,
        }
    }

    /// Who did it, where that is known.
    pub(crate) fn principal(&self) -> Option<&str> {
        match self {
            Changed::By(_, author) => author.get("principal")?.as_str(),
            Changed::BeforeHistory | Changed::NotAfter(_) => None,
        }
    }
}

/// The last change of each field asked about, by document.
pub(crate) struct Authorship(BTreeMap<Key, BTreeMap<Field, Changed>>);

impl Authorship {
    /// Walks back through the history of each document once, for all its fields that are asked about.
    pub(crate) async fn of<'a>(
        head: &Head,
        walk: &mut Walk<'_>,
        fields: impl IntoIterator<Item = (&'a Key, &'a Field)>,
    ) -> Result<Self, ApiError> {
        let mut asked: BTreeMap<&Key, BTreeSet<&Field>> = BTreeMap::new();
        for (key, field) in fields {
            asked.entry(key).or_default().insert(field);
        }
        let mut walked = Vec::new();
        for (key, fields) in asked {
            walked.push((key.clone(), Walked::back(head, walk, key, fields).await?));
        }
        // Asked afterwards: a history that was cut meanwhile is then known to be.
        let begins = follow::answered(head.store.history_begins()).await;
        let begins = begins.map_err(unreadable)?;
        Ok(Authorship(walked.into_iter().map(|(key, walked)| (key, walked.changes(begins))).collect()))
    }

    pub(crate) fn get(&self, key: &Key, field: &Field) -> Option<&Changed> {
        self.0.get(key)?.get(field)
    }
}

/// What walking the versions of one document found.
struct Walked {
    last: LastChanges,
    authors: BTreeMap<u64, Arc<Value>>,
    /// The oldest revision at which the document is known to be as the walk left it.
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
        let written = head.fleet.get(key).map(|document| document.revision());
        let (mut authors, mut oldest) = (BTreeMap::new(), written.unwrap_or(head.position.revision));
        // What was written since is not what is asked about.
        let seen = walk.back(key, Some(head.position.revision + 1), |version, body| {
            authors.insert(version.revision, Arc::new(author(version)));
            oldest = version.revision;
            last.feed(version.revision, body)
        });
        let whole = seen.await?;
        Ok(Walked { last, authors, oldest, whole })
    }

    fn changes(self, history_begins: u64) -> BTreeMap<Field, Changed> {
        let Walked { last, authors, oldest, whole } = self;
        // Of a walk that ended early no version is the first one.
        let answers = last.finish(if whole { history_begins } else { u64::MAX }).into_iter();
        let changed = |change| match change {
            LastChange::At(revision) => {
                Changed::By(revision, authors.get(&revision).cloned().unwrap_or_default())
            }
            LastChange::BeforeHistory if whole => Changed::BeforeHistory,
            LastChange::BeforeHistory => Changed::NotAfter(oldest),
        };
        answers.map(|(field, change)| (field, changed(change))).collect()
    }
}

#[cfg(test)]
mod tests {
    use flux_resourceset_merge::Fleet;
    use flux_resourceset_model::Rules;
    use flux_resourceset_model::change::{ChangeSet, DocumentChange, EntryId, READER_VERSION};
    use flux_resourceset_store::{Committed, MemoryStore, Position, Store};

    use super::*;
    use crate::view::Moment;

    fn change_set(n: u64) -> ChangeSet {
        let body = json!({"id": "n", "labels": {"last": n.to_string(), "first": "x"}});
        ChangeSet {
            entry: EntryId(u128::from(n)),
            principal: format!("writer-{n}"),
            reason: None,
            request_id: "test".into(),
            operations: Vec::new(),
            documents: vec![DocumentChange {
                key: Key::new("namespaces", "n"),
                body: Some(body.to_string().into_bytes()),
            }],
            min_reader: READER_VERSION,
        }
    }

    /// A namespace of five versions, of which the first said `first` and the fifth `last`.
    async fn head() -> Head {
        let store = MemoryStore::new();
        let written: Vec<_> = (1..=5).map(change_set).collect();
        let Committed::Done(entries) = store.commit(Position::START, written).await.unwrap() else {
            panic!("nobody else writes")
        };
        let empty = Fleet::empty(Rules::default());
        let applied = entries
            .iter()
            .try_fold(empty, |fleet, entry| fleet.apply(entry.revision, &entry.change_set.documents));
        let (id, position) = store.head().await.unwrap();
        Head { fleet: applied.unwrap(), position, store: Arc::new(store), id, confirmed: Moment::now() }
    }

    #[tokio::test]
    async fn what_is_not_looked_at_is_said_to_be_no_younger_than_it_is() {
        let head = head().await;
        let key = Key::new("namespaces", "n");
        let [first, last] = ["first", "last"].map(|label| Field::new(["labels", label]));
        for (left, expected, rest) in [
            (0, [json!({"not_after": 5}), json!({"not_after": 5})], 0),
            (1, [json!({"not_after": 5}), json!({"not_after": 5})], 0),
            (2, [json!({"not_after": 4}), json!("writer-5")], 0),
            (100, [json!("writer-1"), json!("writer-5")], 95),
        ] {
            let mut walk = Walk::of(&*head.store, left);
            let authorship = Authorship::of(&head, &mut walk, [(&key, &first), (&key, &last)]).await.unwrap();
            let known = [&first, &last].map(|field| authorship.get(&key, field).unwrap());
            let shown = known.map(|changed| match changed.principal() {
                Some(principal) => principal.into(),
                None => changed.shown(),
            });
            assert_eq!((shown, walk.left()), (expected, rest), "{left}");
            assert!(known[0].age() <= known[1].age(), "{left}");
        }
    }
}
