//! nginx as the peer of our polls: the same answers as files, behind the same check of the token.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::client::Client;
use crate::scene::free_ports;
use crate::server::READ_TOKEN;

/// The program, and its package.
pub(super) const NGINX: (&str, &str) = ("nginx", "nginx-light");

/// One process of nginx, ended when dropped.
pub(super) struct Nginx {
    process: Child,
    address: String,
    log: PathBuf,
}

impl Nginx {
    /// Serves what lies in `folder/files`.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let [port] = free_ports()?;
        let configuration = folder.join("nginx.conf");
        fs::write(&configuration, configured(folder, port))?;
        let process = Command::new(super::program(NGINX.0).context("there is no nginx")?)
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("nginx.err"))?)
            .spawn()
            .context("nginx does not start")?;
        let log = folder.join("access.log");
        let mut nginx = Nginx { process, address: format!("127.0.0.1:{port}"), log };
        for _ in 0..500 {
            if Client::connect(&nginx.address).is_ok() {
                return Ok(nginx);
            }
            if nginx.process.try_wait()?.is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("nginx does not serve: {}", fs::read_to_string(folder.join("nginx.err"))?)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// One worker and no master, so that its process is all of it. The rest as Debian ships it (sendfile, tcp_nopush),
/// without the bound on requests of one connection; a line in the log for each request, as ours has.
fn configured(folder: &Path, port: u16) -> String {
    let at = folder.display();
    format!(
        r#"daemon off;
master_process off;
worker_processes 1;
pid {at}/nginx.pid;
error_log {at}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    default_type application/json;
    access_log {at}/access.log;
    client_body_temp_path {at}/temporary;
    proxy_temp_path {at}/temporary;
    fastcgi_temp_path {at}/temporary;
    uwsgi_temp_path {at}/temporary;
    scgi_temp_path {at}/temporary;
    map $http_authorization $known {{
        default 0;
        "Bearer {READ_TOKEN}" 1;
    }}
    server {{
        listen 127.0.0.1:{port};
        root {at}/files;
        if ($known = 0) {{ return 401; }}
    }}
}}
"#
    )
}
