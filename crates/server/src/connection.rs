//! Connections: how many, how long their heads may take and their answers be left, and how they end when
//! the process is told to.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::config::Limits;
use crate::service::Service;
use crate::threads::Threads;
use crate::write_timeout::WriteTimeout;

/// After accepting failed, most likely for want of file descriptors: what is open may end meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections that are open.
pub(crate) struct Connections {
    service: Arc<Service>,
    http: http1::Builder,
    slots: Arc<Semaphore>,
    tasks: JoinSet<()>,
    graceful: GracefulShutdown,
    threads: Threads,
}

impl Connections {
    pub(crate) fn new(service: Arc<Service>, threads: Threads) -> Self {
        let limits = &service.config.limits;
        let slots = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        Connections {
            http: http(limits),
            slots,
            service,
            tasks: JoinSet::new(),
            graceful: GracefulShutdown::new(),
            threads,
        }
    }

    /// Accepts for ever. At the limit further connections wait in the kernel's queue, unanswered.
    pub(crate) async fn accept(&mut self, listener: &TcpListener) {
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => self.serve(stream, slot).unwrap_or_else(|error| {
                    tracing::debug!("a connection ended before it was served: {error}");
                }),
                Err(error) => {
                    tracing::warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while self.tasks.try_join_next().is_some() {}
        }
    }

    fn serve(&mut self, stream: TcpStream, slot: OwnedSemaphorePermit) -> io::Result<()> {
        let watcher = self.graceful.watcher();
        let stream = stream.into_std()?;
        let connection = connection(self.http.clone(), stream, Arc::clone(&self.service), watcher, slot);
        if let Some(thread) = self.threads.next() {
            self.tasks.spawn_on(connection, thread);
        }
        Ok(())
    }

    /// Lets requests under way end, closes idle connections, and cuts off what is open after `deadline`. What
    /// requests left to be done goes on while the threads are there.
    pub(crate) async fn drain(mut self, deadline: Duration) -> Threads {
        let drained = tokio::time::timeout(deadline, self.graceful.shutdown()).await;
        if drained.is_err() {
            tracing::warn!(
                connections = self.tasks.len(),
                "some connections did not end within DRAIN_TIMEOUT"
            );
        }
        self.tasks.shutdown().await;
        self.threads
    }
}

fn http(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .keep_alive(true)
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.header_bytes);
    http
}

async fn connection(
    http: http1::Builder,
    stream: std::net::TcpStream,
    service: Arc<Service>,
    watcher: Watcher,
    slot: OwnedSemaphorePermit,
) {
    // Here, so that it belongs to the thread that serves it.
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    // Answers are small and complete: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    // One for each connection: threads that count together wait for each other.
    let service = Arc::new(service);
    let stream = WriteTimeout::new(stream, service.config.limits.write_timeout);
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let connection = http.serve_connection(TokioIo::new(stream), answer);
    if let Err(error) = watcher.watch(connection).await {
        // A client that goes away, sends no HTTP or takes no answer is its own affair.
        tracing::debug!("a connection ended early: {error}");
    }
    drop(slot);
}
