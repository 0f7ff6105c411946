//! A Helm repository on loopback. Its charts show the values that they got, each in one ConfigMap.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::workspace::run;

const TEMPLATE: &str = include_str!("../charts/echo/templates/echo.yaml");
const VALUES: &str = include_str!("../charts/echo/values.yaml");

/// A repository that serves `folder` until the process ends.
pub(crate) struct ChartRepository {
    url: String,
}

impl ChartRepository {
    /// Makes a repository of these charts (name, version) in `folder` and serves it.
    pub(crate) fn serve(folder: &Path, charts: &[(&str, &str)]) -> Result<Self> {
        let mut entries = Map::new();
        for (name, version) in charts {
            let file = format!("{name}-{version}.tgz");
            package(folder, name, version, &folder.join(&file))?;
            let digest = Sha256::digest(fs::read(folder.join(&file))?);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let entry = json!({
                "apiVersion": "v2", "name": name, "version": version, "urls": [file], "digest": digest,
                "created": "2026-01-01T00:00:00Z"
            });
            let versions = entries.entry(*name).or_insert_with(|| Value::Array(Vec::new()));
            versions.as_array_mut().into_iter().for_each(|versions| versions.push(entry.clone()));
        }
        let index = json!({"apiVersion": "v1", "generated": "2026-01-01T00:00:00Z", "entries": entries});
        fs::write(folder.join("index.yaml"), index.to_string())?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let folder = folder.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let folder = folder.clone();
                // A client that went away concerns nobody.
                thread::spawn(move || answer(&stream, &folder).ok());
            }
        });
        Ok(ChartRepository { url })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

fn package(folder: &Path, name: &str, version: &str, file: &Path) -> Result<()> {
    let source = folder.join("sources").join(version);
    let chart = source.join(name);
    fs::create_dir_all(chart.join("templates"))?;
    fs::write(
        chart.join("Chart.yaml"),
        json!({"apiVersion": "v2", "name": name, "version": version}).to_string(),
    )?;
    fs::write(chart.join("values.yaml"), VALUES)?;
    fs::write(chart.join("templates/echo.yaml"), TEMPLATE)?;
    pack(&source, name, file)
}

/// Packs `what` in `folder` into a compressed archive.
pub(crate) fn pack(folder: &Path, what: &str, file: &Path) -> Result<()> {
    run(Command::new("tar").arg("-czf").arg(file).arg("-C").arg(folder).arg(what))
}

fn answer(stream: &TcpStream, folder: &Path) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().context("nothing asked")??;
    // The rest must be read, or closing resets the connection before the answer is read.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut stream = stream;
    match asked(&request, folder).and_then(|file| Ok(fs::read(file)?)) {
        Ok(body) => {
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes())?;
            stream.write_all(&body)?;
        }
        Err(_) => {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?
        }
    }
    Ok(())
}

fn asked(request: &str, folder: &Path) -> Result<PathBuf> {
    match request.split(' ').nth(1).and_then(|path| path.strip_prefix('/')) {
        Some(name) if !name.contains('/') && !name.contains("..") => Ok(folder.join(name)),
        _ => bail!("{request} asks for nothing that is here"),
    }
}
