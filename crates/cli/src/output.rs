//! What a command shows on stdout, in the form that was asked for or that suits the reader.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde_json::Value;

use crate::document;
use crate::error::{Error, printable};
use crate::paint::View;
use crate::plan::Plan;
use crate::types::Column;
use crate::{plan_text, table};

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
    /// Whether it shows changes that were not made, which the exit code tells.
    pub(crate) changes: bool,
}

pub(crate) enum Table {
    /// The value is one document.
    Fields,
    /// The value has a form of its own for people, and these names in it.
    Text(Box<dyn Fn(View) -> String>, Vec<String>),
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
        Shown { json, table: Table::Fields, changes: false }
    }

    /// A value that people read in a form of its own; `names` are what `-o name` shows of it.
    pub(crate) fn text(json: Value, names: Vec<String>, text: impl Fn(View) -> String + 'static) -> Self {
        Shown { json, table: Table::Text(Box::new(text), names), changes: false }
    }

    /// A plan; its names are the clusters that it changes.
    pub(crate) fn plan(plan: Plan) -> Self {
        let mut names: Vec<_> =
            plan.said.effects.iter().flat_map(|effect| effect.clusters.iter().cloned()).collect();
        names.sort();
        names.dedup();
        let (json, changes) = (plan.json.clone(), plan.changes());
        Shown { changes, ..Shown::text(json, names, move |view| plan_text::whole(&plan, view)) }
    }

    pub(crate) fn sections(json: Value, sections: Vec<Section>) -> Self {
        Shown { json, table: Table::Sections(sections), changes: false }
    }

    pub(crate) fn list(columns: &'static [Column], rows: Vec<Value>) -> Self {
        let section = Section { title: String::new(), columns, rows: rows.clone() };
        Shown::sections(Value::Array(rows), vec![section])
    }

    /// Whether it has the revision that was made, as what became of a change set does.
    pub(crate) fn says_revision(&self) -> bool {
        self.json.get("revision").is_some_and(Value::is_u64)
    }

    /// Writes it to stdout.
    pub(crate) fn print(&self, asked: Option<Format>) -> Result<(), Error> {
        let stdout = io::stdout().lock();
        let terminal = stdout.is_terminal();
        let format = asked.unwrap_or(if terminal { Format::Table } else { Format::Json });
        print_text(stdout, &self.rendered(format, View::stdout())?)
    }

    pub(crate) fn rendered(&self, format: Format, view: View) -> Result<String, Error> {
        let failed =
            |error: &dyn std::fmt::Display| Error::Failed(format!("cannot show the result: {error}"));
        match format {
            Format::Json => {
                serde_json::to_string_pretty(&self.json).map(|t| t + "\n").map_err(|e| failed(&e))
            }
            Format::Yaml => serde_saphyr::to_string(&self.json).map_err(|e| failed(&e)),
            Format::Table => Ok(self.table_text(view)),
            Format::Name => Ok(self.names()),
        }
    }

    fn table_text(&self, view: View) -> String {
        let sections = match &self.table {
            Table::Fields => return table::fields(&self.json, view.paint),
            Table::Text(text, _) => return text(view),
            Table::Sections(sections) => sections,
        };
        let several = sections.len() > 1;
        let text = |section: &Section| {
            let title = if several { format!("{}:\n", printable(&section.title)) } else { String::new() };
            title + &table::rows(section.columns, &section.rows, view.paint)
        };
        sections.iter().map(text).collect::<Vec<_>>().join("\n")
    }

    fn names(&self) -> String {
        let rows: Vec<&Value> = match &self.table {
            Table::Fields => vec![&self.json],
            Table::Text(_, names) => return names.iter().map(|name| printable(name) + "\n").collect(),
            Table::Sections(sections) => sections.iter().flat_map(|section| &section.rows).collect(),
        };
        rows.into_iter().filter_map(document::id).map(|id| printable(id) + "\n").collect()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.json, f)
    }
}

pub(crate) fn print_text(mut out: impl Write, text: &str) -> Result<(), Error> {
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
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
        let shown = namespaces().rendered(Format::Yaml, View::PLAIN).unwrap();
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
        assert_eq!(namespaces().rendered(Format::Name, View::PLAIN).unwrap(), "a\nb\n");
        assert_eq!(Shown::document(json!({"id": "c"})).rendered(Format::Name, View::PLAIN).unwrap(), "c\n");
    }

    #[test]
    fn several_sections_have_titles() {
        let section = |title: &str| Section {
            title: title.into(),
            columns: TOMBSTONE_COLUMNS,
            rows: vec![json!({"id": title})],
        };
        let shown = Shown::sections(json!({}), vec![section("a"), section("b")]);
        assert_snapshot!(shown.rendered(Format::Table, View::PLAIN).unwrap(), @"
        a:
        ID  DNS  HELD
        a   -    -

        b:
        ID  DNS  HELD
        b   -    -
        ");
    }
}
