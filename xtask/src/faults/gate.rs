//! What stands between our servers and a database: it leads to another one when it is told to, and cuts all that
//! goes through it after so many bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::lineage::FOREVER;

/// More than will ever go through.
const NEVER: i64 = i64::MAX / 2;

/// A gate on a port of its own.
pub(super) struct Gate {
    port: u16,
    state: Arc<State>,
}

struct State {
    /// Where it leads to.
    target: AtomicU16,
    /// How many bytes may pass.
    left: AtomicI64,
    open: Mutex<Vec<TcpStream>>,
    closed: AtomicBool,
}

impl Gate {
    pub(super) fn before(port: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let state = Arc::new(State {
            target: AtomicU16::new(port),
            left: AtomicI64::new(NEVER),
            open: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let gate = Gate { port: listener.local_addr()?.port(), state: Arc::clone(&state) };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if state.closed.load(Ordering::SeqCst) {
                    return;
                }
                // Where nobody listens, the client is closed.
                let _refused = state.pass(client);
            }
        });
        Ok(gate)
    }

    /// `url`, which names `port`, through here.
    pub(super) fn url(&self, url: &str, port: u16) -> String {
        url.replace(&format!(":{port}/"), &format!(":{}/", self.port))
    }

    /// Leads to another port from now on; what went to the other is cut.
    pub(super) fn lead_to(&self, port: u16) {
        self.state.target.store(port, Ordering::SeqCst);
        self.state.cut();
    }

    /// Cuts everything once after so many bytes more, whichever way they go.
    pub(super) fn cut_after(&self, bytes: u64) {
        self.state.left.store(bytes.try_into().unwrap_or(NEVER), Ordering::SeqCst);
    }

    /// Returns once that has happened: there is always somebody who asks.
    pub(super) fn wait_until_cut(&self) -> Result<()> {
        let deadline = Instant::now() + FOREVER;
        while self.state.left.load(Ordering::SeqCst) < NEVER / 2 {
            ensure!(Instant::now() < deadline, "nothing goes through the gate");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        self.state.cut();
        // Wakes who waits for the next connection.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn pass(self: &Arc<Self>, client: TcpStream) -> Result<()> {
        let server = TcpStream::connect(("127.0.0.1", self.target.load(Ordering::SeqCst)))?;
        let ends = [(client.try_clone()?, server.try_clone()?), (server.try_clone()?, client.try_clone()?)];
        self.open.lock().unwrap_or_else(PoisonError::into_inner).extend([client, server]);
        for (from, to) in ends {
            let state = Arc::clone(self);
            thread::spawn(move || {
                state.copy(&from, &to);
                let _closed = [from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)];
            });
        }
        Ok(())
    }

    fn copy(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let Some(sent) = from.read(&mut buffer).ok().and_then(|bytes| buffer.get(..bytes)) else {
                return;
            };
            let length = i64::try_from(sent.len()).unwrap_or(NEVER);
            let left = self.left.fetch_sub(length, Ordering::SeqCst);
            let passes = usize::try_from(left.clamp(0, length)).unwrap_or_default();
            if sent.is_empty() || to.write_all(&sent[..passes]).is_err() {
                return;
            }
            if left <= length {
                self.cut();
                self.left.store(NEVER, Ordering::SeqCst);
                return;
            }
        }
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }
}
