//! The real server with the demo fleet in memory, one per test, on a port of its own.

use std::process::Command;
use std::thread::{self, JoinHandle};
use std::{mem, net};

use flux_resourceset_server::config::{Config, Variables};
use flux_resourceset_server::{Source, run};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::stub::{self, READ_TOKEN, WRITE_TOKEN};

pub(crate) struct Server {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Returns once it is ready.
    pub(crate) fn start() -> Self {
        let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/seed.json");
        Self::with(&[("SEED_FILE", seed)])
    }

    /// One without a fleet.
    pub(crate) fn empty() -> Self {
        Self::with(&[])
    }

    fn with(more: &[(&str, &str)]) -> Self {
        let variables = variables(more);
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || serve(listener, &variables, stopped));
        wait_until_ready(&url);
        Server { url, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The binary, set up to speak to this server.
    pub(crate) fn cli(&self, arguments: &str) -> Command {
        stub::cli(&self.url, arguments)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(mem::take(&mut self.stop));
        if let Some(thread) = self.thread.take() {
            // A failed test has its own message already.
            let _ = thread.join();
        }
    }
}

fn serve(listener: net::TcpListener, variables: &Variables, stopped: oneshot::Receiver<()>) {
    let config = Config::read(variables).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).unwrap();
        let stopped = async {
            // An error here is the sender's end, which is the signal.
            let _ = stopped.await;
        };
        run(listener, Source::of(&config), config, stopped).await.unwrap();
    });
}

fn variables(more: &[(&str, &str)]) -> Variables {
    let set = [
        ("API_MODE", "crud"),
        ("STORE_BACKEND", "memory"),
        ("AUTH_TOKEN", READ_TOKEN),
        ("CRUD_AUTH_TOKEN", WRITE_TOKEN),
    ];
    let all = set.iter().chain(more);
    all.map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect()
}

fn wait_until_ready(url: &str) {
    let agent = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build().new_agent();
    while agent.get(format!("{url}/ready")).call().unwrap().status() != 200 {
        thread::yield_now();
    }
}
