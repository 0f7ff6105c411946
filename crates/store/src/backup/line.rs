//! The lines of a backup, as they are written and read. Bodies are strings, byte for byte as committed.

use std::borrow::Cow;

use flux_resourceset_model::change::{ChangeSet, DocumentChange, Entry, EntryId, Key, Operation};
use serde::{Deserialize, Serialize};

use crate::{Position, StoreId, Version};

/// The format that this release writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

/// A line, by its only key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line<'a> {
    Backup(Header),
    Document(Document<'a>),
    Entry(Logged<'a>),
    End(End),
}

/// The first line: what the backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The format's version.
    pub format: u32,
    /// When it was begun, in milliseconds since 1970-01-01 UTC.
    pub at: i64,
    #[serde(with = "hex")]
    pub(super) store: u128,
    pub(super) begins: Begins,
    pub(super) head: Place,
    pub(super) min_reader: u32,
}

impl Header {
    /// Whose content it is.
    pub fn store(&self) -> StoreId {
        StoreId(self.store)
    }

    /// The revision that it is the content of.
    pub fn head(&self) -> Position {
        self.head.position()
    }

    /// The first revision whose state is in it.
    pub fn begins(&self) -> u64 {
        self.begins.revision
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    pub(super) revision: u64,
    #[serde(with = "hex")]
    pub(super) entry: u128,
}

impl Place {
    pub(super) fn of(position: Position) -> Self {
        Place { revision: position.revision, entry: position.entry.0 }
    }

    pub(super) fn position(self) -> Position {
        Position { revision: self.revision, entry: EntryId(self.entry) }
    }
}

/// Where the history begins; at revision 0 there is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begins {
    pub(super) revision: u64,
    #[serde(with = "hex")]
    pub(super) entry: u128,
    pub(super) at: Option<i64>,
}

impl Begins {
    pub(super) fn position(self) -> Position {
        Position { revision: self.revision, entry: EntryId(self.entry) }
    }
}

/// A document of the state where the history begins, and who left it so.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document<'a> {
    r#type: Cow<'a, str>,
    id: Cow<'a, str>,
    revision: u64,
    at: i64,
    principal: Cow<'a, str>,
    reason: Option<Cow<'a, str>>,
    body: Option<Body<'a>>,
}

impl<'a> Document<'a> {
    pub(super) fn of(key: &'a Key, version: &'a Version) -> Self {
        Document {
            r#type: (&*key.kind).into(),
            id: (&*key.id).into(),
            revision: version.revision,
            at: version.at,
            principal: (&*version.principal).into(),
            reason: version.reason.as_deref().map(Cow::from),
            body: version.body.as_deref().map(Body::of),
        }
    }

    pub(super) fn read(self) -> Result<(Key, Version), String> {
        let version = Version {
            revision: self.revision,
            at: self.at,
            principal: self.principal.into_owned(),
            reason: self.reason.map(Cow::into_owned),
            body: self.body.map(Body::bytes).transpose()?,
        };
        Ok((Key::new(self.r#type, self.id), version))
    }
}

/// An entry of the log.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Logged<'a> {
    revision: u64,
    #[serde(with = "hex")]
    entry: u128,
    at: i64,
    principal: Cow<'a, str>,
    reason: Option<Cow<'a, str>>,
    request_id: Cow<'a, str>,
    min_reader: u32,
    operations: Cow<'a, [Operation]>,
    documents: Vec<Changed<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changed<'a> {
    r#type: Cow<'a, str>,
    id: Cow<'a, str>,
    body: Option<Body<'a>>,
}

impl<'a> Logged<'a> {
    pub(super) fn of(Entry { revision, at, change_set }: &'a Entry) -> Self {
        let changed = |DocumentChange { key, body }: &'a DocumentChange| Changed {
            r#type: (&*key.kind).into(),
            id: (&*key.id).into(),
            body: body.as_deref().map(Body::of),
        };
        Logged {
            revision: *revision,
            entry: change_set.entry.0,
            at: *at,
            principal: (&*change_set.principal).into(),
            reason: change_set.reason.as_deref().map(Cow::from),
            request_id: (&*change_set.request_id).into(),
            min_reader: change_set.min_reader,
            operations: (&*change_set.operations).into(),
            documents: change_set.documents.iter().map(changed).collect(),
        }
    }

    pub(super) fn read(self) -> Result<Entry, String> {
        let change = |changed: Changed<'_>| {
            let body = changed.body.map(Body::bytes).transpose()?;
            Ok(DocumentChange { key: Key::new(changed.r#type, changed.id), body })
        };
        let change_set = ChangeSet {
            entry: EntryId(self.entry),
            principal: self.principal.into_owned(),
            reason: self.reason.map(Cow::into_owned),
            request_id: self.request_id.into_owned(),
            operations: self.operations.into_owned(),
            documents: self.documents.into_iter().map(change).collect::<Result<_, String>>()?,
            min_reader: self.min_reader,
        };
        Ok(Entry { revision: self.revision, at: self.at, change_set })
    }
}

/// A document's bytes: as text where they are text, as what a server writes always is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Body<'a> {
    Text(Cow<'a, str>),
    Bytes { hex: Cow<'a, str> },
}

impl<'a> Body<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Body::Text(text.into()),
            Err(_) => Body::Bytes { hex: hexadecimal(bytes).into() },
        }
    }

    fn bytes(self) -> Result<Vec<u8>, String> {
        let digits = match self {
            Body::Text(text) => return Ok(text.into_owned().into_bytes()),
            Body::Bytes { hex } => hex,
        };
        let pairs = digits.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        });
        pairs.collect::<Option<_>>().ok_or_else(|| "a body is no hexadecimal".to_owned())
    }
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) documents: u64,
    pub(super) entries: u64,
    /// Of every byte before this line.
    pub(super) sha256: String,
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 128 bits as 32 digits.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{number:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let number = u128::from_str_radix(&text, 16).ok().filter(|_| text.len() == 32);
        number.ok_or_else(|| D::Error::custom("an id is not 32 hexadecimal digits"))
    }
}
