//! A fleet that stands in files: each holds lists of documents by type, in JSON or YAML, and what
//! is said of the whole is said of the file and the place in it.

use std::path::{Path, PathBuf};
use std::{collections::BTreeMap, fs};

use clap::Args;
use serde_json::{Map, Value};

use crate::document;
use crate::error::{Error, printable};

/// Which files.
#[derive(Args)]
pub(crate) struct FleetFiles {
    /// JSON or YAML in the form of `export` (`-` is stdin), or a folder of *.json, *.yaml and *.yml
    /// (repeatable)
    #[arg(short, long = "file", value_name = "FILE|DIR", required = true)]
    files: Vec<String>,
}

/// All documents of the files, by type.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    pub(crate) documents: Map<String, Value>,
    /// For each type, where each of its documents stands.
    places: BTreeMap<String, Vec<String>>,
    wrong: Vec<String>,
}

impl FleetFiles {
    /// Reads them all. Everything that is wrong with them is said at once.
    pub(crate) fn read(&self) -> Result<Fleet, Error> {
        let mut fleet = Fleet::default();
        for path in &self.files {
            fleet.add_path(path);
        }
        match fleet.wrong.is_empty() {
            true => Ok(fleet),
            false => Err(Error::Usage(format!("the files cannot be read\n  {}", fleet.wrong.join("\n  ")))),
        }
    }
}

impl Fleet {
    /// Where `pointer`, into `documents`, leads in the files.
    pub(crate) fn place(&self, pointer: &str) -> String {
        let mut segments = pointer.trim_start_matches('/').splitn(3, '/');
        let plural = segments.next().unwrap_or_default();
        let index: Option<usize> = segments.next().and_then(|index| index.parse().ok());
        let rest = segments.next().map(|rest| format!("/{rest}")).unwrap_or_default();
        let place = index.and_then(|index| self.places.get(plural)?.get(index));
        place.map_or_else(|| pointer.to_owned(), |place| format!("{place}{rest}"))
    }

    /// Where the document that the API names `clusters/a` stands, if it stands here.
    pub(crate) fn place_of(&self, name: &str) -> Option<&str> {
        let (plural, id) = name.split_once('/')?;
        let documents = self.documents.get(plural)?.as_array()?;
        let index = documents.iter().position(|document| document::id(document) == Some(id))?;
        self.places.get(plural)?.get(index).map(String::as_str)
    }

    fn add_path(&mut self, path: &str) {
        if path != "-" && Path::new(path).is_dir() {
            let mut found = Vec::new();
            self.walk(Path::new(path), &mut found);
            found.sort();
            if found.is_empty() {
                self.wrong.push(format!("{}: no *.json, *.yaml or *.yml in it", printable(path)));
            }
            found.iter().for_each(|file| self.add_file(&file.to_string_lossy()));
        } else {
            self.add_file(path);
        }
    }

    /// The files below a folder. What is hidden is left out, and so are links to folders, which may
    /// lead in a circle.
    fn walk(&mut self, folder: &Path, found: &mut Vec<PathBuf>) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                return self.wrong.push(format!("{}: {error}", printable(&folder.to_string_lossy())));
            }
        };
        for entry in entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')) {
            let path = entry.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.walk(&path, found),
                _ if matches!(ending, Some("json" | "yaml" | "yml")) && path.is_file() => found.push(path),
                _ => {}
            }
        }
    }

    fn add_file(&mut self, path: &str) {
        let name = printable(if path == "-" { "stdin" } else { path });
        let read = document::read_text(path).and_then(|text| document::parse_values(&text));
        match read {
            Err(problem) => self.wrong.push(format!("{name}: {problem}")),
            Ok(values) => {
                let several = values.len() > 1;
                for (at, value) in values.into_iter().enumerate() {
                    let name = if several { format!("{name} (document {})", at + 1) } else { name.clone() };
                    self.add_value(&name, value);
                }
            }
        }
    }

    fn add_value(&mut self, name: &str, value: Value) {
        match value {
            // A file of comments, or a separator at its end.
            Value::Null => {}
            Value::Object(types) => {
                types.into_iter().for_each(|(plural, documents)| self.add_type(name, &plural, documents))
            }
            _ => self.wrong.push(format!("{name}: it holds no object with a list for each type")),
        }
    }

    fn add_type(&mut self, name: &str, plural: &str, documents: Value) {
        let Value::Array(documents) = documents else {
            return self.wrong.push(format!("{name} /{}: is not a list of documents", printable(plural)));
        };
        let places = self.places.entry(plural.to_owned()).or_default();
        places.extend((0..documents.len()).map(|at| format!("{name} /{}/{at}", printable(plural))));
        match self.documents.entry(plural).or_insert_with(|| Value::Array(Vec::new())) {
            Value::Array(all) => all.extend(documents),
            other => *other = Value::Array(documents),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_become_one_fleet_that_knows_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("eu")).unwrap();
        write("a.json", r#"{"clusters": [{"id": "a"}], "namespaces": []}"#);
        write("eu/b.yaml", "clusters:\n- id: b\n---\nclusters:\n- id: c\n---\n");
        write("notes.txt", "not: read");
        write(".hidden.yaml", "[");
        let root = folder.path().to_string_lossy().into_owned();
        let fleet = FleetFiles { files: vec![root.clone()] }.read().unwrap();
        assert_eq!(
            Value::Object(fleet.documents.clone()),
            json!({"clusters": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "namespaces": []})
        );
        let place = fleet.place("/clusters/2/labels/x").replace(&root, "");
        assert_eq!(place, "/eu/b.yaml (document 2) /clusters/0/labels/x");
        assert_eq!(fleet.place_of("clusters/a").unwrap().replace(&root, ""), "/a.json /clusters/0");
        assert_eq!(fleet.place("/unknown"), "/unknown");
    }

    #[test]
    fn all_that_cannot_be_read_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        fs::write(path("list.yaml"), "- a\n").unwrap();
        fs::write(path("broken.json"), "{\"a\": ").unwrap();
        fs::write(path("object.yaml"), "clusters: {}\n").unwrap();
        let files = FleetFiles { files: vec![path(""), path("nowhere")] };
        let Err(Error::Usage(said)) = files.read() else { panic!("they were read") };
        for part in [
            "list.yaml: it holds no object",
            "broken.json: EOF",
            "object.yaml /clusters: is not a list",
            "nowhere: ",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
}
