//! Values as text in columns, for people. Pure.

use serde_json::Value;

use crate::document;
use crate::error::printable;
use crate::paint::Paint;
use crate::types::{Cell, Column};

/// The table of `rows`: a line of headings, a line for each row, no borders, so that it can be cut
/// and grepped.
pub(crate) fn rows(columns: &[Column], rows: &[Value], paint: Paint) -> String {
    let headings = columns.iter().map(|column| column.heading.to_owned()).collect();
    let cells = |row: &Value| columns.iter().map(|column| cell(column, row)).collect();
    let lines: Vec<Vec<String>> = std::iter::once(headings).chain(rows.iter().map(cells)).collect();
    align(&lines, paint, |line, _| line == 0)
}

/// One document: its id first, a line for each field, or for each entry of a field whose entries
/// are objects.
pub(crate) fn fields(document: &Value, paint: Paint) -> String {
    let mut fields: Vec<_> = document.as_object().into_iter().flatten().collect();
    fields.sort_by_key(|(field, _)| *field != "id");
    let mut shown = Vec::new();
    for (field, value) in fields {
        let mut name = printable(field);
        shown.extend(lines(value).into_iter().map(|line| vec![std::mem::take(&mut name), line]));
    }
    align(&shown, paint, |_, column| column == 0)
}

fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) if items.iter().any(Value::is_object) => items.iter().map(entry).collect(),
        Value::Object(object) if object.values().any(|value| value.is_object() || value.is_array()) => {
            object.iter().map(|(key, value)| format!("{}: {}", printable(key), text(value))).collect()
        }
        value => vec![text(value)],
    }
}

fn align(lines: &[Vec<String>], paint: Paint, bold: impl Fn(usize, usize) -> bool) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut shown = String::new();
    for (number, line) in lines.iter().enumerate() {
        let mut padding = 0;
        for (column, cell) in line.iter().enumerate() {
            shown.push_str(&" ".repeat(padding));
            match bold(number, column) {
                true => shown.push_str(&paint.bold(cell)),
                false => shown.push_str(cell),
            }
            // Before the next cell only: no line ends in spaces.
            padding = widths[column] - cell.chars().count() + 2;
        }
        shown.push('\n');
    }
    shown
}

fn cell(column: &Column, row: &Value) -> String {
    let value = row.pointer(column.pointer).unwrap_or(&Value::Null);
    match (column.cell, value) {
        (Cell::Value, value) => text(value),
        (Cell::Count, Value::Array(items)) => count(items),
        (Cell::Count, _) => "0".into(),
        (Cell::Operations, Value::Array(operations)) => asked(operations, row),
        (Cell::Operations, _) => "-".into(),
    }
}

/// What was asked for: the first operation, and how many more.
fn asked(operations: &[Value], row: &Value) -> String {
    let part = |operation: &Value, key: &str| {
        printable(operation.get(key).and_then(Value::as_str).unwrap_or_default())
    };
    let words = |first: &Value| {
        let (verb, target) = (part(first, "verb"), part(first, "target"));
        // An empty selector chooses every cluster, as the target says.
        let select = Some(part(first, "select")).filter(|select| !select.is_empty());
        format!("{verb} {target}{}", select.map(|select| format!(" ({select})")).unwrap_or_default())
    };
    let first = operations.first().map(words);
    let count = row.get("operation_count").and_then(Value::as_u64).unwrap_or(operations.len() as u64);
    match (first, count) {
        (None, _) => "-".into(),
        (Some(first), 0 | 1) => first,
        (Some(first), count) => format!("{first} and {} more", count - 1),
    }
}

/// How many references there are, beside those that take something out.
fn count(references: &[Value]) -> String {
    let said = |field: &str, value: bool| {
        references.iter().filter(|reference| reference.get(field) == Some(&Value::Bool(value))).count()
    };
    let excluded = said("exclude", true);
    let notes = [(said("enabled", false), "disabled"), (excluded, "excluded")];
    let notes = notes.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let notes: Vec<_> = notes.collect();
    let count = references.len() - excluded;
    if notes.is_empty() { count.to_string() } else { format!("{count} ({})", notes.join(", ")) }
}

/// A value in one line; `-` for nothing, so that every line has every column.
fn text(value: &Value) -> String {
    let said = match value {
        Value::Null => String::new(),
        Value::String(said) => printable(said),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => items.iter().map(entry).collect::<Vec<_>>().join(","),
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| format!("{}={}", printable(key), entry(value)))
            .collect::<Vec<_>>()
            .join(","),
    };
    if said.is_empty() { "-".into() } else { said }
}

/// A value inside another: a reference by its id, a subject by kind and name.
fn entry(value: &Value) -> String {
    let part = |key: &str| value.get(key).and_then(Value::as_str);
    match (value, document::id(value), part("kind"), part("name")) {
        (_, Some(id), _, _) => reference(id, value),
        (_, None, Some(kind), Some(name)) => subject(kind, part("namespace"), name),
        (Value::String(said), ..) => printable(said),
        (Value::Object(_), ..) => format!("{{{}}}", text(value)),
        _ => value.to_string(),
    }
}

/// A reference, with what it overrides.
fn reference(id: &str, reference: &Value) -> String {
    let overrides: Vec<_> = reference.as_object().into_iter().flatten().filter_map(override_note).collect();
    match overrides.is_empty() {
        true => printable(id),
        false => format!("{} ({})", printable(id), overrides.join(", ")),
    }
}

