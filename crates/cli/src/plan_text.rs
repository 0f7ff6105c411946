//! A plan in words, lines and colours, for people. Pure.

use serde_json::Value;

use crate::error::printable;
use crate::paint::{Paint, View};
use crate::plan::{Effect, Field, Hidden, Plan, Said, Warning};
use crate::{plan_documents, types};

/// How far cluster lists and further lines stand to the right.
pub(crate) const INDENT: &str = "    ";

/// Longer values are cut: what matters here is which one changes.
const LONGEST_VALUE: usize = 60;

/// The whole plan: what it comes to, its effects as the API ordered them, what it does not reach,
/// warnings, what waits behind a freeze, the documents, whoever else has a say, the digest last.
pub(crate) fn whole(plan: &Plan, view: View) -> String {
    let Said { effects, hidden, warnings, frozen, digest, documents, disputed, .. } = &plan.said;
    let mut lines = vec![view.paint.bold(&headline(plan))];
    for effect in effects {
        effect_lines(&mut lines, effect, view);
    }
    for hidden in hidden {
        hidden_lines(&mut lines, hidden, view);
    }
    for warning in warnings {
        warning_lines(&mut lines, warning, view);
    }
    for frozen in frozen {
        lines.push(format!(
            "frozen: {} by {} ({}), reached once it is lifted",
            clusters(frozen.count),
            printable(&frozen.freeze),
            printable(&frozen.reason)
        ));
        lines.push(cluster_list(&frozen.clusters, view));
    }
    plan_documents::changed(&mut lines, documents, view);
    plan_documents::disputed(&mut lines, disputed, view);
    if !plan.said.confirmation.is_empty() {
        lines.push(format!("needs confirmation: {}", reasons(plan)));
    }
    lines.push(view.paint.dim(&format!("digest {}", printable(digest))));
    lines.join("\n") + "\n"
}

/// The plan's destructive effects and no more than a count of the rest.
pub(crate) fn short(plan: &Plan, view: View) -> String {
    let mut lines = vec![view.paint.bold(&headline(plan))];
    let (destructive, rest): (Vec<_>, Vec<_>) =
        plan.said.effects.iter().partition(|effect| effect.destructive);
    for effect in destructive {
        effect_lines(&mut lines, effect, view);
    }
    if !rest.is_empty() {
        let verb = if rest.len() == 1 { "destroys" } else { "destroy" };
        let rest = counted(rest.len() as u64, "effect");
        lines.push(format!("and {rest} that {verb} nothing; --plan shows all"));
    }
    lines.join("\n") + "\n"
}

/// Why it needs a confirmation.
pub(crate) fn reasons(plan: &Plan) -> String {
    let reasons = plan.said.confirmation.iter();
    reasons.map(|reason| printable(reason.trim_end_matches('.'))).collect::<Vec<_>>().join("; ")
}

