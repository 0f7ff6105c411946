//! Patch keys, judged by what reads them: Helm's `--set` paths, or Flux's substitution variables.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::violation::Violation;

/// Helm's parser would take 65536 and make a list of that many items for it, at every level.
const MAX_INDEX: u32 = 1000;

/// Helm's parser takes 30 levels.
const MAX_STEPS: usize = 30;

/// One step of a path into a chart's values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Field(String),
    Index(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Value,
    Fields,
    Items,
}

/// What is wrong with `keys` as `targetPath`s of a HelmRelease; `pointer` is the object that holds them.
///
/// Refused are paths that Flux's CRD or Helm's parser would refuse, and keys that contradict each
/// other (`a` and `a.b`): helm-controller would fail on every reconciliation.
pub fn check_helm_keys<'a>(keys: impl Iterator<Item = &'a str>, pointer: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut nodes: BTreeMap<Vec<Step>, (Node, &str)> = BTreeMap::new();
    for key in keys {
        let outcome = target_path(key).and_then(|path| place(&mut nodes, path, key));
        if let Err(message) = outcome {
            found.push(Violation::new(at(pointer, key), "patch_key", message));
        }
    }
    found
}

/// Which of `keys` lead through what `values` say is no object or list: Helm would fail on each upgrade.
/// `values` that are no object hold nothing. Keys that are no paths are passed over; [`check_helm_keys`] names them.
pub fn check_helm_values<'a>(
    keys: impl Iterator<Item = &'a str>,
    values: &Value,
    pointer: &str,
) -> Vec<Violation> {
    let blocked = |key: &'a str| {
        let path = target_path(key).ok()?;
        let mut value = values.as_object().map(|_| values)?;
        for step in &path {
            value = match (step, value) {
                (Step::Field(field), Value::Object(fields)) => fields.get(field)?,
                (Step::Index(index), Value::Array(items)) => items.get(usize::try_from(*index).ok()?)?,
                (step, other) => {
                    let needed = if matches!(step, Step::Field(_)) { "an object" } else { "a list" };
                    let other = named(other);
                    let message = format!("`{key}` needs {needed} where `release.values` have {other}");
                    return Some(Violation::new(at(pointer, key), "patch_key", message));
                }
            };
        }
        None
    };
    keys.filter_map(blocked).collect()
}

/// What is wrong with `keys` as variables of a Kustomization's `postBuild.substitute`.
pub fn check_substitute_keys<'a>(keys: impl Iterator<Item = &'a str>, pointer: &str) -> Vec<Violation> {
    let lawful = |key: &str| {
        key.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
            && key.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
    };
    keys.filter(|key| !lawful(key))
        .map(|key| {
            let message = format!(
                "`{key}` is no substitution variable (letters, digits and underscores, not starting with a digit), \
                 which is what patches are under delivery kustomize"
            );
            Violation::new(at(pointer, key), "patch_key", message)
        })
        .collect()
}

fn named(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn at(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Parses what the CRD's pattern `^([a-zA-Z0-9_\-.\\\/]|\[[0-9]{1,5}\])+$` lets through, as Helm reads it.
fn target_path(key: &str) -> Result<Vec<Step>, String> {
    const MAX_LENGTH: usize = 250;
    if key.len() > MAX_LENGTH {
        return Err(format!("a patch key has at most {MAX_LENGTH} characters"));
    }
    let mut path = Vec::new();
    let mut field = String::new();
    let mut after_index = false;
    let mut rest = key.chars();
    while let Some(c) = rest.next() {
        match c {
            '.' if after_index => after_index = false,
            '.' if field.is_empty() => return Err(format!("`{key}` has an empty step between dots")),
            '.' => path.push(Step::Field(std::mem::take(&mut field))),
            '[' => {
                if !field.is_empty() {
                    path.push(Step::Field(std::mem::take(&mut field)));
                } else if !after_index {
                    return Err(format!("`{key}` has an index without a field before it"));
                }
                let (index, behind) = rest.as_str().split_once(']').unwrap_or((rest.as_str(), ""));
                path.push(Step::Index(
                    array_index(index).filter(|_| index.len() < rest.as_str().len()).ok_or_else(|| {
                        format!("`{key}` has an index that is not a number from 0 to {MAX_INDEX} in brackets")
                    })?,
                ));
                rest = behind.chars();
                after_index = true;
            }
            _ if after_index => {
                return Err(format!("`{key}` has `{c}` where a dot or bracket must follow an index"));
            }
            '\\' => field.push(rest.next().filter(|c| allowed(*c)).ok_or_else(|| {
                format!("`{key}` ends in a backslash, or has one before a character that no key may hold")
            })?),
            _ if allowed(c) => field.push(c),
            _ => {
                return Err(format!(
                    "`{key}` holds `{c}`; a key is a Helm value path of letters, digits, `_`, `-`, `/`, dots and [indexes]"
                ));
            }
        }
    }
    match (field.is_empty(), after_index) {
        (false, _) => path.push(Step::Field(field)),
        (true, true) => {}
        (true, false) if path.is_empty() => return Err("a patch key cannot be empty".into()),
        (true, false) => return Err(format!("`{key}` ends in a dot")),
    }
    if path.len() > MAX_STEPS {
        return Err(format!("`{key}` has more than the {MAX_STEPS} steps that Helm takes"));
    }
    Ok(path)
}

fn array_index(digits: &str) -> Option<u32> {
    let index = digits.parse().ok().filter(|index| *index <= MAX_INDEX);
    index.filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() <= 5)
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '\\' | '.')
}

