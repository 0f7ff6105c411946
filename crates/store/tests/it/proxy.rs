//! A TCP proxy in front of a PostgreSQL server, which records a conversation and cuts the next one at a given
//! byte, or keeps what comes after it for later.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flux_resourceset_postgres_server::Server;
use flux_resourceset_store::PostgresUrl;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// What becomes of a conversation once so many bytes have gone one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Both ends are closed.
    Cut,
    /// The client's end is closed, and the server gets what the client had sent when it is released.
    Hold,
    /// The same, but the client is left waiting.
    Stall,
}

#[derive(Debug, Default)]
struct State {
    recorded: Option<[Vec<u8>; 2]>,
    armed: Option<(Way, usize, Then)>,
}

pub(crate) struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
    release: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(server: &Server) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let upstream = server.socket().join(format!(".s.PGSQL.{}", server.port()));
        let state = Arc::new(Mutex::new(State::default()));
        let release = watch::Sender::new(false);
        let shared = (Arc::clone(&state), release.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (state, release) = (Arc::clone(&shared.0), shared.1.subscribe());
                tokio::spawn(converse(client, upstream.clone(), state, release));
            }
        });
        Proxy { port, state, release, accepting }
    }

    /// `database` of the server, through here.
    pub(crate) fn url(&self, database: &str) -> PostgresUrl {
        PostgresUrl::parse(&format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)).unwrap()
    }

    /// Records from now on.
    pub(crate) fn record(&self) {
        self.state.lock().unwrap().recorded = Some(Default::default());
    }

    /// What went to the server and to the client since.
    pub(crate) fn recorded(&self) -> [Vec<u8>; 2] {
        self.state.lock().unwrap().recorded.take().unwrap()
    }

    /// Once `bytes` more have gone that way, on whatever connection: `then`, once.
    pub(crate) fn arm(&self, way: Way, bytes: usize, then: Then) {
        self.release.send_replace(false);
        self.state.lock().unwrap().armed = Some((way, bytes, then));
    }

    /// Whether what was armed has happened; it will not any more.
    pub(crate) fn disarm(&self) -> bool {
        self.state.lock().unwrap().armed.take().is_none()
    }

    /// Returns when what was armed has happened.
    pub(crate) async fn happened(&self) {
        while self.state.lock().unwrap().armed.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Gives the server what was held.
    pub(crate) fn release(&self) {
        self.release.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// How much of `bytes` goes on, and what then.
fn pass(state: &Mutex<State>, way: Way, bytes: &[u8]) -> (usize, Option<Then>) {
    let mut state = state.lock().unwrap();
    if let Some(recorded) = &mut state.recorded {
        recorded[usize::from(way == Way::ToClient)].extend(bytes);
    }
    match &mut state.armed {
        Some((armed, left, then)) if *armed == way => {
            let (passes, then) = (bytes.len().min(*left), *then);
            *left -= passes;
            // The last byte that may pass passes, and nothing after it.
            if *left > 0 {
                return (passes, None);
            }
            state.armed = None;
            (passes, Some(then))
        }
        _ => (bytes.len(), None),
    }
}

async fn converse(
    client: TcpStream,
    upstream: PathBuf,
    state: Arc<Mutex<State>>,
    mut release: watch::Receiver<bool>,
) {
    let Ok(mut server) = UnixStream::connect(upstream).await else { return };
    let mut client = client;
    let (mut up, mut down) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    // Returning closes both ends.
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Some(sent) = sent(read, &up) else { return };
                let (passes, then) = pass(&state, Way::ToServer, sent);
                if server.write_all(&sent[..passes]).await.is_err() || then == Some(Then::Cut) {
                    return;
                }
                if let Some(then) = then {
                    let waiting = (then == Then::Stall).then_some(client);
                    release.wait_for(|released| *released).await.unwrap();
                    let _ = server.write_all(&sent[passes..]).await;
                    // It may take its time to do it, and to answer.
                    while server.read(&mut down).await.is_ok_and(|bytes| bytes > 0) {}
                    drop(waiting);
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Some(sent) = sent(read, &down) else { return };
                let (passes, then) = pass(&state, Way::ToClient, sent);
                if client.write_all(&sent[..passes]).await.is_err() || then.is_some() {
                    return;
                }
            }
        }
    }
}

fn sent(read: std::io::Result<usize>, buffer: &[u8]) -> Option<&[u8]> {
    read.ok().filter(|bytes| *bytes > 0).map(|bytes| &buffer[..bytes])
}