fn headline(plan: &Plan) -> String {
    let Said { clusters: changed, destructive, hidden, .. } = &plan.said;
    if *changed == 0 {
        return match hidden.is_empty() {
            true => "No cluster's answer changes.".into(),
            false => {
                "No cluster's answer changes, since clusters or higher profiles override what would.".into()
            }
        };
    }
    let verb = if *changed == 1 { "changes" } else { "change" };
    let mut parts = vec![format!("{} {verb}", clusters(*changed))];
    let mut notes = Vec::new();
    if destructive.protected > 0 {
        notes.push(format!("{} of them protected", destructive.protected));
    }
    if destructive.emptied > 0 {
        notes.push(format!("{} left with nothing", destructive.emptied));
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    match destructive.clusters {
        0 => parts.push("nothing is destroyed".into()),
        destroyed => parts.push(format!("something is destroyed on {destroyed}{notes}")),
    }
    parts.join("; ") + "."
}

fn effect_lines(lines: &mut Vec<String>, effect: &Effect, view: View) {
    let what = name(&effect.kind, &effect.input);
    let on = clusters(effect.count);
    let one = effect.count == 1;
    let verb = |singular: &'static str, plural: &'static str| if one { singular } else { plural };
    let mut words = match (effect.effect.as_str(), effect.kind.as_str()) {
        ("remove", "clusters") => format!("{on} {} the fleet list", verb("leaves", "leave")),
        ("install", "clusters") => format!("{on} {} the fleet list", verb("joins", "join")),
        (_, "clusters") => format!("{on}: another entry in the fleet list"),
        ("remove", _) => format!("{on} {} {what}", verb("loses", "lose")),
        ("install", _) => format!("{on} {} {what}", verb("gets", "get")),
        ("disable", _) => format!("{on}: {what} is disabled, which uninstalls it"),
        ("enable", _) => format!("{on}: {what} is enabled"),
        ("replace", _) => format!("{on}: {what} is uninstalled and installed anew"),
        ("reorder", kind) => format!("{on}: {} come in another order", printable(kind)),
        ("change", _) => format!("{on}: {what}"),
        (other, _) => format!("{on}: {what} ({})", printable(other)),
    };
    if effect.on_remove.as_deref() == Some("keep") {
        words.push_str(", whose objects are kept");
    }
    // What is installed or gone is all new or all gone; its fields say nothing more here.
    let fields: &[Field] = match effect.effect.as_str() {
        "install" | "remove" => &[],
        _ => &effect.fields,
    };
    if let [only] = fields {
        words.push_str(&format!(" {}", change(only)));
    }
    let (sign, paint): (_, fn(Paint, &str) -> String) = match (effect.destructive, effect.effect.as_str()) {
        (true, _) => ("-", Paint::red),
        (_, "install" | "enable") => ("+", Paint::green),
        _ => ("~", Paint::yellow),
    };
    lines.push(paint(view.paint, &format!("{sign} {words}")));
    if fields.len() > 1 {
        lines.extend(fields.iter().map(|field| format!("{INDENT}{}", change(field))));
    }
    lines.push(cluster_list(&effect.clusters, view));
}

fn hidden_lines(lines: &mut Vec<String>, hidden: &Hidden, view: View) {
    let verb = if hidden.count == 1 { "overrides" } else { "override" };
    let paths: Vec<_> = hidden.fields.iter().map(|field| printable(&field.path)).collect();
    let by = hidden.profile.as_ref().map(|id| format!(" by profile {}", printable(id))).unwrap_or_default();
    lines.push(format!(
        "not reached{by}: {} {verb} {} of {}",
        clusters(hidden.count),
        paths.join(", "),
        name(&hidden.kind, &hidden.input)
    ));
    lines.push(cluster_list(&hidden.clusters, view));
}

fn warning_lines(lines: &mut Vec<String>, warning: &Warning, view: View) {
    let on = if warning.count == 0 { String::new() } else { format!(" ({})", clusters(warning.count)) };
    let words = match warning.is_freeze() {
        true => format!("{} frozen, so nothing reaches them:", clusters_are(warning.count)),
        false => format!("warning: {}{on}", printable(&warning.message)),
    };
    lines.push(view.paint.yellow(&words));
    if !warning.clusters.is_empty() {
        lines.push(cluster_list(&warning.clusters, view));
    }
}

/// `component grafana`, in the words of the command line.
fn name(kind: &str, input: &str) -> String {
    let kind = types::definition(kind).map_or(kind, |known| known.singular);
    printable(format!("{kind} {input}").trim())
}

fn change(field: &Field) -> String {
    format!("{}: {} -> {}", printable(&field.path), value(&field.from), value(&field.to))
}

fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".into(),
        Value::String(text) if !text.is_empty() => printable(text),
        other => printable(&other.to_string()),
    };
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Whom a freeze holds, in one line.
pub(crate) fn frozen(plan: &Plan, view: View) -> String {
    let held: Vec<_> = plan.freezes().cloned().collect();
    if held.is_empty() {
        return "No cluster is frozen by it now.\n".into();
    }
    let words = format!("{} frozen:", clusters_are(held.len() as u64));
    let room = view.width.saturating_sub(words.len() + 1);
    format!("{} {}\n", view.paint.yellow(&words), listed(&held, room))
}

fn clusters_are(count: u64) -> String {
    format!("{} {}", clusters(count), if count == 1 { "is" } else { "are" })
}

fn clusters(count: u64) -> String {
    counted(count, "cluster")
}

pub(crate) fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The ids in a line of their own.
fn cluster_list(ids: &[String], view: View) -> String {
    let ids = listed(ids, view.width.saturating_sub(INDENT.len()));
    format!("{INDENT}{}", view.paint.dim(&ids))
}

