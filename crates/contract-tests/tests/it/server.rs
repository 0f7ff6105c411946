//! The server under judgement: in this process, on a free port, over a store in memory; gone with its value.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flux_resourceset_server::config::{Config, Variables};
use flux_resourceset_server::{RunError, Source, run};
use flux_resourceset_store::{MemoryStore, Store};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::documented::Documented;
use crate::http::{PATIENCE, Reply, Request};

pub(crate) const READ: &str = "read-token";
pub(crate) const WRITE: &str = "write-token";

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), RunError>>>,
    /// What it serves about itself, by which its answers are judged: of its types as they were last.
    documented: Mutex<Option<Arc<Documented>>>,
}

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

impl Server {
    /// The demo fleet of `data/seed.json`, at revision 1.
    pub(crate) fn demo() -> Self {
        Self::demo_with(&[])
    }

    pub(crate) fn demo_with(variables: &[(&str, &str)]) -> Self {
        let seed = workspace().join("data/seed.json");
        let mut variables = variables.to_vec();
        variables.push(("SEED_FILE", seed.to_str().unwrap()));
        Self::over(Arc::new(MemoryStore::new()), &variables).ready()
    }

    /// The demo fleet with one more cluster, in a protected environment; at revision 2.
    pub(crate) fn protected() -> Self {
        Self::protected_with(&[])
    }

    pub(crate) fn protected_with(variables: &[(&str, &str)]) -> Self {
        let server = Self::demo_with(variables);
        let create =
            Request::new("POST", "/clusters").token(WRITE).header("X-Change-Reason", "a second cluster");
        server.send(&create.json(&protected())).expect(201);
        server
    }

    /// A store into which nothing was ever written.
    pub(crate) fn empty() -> Self {
        Self::over(Arc::new(MemoryStore::new()), &[]).ready()
    }

    /// In crud mode, unless `variables` say otherwise; not waited for.
    pub(crate) fn over(store: Arc<dyn Store>, variables: &[(&str, &str)]) -> Self {
        let defaults = [
            ("AUTH_TOKEN", READ),
            ("CRUD_AUTH_TOKEN", WRITE),
            ("API_MODE", "crud"),
            ("STORE_BACKEND", "memory"),
        ];
        let variables: Variables = defaults
            .iter()
            .chain(variables)
            .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
            .collect();
        let config = Config::read(&variables).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                run(listener, Source::Open(store), config, async {
                    // Told to end or left alone: both end it.
                    let _: Result<(), _> = stopped.await;
                })
                .await
            })
        });
        Server { address, stop: Some(stop), thread: Some(thread), documented: Mutex::default() }
    }

    #[track_caller]
    pub(crate) fn ready(self) -> Self {
        until("the server is ready", || self.send(&Request::get("/ready")).status == 200);
        self.forget_documented();
        self
    }

    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> Reply {
        let documented = self.documented();
        let reply = request.send(self.address);
        // Who deletes a type is answered as was said while it was there.
        documented.judge(request, &reply);
        if reply.status < 300 {
            if request.method != "GET" {
                self.forget_documented();
            }
            // Who makes one may send documents of it at once.
            self.documented().judge_sent(request);
        }
        reply
    }

    /// The document that the server serves now.
    #[track_caller]
    fn documented(&self) -> Arc<Documented> {
        let mut documented = self.documented.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || Documented::of(Request::get("/openapi.yaml").send(self.address).expect(200).text());
        Arc::clone(documented.get_or_insert_with(read))
    }

    fn forget_documented(&self) {
        *self.documented.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send(&Request::get(path).token(READ))
    }

    /// Creates a document, which must be right.
    #[track_caller]
    pub(crate) fn create(&self, plural: &str, document: &Value) {
        self.send(&Request::new("POST", format!("/{plural}")).token(WRITE).json(document)).expect(201);
    }

    /// The revision of the fleet that is served: every write that stored something raised it by one.
    #[track_caller]
    pub(crate) fn revision(&self) -> Value {
        self.send(&Request::get("/ready")).expect(200).json()["revision"].clone()
    }

    /// All documents of every type.
    #[track_caller]
    pub(crate) fn documents(&self) -> Value {
        let types = self.get("/resource_types").expect(200).json();
        let registered = types.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
        let built_in = [
            "clusters",
            "profiles",
            "platform_components",
            "namespaces",
            "rolebindings",
            "api/v2/tombstones",
        ];
        let plurals = built_in.into_iter().chain(registered);
        let all = plurals.map(|plural| self.get(&format!("/{plural}")).expect(200).json());
        all.chain([types.clone()]).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap().unwrap();
        }
    }
}

/// Asks until the answer is yes; a deadline, not a pause, decides that it never will be.
#[track_caller]
pub(crate) fn until(what: &str, mut ask: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ask() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A valid cluster of a protected environment, with a little of everything.
pub(crate) fn protected() -> Value {
    json!({
        "id": "prod-01", "cluster_name": "prod-01", "cluster_dns": "prod-01.k8s.example.com",
        "environment": "prod", "labels": {"region": "eu"},
        "platform_components": [{"id": "podinfo"}, {"id": "traefik"}],
        "namespaces": [{"id": "podinfo"}], "rolebindings": [{"id": "dev-readers"}],
    })
}

/// A valid cluster of the demo fleet's kind, with nothing assigned.
pub(crate) fn cluster(name: &str) -> Value {
    json!({
        "id": name, "cluster_name": name, "cluster_dns": format!("{name}.k8s.example.com"), "environment": "dev"
    })
}
