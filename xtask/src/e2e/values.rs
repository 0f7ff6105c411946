//! Values that YAML, Go templates, `helm --set` or Flux's substitution would take for something else.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{World, cluster, echo, installed, same};
use crate::kubectl::{CONFIG_MAPS, FLUX_SYSTEM, NAMESPACES};

fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "say \"hi\" and 'ho'",
        "\"quoted\"",
        "'quoted'",
        "a\\b\\\\c\\",
        "one\ntwo\n\n---\nthree: 3\n\n",
        "<< inputs.id >> <<- end >>",
        "<<",
        "{{ .Values.x }} {{ fail \"no\" }}",
        "${HOME} $$ ${X:=y}",
        "a: b: c",
        "# no comment # x",
        "a,b=c,d[0]={e}",
        "- item",
        "{a: b}",
        "{",
        "[a, b]",
        "yes",
        "no",
        "~",
        "1e3",
        "0123",
        "0x1F",
        "2001-01-01",
        "",
        "  lead and trail  ",
        "\ttab\t",
        "&a *b !c",
        "|\n  x",
        "Grüße 你好 שלום 🚀 e\u{301}",
    ]
    .map(String::from)
    .to_vec();
    texts.push("x, \"y\" \\ z: ".repeat(350));
    texts
}

pub(super) fn hostile_values(world: &World) -> Result<()> {
    let texts = hostile();
    let keyed = |prefix: &str| -> Map<String, Value> {
        texts.iter().enumerate().map(|(at, text)| (format!("{prefix}{at}"), json!(text))).collect()
    };
    let labels =
        json!({"a": "yes", "b": "1e3", "c": "0123", "d": "no", "e": "null", "f": "true", "g": "", "h": "3"});
    let annotations: Map<_, _> =
        keyed("text-").into_iter().map(|(key, text)| (format!("example.com/{key}"), text)).collect();
    let values = json!({"list": texts, "map": keyed("key ")});
    let mut component = world.component("podinfo");
    component["release"] = json!({"values": values});
    let mut patches = keyed("patch");
    // A key that is a path of Helm's, and no lawful key of a ConfigMap.
    patches.insert("selector.kubernetes\\.io/os".to_owned(), json!("linux, \"or\" not"));
    let fleet = world.fleet(&json!({
        "clusters": [cluster(json!({
            "platform_components": [{"id": "podinfo"}], "namespaces": [{"id": "odd"}],
            "patches": {"podinfo": patches}
        }))],
        "platform_components": [component],
        "namespaces": [{"id": "odd", "labels": labels, "annotations": annotations}]
    }))?;
    world.join(&fleet)?;

    let namespace = world.kubectl().existing(NAMESPACES, "", "odd")?["metadata"].clone();
    contains("label", &namespace["labels"], &labels)?;
    contains("annotation", &namespace["annotations"], &Value::Object(annotations))?;
    let name = "values-podinfo-demo-cluster-01";
    let data = world.kubectl().existing(CONFIG_MAPS, FLUX_SYSTEM, name)?["data"].clone();
    contains("patch in the ConfigMap", &data, &Value::Object(keyed("patch")))?;

    installed(world.kubectl(), &["podinfo"])?;
    let got = echo(world.kubectl(), "podinfo", "podinfo")?.1;
    same("the list in the values", &got["list"], &values["list"])?;
    contains("key of the values", &got["map"], &values["map"])?;
    contains("patch at the chart", &got, &Value::Object(keyed("patch")))?;
    same("the patch by path", &got["selector"]["kubernetes.io/os"], &json!("linux, \"or\" not"))
}

/// Fails at the first entry of `expected` that is not in `found` exactly so.
fn contains(what: &str, found: &Value, expected: &Value) -> Result<()> {
    for (key, text) in expected.as_object().into_iter().flatten() {
        same(&format!("the {what} {key}"), &found[key], text)?;
    }
    Ok(())
}
