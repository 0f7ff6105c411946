//! The two sizes that Flux enforces, at the limit and one beyond it.
//! Apart because these bodies are built, not written.

use flux_resourceset_contract_tests::{Code, MAX_BODY_BYTES, MAX_INPUTS, Summary, check};

fn answer_of(count: usize) -> String {
    let inputs: Vec<_> = (0..count).map(|n| format!(r#"{{"id":"c{n}"}}"#)).collect();
    format!(r#"{{"inputs":[{}]}}"#, inputs.join(","))
}

/// One input whose value fills the body up to `bytes`.
fn answer_with_bytes(bytes: usize) -> String {
    let (start, end) = (r#"{"inputs":[{"id":"a","v":""#, r#""}]}"#);
    format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
}

fn codes(body: &[u8]) -> Vec<Code> {
    check(body).unwrap_err().into_iter().map(|violation| violation.code).collect()
}

#[test]
fn the_limits_are_those_of_flux() {
    assert_eq!(MAX_INPUTS, 10_000);
    assert_eq!(MAX_BODY_BYTES, 921_600);
}

#[test]
fn ten_thousand_inputs_hold_and_one_more_does_not() {
    let body = answer_of(10_000);
    assert_eq!(check(body.as_bytes()), Ok(Summary { inputs: 10_000, bytes: body.len() }));

    let violations = check(answer_of(10_001).as_bytes()).unwrap_err();
    insta::assert_snapshot!(violations[0], @"/inputs too_many_inputs: there are 10001 inputs; Flux drops all after the first 10000 and deletes what they made");
    assert_eq!(violations.len(), 1);
}

#[test]
fn inputs_beyond_the_limit_are_judged_too() {
    let body = answer_of(10_001).replace(r#""c10000""#, r#""c0""#);
    assert_eq!(codes(body.as_bytes()), [Code::TooManyInputs, Code::IdRepeated]);
}

#[test]
fn nine_hundred_kibibytes_hold_and_one_byte_more_does_not() {
    let body = answer_with_bytes(921_600);
    assert_eq!(check(body.as_bytes()), Ok(Summary { inputs: 1, bytes: 921_600 }));

    let violations = check(answer_with_bytes(921_601).as_bytes()).unwrap_err();
    insta::assert_snapshot!(violations[0], @"(root) body_too_large: the body has 921601 bytes; Flux refuses more than 921600");
    assert_eq!(violations.len(), 1);
}

#[test]
fn white_space_counts_and_so_does_what_cannot_be_read() {
    let mut body = answer_with_bytes(921_600);
    body.push('\n');
    assert_eq!(codes(body.as_bytes()), [Code::BodyTooLarge]);
    assert_eq!(codes(&[b' '; 921_601]), [Code::BodyTooLarge, Code::NotJson]);
}