/// The ids, as many as there is room for: `a, b and 598 more`.
fn listed(ids: &[String], room: usize) -> String {
    let mut line = String::new();
    for (at, id) in ids.iter().enumerate() {
        let id = printable(id);
        let separator = if at == 0 { "" } else { ", " };
        let left = ids.len() - at - 1;
        let rest = if left == 0 { 0 } else { format!(" and {left} more").len() };
        let fits = line.chars().count() + separator.len() + id.chars().count() + rest <= room;
        if at > 0 && !fits {
            line.push_str(&format!(" and {} more", left + 1));
            break;
        }
        line.push_str(separator);
        line.push_str(&id);
    }
    line
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    fn ids(count: usize) -> Vec<String> {
        (1..=count).map(|n| format!("eu-{n}")).collect()
    }

    fn plan() -> Plan {
        Plan::read(json!({
            "revision": 12, "digest": "ab12", "clusters": 615,
            "destructive": {"clusters": 3, "protected": 1, "emptied": 0},
            "confirmation": ["it destroys something on prod-1, in a protected environment."],
            "effects": [
                {"effect": "remove", "destructive": true, "type": "platform_components", "input": "ingress",
                    "on_remove": "keep", "count": 2, "clusters": ["eu-1", "prod-1"], "fields": []},
                {"effect": "replace", "destructive": true, "type": "platform_components", "input": "grafana",
                    "count": 1, "clusters": ["eu-3"], "fields": [
                        {"path": "release.name", "from": "grafana", "to": "graph"},
                        {"path": "release.target_namespace", "from": null, "to": "x\u{1b}[2J"}]},
                {"effect": "install", "destructive": false, "type": "namespaces", "input": "team",
                    "count": 1, "clusters": ["eu-9"], "fields": []},
                {"effect": "change", "destructive": false, "type": "platform_components", "input": "grafana",
                    "count": 612, "clusters": ids(612),
                    "fields": [{"path": "source.oci_tag", "from": "v1.0.0", "to": "v1.1.0"}]},
            ],
            "hidden": [
                {"profile": "base", "type": "platform_components", "input": "grafana", "count": 1, "clusters": ids(1),
                    "fields": [{"path": "enabled", "from": true, "to": false}]},
                {"type": "platform_components", "input": "grafana", "count": 3, "clusters": ids(3),
                "fields": [{"path": "source.oci_tag", "from": "v1.0.0", "to": "v1.1.0"}]}],
            "warnings": [
                {"code": "profile_selects_none", "message": "profiles/edge selects no cluster yet", "count": 0,
                    "clusters": []},
                {"code": "latest", "message": "the tag is `latest`", "count": 1, "clusters": ["eu-9"]}],
            "frozen": [{"freeze": "incident-42", "reason": "etcd", "count": 1, "clusters": ["eu-1"]}],
        }))
        .unwrap()
    }

    #[test]
    fn everything_counts_first_and_the_digest_last() {
        assert_snapshot!(whole(&plan(), View { width: 60, ..View::PLAIN }), @r"
        615 clusters change; something is destroyed on 3 (1 of them protected).
        - 2 clusters lose component ingress, whose objects are kept
            eu-1, prod-1
        - 1 cluster: component grafana is uninstalled and installed anew
            release.name: grafana -> graph
            release.target_namespace: nothing -> x\u{1b}[2J
            eu-3
        + 1 cluster gets namespace team
            eu-9
        ~ 612 clusters: component grafana source.oci_tag: v1.0.0 -> v1.1.0
            eu-1, eu-2, eu-3, eu-4, eu-5, eu-6, eu-7 and 605 more
        not reached by profile base: 1 cluster overrides enabled of component grafana
            eu-1
        not reached: 3 clusters override source.oci_tag of component grafana
            eu-1, eu-2, eu-3
        warning: profiles/edge selects no cluster yet
        warning: the tag is `latest` (1 cluster)
            eu-9
        frozen: 1 cluster by incident-42 (etcd), reached once it is lifted
            eu-1
        needs confirmation: it destroys something on prod-1, in a protected environment
        digest ab12
        ");
    }

    #[test]
    fn in_short_what_is_destroyed() {
        assert_snapshot!(short(&plan(), View::PLAIN), @r"
        615 clusters change; something is destroyed on 3 (1 of them protected).
        - 2 clusters lose component ingress, whose objects are kept
            eu-1, prod-1
        - 1 cluster: component grafana is uninstalled and installed anew
            release.name: grafana -> graph
            release.target_namespace: nothing -> x\u{1b}[2J
            eu-3
        and 2 effects that destroy nothing; --plan shows all
        ");
    }

    #[test]
    fn colours_say_what_goes_comes_and_changes() {
        let shown = whole(&plan(), View { paint: Paint::ON, width: 60 });
        for (code, part) in
            [("31", "- 2 clusters lose"), ("32", "+ 1 cluster gets"), ("33", "~ 612 clusters")]
        {
            assert!(shown.contains(&format!("\u{1b}[{code}m{part}")), "{shown}");
        }
    }

    #[test]
    fn nothing_is_said_in_one_line_and_the_digest() {
        let plan = Plan::read(json!({"digest": "00", "effects": []})).unwrap();
        assert!(!plan.changes());
        assert_snapshot!(whole(&plan, View::PLAIN), @"
        No cluster's answer changes.
        digest 00
        ");
    }
}
