//! What becomes of a stored document where another is written over it.

use flux_resourceset_model::change::Verb;
use flux_resourceset_model::{Body, DnsName, Violation};
use serde_json::Value;

/// What PUT or PATCH makes of `stored`.
pub(crate) fn rewritten(
    verb: Verb,
    mut stored: Body,
    mut asked: Body,
    normalize: impl Fn(&mut Body),
) -> Body {
    if verb == Verb::Patch {
        let named: Vec<String> = asked.keys().cloned().collect();
        merge_patch(&mut stored, asked);
        // Only what was asked for: a field that a newer release wrote stays as it is.
        let mut changed: Body = named.into_iter().filter_map(|field| stored.remove_entry(&field)).collect();
        normalize(&mut changed);
        stored.extend(changed);
    } else {
        stored.retain(|field, _| !asked.get(field).is_some_and(Value::is_null));
        normalize(&mut asked);
        stored.extend(asked);
    }
    stored
}

/// JSON Merge Patch (RFC 7396): null removes at every depth.
fn merge_patch(into: &mut Body, patch: Body) {
    for (field, value) in patch {
        match value {
            Value::Null => drop(into.remove(&field)),
            Value::Object(patch) => {
                let below = into.entry(field).or_insert_with(|| Body::new().into());
                if !below.is_object() {
                    *below = Body::new().into();
                }
                if let Value::Object(below) = below {
                    merge_patch(below, patch);
                }
            }
            value => drop(into.insert(field, value)),
        }
    }
}

/// Keeps the name that the cluster `stored` had, where `body` says another: the cluster goes on polling
/// under it until its provider is changed.
pub(crate) fn keep_name(stored: &Body, body: &mut Body) {
    let dns = |body: &Body| body.get("cluster_dns").and_then(Value::as_str).map(String::from);
    let (Some(before), Some(now)) = (dns(stored), dns(body)) else { return };
    if DnsName::new(&before) != DnsName::new(&now) {
        forget_alias(body, &now);
        keep_alias(body, &before);
    }
}

/// Makes `dns` a former name of the cluster `body`, unless it is one of its names already.
pub(crate) fn keep_alias(body: &mut Body, dns: &str) {
    let same = |name: &Value| name.as_str().map(DnsName::new) == Some(DnsName::new(dns));
    if body.get("cluster_dns").is_some_and(same) {
        return;
    }
    if let Value::Array(aliases) = body.entry("aliases").or_insert_with(|| Value::Array(Vec::new()))
        && !aliases.iter().any(same)
    {
        aliases.push(dns.into());
    }
}

fn forget_alias(body: &mut Body, dns: &str) {
    let Some(Value::Array(aliases)) = body.get_mut("aliases") else { return };
    aliases.retain(|name| name.as_str().map(DnsName::new) != Some(DnsName::new(dns)));
    if aliases.is_empty() {
        body.remove("aliases");
    }
}

/// Drops from `wrong` what was wrong with the stored document already: fields that a newer release
/// wrote survive a rewrite, wherever they moved within their list.
pub(crate) fn forget_known(wrong: &mut Vec<Violation>, known: &[Violation]) {
    let place = |violation: &Violation| {
        let steps = violation.pointer.split('/');
        let anywhere: Vec<_> =
            steps.map(|step| if step.parse::<usize>().is_ok() { "*" } else { step }).collect();
        anywhere.join("/")
    };
    wrong.retain(|violation| {
        !known.iter().any(|known| match violation.code {
            "unknown_field" => known.code == "unknown_field" && place(known) == place(violation),
            _ => known == violation,
        })
    });
}