fn place<'a>(
    nodes: &mut BTreeMap<Vec<Step>, (Node, &'a str)>,
    path: Vec<Step>,
    key: &'a str,
) -> Result<(), String> {
    for depth in 1..=path.len() {
        let node = match path.get(depth) {
            None => Node::Value,
            Some(Step::Field(_)) => Node::Fields,
            Some(Step::Index(_)) => Node::Items,
        };
        match nodes.get(&path[..depth]) {
            None => drop(nodes.insert(path[..depth].to_vec(), (node, key))),
            Some((known, _)) if *known == node && node != Node::Value => {}
            Some((_, other)) => return Err(format!("`{key}` and `{other}` set the same value in two ways")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn helm(keys: &[&str], refused: &[&str]) {
        let found = check_helm_keys(keys.iter().copied(), "/patches/x");
        let places: Vec<_> = found.iter().map(|v| v.pointer.trim_start_matches("/patches/x/")).collect();
        assert_eq!(places, refused, "{found:#?}");
    }

    #[test]
    fn paths_that_helm_reads_are_accepted() {
        helm(
            &[
                "replicaCount",
                "ui.color",
                "tolerations[0].key",
                "a[0][1].b",
                "nodeSelector.kubernetes\\.io/os",
            ],
            &[],
        );
        helm(&["a.b", "a.c", "l[0].x", "l[0].y", "l[1].x", "_x-1"], &[]);
    }

    #[test]
    fn paths_that_would_break_a_release_are_refused() {
        for key in [
            "", ".", "a.", ".a", "a..b", "[0]", "a[", "a[]", "a[x]", "a[-1]", "a[1001]", "a[0]b", "a\\",
            "a b", "a=b", "ä",
        ] {
            helm(&[key], &[key]);
        }
        helm(&[&"a".repeat(251)], &[&"a".repeat(251)]);
        let steps = |count| vec!["a"; count].join(".");
        helm(&[&steps(30)], &[]);
        helm(&[&steps(31)], &[&steps(31)]);
    }

    #[test]
    fn keys_that_contradict_each_other_are_refused() {
        helm(&["a", "a.b"], &["a.b"]);
        helm(&["a.b", "a[0]"], &["a[0]"]);
        helm(&["a.b.c", "a.b"], &["a.b"]);
        helm(&["a\\.b", "a.b"], &[]);
    }

    #[test]
    fn a_patch_goes_where_values_leave_room() {
        let values = serde_json::json!({"image": "x", "n": null, "o": {"x": 1}, "l": [1, {"a": 1}]});
        let keys = [
            "image",
            "image.tag",
            "n",
            "n.x",
            "o.y",
            "o[0]",
            "l[0]",
            "l[1].a",
            "l[0].a",
            "l[7].a",
            "l.x",
            "new.z",
        ];
        let found = check_helm_values(keys.into_iter(), &values, "/p");
        let places: Vec<_> = found.iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(places, ["/p/image.tag", "/p/n.x", "/p/o[0]", "/p/l[0].a", "/p/l.x"]);
    }

    #[test]
    fn a_substitution_variable_is_a_shell_name() {
        let keys = ["GRAFANA_REPLICAS", "_x", "1x", "a.b", ""];
        let found = check_substitute_keys(keys.into_iter(), "/p");
        let places: Vec<_> = found.iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(places, ["/p/1x", "/p/a.b", "/p/"]);
    }
}
