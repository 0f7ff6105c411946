//! What stands between a write and what it destroys, where nobody can be asked: plans, digests, limits.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::stub::{Answer, Ended, Stub, cli, ended, fails};

/// A digest as it is typed.
pub(crate) const DIGEST: &str = "00000000000000000000000000000000000000000000000000000000000000d1";
const DELETE: &str = "namespace delete team --force";

pub(crate) fn plan(destroyed: u64) -> Value {
    let clusters: Vec<_> = (1..=destroyed).map(|n| format!("eu-{n}")).collect();
    json!({
        "revision": 7, "digest": "d1", "clusters": destroyed + 1,
        "destructive": {"clusters": destroyed, "protected": 0, "emptied": 0},
        "confirmation": [format!("it removes something on {destroyed} clusters; the limit is 10")],
        "effects": [
            {"effect": "remove", "destructive": true, "type": "namespaces", "input": "team", "fields": [],
                "count": destroyed, "clusters": clusters},
            {"effect": "change", "destructive": false, "type": "namespaces", "input": "other",
                "fields": [{"path": "on_remove", "from": "delete", "to": "keep"}],
                "count": 1, "clusters": ["us-1"]},
        ],
        "hidden": [], "warnings": [], "frozen": [],
    })
}

fn nothing() -> Value {
    json!({"revision": 7, "digest": "d0", "clusters": 0, "effects": []})
}

fn refused(status: u16, code: &str, plan: &Value) -> Answer {
    Answer::json(status, &json!({"error": code, "message": "Look at the plan.", "plan": plan}))
}

/// Servers that know plans know freezes; it is how they are told apart.
fn knows_plans() -> Answer {
    Answer::json(200, &json!([]))
}

#[test]
fn a_plan_is_shown_and_nothing_else_is_asked() {
    let stub = Stub::answering(vec![knows_plans(), Answer::json(200, &plan(2))]);
    let Ended { code, stdout, stderr } = ended(cli(&stub.url, &format!("{DELETE} --plan -o table")));
    assert_eq!((code, stderr.as_str()), (Some(3), ""));
    assert_snapshot!(stdout, @"
    3 clusters change; something is destroyed on 2.
    - 2 clusters lose namespace team
        eu-1, eu-2
    ~ 1 cluster: namespace other on_remove: delete -> keep
        us-1
    needs confirmation: it removes something on 2 clusters; the limit is 10
    digest d1
    ");
    let asked = stub.asked();
    assert_eq!(asked[0].line, "GET /api/v2/freezes");
    assert_eq!(asked[1].line, "DELETE /namespaces/team?force=true&plan=true");
}

#[test]
fn a_plan_is_json_for_programs_and_names_for_scripts() {
    for (format, expected) in [("json", None), ("name", Some("eu-1\neu-2\nus-1\n"))] {
        let stub = Stub::answering(vec![knows_plans(), Answer::json(200, &plan(2))]);
        let Ended { code, stdout, .. } = ended(cli(&stub.url, &format!("{DELETE} --plan -o {format}")));
        assert_eq!(code, Some(3));
        match expected {
            Some(expected) => assert_eq!(stdout, expected),
            None => assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), plan(2)),
        }
    }
}

#[test]
fn a_plan_of_nothing_ends_well() {
    let stub = Stub::answering(vec![knows_plans(), Answer::json(200, &nothing())]);
    let Ended { code, stdout, .. } = ended(cli(&stub.url, &format!("{DELETE} --plan -o table")));
    assert_eq!(code, Some(0));
    assert_eq!(stdout, "No cluster's answer changes.\ndigest d0\n");
}

#[test]
fn a_server_that_knows_no_plans_is_not_asked_for_one() {
    let digest = format!("--plan-digest {DIGEST}");
    for flags in ["--plan", "--whatif eu-1", &digest, "--allow-removals 3"] {
        let missing = json!({"error": "not_found", "message": "Nothing here."});
        let stub = Stub::answering(vec![Answer::json(404, &missing)]);
        let said = fails(cli(&stub.url, &format!("{DELETE} {flags}")), 1);
        assert!(said.starts_with("error: this server knows no plans, so nothing was asked of it;"), "{said}");
        assert_eq!(stub.asked().len(), 1);
    }
}

