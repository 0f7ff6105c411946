//! A definition of any type that is declared as data: namespaces, role bindings and those to come.

use crate::component::OnRemove;
use crate::{Body, Unreadable};

/// A definition: what its type's schema says it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Unique within its type.
    pub id: String,
    /// What becomes of its objects when it goes; `None`: they are deleted.
    pub on_remove: Option<OnRemove>,
    /// The properties of its schema that were written, without `id` and `on_remove`.
    pub fields: Body,
}

impl Definition {
    pub(crate) fn parse(mut fields: Body) -> Result<Self, Unreadable> {
        let id = match fields.remove("id") {
            Some(serde_json::Value::String(id)) => id,
            _ => return Err(Unreadable("`id` is not a string".into())),
        };
        let on_remove = fields.remove("on_remove").map(serde_json::from_value).transpose();
        let on_remove = on_remove.map_err(|error| Unreadable(format!("`on_remove`: {error}")))?;
        Ok(Definition { id, on_remove, fields })
    }
}
