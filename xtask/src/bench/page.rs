//! docs/src/performance.md: the table of the last whole run between two marks, and its plot beside it.

use std::fs;

use anyhow::{Context, Result};

use super::plot;
use super::row::{Outcome, Row, table};
use crate::workspace::root;

const BEGIN: &str = "<!-- measured by `cargo xtask bench`: do not edit -->\n";
const END: &str = "<!-- end of what is measured -->\n";

/// Writes both, unless something was skipped: a table with holes is no news.
pub(super) fn write(rows: &[Row], machine: &str) -> Result<()> {
    if rows.iter().any(|row| matches!(row.outcome, Outcome::Skipped(_))) {
        println!("SKIPPED: docs/src/performance.md stays as it is, since not every row was measured");
        return Ok(());
    }
    let docs = root().join("docs/src");
    let page = docs.join("performance.md");
    let text = fs::read_to_string(&page)?;
    let text = replaced(&text, &format!("Measured on {machine}.\n\n{}", table(rows)))?;
    fs::write(docs.join("performance.svg"), plot::svg(rows))?;
    fs::write(&page, text)?;
    println!("written: docs/src/performance.md, docs/src/performance.svg");
    Ok(())
}

fn replaced(text: &str, measured: &str) -> Result<String> {
    let marks = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marks.context("docs/src/performance.md has lost its marks: put them back")?;
    Ok(format!("{before}{BEGIN}\n{measured}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = format!("before\n{BEGIN}old\n{END}after\n");
        assert_eq!(replaced(&page, "new\n").unwrap(), format!("before\n{BEGIN}\nnew\n\n{END}after\n"));
        assert!(replaced("before\nafter\n", "new").is_err());
    }

    #[test]
    fn the_page_has_its_marks() {
        let page = fs::read_to_string(root().join("docs/src/performance.md")).unwrap();
        assert!(replaced(&page, "new").unwrap().contains("new"));
    }
}
