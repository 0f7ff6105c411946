//! Parts of clusters: written by their addresses, by a selector on many clusters at once, and the old
//! way on a server that knows neither.

use serde_json::{Value, json};

use crate::stub::{Answer, Stub, cli, fails, succeeds};

fn missing() -> Answer {
    Answer::json(404, &json!({"error": "not_found", "message": "There is nothing here."}))
}

fn cluster() -> Value {
    json!({"id": "c1", "platform_components": [{"id": "a", "oci_tag": "1"}], "patches": {"a": {"n": "1"}}})
}

fn made() -> Value {
    json!({"revision": 9, "documents": [{"type": "clusters", "id": "c1", "change": "updated"}]})
}

/// Runs it against these answers, and gives the requests that wrote as line and body.
#[track_caller]
fn check(arguments: &str, answers: Vec<Answer>, expected: &[(&str, Value)]) {
    let stub = Stub::answering(answers);
    succeeds(cli(&stub.url, arguments));
    let asked = stub.asked();
    let writes = asked.iter().filter(|request| !request.line.starts_with("GET "));
    let writes: Vec<_> = writes.map(|request| (request.line.as_str(), request.body.clone())).collect();
    assert_eq!(writes, expected);
}

#[test]
fn what_a_cluster_overrides_is_edited_in_its_part() {
    let part = json!({"id": "a", "oci_tag": "1", "release": {"name": "n"}});
    check(
        "component assign a --cluster c1 --suspend true --unset oci_tag",
        vec![
            Answer::json(200, &part).with("etag", "\"3\""),
            Answer::json(200, &part),
            Answer::json(200, &cluster()),
        ],
        &[(
            "PUT /clusters/c1/platform_components/a",
            json!({"oci_tag": null, "release": {"name": "n", "suspend": true}}),
        )],
    );
    check(
        "component assign a --cluster c1 --oci-tag 2",
        vec![missing(), Answer::json(201, &part), Answer::json(200, &cluster())],
        &[("PUT /clusters/c1/platform_components/a", json!({"oci_tag": "2"}))],
    );
}

#[test]
fn a_reference_is_deleted_by_its_address() {
    check(
        "component unassign a --cluster c1",
        vec![Answer::json(200, &json!({"id": "a"})), Answer::json(200, &cluster())],
        &[("DELETE /clusters/c1/platform_components/a", Value::Null)],
    );
    check(
        "component unassign a --cluster c1 --with-patches",
        vec![Answer::json(200, &cluster()), Answer::json(200, &made()), Answer::json(200, &cluster())],
        &[(
            "POST /api/v2/changes",
            json!({"changes": [
                {"delete": "clusters/c1/platform_components/a"}, {"delete": "clusters/c1/patches/a"},
            ]}),
        )],
    );
}

#[test]
fn patches_are_written_key_by_key() {
    let part = || Answer::json(200, &json!({"id": "a"}));
    check(
        "component patch a --cluster c1 --set n=3 --unset m",
        vec![Answer::json(200, &cluster()), part(), Answer::json(200, &cluster())],
        &[("PUT /clusters/c1/patches/a", json!({"n": "3", "m": null}))],
    );
    check(
        "component patch a --cluster c1 --unset m",
        vec![
            Answer::json(200, &cluster()),
            Answer::json(200, &json!({"m": "1", "n": "2"})),
            part(),
            Answer::json(200, &cluster()),
        ],
        &[("PATCH /clusters/c1/patches/a", json!({"m": null}))],
    );
    check(
        "component patch a --cluster c1 --unset m",
        vec![
            Answer::json(200, &cluster()),
            Answer::json(200, &json!({"m": "1"})),
            part(),
            Answer::json(200, &cluster()),
        ],
        &[("DELETE /clusters/c1/patches/a", Value::Null)],
    );
}

#[test]
fn a_server_without_parts_is_written_the_old_way() {
    for status in [404, 405] {
        let without = || Answer::json(status, &json!({"error": "unknown_route", "message": "Nothing here."}));
        let read = || Answer::json(200, &cluster()).with("etag", "\"3\"");
        let done = || vec![read(), Answer::json(200, &cluster()), Answer::json(200, &cluster())];
        let after = |first: Vec<Answer>| first.into_iter().chain(done()).collect::<Vec<_>>();
        let [put, delete] = ["PUT", "DELETE"].map(|verb| format!("{verb} /clusters/c1/namespaces/team"));
        let old = "PUT /clusters/c1";
        check(
            "namespace assign team --cluster c1",
            after(vec![without()]),
            &[(&put, json!({"exclude": null})), (old, json!({"namespaces": [{"id": "team"}]}))],
        );
        check(
            "component unassign a --cluster c1",
            after(vec![without()]),
            &[
                ("DELETE /clusters/c1/platform_components/a", Value::Null),
                (old, json!({"platform_components": []})),
            ],
        );
        check(
            "component patch a --cluster c1 --set n=3",
            after(vec![read(), without()]),
            &[
                ("PUT /clusters/c1/patches/a", json!({"n": "3"})),
                (old, json!({"patches": {"a": {"n": "3"}}})),
            ],
        );
        // What is unassigned already is left alone, once it is known to exist at all.
        check(
            "namespace unassign team --cluster c1",
            vec![without(), read(), Answer::json(200, &json!({"id": "team"})), read()],
            &[(&delete, Value::Null)],
        );
    }
}

