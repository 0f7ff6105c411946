//! Two values as one unified diff of their YAML, for people. Pure.

use serde_json::Value;
use similar::TextDiff;

use crate::error::printable;
use crate::paint::Paint;

/// Lines of context around each change.
const CONTEXT: usize = 3;

/// The diff under the names of both sides; empty where they are equal. Null is nothing at all.
pub(crate) fn diff(from: &str, to: &str, before: &Value, after: &Value, paint: Paint) -> String {
    let (before, after) = (yaml(before), yaml(after));
    let diff = TextDiff::from_lines(&before, &after);
    let text = diff.unified_diff().context_radius(CONTEXT).header(from, to).to_string();
    text.lines().map(|line| coloured(line, paint) + "\n").collect()
}

fn yaml(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // A value that YAML cannot hold is still shown; JSON is YAML.
        value => serde_saphyr::to_string(value).unwrap_or_else(|_| format!("{value:#}\n")),
    }
}

fn coloured(line: &str, paint: Paint) -> String {
    let line = printable(line);
    match line.as_bytes().first() {
        _ if line.starts_with("--- ") || line.starts_with("+++ ") => paint.bold(&line),
        Some(b'-') => paint.red(&line),
        Some(b'+') => paint.green(&line),
        Some(b'@') => paint.cyan(&line),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;
    use crate::paint::View;

    #[test]
    fn what_differs_stands_among_what_does_not() {
        let value = |tag: &str| json!({"id": "grafana", "source": {"oci_tag": tag, "oci_url": "oci://r"}});
        let shown = diff("a", "b", &value("1"), &value("2"), View::PLAIN.paint);
        assert_snapshot!(shown, @r#"
        --- a
        +++ b
        @@ -1,4 +1,4 @@
         id: grafana
         source:
        -  oci_tag: "1"
        +  oci_tag: "2"
           oci_url: oci://r
        "#);
        assert_eq!(diff("a", "b", &value("1"), &value("1"), View::PLAIN.paint), "");
    }

    #[test]
    fn what_is_not_there_is_all_new() {
        assert_snapshot!(diff("nothing", "b", &Value::Null, &json!({"id": "x"}), View::PLAIN.paint), @"
        --- nothing
        +++ b
        @@ -0,0 +1 @@
        +id: x
        ");
    }
}
