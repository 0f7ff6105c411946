//! Versions, judged by what installs them: source-controller reads a chart's as a constraint of Go's
//! Masterminds/semver, and fetches an artifact by its OCI tag.

use crate::component::Delivery;
use crate::violation::Violation;

/// What is wrong with `version` where `delivery` installs it; `pointer` is where it stands.
/// `latest` is always right: it means that no version is asked for.
pub fn check_version(version: &str, delivery: Delivery, pointer: &str) -> Option<Violation> {
    let (lawful, rule) = match delivery {
        // That it is empty, the schema says.
        _ if version == "latest" || version.is_empty() => return None,
        Delivery::Helm => (
            is_constraint(version),
            "no version of a chart: write 1.2.3, v1.2.3-1, or a range such as ~1.2 or >=1.2 <2",
        ),
        Delivery::Kustomize => {
            (is_tag(version), "no tag of an OCI artifact: letters, digits, `_`, `.` and `-`")
        }
    };
    (!lawful).then(|| Violation::new(pointer, "version", format!("`{version}` is {rule}")))
}

fn is_tag(text: &str) -> bool {
    let first = |c: char| c == '_' || c.is_ascii_alphanumeric();
    text.starts_with(first) && text.chars().all(|c| first(c) || c == '.' || c == '-')
}

/// Alternatives by `||`; each a range `a - b`, or comparisons separated by commas or spaces.
fn is_constraint(text: &str) -> bool {
    text.split("||").all(|alternative| {
        let ends: Vec<_> = alternative.split(" - ").collect();
        match ends.as_slice() {
            [from, to] => is_version(from.trim()) && is_version(to.trim()),
            [comparisons] => are_comparisons(comparisons),
            _ => false,
        }
    })
}

fn are_comparisons(text: &str) -> bool {
    const OPERATORS: [&str; 11] = ["!=", ">=", "=>", "<=", "=<", "~>", "=", ">", "<", "~", "^"];
    let mut rest = text.trim();
    let mut any = false;
    while !rest.is_empty() {
        rest = OPERATORS.iter().find_map(|operator| rest.strip_prefix(operator)).unwrap_or(rest).trim_start();
        let end = rest.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(rest.len());
        let (version, behind) = rest.split_at(end);
        if !is_version(version) {
            return false;
        }
        any = true;
        let behind = behind.trim_start();
        rest = match behind.strip_prefix(',') {
            Some(next) if next.trim().is_empty() => return false,
            Some(next) => next.trim_start(),
            None => behind,
        };
    }
    any
}

/// `v1.2.3-pre.1+build`, where minor and patch may be missing and any number may be a wildcard.
fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let number = |part: &str| {
        matches!(part, "x" | "X" | "*")
            || (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let numbers: Vec<_> = core.split('.').collect();
    numbers.len() <= 3
        && numbers.iter().all(|part| number(part))
        && [pre, build].into_iter().flatten().all(|words| words.split('.').all(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_source_controller_reads_as_a_chart_version() {
        for lawful in [
            "1.2.3",
            "v1.2.3",
            "v1.0.0-1",
            "1.2.3-rc.1+build.5",
            "1",
            "1.2",
            "1.x",
            "*",
            "1.2.*",
            ">=1.2 <2",
            ">= 1.2, < 2.0",
            "~1.2.3",
            "^1",
            "1.2 - 1.4",
            "<1 || >=2",
            "=1.0.0",
            "latest",
        ] {
            assert_eq!(check_version(lawful, Delivery::Helm, "/v"), None, "{lawful}");
        }
        for wrong in [
            "main",
            "not a version!",
            "v1.0.0_build",
            "1.2.3.4",
            " ",
            ">=",
            "1,",
            "1 - ",
            "1.2.3-",
            "v",
            "1..2",
            "||",
        ] {
            assert!(check_version(wrong, Delivery::Helm, "/v").is_some(), "{wrong}");
        }
    }

    #[test]
    fn an_artifacts_version_is_a_tag() {
        for lawful in ["v1.0.0-1", "main", "latest", "_x"] {
            assert_eq!(check_version(lawful, Delivery::Kustomize, "/v"), None, "{lawful}");
        }
        for wrong in ["1.0.0+build", ">=1", "-x", ".x", "a b"] {
            assert!(check_version(wrong, Delivery::Kustomize, "/v").is_some(), "{wrong}");
        }
    }
}
