//! Whether the snapshots beside this file show all that there is: every operation of the served OpenAPI
//! document, those of a registered type among them, every code that the sources can answer with, and no
//! status that the document does not name.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::documented::is_of;
use crate::server::{Server, workspace};

/// One exchange of a snapshot.
#[derive(Debug)]
struct Exchange {
    file: String,
    method: String,
    /// Without its query.
    path: String,
    status: String,
    code: Option<String>,
}

fn exchanges() -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/api/snapshots");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "snap") {
            continue;
        }
        let file = path.file_name().unwrap().to_str().unwrap();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if let Some((method, path)) = request_line(line) {
                let path = path.split('?').next().unwrap().to_owned();
                let exchange = Exchange {
                    file: file.to_owned(),
                    method: method.to_owned(),
                    path,
                    status: String::new(),
                    code: None,
                };
                all.push(exchange);
            }
            let Some(exchange) = all.last_mut() else { continue };
            if let Some(status) = line.strip_prefix("< ").filter(|rest| rest.parse::<u16>().is_ok()) {
                status.clone_into(&mut exchange.status);
            }
            if let Some(code) = line.strip_prefix("  \"error\": \"") {
                exchange.code = Some(code.trim_end_matches(['"', ',']).to_owned());
            }
        }
    }
    assert!(!all.is_empty());
    all
}

fn request_line(line: &str) -> Option<(&str, &str)> {
    let (method, path) = line.strip_prefix("> ")?.split_once(' ')?;
    (method.chars().all(|c| c.is_ascii_uppercase()) && path.starts_with('/')).then_some((method, path))
}

/// Method, path pattern and the statuses that are named, of each operation.
fn operations() -> Vec<(String, String, BTreeSet<String>)> {
    let server = Server::empty();
    // Whatever a registered type has, `api/types.rs` shows of this one.
    let definition: Value = serde_saphyr::from_str(super::types::NETWORK_POLICY).unwrap();
    server.create("resource_types", &definition);
    let served = server.send(&crate::http::Request::get("/openapi.yaml")).expect(200);
    let document: Value = serde_saphyr::from_str(served.text()).unwrap();
    let mut operations = Vec::new();
    for (pattern, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let statuses = operation["responses"].as_object().unwrap().keys().cloned().collect();
            operations.push((method.to_uppercase(), pattern.clone(), statuses));
        }
    }
    assert!(operations.len() > 20, "{operations:?}");
    operations
}

#[test]
fn every_operation_is_shown_to_succeed() {
    let exchanges = exchanges();
    let missing: Vec<_> = operations()
        .into_iter()
        .filter(|(method, pattern, _)| {
            !exchanges.iter().any(|exchange| {
                exchange.method == *method
                    && is_of(&exchange.path, pattern)
                    && exchange.status.starts_with('2')
            })
        })
        .map(|(method, pattern, _)| format!("{method} {pattern}"))
        .collect();
    assert_eq!(missing, [""; 0], "add them to api/routes.rs");
}

#[test]
fn every_status_that_is_shown_is_documented() {
    let operations = operations();
    let mut undocumented = BTreeSet::new();
    for exchange in exchanges() {
        let named = operations
            .iter()
            .find(|(method, pattern, _)| *method == exchange.method && is_of(&exchange.path, pattern));
        // Of these the document says that they are not there in read-only mode, whatever is asked.
        let absent = exchange.code.as_deref() == Some("read_only");
        if let Some((method, pattern, statuses)) = named.filter(|_| !absent)
            && !statuses.contains(&exchange.status)
        {
            undocumented.insert(format!("{method} {pattern}: {} ({})", exchange.status, exchange.file));
        }
    }
    assert!(undocumented.is_empty(), "{undocumented:#?}");
}

#[test]
fn every_code_is_shown() {
    let shown: BTreeSet<String> = exchanges().into_iter().filter_map(|exchange| exchange.code).collect();
    let written = codes();
    let unread: Vec<_> = shown.difference(&written).collect();
    assert!(unread.is_empty(), "the sources do not seem to hold {unread:?}: read them otherwise");
    let missing: Vec<_> = written.difference(&shown).collect();
    assert!(missing.is_empty(), "no snapshot in api/ shows {missing:?}");
}

/// The codes of errors that the server's sources, and the refusals of the merge, are written to answer.
fn codes() -> BTreeSet<String> {
    let crates = workspace().join("crates");
    let mut files = vec![crates.join("merge/src/refusal.rs")];
    for entry in std::fs::read_dir(crates.join("server/src")).unwrap() {
        files.extend(Some(entry.unwrap().path()).filter(|path| path.extension().is_some()));
    }
    let mut codes = BTreeSet::new();
    for file in files {
        let source = std::fs::read_to_string(file).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        let source: String = source.split_whitespace().collect();
        for (at, _) in source.match_indices('"') {
            let (before, rest) = (&source[..at], &source[at + 1..]);
            let word = rest.split('"').next().unwrap();
            let is_word = !word.is_empty() && word.chars().all(|c| c == '_' || c.is_ascii_lowercase());
            if is_word && stands_for_a_code(before) {
                codes.insert(word.to_owned());
            }
        }
    }
    codes
}

/// Whether what follows `before` is a code: an error's status or constructor goes before it, or the arm of a
/// `match` on the reason.
fn stands_for_a_code(before: &str) -> bool {
    if ["bad_request(", "unavailable(", "passing(", "code:"].iter().any(|end| before.ends_with(end)) {
        return true;
    }
    if let Some(before) = before.strip_suffix(',') {
        let status = before.trim_end_matches(char::is_alphabetic);
        return status.len() < before.len() && status.ends_with("Status::");
    }
    let Some(before) = before.strip_suffix("=>") else { return false };
    let arm = before.rsplit([',', ';']).find(|part| part.contains("::")).unwrap_or_default();
    ["NoAnswer::", "NoList::", "Refusal::", "ErrorKind::"].iter().any(|reason| arm.contains(reason))
}
