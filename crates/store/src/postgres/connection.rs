//! Connections to the server: how one is made and set up, the pool that lends them, and what becomes of one
//! whose work was left half-way.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, TimeoutType};
use futures_util::TryStreamExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::Failure;
use super::tls;
use super::url::PostgresUrl;
use crate::{Error, ErrorKind};

/// How long a call waits for a connection of the pool, and for a new one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What holds for every session. A transaction whose process stands still is ended by the server, and so is
/// a statement that takes far longer than anybody waits; the head's lock is waited for as long as SQLite's.
const SETTINGS: &str = "SET lock_timeout = '3s'; SET idle_in_transaction_session_timeout = '10s';
    SET statement_timeout = '120s'; SET default_transaction_isolation = 'read committed'";

/// A value and its type, as a statement takes it: with the types given the server is asked once, and nothing
/// is kept prepared in a session that a pooler may give to somebody else.
pub(super) type Value<'a> = (&'a (dyn ToSql + Sync), Type);

/// Makes connections to one database.
pub(super) struct Connector {
    url: PostgresUrl,
    tls: Option<MakeRustlsConnect>,
    /// Rung by each notification.
    bell: Arc<watch::Sender<()>>,
}

/// A connection and the task that moves its bytes. Dropped, it says goodbye to the server.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) task: JoinHandle<()>,
}

impl Connector {
    pub(super) fn new(url: &PostgresUrl, bell: &Arc<watch::Sender<()>>) -> Result<Self, Failure> {
        let tls = url.uses_tls().then(|| tls::connector(url.ca_file())).transpose()?;
        Ok(Connector { url: url.clone(), tls, bell: Arc::clone(bell) })
    }

    /// A new connection, set up.
    pub(super) async fn connect(&self) -> Result<Link, Failure> {
        let link = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.url.config().connect(tls.clone()).await?;
                self.drive(client, connection)
            }
            None => {
                let (client, connection) = self.url.config().connect(NoTls).await?;
                self.drive(client, connection)
            }
        };
        link.client.batch_execute(SETTINGS).await?;
        Ok(link)
    }

    fn drive<S, T>(&self, client: Client, mut connection: Connection<S, T>) -> Link
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let bell = Arc::clone(&self.bell);
        let task = tokio::spawn(async move {
            // An error is told to whoever waits for an answer.
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    bell.send_replace(());
                }
            }
        });
        Link { client, task }
    }
}

impl managed::Manager for Connector {
    type Type = Link;
    type Error = Failure;

    async fn create(&self) -> Result<Link, Failure> {
        self.connect().await
    }

    async fn recycle(&self, link: &mut Link, _: &Metrics) -> RecycleResult<Failure> {
        match link.client.is_closed() {
            true => Err(RecycleError::message("the connection is closed")),
            false => Ok(()),
        }
    }
}

/// At most so many connections, lent to one piece of work each.
pub(super) struct Lender(Pool<Connector>);

impl Lender {
    pub(super) fn new(connector: Connector, most: usize) -> Result<Self, Failure> {
        let pool = Pool::builder(connector).max_size(most).runtime(deadpool::Runtime::Tokio1);
        let pool = pool.wait_timeout(Some(PATIENCE)).create_timeout(Some(PATIENCE)).build();
        Ok(Lender(pool.map_err(|source| {
            Error::new(ErrorKind::Unavailable, "no pool of connections can be made").caused_by(source)
        })?))
    }

    /// A session with no transaction open.
    pub(super) async fn session(&self) -> Result<Session, Failure> {
        let away = |sentence: &str| Failure::new(ErrorKind::Unavailable, sentence);
        match self.0.get().await {
            Ok(link) => Ok(Session { link: Some(link) }),
            Err(PoolError::Backend(failure)) => Err(failure),
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                Err(away("all connections of this process are busy: try again"))
            }
            Err(_) => Err(away("the server does not accept a connection in time")),
        }
    }
}

/// A borrowed connection. Given back only by [`keep`](Session::keep), when its work is done and no
/// transaction is open; dropped before, as when whoever asked is gone, it is cut, and the server rolls back.
pub(super) struct Session {
    link: Option<Object<Connector>>,
}

impl Session {
    pub(super) fn client(&self) -> Result<&Client, Failure> {
        let open = self.link.as_ref().map(|link| &link.client).filter(|client| !client.is_closed());
        open.ok_or_else(|| Failure::new(ErrorKind::Unavailable, "the connection was lost: try again"))
    }

    /// Does `sql`, which answers with no rows.
    pub(super) async fn execute(&self, sql: &str) -> Result<(), Failure> {
        Ok(self.client()?.batch_execute(sql).await?)
    }

    /// All rows that `sql` answers with.
    pub(super) async fn query(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, Failure> {
        Ok(self.client()?.query_typed(sql, values).await?)
    }

    /// Hands each row that `sql` answers with to `each`, one by one.
    pub(super) async fn each_row(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut each: impl FnMut(Row) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let values = values.iter().map(|(value, kind)| (*value, kind.clone()));
        let rows = self.client()?.query_typed_raw(sql, values).await?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = rows.try_next().await? {
            each(row)?;
        }
        Ok(())
    }

    /// Gives the connection back.
    pub(super) fn keep(mut self) {
        self.link = None;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            // At once, whatever is still on its way.
            Object::take(link).task.abort();
        }
    }
}