#[test]
fn what_needs_a_confirmation_says_both_ways_to_it() {
    let stub = Stub::answering(vec![refused(428, "confirmation_required", &plan(12))]);
    assert_snapshot!(fails(cli(&stub.url, DELETE), 1), @"
    13 clusters change; something is destroyed on 12.
    - 12 clusters lose namespace team
        eu-1, eu-2, eu-3, eu-4, eu-5, eu-6, eu-7, eu-8, eu-9, eu-10, eu-11, eu-12
    and 1 effect that destroys nothing; --plan shows all
    error: this needs a confirmation, since it removes something on 12 clusters; the limit is 10; nothing was changed. Run it again with one of
      --plan-digest d1
      --allow-removals 12
    ");
}

#[test]
fn a_digest_goes_with_the_write() {
    let stub = Stub::answering(vec![knows_plans(), Answer::json(200, &json!({"id": "team"}))]);
    let command = cli(&stub.url, &format!("{DELETE} --plan-digest {DIGEST} --reason 'Störung 12'"));
    assert_eq!(ended(command).code, Some(0));
    let asked = stub.asked();
    assert_eq!(asked[1].line, "DELETE /namespaces/team?force=true");
    assert_eq!(asked[1].header("if-plan"), Some(DIGEST));
    assert_eq!(asked[1].header("x-change-reason"), Some("Störung 12"));
}

#[test]
fn a_plan_that_changed_is_shown_anew() {
    let stub = Stub::answering(vec![knows_plans(), refused(412, "plan_changed", &plan(1))]);
    let said = fails(cli(&stub.url, &format!("{DELETE} --plan-digest {DIGEST}")), 1);
    assert_snapshot!(said, @"
    2 clusters change; something is destroyed on 1.
    - 1 cluster loses namespace team
        eu-1
    ~ 1 cluster: namespace other on_remove: delete -> keep
        us-1
    needs confirmation: it removes something on 1 clusters; the limit is 10
    digest d1
    error: its effect is no longer what was agreed to, so nothing was changed; above is what it would do now: run it again with
      --plan-digest d1
    ");
}

#[test]
fn removals_are_allowed_up_to_a_number() {
    let stub = Stub::answering(vec![
        knows_plans(),
        Answer::json(200, &plan(12)),
        Answer::json(200, &json!({"id": "team"})),
    ]);
    assert_eq!(ended(cli(&stub.url, &format!("{DELETE} --allow-removals 12"))).code, Some(0));
    assert_eq!(stub.asked()[2].header("if-plan"), Some("d1"));

    let stub = Stub::answering(vec![knows_plans(), Answer::json(200, &plan(12))]);
    let said = fails(cli(&stub.url, &format!("{DELETE} --allow-removals 11")), 1);
    assert!(said.contains("- 12 clusters lose namespace team"), "{said}");
    let last = "error: it destroys something on 12 clusters, more than --allow-removals 11, so nothing was changed\n";
    assert!(said.ends_with(last), "{said}");
    stub.asked();
}

#[test]
fn the_reason_has_a_variable() {
    let stub = Stub::answering(vec![Answer::json(200, &json!({"id": "team"}))]);
    let mut command = cli(&stub.url, DELETE);
    command.env("FLUX_API_REASON", "CVE-2026-1234");
    assert_eq!(ended(command).code, Some(0));
    assert_eq!(stub.asked()[0].header("x-change-reason"), Some("CVE-2026-1234"));
}

#[test]
fn a_missing_reason_is_asked_for() {
    let refusal = json!({"error": "reason_required", "message": "A write needs a reason."});
    let stub = Stub::answering(vec![Answer::json(400, &refusal)]);
    let said = fails(cli(&stub.url, DELETE), 1);
    assert_eq!(
        said,
        "error: A write needs a reason; give --reason, or export FLUX_API_REASON (400 reason_required)\n"
    );
}

#[test]
fn what_is_no_digest_is_not_sent() {
    for command in [DELETE, "confirm"] {
        let said = fails(cli("http://127.0.0.1:1", &format!("{command} --plan-digest 0000")), 2);
        assert!(said.contains("--plan-digest") && said.contains("64 hexadecimal digits"), "{said}");
    }
}

#[test]
fn the_ways_to_go_on_exclude_each_other() {
    let digest = format!("--plan-digest {DIGEST} --allow-removals 3");
    for flags in ["--plan --allow-removals 3", &digest, "--plan --whatif a"] {
        let said = fails(cli("http://127.0.0.1:1", &format!("{DELETE} {flags}")), 2);
        assert!(said.contains("cannot be used with"), "{said}");
    }
}

#[test]
fn one_clusters_answers_are_compared() {
    let effect = |effect: &str, input: &str, fields: Value| {
        json!({"effect": effect, "type": "platform_components", "input": input, "fields": fields,
            "count": 2, "clusters": ["eu-1", "eu-2"]})
    };
    let planned = json!({"digest": "d1", "clusters": 2, "effects": [
        effect("change", "grafana", json!([
            {"path": "source.oci_tag", "from": "1", "to": "2"},
            {"path": "patches[\"ui.color\"]", "from": null, "to": "red"},
        ])),
        effect("remove", "ingress", json!([])),
        effect("install", "team", json!([{"path": "enabled", "from": null, "to": true}])),
    ]});
    let answer = json!({"inputs": [
        {"id": "grafana", "source": {"oci_tag": "1", "oci_url": "oci://r"}, "patches": {}}, {"id": "ingress"},
    ]});
    let answers = || {
        vec![
            knows_plans(),
            Answer::json(200, &planned),
            Answer::json(200, &json!({"id": "eu-1", "cluster_dns": "eu-1.example"})),
            Answer::json(200, &answer),
        ]
    };
    let stub = Stub::answering(answers());
    let Ended { code, stdout, .. } = ended(cli(&stub.url, &format!("{DELETE} --whatif eu-1 -o table")));
    assert_eq!(code, Some(3));
    assert_snapshot!(stdout, @r#"
    --- eu-1 now
    +++ eu-1 then
    @@ -1,7 +1,9 @@
     platform-components:
     - id: grafana
    -  patches: {}
    +  patches:
    +    ui.color: red
       source:
    -    oci_tag: "1"
    +    oci_tag: "2"
         oci_url: oci://r
    -- id: ingress
    +- enabled: true
    +  id: team
    "#);
    assert_eq!(stub.asked()[3].line, "GET /api/v2/flux/clusters/eu-1.example/platform-components");

    let stub = Stub::answering(vec![knows_plans(), Answer::json(200, &planned)]);
    let Ended { code, stdout, .. } = ended(cli(&stub.url, &format!("{DELETE} --whatif us-1 -o table")));
    assert_eq!((code, stdout.as_str()), (Some(0), "Nothing changes for us-1.\n"));
}
