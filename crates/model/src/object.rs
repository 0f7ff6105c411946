//! JSON objects written field by field into one buffer: values are seldom made for it, of which a document has
//! hundreds.

use serde::Serialize;

/// An object being written at the end of a buffer. Fields come in the order of their names, as documents have them.
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> ObjectWriter<'a> {
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        ObjectWriter { out, is_empty: true }
    }

    /// A field whose value is to be appended to what is returned, as JSON.
    pub(crate) fn field(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        write(name, self.out);
        self.out.push(b':');
        self.out
    }

    /// A field, where there is a value.
    pub(crate) fn optional<T: Serialize + ?Sized>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            write(value, self.field(name));
        }
    }

    pub(crate) fn end(self) {
        self.out.push(b'}');
    }
}

/// Appends `value` as JSON. Of what has text for keys, and into memory, that cannot fail.
pub(crate) fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "nothing is written that is no JSON");
}
