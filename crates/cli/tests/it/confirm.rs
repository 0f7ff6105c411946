//! `confirm`: what is said of a store that is not the one served before, and by what it is confirmed.

use serde_json::{Value, json};

use crate::guard::{DIGEST, plan};
use crate::stub::{Answer, Ended, Stub, cli, ended, fails};

fn mute(confirmable: bool) -> Value {
    let mut standing = json!({
        "mute": {"code": "store_diverged", "message": "Another history.\u{1b}[2J"},
        "confirmable": confirmable, "served": {"store": "a", "revision": 9, "entry": "b"},
        "store": null, "remarks": [],
    });
    if confirmable {
        standing["store"] = json!({"store": "a", "revision": 4, "entry": "c"});
        standing["remarks"] = json!(["The freeze inc-7 is not in this store."]);
        standing["plan"] = plan(2);
    }
    standing
}

fn followed() -> Value {
    json!({"mute": null, "confirmable": false, "served": {"store": "a", "revision": 4, "entry": "c"}, "store": null, "remarks": []})
}

#[test]
fn what_would_change_is_shown_first() {
    let stub = Stub::answering(vec![Answer::json(200, &mute(true))]);
    let Ended { code, stdout, stderr } = ended(cli(&stub.url, "confirm --plan -o table"));
    assert_eq!(code, Some(3));
    assert!(stdout.starts_with("3 clusters change; something is destroyed on 2.\n"), "{stdout}");
    assert_eq!(
        stderr,
        "Another history.\\u{1b}[2J\nServed was revision 9; the store is at revision 4.\n\
         The freeze inc-7 is not in this store.\n"
    );
    assert_eq!(stub.asked()[0].line, "GET /api/v2/confirm");
}

#[test]
fn nobody_confirms_unseen() {
    let stub = Stub::answering(vec![Answer::json(200, &mute(true))]);
    let said = fails(cli(&stub.url, "confirm"), 1);
    assert!(said.contains("nothing was changed") && said.contains("--plan-digest d1"), "{said}");
    stub.asked();
}

#[test]
fn a_digest_confirms() {
    let stub = Stub::answering(vec![Answer::json(200, &mute(true)), Answer::json(200, &followed())]);
    let line = format!("confirm --plan-digest {DIGEST} --reason 'INC-7' -o table");
    let Ended { code, stdout, .. } = ended(cli(&stub.url, &line));
    assert_eq!(
        (code, stdout.as_str()),
        (Some(0), "This server follows its store from here on (revision 4).\n")
    );
    let asked = stub.asked();
    assert_eq!(asked[1].line, "POST /api/v2/confirm");
    assert_eq!(
        (asked[1].header("if-plan"), asked[1].header("x-change-reason")),
        (Some(DIGEST), Some("INC-7"))
    );
}

#[test]
fn another_effect_is_not_what_was_confirmed() {
    let changed = json!({"error": "plan_changed", "message": "Look at the plan.", "plan": plan(5)});
    let stub = Stub::answering(vec![Answer::json(200, &mute(true)), Answer::json(412, &changed)]);
    let said = fails(cli(&stub.url, &format!("confirm --plan-digest {DIGEST}")), 1);
    assert!(said.contains("no longer what was agreed to, so nothing was changed"), "{said}");
    stub.asked();
}

#[test]
fn there_may_be_nothing_to_confirm() {
    let stub = Stub::answering(vec![Answer::json(200, &followed())]);
    let Ended { code, stdout, .. } = ended(cli(&stub.url, "confirm -o table"));
    let said = "This server follows its store: there is nothing to confirm (revision 4).\n";
    assert_eq!((code, stdout.as_str()), (Some(0), said));
    stub.asked();
    let stub = Stub::answering(vec![Answer::json(200, &mute(false))]);
    assert!(fails(cli(&stub.url, "confirm"), 1).starts_with("error: Another history"));
    stub.asked();
}
