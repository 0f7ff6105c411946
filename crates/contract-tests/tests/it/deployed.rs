//! Whether the servers of `deploy/` are what they are said to be: built by `kustomize`, and looked at as one would look at
//! code, since what is wrong here shows on the day that a node is lost.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::rendering::{documents, folders, name_of, tool};
use crate::server::workspace;

const IMAGE: &str = "flux-resourceset";

/// A pod's template and the object that it is of.
struct Pods<'a> {
    of: String,
    labels: &'a Value,
    spec: &'a Value,
    /// What each pod has of its own.
    claims: &'a Value,
}

fn pods(object: &Value) -> Option<Pods<'_>> {
    let template = match object["kind"].as_str()? {
        "Deployment" | "StatefulSet" => &object["spec"]["template"],
        "CronJob" => &object["spec"]["jobTemplate"]["spec"]["template"],
        _ => return None,
    };
    Some(Pods {
        of: name_of(object),
        labels: &template["metadata"]["labels"],
        spec: &template["spec"],
        claims: &object["spec"]["volumeClaimTemplates"],
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The variables that the documentation has a row for.
fn documented() -> BTreeSet<String> {
    let text = std::fs::read_to_string(workspace().join("docs/src/configuration.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned())
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect()
}

#[test]
fn every_container_is_bounded_and_may_do_nothing_else() {
    let Some(kustomize) = tool("kustomize", "KUSTOMIZE") else { return };
    let mut seen = Vec::new();
    for (folder, (_, objects)) in folders(&kustomize) {
        for Pods { of, spec, .. } in objects.iter().filter_map(pods) {
            assert_eq!(spec["automountServiceAccountToken"], false, "{folder}: {of}");
            assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{folder}: {of}");
            for container in list(&spec["containers"]).iter().chain(list(&spec["initContainers"])) {
                let at = format!("{folder}: {of}: {}", container["name"]);
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false, "{at}");
                assert_eq!(context["readOnlyRootFilesystem"], true, "{at}");
                assert_eq!(context["capabilities"]["drop"][0], "ALL", "{at}");
                let resources = &container["resources"];
                assert!(
                    resources["requests"]["memory"].is_string() && resources["limits"]["memory"].is_string(),
                    "{at}"
                );
                seen.push(of.clone());
            }
        }
    }
    assert!(
        ["Deployment flux-api-crud", "StatefulSet flux-api-read", "CronJob flux-api-backup"]
            .iter()
            .all(|known| seen.iter().any(|seen| seen == known)),
        "{seen:?}"
    );
}

#[test]
fn every_server_is_set_up_by_variables_that_there_are() {
    let Some(kustomize) = tool("kustomize", "KUSTOMIZE") else { return };
    let documented = documented();
    assert!(documented.contains("SNAPSHOT_FILE") && documented.contains("LOG_FORMAT"));
    for (folder, (_, objects)) in folders(&kustomize) {
        for pods in objects.iter().filter_map(pods) {
            let ours = |container: &&Value| container["image"].as_str().unwrap().starts_with(IMAGE);
            for container in list(&pods.spec["containers"]).iter().filter(ours) {
                let at = format!("{folder}: {}", pods.of);
                if container["args"].is_null() {
                    serves(&at, &pods, container, &documented);
                } else {
                    backs_up(&at, &pods, container);
                }
            }
        }
    }
}

#[track_caller]
fn serves(at: &str, pods: &Pods<'_>, container: &Value, documented: &BTreeSet<String>) {
    for variable in list(&container["env"]) {
        let name = variable["name"].as_str().unwrap();
        assert!(documented.contains(name), "{at}: {name} is no variable");
        let value = variable["value"].as_str().unwrap_or_default();
        assert!(value.is_empty() || !name.ends_with("TOKEN"), "{at}: {name} is written down");
        assert!(!value.contains("postgres://"), "{at}: {name} may hold a password");
    }
    let path = |probe: &str| container[probe]["httpGet"]["path"].as_str().map(str::to_owned);
    assert_eq!(
        (path("livenessProbe").as_deref(), path("readinessProbe").as_deref()),
        (Some("/health"), Some("/ready")),
        "{at}"
    );
    let drain = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_i64().unwrap_or(0) + 20;
    assert!(
        pods.spec["terminationGracePeriodSeconds"].as_i64().unwrap() > drain,
        "{at}: it is killed while it drains"
    );
    // Every process remembers, where nothing is lost that restarts with it.
    let snapshot = variable(container, "SNAPSHOT_FILE").unwrap_or_else(|| panic!("{at} forgets"));
    let volume =
        mounted(container, Path::new(snapshot)).unwrap_or_else(|| panic!("{at}: {snapshot} is on no volume"));
    let claimed = list(pods.claims).iter().any(|claim| claim["metadata"]["name"] == volume);
    let polled = container["env"].to_string().contains("read-only") || pods.of.starts_with("StatefulSet");
    assert!(claimed || !polled, "{at}: clusters poll it, and it forgets when its pod moves");
}

#[track_caller]
fn backs_up(at: &str, pods: &Pods<'_>, container: &Value) {
    let args: Vec<&str> = list(&container["args"]).iter().map(|arg| arg.as_str().unwrap()).collect();
    let ["backup", file] = args[..] else { panic!("{at}: {args:?}") };
    let volume =
        mounted(container, Path::new(file)).unwrap_or_else(|| panic!("{at}: {file} is on no volume"));
    let kept = list(&pods.spec["volumes"]).iter().find(|it| it["name"] == volume);
    assert!(kept.unwrap()["persistentVolumeClaim"].is_object(), "{at}: {file} is gone with its pod");
    assert!(
        file.contains("$(JOB)") && list(&container["env"]).iter().any(|it| it["name"] == "JOB"),
        "{at}: each is another file"
    );
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    list(&container["env"]).iter().find(|it| it["name"] == name)?["value"].as_str()
}

/// The volume that `path` is on.
fn mounted<'a>(container: &'a Value, path: &Path) -> Option<&'a str> {
    let mounts = list(&container["volumeMounts"]).iter();
    let on = mounts.filter(|mount| path.starts_with(mount["mountPath"].as_str().unwrap_or("//")));
    on.map(|mount| mount["name"].as_str().unwrap()).next()
}

/// The object `kind` `name` of deploy/postgres.
fn of_postgres(kustomize: &Path, name: &str) -> Value {
    let objects = folders(kustomize).remove("postgres").unwrap().1;
    objects.into_iter().find(|object| name_of(object) == name).unwrap()
}

/// The objects of deploy/postgres with what the documentation's `page` says for one's own overlay, in the block
/// that holds `marker`.
fn overlaid(kustomize: &Path, page: &str, marker: &str) -> Vec<Value> {
    let text = fs::read_to_string(workspace().join("docs/src").join(page)).unwrap();
    let block =
        text.split("```").find(|block| block.starts_with("yaml\n") && block.contains(marker)).unwrap();
    let lines = block.lines().skip(1);
    let indent = lines.clone().map(|line| line.len() - line.trim_start().len()).min().unwrap();
    let mut overlay: String =
        lines.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect();
    if !overlay.contains("resources:") {
        overlay.push_str("resources: [../../deploy/postgres]\n");
    }
    fs::create_dir_all(workspace().join("target")).unwrap();
    let folder = tempfile::tempdir_in(workspace().join("target")).unwrap();
    fs::write(folder.path().join("kustomization.yaml"), overlay).unwrap();
    fs::write(folder.path().join("ca.pem"), "an authority").unwrap();
    let output = Command::new(kustomize).arg("build").arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    documents(&String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_documented_authority_reaches_all_that_reach_the_database() {
    let Some(kustomize) = tool("kustomize", "KUSTOMIZE") else { return };
    let mut trusting = Vec::new();
    for object in overlaid(&kustomize, "postgresql.md", "DATABASE_CA_FILE") {
        let Some(pods) = pods(&object) else { continue };
        for container in list(&pods.spec["containers"]) {
            if let Some(file) = variable(container, "DATABASE_CA_FILE") {
                let volume = mounted(container, Path::new(file)).unwrap();
                assert!(list(&pods.spec["volumes"]).iter().any(|it| it["name"] == volume), "{}", pods.of);
                trusting.push(pods.of.clone());
            }
        }
    }
    trusting.sort();
    assert_eq!(
        trusting,
        ["CronJob flux-api-backup", "Deployment flux-api-crud", "StatefulSet flux-api-read"]
    );
}

#[test]
fn nothing_runs_before_what_is_moved_is_restored() {
    let Some(kustomize) = tool("kustomize", "KUSTOMIZE") else { return };
    let objects = overlaid(&kustomize, "backup.md", "count: 0");
    let stopped = |name| objects.iter().any(|it| name_of(it) == name && it["spec"]["replicas"] == 0);
    assert!(stopped("Deployment flux-api-crud") && stopped("StatefulSet flux-api-read"));
}

/// Only what the CronJob made is removed: a backup made by hand is one that somebody means to keep.
#[test]
fn the_rotation_removes_nothing_but_its_own() {
    let Some(kustomize) = tool("kustomize", "KUSTOMIZE") else { return };
    let job = of_postgres(&kustomize, "CronJob flux-api-backup");
    let pods = pods(&job).unwrap();
    let command = list(&pods.spec["initContainers"][0]["command"]);
    let folder = tempfile::tempdir().unwrap();
    let words = command.iter().map(|word| word.as_str().unwrap());
    let words: Vec<String> =
        words.map(|word| word.replace("/backups", folder.path().to_str().unwrap())).collect();
    let rotate = || assert!(Command::new(&words[0]).args(&words[1..]).status().unwrap().success());
    let names = || -> BTreeSet<String> {
        let files = fs::read_dir(folder.path()).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    };
    rotate();
    let old = SystemTime::now() - Duration::from_secs(2 * 3600);
    let make = |name: String| File::create(folder.path().join(name)).unwrap().set_modified(old).unwrap();
    (1..=33).for_each(|night| make(format!("flux-api-backup-{}.backup", 29_400_000 + night * 1440)));
    let by_hand = [
        "before-upgrade.backup",
        "before-upgrade.backup.partial",
        "flux-api-backup-of-may.backup",
        "z.backup",
        "flux-api-backup-29449000.backup.partial",
    ];
    by_hand.iter().for_each(|name| make((*name).to_owned()));
    // It is being written.
    File::create(folder.path().join(by_hand[4])).unwrap();
    make("flux-api-backup-29400000.backup.partial".to_owned());
    rotate();
    let mut kept: BTreeSet<String> =
        (4..=33).map(|night| format!("flux-api-backup-{}.backup", 29_400_000 + night * 1440)).collect();
    kept.extend(by_hand.map(str::to_owned));
    assert_eq!(names(), kept);
}

/// Exit code 2 means that a person must act.
#[test]
fn what_would_end_the_same_way_is_not_tried_again() {
    let Some(kustomize) = tool("kustomize", "KUSTOMIZE") else { return };
    let job = of_postgres(&kustomize, "CronJob flux-api-backup");
    let (spec, pods) = (&job["spec"]["jobTemplate"]["spec"], pods(&job).unwrap());
    let rule = &spec["podFailurePolicy"]["rules"][0];
    assert_eq!(
        (&rule["action"], &rule["onExitCodes"]["values"]),
        (&"FailJob".into(), &serde_json::json!([2]))
    );
    assert_eq!(rule["onExitCodes"]["containerName"], pods.spec["containers"][0]["name"]);
    assert_eq!(pods.spec["restartPolicy"], "Never");
}

#[test]
fn readers_that_are_silent_keep_no_node() {
    let Some(kustomize) = tool("kustomize", "KUSTOMIZE") else { return };
    let readers = of_postgres(&kustomize, "PodDisruptionBudget flux-api-read");
    assert_eq!(readers["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
}

#[test]
fn a_database_that_recovers_is_not_ended() {
    let Some(kustomize) = tool("kustomize", "KUSTOMIZE") else { return };
    let database = of_postgres(&kustomize, "StatefulSet flux-api-database");
    let probe = &database["spec"]["template"]["spec"]["containers"][0]["startupProbe"];
    let patience = probe["periodSeconds"].as_u64().unwrap() * probe["failureThreshold"].as_u64().unwrap();
    assert!(patience >= 1800, "{patience}");
}

/// A selector that matches nothing is an error nowhere else.
#[test]
fn every_selector_finds_pods() {
    let Some(kustomize) = tool("kustomize", "KUSTOMIZE") else { return };
    for (folder, (_, objects)) in folders(&kustomize) {
        let all: Vec<Pods<'_>> = objects.iter().filter_map(pods).collect();
        let found = |labels: &Value| {
            let has = |pods: &&Pods<'_>| {
                labels.as_object().unwrap().iter().all(|(key, value)| pods.labels[key] == *value)
            };
            all.iter().find(has)
        };
        for object in &objects {
            let (at, spec) = (format!("{folder}: {}", name_of(object)), &object["spec"]);
            let (selected, ports) = match object["kind"].as_str().unwrap() {
                "Service" => (&spec["selector"], list(&spec["ports"])),
                "NetworkPolicy" => (&spec["podSelector"]["matchLabels"], list(&spec["ingress"][0]["ports"])),
                "PodDisruptionBudget" => (&spec["selector"]["matchLabels"], &[][..]),
                _ => continue,
            };
            let pods = found(selected).unwrap_or_else(|| panic!("{at} selects nothing"));
            for port in ports {
                let name = if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
                let there = list(&pods.spec["containers"][0]["ports"]).iter().any(|it| it["name"] == *name);
                assert!(there, "{at}: {} has no port {name}", pods.of);
            }
            for expression in list(&spec["ingress"][0]["from"][0]["podSelector"]["matchExpressions"]) {
                for value in list(&expression["values"]) {
                    let label = serde_json::json!({expression["key"].as_str().unwrap(): value});
                    assert!(found(&label).is_some(), "{at}: nothing has {label}");
                }
            }
        }
    }
}