fn override_note((field, value): (&String, &Value)) -> Option<String> {
    match (field.as_str(), value) {
        ("id" | "_id", _) | (_, Value::Null) | ("enabled", Value::Bool(true)) => None,
        ("enabled", Value::Bool(false)) => Some("disabled".into()),
        ("exclude", Value::Bool(true)) => Some("excluded".into()),
        (field, value) => Some(format!("{} {}", printable(field), text(value))),
    }
}

fn subject(kind: &str, namespace: Option<&str>, name: &str) -> String {
    let namespace = namespace.filter(|n| !n.is_empty()).map(|n| format!("{n}/")).unwrap_or_default();
    printable(&format!("{kind}:{namespace}{name}"))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;
    use crate::paint::View;
    use crate::types::{CLUSTER, COMPONENT, ROLEBINDING};

    fn cluster() -> Value {
        json!({
            "id": "demo-cluster-01", "cluster_name": "demo-cluster-01", "environment": "dev",
            "cluster_dns": "demo-cluster-01.k8s.example.com", "labels": {"region": "eu", "tier": "1"},
            "platform_components": [
                {"id": "cert-manager", "enabled": true},
                {"id": "grafana", "oci_tag": "v1.0.0-1", "on_remove": "keep"},
                {"id": "ingress", "exclude": true, "note": "not here", "expires": "2027-01-31"},
                {"id": "podinfo", "enabled": false, "release": {"suspend": true, "values": {"a": {"b": 1}}}},
            ],
            "namespaces": [{"id": "podinfo"}], "node_count": 3,
            "patches": {"podinfo": {"replicaCount": "2", "ui.message": "Hello"}},
            "unset_patches": {"grafana": ["a.b", "c"], "podinfo": ["d"]},
        })
    }

    #[test]
    fn clusters() {
        let other = json!({"id": "b", "environment": "prod", "cluster_dns": "b.example",
            "platform_components": [{"id": "a", "exclude": true}, {"id": "b"}],
            "namespaces": [{"id": "a", "exclude": true}]});
        assert_snapshot!(rows(CLUSTER.columns, &[cluster(), other], View::PLAIN.paint), @"
        ID               ENVIRONMENT  DNS                              COMPONENTS                  NAMESPACES      ROLEBINDINGS  LABELS
        demo-cluster-01  dev          demo-cluster-01.k8s.example.com  3 (1 disabled, 1 excluded)  1               0             region=eu,tier=1
        b                prod         b.example                        1 (1 excluded)              0 (1 excluded)  0             -
        ");
    }

    #[test]
    fn components_and_their_inputs() {
        let component = json!({
            "id": "podinfo", "component_path": "podinfo", "oci_url": "oci://r/charts",
            "depends_on": ["cert-manager", "traefik"], "oci_tag": null,
        });
        assert_snapshot!(rows(COMPONENT.columns, &[component], View::PLAIN.paint), @"
        ID       ENABLED  PATH     VERSION  TAG  DELIVERY  DEPENDS ON            SOURCE
        podinfo  -        podinfo  -        -    -         cert-manager,traefik  oci://r/charts
        ");
        let input =
            json!({"id": "podinfo", "enabled": true, "source": {"oci_tag": "1"}, "patches": {"a.b": "c"}});
        assert_snapshot!(rows(COMPONENT.input_columns, &[input], View::PLAIN.paint), @"
        ID       ENABLED  PATH  VERSION  TAG  SUSPENDED  ON REMOVE  PATCHES
        podinfo  true     -     -        1    -          -          a.b=c
        ");
    }

    #[test]
    fn subjects_are_named_by_kind() {
        let binding = json!({"id": "devs", "role": "view", "subjects": [
            {"kind": "Group", "name": "devs", "apiGroup": "rbac.authorization.k8s.io"},
            {"kind": "ServiceAccount", "namespace": "ci", "name": "runner"},
        ]});
        assert_snapshot!(rows(ROLEBINDING.columns, &[binding], View::PLAIN.paint), @r"
        ID    ROLE  SUBJECTS                             ON REMOVE
        devs  view  Group:devs,ServiceAccount:ci/runner  -
        ");
    }

    #[test]
    fn one_document_is_a_line_per_field() {
        assert_snapshot!(fields(&cluster(), View::PLAIN.paint), @"
        id                   demo-cluster-01
        cluster_dns          demo-cluster-01.k8s.example.com
        cluster_name         demo-cluster-01
        environment          dev
        labels               region=eu,tier=1
        namespaces           podinfo
        node_count           3
        patches              podinfo: replicaCount=2,ui.message=Hello
        platform_components  cert-manager
                             grafana (oci_tag v1.0.0-1, on_remove keep)
                             ingress (excluded, expires 2027-01-31, note not here)
                             podinfo (disabled, release suspend=true,values={a={b=1}})
        unset_patches        grafana: a.b,c
                             podinfo: d
        ");
    }

    #[test]
    fn a_hostile_value_stays_in_its_cell() {
        let namespace = json!({"id": "a\u{1b}[31m\nb", "labels": {"x\r": "y\t"}});
        assert_snapshot!(rows(crate::types::NAMESPACE.columns, &[namespace], View::PLAIN.paint), @r"
        ID              LABELS   ANNOTATIONS  ON REMOVE
        a\u{1b}[31m\nb  x\r=y\t  -            -
        ");
    }

    #[test]
    fn headings_are_bold_and_aligned() {
        let shown = rows(crate::types::TOMBSTONE_COLUMNS, &[json!({"id": "abc"})], Paint::ON);
        assert_eq!(
            shown,
            "\u{1b}[1mID\u{1b}[0m   \u{1b}[1mDNS\u{1b}[0m  \u{1b}[1mHELD\u{1b}[0m\nabc  -    -\n"
        );
    }
}