#[test]
fn what_is_really_missing_is_said() {
    let stub = Stub::answering(vec![missing(), missing()]);
    let said = fails(cli(&stub.url, "namespace assign team --cluster nope"), 1);
    assert!(said.contains("check the id"), "{said}");
    assert_eq!(stub.asked()[1].line, "GET /clusters/nope");
}

#[test]
fn a_definition_and_its_first_reference_are_one_change() {
    let team = json!({"id": "team", "labels": {"a": "b"}});
    check(
        "namespace create team --label a=b --cluster c1",
        vec![Answer::json(200, &cluster()), missing(), Answer::json(200, &made()), Answer::json(200, &team)],
        &[(
            "POST /api/v2/changes",
            json!({"changes": [
                {"create": "namespaces/team", "body": team}, {"update": "clusters/c1/namespaces/team", "body": {}},
            ]}),
        )],
    );
}

/// Runs it for a selector, and gives the operations that it asked for.
#[track_caller]
fn selected(arguments: &str, before: Vec<Answer>) -> Value {
    let answers = before.into_iter().chain([Answer::json(200, &made())]).collect();
    let stub = Stub::answering(answers);
    succeeds(cli(&stub.url, arguments));
    stub.asked().pop().unwrap().body["changes"].take()
}

#[test]
fn a_selector_makes_one_change_of_many_clusters() {
    let one = |operation: Value| {
        let mut operation = operation;
        operation["select"] = "region in (eu,us)".into();
        operation
    };
    let select = "--select 'region in (eu,us)'";
    assert_eq!(
        selected(&format!("namespace assign team {select} --allow-empty"), vec![]),
        json!([one(
            json!({"update": "clusters/*/namespaces/team", "body": {"exclude": null}, "allow_empty": true})
        )])
    );
    assert_eq!(
        selected(&format!("component assign a {select} --oci-tag 2 --unset release.suspend"), vec![]),
        json!([
            one(json!({"update": "clusters/*/platform_components/a", "body": {"exclude": null}})),
            one(json!({"patch": "clusters/*/platform_components/a",
                "body": {"oci_tag": "2", "release": {"suspend": null}}})),
        ])
    );
    assert_eq!(
        selected(&format!("component assign a {select} --exclude --note why"), vec![]),
        json!([
            one(json!({"delete": "clusters/*/platform_components/a", "allow_empty": true})),
            one(
                json!({"update": "clusters/*/platform_components/a", "body": {"exclude": true, "note": "why"}})
            ),
        ])
    );
    let unsetting = json!([cluster(), {"id": "c2", "unset_patches": {"a": ["n"]}}]);
    assert_eq!(
        selected(
            &format!("component unassign a {select} --with-patches"),
            vec![Answer::json(200, &unsetting)]
        ),
        json!([
            one(json!({"delete": "clusters/*/platform_components/a"})),
            one(json!({"delete": "clusters/*/patches/a"})),
            {"patch": "clusters/c2", "body": {"unset_patches": null}},
        ])
    );
    assert_eq!(
        selected(&format!("component patch a {select} --unset n"), vec![]),
        json!([one(json!({"patch": "clusters/*/patches/a", "body": {"n": null}}))])
    );
    assert_eq!(
        selected(
            &format!("component patch a {select} --set n=2"),
            vec![Answer::json(200, &json!([cluster()]))]
        ),
        json!([one(json!({"update": "clusters/*/patches/a", "body": {"n": "2"}}))])
    );
}

#[test]
fn patches_are_not_left_where_the_component_is_not() {
    let clusters = json!([cluster(), {"id": "c2"}, {"id": "c3"}]);
    let stub = Stub::answering(vec![Answer::json(200, &clusters), missing()]);
    let said = fails(cli(&stub.url, "component patch a --select tier=1 --set n=2"), 1);
    assert!(said.contains("not assigned to 2 of the 3 clusters that match: c2, c3;"), "{said}");
    stub.asked();
}

#[test]
fn a_profile_has_parts_as_a_cluster_has() {
    let profile = || Answer::json(200, &json!({"id": "p", "selector": "", "patches": {"a": {"n": "1"}}}));
    let part = || Answer::json(200, &json!({"id": "a", "oci_tag": "1"}));
    check(
        "component assign a --profile p --oci-tag 2",
        vec![part(), part(), profile()],
        &[("PUT /profiles/p/platform_components/a", json!({"oci_tag": "2"}))],
    );
    check(
        "namespace unassign team --profile p",
        vec![part(), profile()],
        &[("DELETE /profiles/p/namespaces/team", Value::Null)],
    );
    check(
        "component patch a --profile p --set n=2",
        vec![profile(), part(), profile()],
        &[("PUT /profiles/p/patches/a", json!({"n": "2"}))],
    );
    check(
        "namespace create team --profile p",
        vec![profile(), missing(), Answer::json(200, &made()), part()],
        &[(
            "POST /api/v2/changes",
            json!({"changes": [
                {"create": "namespaces/team", "body": {"id": "team"}},
                {"update": "profiles/p/namespaces/team", "body": {}},
            ]}),
        )],
    );
}

#[test]
fn lists_take_a_selector_and_its_mistake_has_a_position() {
    let refusal = json!({"error": "invalid_parameter",
        "message": "The query parameter `label_selector` is no selector: at character 8: expected a value."});
    let stub = Stub::answering(vec![Answer::json(400, &refusal)]);
    let said = fails(cli(&stub.url, "cluster list --select 'region ='"), 1);
    assert!(said.contains("at character 8"), "{said}");
    assert_eq!(stub.asked()[0].line, "GET /clusters?label_selector=region%20%3D");
}
