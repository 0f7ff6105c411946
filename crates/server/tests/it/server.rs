//! A server in this process, on a port of its own, over a store that the test holds too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use flux_resourceset_server::config::{Config, Variables};
use flux_resourceset_server::{RunError, Source, run};
use flux_resourceset_store::{MemoryStore, Store};
use serde_json::json;
use tokio::sync::oneshot;

use crate::client::{Client, until};

pub(crate) const READ: &str = "read-token";
pub(crate) const WRITE: &str = "write-token";

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), RunError>>>,
}

pub(crate) fn config(pairs: &[(&str, &str)]) -> Config {
    let mut variables: Variables =
        [("AUTH_TOKEN", READ), ("CRUD_AUTH_TOKEN", WRITE), ("API_MODE", "crud"), ("STORE_BACKEND", "memory")]
            .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
            .into();
    variables.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))));
    Config::read(&variables).unwrap()
}

impl Server {
    /// An empty fleet in crud mode.
    pub(crate) fn new() -> Server {
        Server::over(Arc::new(MemoryStore::new()), &[])
    }

    /// A fleet with one cluster, `c1`, that has one component and one namespace.
    pub(crate) fn seeded() -> Server {
        let server = Server::new();
        server.fill();
        server
    }

    pub(crate) fn over(store: Arc<dyn Store>, pairs: &[(&str, &str)]) -> Server {
        Server::unready(store, pairs).ready()
    }

    pub(crate) fn ready(self) -> Server {
        until("ready", || self.anyone().get("/ready").status == 200);
        self
    }

    pub(crate) fn unready(store: Arc<dyn Store>, pairs: &[(&str, &str)]) -> Server {
        let config = config(pairs);
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let stopped = async move {
                    let _ = stopped.await;
                };
                run(listener, Source::Open(store), config, stopped).await
            })
        });
        Server { address, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn fill(&self) {
        let writer = self.writer();
        writer.post("/namespaces", json!({"id": "n1", "labels": {"a": "b"}})).expect(201);
        let component =
            json!({"id": "p1", "component_path": "p1", "oci_url": "oci://registry.example/charts"});
        writer.post("/platform_components", component).expect(201);
        writer.post("/clusters", cluster("c1")).expect(201);
    }

    pub(crate) fn reader(&self) -> Client {
        Client { address: self.address, token: Some(READ) }
    }

    pub(crate) fn writer(&self) -> Client {
        Client { address: self.address, token: Some(WRITE) }
    }

    pub(crate) fn anyone(&self) -> Client {
        Client { address: self.address, token: None }
    }

    /// Tells it to end; the handle says how it ended.
    pub(crate) fn stop(&mut self) -> JoinHandle<Result<(), RunError>> {
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap()
    }

    /// How it ended by itself.
    pub(crate) fn ended(mut self) -> Result<(), RunError> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn cluster(name: &str) -> serde_json::Value {
    json!({
        "cluster_name": name, "cluster_dns": format!("{name}.example.com"), "environment": "dev",
        "platform_components": [{"id": "p1"}], "namespaces": [{"id": "n1"}],
    })
}
