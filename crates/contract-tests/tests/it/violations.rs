//! Every violation that a small body can have, alone and together:
//! each row is a body and what is found in it.

use flux_resourceset_contract_tests::{Summary, check};

#[track_caller]
fn holds(body: &str, inputs: usize) {
    assert_eq!(check(body.as_bytes()), Ok(Summary { inputs, bytes: body.len() }), "{body}");
}

/// `expected` is the pointer and code of each violation, in order.
#[track_caller]
fn violated(body: impl AsRef<[u8]>, expected: &[&str]) {
    let body = body.as_ref();
    let violations = check(body).expect_err("the answer should violate the contract");
    let found: Vec<_> = violations.iter().map(|v| format!("{} {}", v.pointer, v.code)).collect();
    assert_eq!(found, expected, "{}", String::from_utf8_lossy(body));
}

#[test]
fn what_flux_accepts_holds() {
    holds(r#"{"inputs":[]}"#, 0);
    holds(r#"{"inputs":[{"id":"a"}]}"#, 1);
    holds(r#"{"inputs":[{"id":"a","provider2":{"provider":1}},{"id":"A"},{"id":" a"}]}"#, 3);
    holds("\n\t {\"inputs\" : [ ] }\r\n", 0);
}

#[test]
fn other_keys_at_the_top_are_ignored() {
    holds(r#"{"provider":1,"id":[],"input":null,"inputs":[{"id":"a"}],"revision":7}"#, 1);
}

#[test]
fn an_id_may_be_empty() {
    holds(r#"{"inputs":[{"id":""},{"id":"a"}]}"#, 2);
    violated(r#"{"inputs":[{"id":""},{"id":""}]}"#, &["/inputs/1/id id_repeated"]);
}

#[test]
fn of_a_repeated_key_the_last_counts() {
    holds(r#"{"inputs":null,"inputs":[{"id":5,"id":"a"}]}"#, 1);
    violated(r#"{"inputs":[],"inputs":null}"#, &["/inputs inputs_null"]);
    violated(r#"{"inputs":[{"id":"a","id":5}]}"#, &["/inputs/0/id id_not_a_string"]);
    violated(r#"{"inputs":[{"id":"a"},{"id":"b","id":"a"}]}"#, &["/inputs/1/id id_repeated"]);
}

#[test]
fn not_json() {
    let bodies: [&[u8]; 9] = [
        b"",
        b"  \n",
        b"<html>",
        b"{inputs: []}",
        b"{\"inputs\":[]",
        b"{\"inputs\":[],}",
        b"{\"inputs\":[]} {\"inputs\":[]}",
        b"\xef\xbb\xbf{\"inputs\":[]}",
        b"{\"inputs\":[{\"id\":\"\xff\"}]}",
    ];
    for body in bodies {
        violated(body, &[" not_json"]);
    }
    violated(r#"{"inputs":[{"id":"\ud800"}]}"#, &[" not_json"]);
}

#[test]
fn a_number_beyond_a_float() {
    // Go refuses it. serde_json does, too, unless some crate turns its feature `arbitrary_precision` on.
    violated(r#"{"inputs":[{"id":"a","n":1e999}]}"#, &[" not_json"]);
}

#[test]
fn nesting_beyond_127_levels() {
    // The object, the array and the input are three levels.
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 3), "]".repeat(levels - 3));
        format!(r#"{{"inputs":[{{"id":"a","v":{open}{close}}}]}}"#)
    };
    holds(&nested(127), 1);
    violated(nested(128), &[" not_json"]);
}

#[test]
fn not_an_object() {
    for body in ["null", "true", "7", r#""inputs""#, "[]", r#"[{"id":"a"}]"#] {
        violated(body, &[" not_an_object"]);
    }
}

#[test]
fn inputs_missing_null_or_no_array() {
    for body in ["{}", r#"{"input":[]}"#, r#"{"data":{"inputs":[]}}"#, r#"{"error":"not found"}"#] {
        violated(body, &[" inputs_missing"]);
    }
    violated(r#"{"inputs":null}"#, &["/inputs inputs_null"]);
    for value in ["{}", r#"{"id":"a"}"#, r#""a""#, "0", "false"] {
        violated(format!(r#"{{"inputs":{value}}}"#), &["/inputs inputs_not_an_array"]);
    }
}

#[test]
fn inputs_in_another_case() {
    violated(r#"{"Inputs":[{"id":"a"}]}"#, &["/Inputs inputs_case"]);
    violated(r#"{"inputs":[{"id":"a"}],"INPUTS":null}"#, &["/INPUTS inputs_case", "/INPUTS inputs_null"]);
    // Each is a list of its own: an id in both is not repeated.
    violated(r#"{"inputs":[{"id":"a"}],"inputS":[{"id":"a"}]}"#, &["/inputS inputs_case"]);
    violated(r#"{"Inputs":[{}]}"#, &["/Inputs inputs_case", "/Inputs/0 id_missing"]);
}

#[test]
fn an_input_that_is_no_object() {
    for value in ["null", "true", "7", r#""a""#, "[]"] {
        let body = format!(r#"{{"inputs":[{{"id":"a"}},{value}]}}"#);
        violated(body, &["/inputs/1 input_not_an_object"]);
    }
}

#[test]
fn an_id_that_is_missing_or_no_string() {
    violated(r#"{"inputs":[{}]}"#, &["/inputs/0 id_missing"]);
    violated(r#"{"inputs":[{"ID":"a","_id":"a"}]}"#, &["/inputs/0 id_missing"]);
    for value in ["null", "true", "7", "[]", "{}"] {
        violated(format!(r#"{{"inputs":[{{"id":{value}}}]}}"#), &["/inputs/0/id id_not_a_string"]);
    }
}

#[test]
fn an_id_that_is_repeated_names_the_first() {
    let body = br#"{"inputs":[{"id":"b"},{"id":"a"},{"id":"c"},{"id":"\u0061"},{"id":"a"}]}"#;
    violated(body, &["/inputs/3/id id_repeated", "/inputs/4/id id_repeated"]);
    for violation in check(body).unwrap_err() {
        assert!(violation.message.contains("index 1"), "{violation}");
    }
}

#[test]
fn the_reserved_key_whatever_its_value() {
    for value in ["null", "{}", r#""us""#] {
        let body = format!(r#"{{"inputs":[{{"id":"a","provider":{value}}}]}}"#);
        violated(body, &["/inputs/0/provider reserved_key"]);
    }
}

/// Flux Operator's `GetInputs` dereferences what JSON's null leaves a nil pointer.
#[test]
fn a_null_of_an_inputs_own() {
    let body = r#"{"inputs":[{"id":"a","x":null,"a/b":null,"deep":{"x":null},"list":[null]}]}"#;
    violated(body, &["/inputs/0/a~1b value_null", "/inputs/0/x value_null"]);
}

#[test]
fn all_violations_at_once_each_with_its_sentence() {
    let body = br#"{"Inputs": "x", "inputs": [
        {"id": "a\n\u001b[31m", "provider": 1},
        null,
        {"provider": null},
        {"id": 7, "provider": "x"},
        {"id": "a\n\u001b[31m"},
        {"id": "b", "x": null}
    ]}"#;
    insta::assert_snapshot!(lines(body), @r#"
    /Inputs inputs_case: Flux takes `Inputs` for `inputs`, whatever the case; spell it `inputs`
    /Inputs inputs_not_an_array: `inputs` must be an array, but is a string
    /inputs/0/provider reserved_key: Flux overwrites the key `provider` of every input; name it differently
    /inputs/1 input_not_an_object: an input must be an object, but this is null
    /inputs/2 id_missing: the input has no `id`; Flux refuses the whole answer
    /inputs/2/provider reserved_key: Flux overwrites the key `provider` of every input; name it differently
    /inputs/3/id id_not_a_string: the `id` must be a string, but is a number
    /inputs/3/provider reserved_key: Flux overwrites the key `provider` of every input; name it differently
    /inputs/4/id id_repeated: the id "a\n\u{1b}[31m" is already that of the input at index 0
    /inputs/5/x value_null: the value is null, at which Flux fails when it reads its inputs back; leave the key out
    "#);
}

#[test]
fn the_sentences_about_a_whole_body() {
    let bodies: [&[u8]; 5] =
        [b"{\n  \"inputs\": [,]\n}", b"[]", b"{}", br#"{"inputs":null}"#, br#"{"inputs":{}}"#];
    let found: Vec<_> = bodies.into_iter().map(lines).collect();
    insta::assert_snapshot!(found.join("\n"), @"
    (root) not_json: the body cannot be read as JSON: expected value at line 2 column 14
    (root) not_an_object: the answer must be an object with `inputs`, but is an array
    (root) inputs_missing: the answer has no `inputs`; Flux refuses it
    /inputs inputs_null: `inputs` is null, which Flux takes for missing
    /inputs inputs_not_an_array: `inputs` must be an array, but is an object
    ");
}

fn lines(body: &[u8]) -> String {
    let violations = check(body).expect_err("the answer should violate the contract");
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
