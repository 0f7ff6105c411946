//! The one connection of a handle that listens for commits of other processes, kept up for as long as the
//! handle lives. Nothing depends on it but how soon a change is noticed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::connection::Connector;
use super::failure::Failure;
use super::url::PostgresUrl;

/// Between two attempts to listen again.
const PAUSE: Duration = Duration::from_secs(1);

/// A task that ends with its handle.
#[derive(Debug)]
pub(super) struct Listener(JoinHandle<()>);

impl Listener {
    /// Has `bell` rung by each notification, and when it begins to listen: what came before was missed.
    pub(super) fn start(connector: Connector, url: PostgresUrl, bell: Arc<watch::Sender<()>>) -> Self {
        Listener(tokio::spawn(async move {
            loop {
                if let Err(failure) = listen(&connector, &bell).await {
                    tracing::debug!("not listening for commits, trying again: {}", failure.of(&url));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }))
    }
}

/// Returns when the connection is lost.
async fn listen(connector: &Connector, bell: &watch::Sender<()>) -> Result<(), Failure> {
    let mut link = connector.connect().await?;
    link.client.batch_execute("LISTEN flux_resourceset").await?;
    bell.send_replace(());
    // A task that panicked has said so on stderr.
    let _ = (&mut link.task).await;
    Ok(())
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}
