//! What the API says when it refuses, read from its one error shape; an answer in any other shape
//! is a proxy's, and is told apart here. Pure.

use std::fmt;

use serde_json::Value;

use crate::plan::Plan;

/// A refusal, with what a person needs to act on it.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    /// The API's stable word for the reason; absent when something else answered.
    pub(crate) code: Option<String>,
    message: String,
    violations: Vec<Violation>,
    request_id: Option<String>,
    /// What the refused write would do.
    pub(crate) plan: Option<Plan>,
    /// Which variable holds the token that was sent.
    token: &'static str,
}

/// The code of what two profiles of one priority say differently.
const DISAGREE: &str = "profiles_disagree";

/// One thing that is wrong, and where.
#[derive(Debug)]
struct Violation {
    /// Which of many operations, from 0.
    change: Option<u64>,
    /// `clusters/a`, or nothing where there is only one document.
    document: String,
    pointer: String,
    code: String,
    message: String,
}

impl ApiError {
    /// Reads a refusal. `call` is the request in words (`GET http://...`), for answers that are not
    /// the API's own.
    pub(crate) fn read(
        status: u16,
        content_type: &str,
        body: &[u8],
        call: &str,
        token: &'static str,
    ) -> Self {
        let said: Option<Value> = serde_json::from_slice(body).ok();
        let text = |key: &str| said.as_ref()?.get(key)?.as_str().map(str::to_owned);
        ApiError {
            status,
            code: text("error"),
            message: text("message").unwrap_or_else(|| foreign(call, status, content_type)),
            violations: said.as_ref().map(violations).unwrap_or_default(),
            request_id: text("request_id"),
            plan: said.as_ref().and_then(|said| Plan::read(said.get("plan")?.clone())),
            token,
        }
    }

    /// The API's sentence, without what stands below it in the list or is said to programs only.
    fn sentence(&self) -> &str {
        let end = match (self.violations.as_slice(), self.code.as_deref()) {
            ([only], _) if self.message.contains(&only.message) => self.message.find(": "),
            // What follows is how to do it over HTTP.
            (_, Some("referenced" | "changed_since" | "revert_conflict")) => self.message.find("; "),
            (_, Some("frozen")) => self.message.rfind(". Delete"),
            (_, Some("held")) => self.message.rfind(" at /api/"),
            _ => None,
        };
        self.message.get(..end.unwrap_or(self.message.len())).unwrap_or_default().trim_end_matches('.')
    }

    /// The id at the address with which the API's sentence ends.
    fn named(&self, plural: &str) -> &str {
        let address = self.message.rsplit_once(&format!("/api/v2/{plural}/"));
        let id = address.and_then(|(_, rest)| rest.split_whitespace().next());
        id.map_or("ID", |id| id.trim_end_matches('.'))
    }

    /// Says of the violations where they stand in files: `place_of` a document, or of a pointer into
    /// all of them.
    pub(crate) fn say_places(
        &mut self,
        place_of: impl Fn(&str) -> Option<String>,
        place: impl Fn(&str) -> String,
    ) {
        for violation in &mut self.violations {
            violation.change = None;
            match place_of(&violation.document) {
                Some(place) => violation.document = place,
                None if violation.document.is_empty() => {
                    let pointer = violation.pointer.strip_prefix("/documents");
                    violation.pointer = pointer.map_or_else(|| violation.pointer.clone(), &place);
                }
                None => {}
            }
        }
    }

    fn violates(&self, code: &str) -> bool {
        self.violations.iter().any(|violation| violation.code == code)
    }

    /// What to do, where the API's sentence cannot know it.
    fn advice(&self) -> Option<String> {
        let code = self.code.as_deref()?;
        match (self.status, code) {
            (401, _) => Some(format!("check {}", self.token)),
            (403, _) => Some(format!("put that one in {}", self.token)),
            (404, "not_found") => Some("check the id (`list` shows all) and FLUX_API_URL".into()),
            (405, _) => Some("an API that runs read-only takes no writes: is this its address?".into()),
            (409, "referenced") if self.message.starts_with("resource_types/") => {
                Some("delete its documents first".into())
            }
            (409, "referenced") => Some(
                "remove these references first, patches included, or add --force to remove them with it"
                    .into(),
            ),
            (409, _) if self.violates(DISAGREE) => Some(
                "let a profile of higher priority or the clusters say it, take it out of one of the two profiles, or \
                 give that another priority (`profile update ID --priority N`)"
                    .into(),
            ),
            (400, _) if self.violates("no_match") => Some(
                "check the selector (`cluster list --select` shows what it matches), or add --allow-empty"
                    .into(),
            ),
            (503, "frozen") => Some(format!("`freeze lift {}` lifts it", self.named("freezes"))),
            (503, "store_diverged" | "snapshot_damaged") => {
                Some("`confirm --plan` at this URL shows what would change".into())
            }
            (410, "held") => {
                let id = self.named("tombstones");
                Some(format!("`tombstone restore {id}` brings it back, `tombstone wipe {id}` uninstalls it"))
            }
            (400, "reason_required") => Some("give --reason, or export FLUX_API_REASON".into()),
            (409, "revert_conflict") => {
                Some("add --skip-conflicts to leave these as they are, and take the rest back".into())
            }
            (409, "changed_since") => {
                Some("export and merge these first, or add --take to make them what the files say".into())
            }
            (412, _) => Some("somebody else changed it meanwhile: look at it and run this again".into()),
            _ => None,
        }
    }
}

