//! The judge as a command, for pipes and CI: an answer from a file or standard input, its violations on
//! standard output, the verdict as the exit code.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;

use flux_resourceset_contract_tests::{Summary, Violation, check};

const HELP: &str = "\
Judges an answer against the contract of Flux's ExternalService inputs.

Usage: flux-resourceset-contract [FILE]

FILE holds the body of an answer; without it, or with `-`, standard input does.
Prints one line per violation (JSON pointer, code, sentence) and a closing line.

Options:
  -h, --help     Print this text
  -V, --version  Print the version

Exit codes:
  0  the answer satisfies the contract
  1  it violates the contract
  2  wrong usage, or the answer could not be read

Example:
  curl -fsS -H \"Authorization: Bearer $TOKEN\" \\
    https://resourceset.example.com/api/v2/flux/clusters/demo.example.com/platform-components \\
    | flux-resourceset-contract
";

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(code) => code,
        Err(message) => {
            // Nowhere is left to report that standard error is closed; the exit code still tells.
            let _ = writeln!(io::stderr().lock(), "flux-resourceset-contract: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Vec<OsString>) -> Result<ExitCode, String> {
    let file = match arguments.as_slice() {
        [] => OsString::from("-"),
        [one] if one == "-h" || one == "--help" => return print(HELP).map(|()| ExitCode::SUCCESS),
        [one] if one == "-V" || one == "--version" => {
            let version = concat!("flux-resourceset-contract ", env!("CARGO_PKG_VERSION"), "\n");
            return print(version).map(|()| ExitCode::SUCCESS);
        }
        [one] if one != "-" && one.as_encoded_bytes().starts_with(b"-") => {
            return Err(format!("unknown option {one:?}; see --help"));
        }
        [one] => one.clone(),
        [_, more, ..] => return Err(format!("one FILE at most, but there is also {more:?}; see --help")),
    };
    let body = read(&file).map_err(|error| format!("cannot read {file:?}: {error}"))?;
    let verdict = check(&body);
    print(&report(&verdict))?;
    Ok(ExitCode::from(u8::from(verdict.is_err())))
}

fn read(file: &OsString) -> io::Result<Vec<u8>> {
    if file != "-" {
        return std::fs::read(file);
    }
    let mut body = Vec::new();
    io::stdin().lock().read_to_end(&mut body)?;
    Ok(body)
}

fn report(verdict: &Result<Summary, Vec<Violation>>) -> String {
    match verdict {
        Ok(Summary { inputs: 0, bytes }) => {
            format!(
                "holds (inputs: 0, bytes: {bytes}); Flux deletes everything that it made from these inputs\n"
            )
        }
        Ok(Summary { inputs, bytes }) => format!("holds (inputs: {inputs}, bytes: {bytes})\n"),
        Err(violations) => {
            let lines: String = violations.iter().map(|violation| format!("{violation}\n")).collect();
            format!("{lines}violated (violations: {})\n", violations.len())
        }
    }
}

fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever closed the pipe (`head`) has seen enough; the verdict stands.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}
