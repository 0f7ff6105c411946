//! The question that stands between a plan and what it destroys, on a terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::error::Error;
use crate::plan::Plan;

/// Whether somebody is there to be asked.
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks the person at the terminal.
pub(crate) fn ask(plan: &Plan) -> Result<(), Error> {
    ask_on(plan, &mut io::stdin().lock(), &mut io::stderr().lock())
}

/// Has the number of clusters typed: a `y` is typed before it is read.
fn ask_on(plan: &Plan, input: &mut impl BufRead, output: &mut impl Write) -> Result<(), Error> {
    let expected = plan.weight().to_string();
    write!(output, "Type the number of clusters ({expected}) to go on: ")?;
    output.flush()?;
    let mut typed = String::new();
    let read = input.read_line(&mut typed);
    match read {
        Ok(_) if typed.trim() == expected => Ok(()),
        _ => Err(Error::Failed(format!("{expected} was not typed, so nothing was changed"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(typed: &str, goes_on: bool) {
        let plan = json!({"digest": "d", "clusters": 20, "destructive": {"clusters": 12}, "effects": []});
        let mut shown = Vec::new();
        let end = ask_on(&Plan::read(plan).unwrap(), &mut typed.as_bytes(), &mut shown);
        assert_eq!(end.is_ok(), goes_on, "{typed:?}");
        assert_eq!(shown, b"Type the number of clusters (12) to go on: ");
    }

    #[test]
    fn only_the_number_goes_on() {
        check("12\n", true);
        check(" 12 \r\n", true);
        for other in ["", "\n", "y\n", "yes\n", "20\n", "1\n2\n"] {
            check(other, false);
        }
    }
}