/// A sentence for an answer that the API did not write.
pub(crate) fn foreign(call: &str, status: u16, content_type: &str) -> String {
    let kind = match content_type {
        "" => "no content type",
        known => known,
    };
    format!(
        "{call} was answered with status {status} and {kind}, not with this API's JSON; \
         check that FLUX_API_URL is the API itself and what stands in front of it"
    )
}

fn violations(said: &Value) -> Vec<Violation> {
    let listed = said.get("violations").and_then(Value::as_array);
    listed.into_iter().flatten().map(violation).collect()
}

fn violation(violation: &Value) -> Violation {
    let text = |key: &str| violation.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Violation {
        change: violation.get("change").and_then(Value::as_u64),
        document: violation.get("document").map(document).unwrap_or_default(),
        pointer: text("pointer"),
        code: text("code"),
        message: without_advice(&text("code"), &text("message")).to_owned(),
    }
}

/// The way on is said to HTTP, and of each violation; the advice says it once, in the flags of this program.
fn without_advice<'m>(code: &str, message: &'m str) -> &'m str {
    match code {
        DISAGREE => message.rsplit_once("; let a profile").map_or(message, |(what, _)| what),
        _ => message.trim_end_matches("; allow_empty=true lets that be"),
    }
}

/// `clusters/a`, whether the API names the document in one string or by type and id.
fn document(document: &Value) -> String {
    match document {
        Value::String(name) => name.clone(),
        Value::Object(parts) => {
            ["type", "id"].iter().filter_map(|part| parts.get(*part)?.as_str()).collect::<Vec<_>>().join("/")
        }
        _ => String::new(),
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())?;
        if let Some(advice) = self.advice() {
            write!(f, "; {advice}")?;
        }
        if let Some(code) = &self.code {
            write!(f, " ({} {code}", self.status)?;
            if let (500.., Some(id)) = (self.status, &self.request_id) {
                write!(f, ", request {id}")?;
            }
            f.write_str(")")?;
        }
        self.violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { change, document, pointer, message, .. } = self;
        if let Some(index) = change {
            write!(f, "change {index}: ")?;
        }
        let pointer = if pointer.is_empty() && document.is_empty() { "(whole document)" } else { pointer };
        let place = [document.as_str(), pointer].into_iter().filter(|part| !part.is_empty());
        write!(f, "{}: {message}", place.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    fn read(status: u16, body: &Value) -> ApiError {
        let body = body.to_string();
        ApiError::read(status, "application/json", body.as_bytes(), "GET http://a/b", "FLUX_API_TOKEN")
    }

    #[test]
    fn violations_stand_one_per_line_with_pointer_and_document() {
        let refusal = read(
            400,
            &json!({"error": "invalid", "message": "The document is not valid.", "violations": [
                {"pointer": "/labels/a b", "code": "label_key", "message": "a label key has no spaces"},
                {"pointer": "/cluster_dns", "code": "taken", "message": "taken", "document": "clusters/b"},
                {"pointer": "", "code": "x", "message": "m", "document": {"type": "clusters", "id": "c"}},
            ]}),
        );
        assert_snapshot!(refusal, @r"
        The document is not valid (400 invalid)
          /labels/a b: a label key has no spaces
          clusters/b /cluster_dns: taken
          clusters/c: m
        ");
    }

    #[test]
    fn profiles_that_disagree_are_met_with_ways_out() {
        let said = |field: &str, one: &str, other: &str| {
            format!(
                "the profiles base and edge, both of priority 0, say different things of \
                {field}: {one} and {other} on 2 clusters: eu-1, eu-2; let a profile of higher priority or the clusters \
                say it, or take one of the two out"
            )
        };
        let tag = said("platform_components/podinfo/oci_tag", "\"1\"", "\"2\"");
        let refusal = |what: &str, violations: Value| {
            let message = format!("The change does not fit the fleet: {what}.");
            read(409, &json!({"error": "conflict", "message": message, "violations": violations}))
        };
        let violation = |message: &str| {
            json!({"code": "profiles_disagree", "document": "profiles/edge",
            "pointer": "/platform_components/0/oci_tag", "message": message})
        };
        assert_snapshot!(refusal(&format!("/x: {tag} (profiles_disagree)"), json!([violation(&tag)])), @r#"
        The change does not fit the fleet; let a profile of higher priority or the clusters say it, take it out of one of the two profiles, or give that another priority (`profile update ID --priority N`) (409 conflict)
          profiles/edge /platform_components/0/oci_tag: the profiles base and edge, both of priority 0, say different things of platform_components/podinfo/oci_tag: "1" and "2" on 2 clusters: eu-1, eu-2
        "#);
        let patch = said("patches/podinfo/a.b", "\"x; let a profile\"", "nothing");
        assert_snapshot!(refusal("2 violations", json!([violation(&tag), violation(&patch)])), @r#"
        The change does not fit the fleet: 2 violations; let a profile of higher priority or the clusters say it, take it out of one of the two profiles, or give that another priority (`profile update ID --priority N`) (409 conflict)
          profiles/edge /platform_components/0/oci_tag: the profiles base and edge, both of priority 0, say different things of platform_components/podinfo/oci_tag: "1" and "2" on 2 clusters: eu-1, eu-2
          profiles/edge /platform_components/0/oci_tag: the profiles base and edge, both of priority 0, say different things of patches/podinfo/a.b: "x; let a profile" and nothing on 2 clusters: eu-1, eu-2
        "#);
    }

    #[test]
    fn one_violation_that_the_sentence_holds_is_said_once() {
        let refusal = read(
            400,
            &json!({"error": "invalid", "message": "the document is not valid: /role: too long (max_length)",
                "violations": [{"pointer": "/role", "code": "max_length", "message": "too long"}]}),
        );
        assert_snapshot!(refusal, @r"
        the document is not valid (400 invalid)
          /role: too long
        ");
    }

    #[test]
    fn a_reference_is_met_with_the_flags_of_this_program() {
        let message = "a/b is still referred to by clusters/c; remove them first, or use force=true.";
        let refusal = read(409, &json!({"error": "referenced", "message": message}));
        assert_snapshot!(refusal, @"a/b is still referred to by clusters/c; remove these references first, patches included, or add --force to remove them with it (409 referenced)");
    }

    #[test]
    fn a_rejected_token_is_named_by_its_variable() {
        let refusal = read(401, &json!({"error": "unauthorized", "message": "the token is not known"}));
        assert_snapshot!(refusal, @"the token is not known; check FLUX_API_TOKEN (401 unauthorized)");
    }

    #[test]
    fn a_server_fault_carries_the_request_id() {
        let refusal =
            read(503, &json!({"error": "unavailable", "message": "the store is away", "request_id": "r1"}));
        assert_snapshot!(refusal, @"the store is away (503 unavailable, request r1)");
    }

    #[test]
    fn a_server_that_is_mute_can_be_asked_what_would_change() {
        let message = "This server stopped following its store: its history is another.";
        for code in ["store_diverged", "snapshot_damaged"] {
            let refusal = read(503, &json!({"error": code, "message": message})).to_string();
            let told = "; `confirm --plan` at this URL shows what would change (503 ";
            assert!(refusal.contains(told), "{refusal}");
        }
    }

    #[test]
    fn the_bad_ones_among_many_changes_are_named_by_their_index() {
        let refusal = read(
            400,
            &json!({"error": "invalid", "message": "Nothing was changed", "violations": [
                {"change": 0, "pointer": "/oci_tag", "code": "type", "message": "is no string"},
                {"change": 2, "pointer": "", "code": "missing", "message": "does not exist", "document": "clusters/b"},
            ]}),
        );
        assert_snapshot!(refusal, @"
        Nothing was changed (400 invalid)
          change 0: /oci_tag: is no string
          change 2: clusters/b: does not exist
        ");
    }

    #[test]
    fn html_is_a_proxys_answer() {
        let refusal = ApiError::read(502, "text/html", b"<html>", "GET http://a/b", "FLUX_API_TOKEN");
        assert_snapshot!(refusal, @"GET http://a/b was answered with status 502 and text/html, not with this API's JSON; check that FLUX_API_URL is the API itself and what stands in front of it");
    }
}
