//! What a command shows on stdout, in the form that was asked for or that suits the reader.

use std::env;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde_json::Value;

use crate::document;
use crate::error::{Error, printable};
use crate::table;
use crate::types::Column;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON document (default where stdout is no terminal)
    Json,
    /// One YAML document
    Yaml,
    /// Columns for people (default on a terminal)
    Table,
    /// Ids only, one per line
    Name,
}

/// What a command came to: one value, and how a table shows it.
pub(crate) struct Shown {
    pub(crate) json: Value,
    pub(crate) table: Table,
}

pub(crate) enum Table {
    /// The value is one document.
    Fields,
    /// The value holds rows, in one or more sections.
    Sections(Vec<Section>),
}

pub(crate) struct Section {
    /// Stands above its table where there are several.
    pub(crate) title: String,
    pub(crate) columns: &'static [Column],
    pub(crate) rows: Vec<Value>,
}

impl Shown {
    pub(crate) fn document(json: Value) -> Self {
        Shown { json, table: Table::Fields }
    }

    pub(crate) fn list(columns: &'static [Column], rows: Vec<Value>) -> Self {
        let section = Section { title: String::new(), columns, rows: rows.clone() };
        Shown { json: Value::Array(rows), table: Table::Sections(vec![section]) }
    }

    /// Writes it to stdout.
    pub(crate) fn print(&self, asked: Option<Format>) -> Result<(), Error> {
        let stdout = io::stdout().lock();
        let terminal = stdout.is_terminal();
        let format = asked.unwrap_or(if terminal { Format::Table } else { Format::Json });
        print_text(stdout, &self.text(format, terminal && colours())?)
    }

    fn text(&self, format: Format, bold: bool) -> Result<String, Error> {
        let failed =
            |error: &dyn std::fmt::Display| Error::Failed(format!("cannot show the result: {error}"));
        match format {
            Format::Json => {
                serde_json::to_string_pretty(&self.json).map(|t| t + "\n").map_err(|e| failed(&e))
            }
            Format::Yaml => serde_saphyr::to_string(&self.json).map_err(|e| failed(&e)),
            Format::Table => Ok(self.table_text(bold)),
            Format::Name => Ok(self.names()),
        }
    }

    fn table_text(&self, bold: bool) -> String {
        let Table::Sections(sections) = &self.table else { return table::fields(&self.json, bold) };
        let several = sections.len() > 1;
        let text = |section: &Section| {
            let title = if several { format!("{}:\n", printable(&section.title)) } else { String::new() };
            title + &table::rows(section.columns, &section.rows, bold)
        };
        sections.iter().map(text).collect::<Vec<_>>().join("\n")
    }

    fn names(&self) -> String {
        let rows: Vec<&Value> = match &self.table {
            Table::Fields => vec![&self.json],
            Table::Sections(sections) => sections.iter().flat_map(|section| &section.rows).collect(),
        };
        rows.into_iter().filter_map(document::id).map(|id| printable(id) + "\n").collect()
    }
}

pub(crate) fn print_text(mut out: impl Write, text: &str) -> Result<(), Error> {
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// <https://no-color.org>: any non-empty value turns colour off.
fn colours() -> bool {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;
    use crate::types::{NAMESPACE, TOMBSTONE_COLUMNS};

    fn namespaces() -> Shown {
        let rows =
            vec![json!({"id": "a", "labels": {"on": "yes", "n": "1"}}), json!({"id": "b", "x": [1, null]})];
        Shown::list(NAMESPACE.columns, rows)
    }

    #[test]
    fn yaml_keeps_strings_strings() {
        let shown = namespaces().text(Format::Yaml, false).unwrap();
        assert_snapshot!(shown, @r#"
        - id: a
          labels:
            "n": "1"
            "on": "yes"
        - id: b
          x:
          - 1
          - null
        "#);
    }

    #[test]
    fn names_are_ids_one_per_line() {
        assert_eq!(namespaces().text(Format::Name, false).unwrap(), "a\nb\n");
        assert_eq!(Shown::document(json!({"id": "c"})).text(Format::Name, false).unwrap(), "c\n");
    }

    #[test]
    fn several_sections_have_titles() {
        let section = |title: &str| Section {
            title: title.into(),
            columns: TOMBSTONE_COLUMNS,
            rows: vec![json!({"id": title})],
        };
        let shown = Shown { json: json!({}), table: Table::Sections(vec![section("a"), section("b")]) };
        assert_snapshot!(shown.text(Format::Table, false).unwrap(), @r"
        a:
        ID  DNS
        a   -

        b:
        ID  DNS
        b   -
        ");
    }
}
