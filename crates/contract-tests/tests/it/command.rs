//! The command as a process: what it prints where, and its exit codes, which scripts rely on.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str], stdin: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flux-resourceset-contract"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A process that refuses its arguments ends without reading: then the pipe is closed, which is fine.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Checks the exit code and standard output, and that nothing is on standard error.
#[track_caller]
fn judged(arguments: &[&str], stdin: &str, code: i32, stdout: &str) {
    let ran = run(arguments, stdin);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(code), stdout, ""));
}

/// Checks that the exit code is 2, standard output empty and standard error one line with `sentence` in it.
#[track_caller]
fn refused(arguments: &[&str], sentence: &str) {
    let ran = run(arguments, r#"{"inputs":[]}"#);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains(sentence) && ran.stderr.lines().count() == 1, "{}", ran.stderr);
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn an_answer_that_holds() {
    let body = r#"{"inputs":[{"id":"a"},{"id":"b"}]}"#;
    let path = file("holds.json", body);
    for arguments in [&[] as &[&str], &["-"], &[path.to_str().unwrap()]] {
        judged(arguments, body, 0, "holds (inputs: 2, bytes: 34)\n");
    }
}

#[test]
fn an_answer_that_violates() {
    let body = r#"{"inputs":[{"id":7,"provider":1}]}"#;
    let expected = "\
        /inputs/0/id id_not_a_string: the `id` must be a string, but is a number\n\
        /inputs/0/provider reserved_key: Flux overwrites the key `provider` of every input; name it differently\n\
        violated (violations: 2)\n";
    let path = file("violates.json", body);
    for arguments in [&[] as &[&str], &["-"], &[path.to_str().unwrap()]] {
        judged(arguments, body, 1, expected);
    }
}

#[test]
fn a_violation_of_the_whole_body() {
    judged(
        &[],
        "{}",
        1,
        "(root) inputs_missing: the answer has no `inputs`; Flux refuses it\nviolated (violations: 1)\n",
    );
}

#[test]
fn no_inputs_hold_with_a_warning() {
    let warning = "holds (inputs: 0, bytes: 13); Flux deletes everything that it made from these inputs\n";
    judged(&[], r#"{"inputs":[]}"#, 0, warning);
}

#[test]
fn a_file_that_cannot_be_read() {
    refused(&["no/such/file.json"], "cannot read \"no/such/file.json\": ");
    refused(&[env!("CARGO_TARGET_TMPDIR")], "cannot read ");
    refused(&[""], "cannot read ");
}

#[test]
fn wrong_usage() {
    refused(&["--jsn"], "unknown option \"--jsn\"; see --help");
    refused(&["-x"], "unknown option \"-x\"; see --help");
    refused(&["a.json", "b.json"], "one FILE at most, but there is also \"b.json\"; see --help");
}

#[test]
fn help_and_version() {
    for argument in ["-h", "--help"] {
        let ran = run(&[argument], "");
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        for part in ["Usage: flux-resourceset-contract [FILE]", "Exit codes:", "Example:"] {
            assert!(ran.stdout.contains(part), "{part} is missing in: {}", ran.stdout);
        }
    }
    judged(&["--version"], "", 0, concat!("flux-resourceset-contract ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_reader_that_leaves_early_does_not_change_the_verdict() {
    let body = format!(r#"{{"inputs":[{}{{}}]}}"#, "{},".repeat(10_000));
    let path = file("many.json", &body);
    let mut child = Command::new(env!("CARGO_BIN_EXE_flux-resourceset-contract"))
        .arg(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(1), b"" as &[u8]));
}
