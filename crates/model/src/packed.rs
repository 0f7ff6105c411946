//! A document's body, kept without what its parsed form says already: a fleet has many clusters, and most of
//! what one says are its references and patches.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::fields::Fields;
use crate::layer::Layer;
use crate::object::ObjectWriter;
use crate::{Body, Resource};

/// The body of a document, byte for byte, beside its parsed form.
#[derive(Debug)]
pub struct PackedBody(Packed);

#[derive(Debug)]
enum Packed {
    Whole(Box<[u8]>),
    /// Without the fields that are the layer's.
    WithoutLayer(Box<[u8]>),
}

impl PackedBody {
    /// Of `body`, which was read as `resource`.
    pub fn of(body: &[u8], resource: &Resource) -> Self {
        let without = layer_of(resource).and_then(|layer| without_layer(body, layer));
        PackedBody(without.map_or_else(|| Packed::Whole(body.into()), Packed::WithoutLayer))
    }

    /// The body; `resource` is what it was packed with.
    pub fn get(&self, resource: &Resource) -> Cow<'_, [u8]> {
        match (&self.0, layer_of(resource)) {
            (Packed::WithoutLayer(rest), Some(layer)) => {
                // This very thing was done and compared when it was packed.
                let fields = Fields::of(rest);
                debug_assert!(fields.is_ok(), "a packed body is one that could be unpacked");
                fields
                    .map(|fields| Cow::Owned(object(&fields, &layer.to_fields(&|_| true))))
                    .unwrap_or_default()
            }
            (Packed::Whole(body) | Packed::WithoutLayer(body), _) => Cow::Borrowed(body),
        }
    }

    /// The same as a value, without what it says under fields that are not `wanted` as far as they need not be
    /// read for that.
    pub fn to_value(&self, resource: &Resource, wanted: &dyn Fn(&str) -> bool) -> Body {
        let (Packed::Whole(body) | Packed::WithoutLayer(body)) = &self.0;
        let mut fields: Body = serde_json::from_slice(body).unwrap_or_default();
        if let (Packed::WithoutLayer(_), Some(layer)) = (&self.0, layer_of(resource)) {
            let said = layer.to_fields(wanted).into_iter();
            // Written as JSON just now.
            fields.extend(
                said.map(|(name, text)| (name.to_owned(), serde_json::from_str(&text).unwrap_or_default())),
            );
        }
        fields
    }

    /// The body that `rewritten` makes of it, which is its value with other fields: what was not `wanted` stays.
    pub fn with(&self, resource: &Resource, wanted: &dyn Fn(&str) -> bool, rewritten: &Body) -> Vec<u8> {
        let fields = serde_json::to_vec(rewritten).unwrap_or_default();
        let (Packed::WithoutLayer(_), Some(layer)) = (&self.0, layer_of(resource)) else { return fields };
        let kept = layer.to_fields(&|field| !wanted(field));
        Fields::of(&fields).map(|fields| object(&fields, &kept)).unwrap_or_default()
    }
}

fn layer_of(resource: &Resource) -> Option<&Layer> {
    match resource {
        Resource::Cluster(cluster) => Some(&cluster.layer),
        Resource::Profile(profile) => Some(&profile.layer),
        _ => None,
    }
}

/// `body` without the fields of `layer`; `None` where putting the two together again does not make `body`: where
/// it is not written as we write, or has what the parsed form has not.
fn without_layer(body: &[u8], layer: &Layer) -> Option<Box<[u8]>> {
    let (fields, said) = (Fields::of(body).ok()?, layer.to_fields(&|_| true));
    let rest = fields.without(&said);
    (object(&rest, &said) == body).then(|| object(&rest, &BTreeMap::new()).into())
}

/// An object of all these fields, as documents are written.
fn object(fields: &Fields<'_>, more: &BTreeMap<&str, String>) -> Vec<u8> {
    let mut all: BTreeMap<&str, &str> = fields.texts().collect();
    all.extend(more.iter().map(|(name, text)| (*name, text.as_str())));
    let mut out = Vec::new();
    let mut object = ObjectWriter::begin(&mut out);
    for (name, text) in all {
        object.field(name).extend_from_slice(text.as_bytes());
    }
    object.end();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CLUSTERS, Types};

    fn packed(body: &str) -> (usize, bool) {
        let resource = Types::built_in().of(CLUSTERS).unwrap().read(body.as_bytes()).unwrap();
        let packed = PackedBody::of(body.as_bytes(), &resource);
        assert_eq!(String::from_utf8_lossy(&packed.get(&resource)), body);
        assert_eq!(packed.to_value(&resource, &|_| true), serde_json::from_str::<Body>(body).unwrap());
        for wanted in ["", "patches", "platform_components"] {
            let wanted = |field: &str| field == wanted;
            let some = packed.to_value(&resource, &wanted);
            let whole: Body = serde_json::from_slice(&packed.with(&resource, &wanted, &some)).unwrap();
            assert_eq!(whole, packed.to_value(&resource, &|_| true));
        }
        match packed.0 {
            Packed::Whole(body) => (body.len(), true),
            Packed::WithoutLayer(rest) => (rest.len(), false),
        }
    }

    #[test]
    fn what_the_parsed_form_says_is_left_out() {
        let references = r#"[{"id":"n"},{"id":"m","on_remove":"keep"}]"#;
        let components = r#"[{"enabled":false,"id":"a","oci_tag":"1\"2","release":{"values":{"a":null}}},{"exclude":true,"id":"b"},{"component_path":"p","id":"c","on_remove":"delete"}]"#;
        let patches = r#"{"a":{"k":"é\\"},"b":{}}"#;
        let (bytes, whole) = packed(&format!(
            r#"{{"cluster_dns":"d","cluster_name":"c","environment":"e","future":[1.50],"id":"c","labels":{{"a":"b"}},"namespaces":{references},"patches":{patches},"platform_components":{components},"unset_patches":{{"a":["y"]}}}}"#
        ));
        assert_eq!((bytes, whole), (100, false));
    }

    #[test]
    fn what_it_does_not_say_is_kept() {
        for odd in [
            r#""platform_components":[{"id":"a","note":"why"}]"#,
            r#""platform_components":[{"id": "a"}]"#,
            r#""platform_components":[{"enabled":null,"id":"a"}]"#,
            r#""namespaces":[{"id":"a","expires":"2027-01-31"}]"#,
            r#""patches":{"b":{"y":"1","x":"2"}}"#,
            r#""patches":{"b":{"x":"\u00e9"}}"#,
            r#""unset_patches":{"a":["z","y"]}"#,
            r#""\u0070atches":{"b":{"x":"1"}}"#,
        ] {
            let body =
                format!(r#"{{"cluster_dns":"d","cluster_name":"c","environment":"e","id":"c",{odd}}}"#);
            assert_eq!(packed(&body), (body.len(), true), "{odd}");
        }
        let empty = r#"{"cluster_dns":"d","cluster_name":"c","environment":"e","id":"c","namespaces":[],"patches":{},"platform_components":[]}"#;
        assert_eq!(packed(empty), (empty.len() - r#""namespaces":[],"#.len(), false));
    }
}
