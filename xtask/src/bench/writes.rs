//! `cargo xtask bench writes`: durable writes of one document a second, by many clients over HTTP, beside a bare
//! loop of transactions that each write one row, on the same disk with the same promise.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client as Session, NoTls, Statement};

use super::client::Client;
use super::cpu::CpuTime;
use super::postgres::Postgres;
use super::row::{Goal, Row};
use super::stores::Stores;
use super::{fleet, median};
use crate::server::Server;

const CLUSTERS: usize = 10_000;
const CLIENTS: usize = 16;
const ROUNDS: usize = 21;
/// So many more show what the same server does where enough of them always wait.
const MANY_CLIENTS: usize = 128;
const ROUNDS_OF_MANY: usize = 5;
const ROUND: Duration = Duration::from_secs(1);
/// Ours and the bare loop's.
const CONNECTIONS: &[&str] = &["max_connections=50"];
const GOAL: Goal = Goal::AtLeast(1.0, "x");

pub(super) fn run(stores: &Stores) -> Result<Vec<Row>> {
    let folder = stores.folder("writes")?;
    let store = stores.copy(CLUSTERS, &folder)?;
    let server = stores.serve(&store, "crud", &folder.join("server.log"))?;
    let bare = SqliteLoop::new(&folder.join("bare.db"))?;
    let sqlite = beside("SQLite", &server, || bare.round())?;
    drop(server);
    Ok(vec![sqlite, on_postgres(stores, &folder)?])
}

fn on_postgres(stores: &Stores, folder: &Path) -> Result<Row> {
    let postgres = match Postgres::start(CONNECTIONS) {
        Ok(postgres) => postgres,
        Err(missing) => return Ok(Row::skipped(what("PostgreSQL"), GOAL, missing.to_string())),
    };
    let url = postgres.database()?;
    stores.fill(&url, CLUSTERS)?;
    let server = stores.serve(&url, "crud", &folder.join("postgres.log"))?;
    let mut bare = PostgresLoop::new(&postgres.database()?)?;
    beside("PostgreSQL", &server, || bare.round())
}

fn what(database: &str) -> String {
    format!("durable writes/s, {database}, {CLIENTS} clients")
}

/// Our server beside a bare loop on the same kind of database; `bare` is one round of it, in rows a second.
fn beside(database: &str, server: &Server, mut bare: impl FnMut() -> Result<f64>) -> Result<Row> {
    let mut load = Load::new(server.address(), CLIENTS)?;
    load.round(Duration::from_millis(500))?;
    let [mut ours, mut theirs, mut ratios] = [(); 3].map(|()| Vec::new());
    let [mut our_cost, mut their_cost] = [(); 2].map(|()| Vec::new());
    for round in 0..ROUNDS {
        let mut one = || costing(&mut our_cost, || load.round(ROUND));
        let mut other = || costing(&mut their_cost, &mut bare);
        let (one, other) = match round % 2 {
            0 => (one()?, other()?),
            _ => {
                let other = other()?;
                (one()?, other)
            }
        };
        ours.push(one);
        theirs.push(other);
        ratios.push(one / other);
    }
    println!(
        "{database}: {} writes, each answered 200 with a revision of its own, none left out; {CLIENTS} clients, \
         {ROUNDS} alternating rounds of {} s",
        load.writes,
        ROUND.as_secs()
    );
    let mut many = Load::new(server.address(), MANY_CLIENTS)?;
    many.round(Duration::from_millis(500))?;
    let many = (0..ROUNDS_OF_MANY).map(|_| many.round(ROUND)).collect::<Result<Vec<_>>>()?;
    let [ours, theirs, ratio] = [ours, theirs, ratios].map(median);
    let [our_cost, their_cost] = [our_cost, their_cost].map(median);
    Ok(Row::measured(
        what(database),
        GOAL,
        format!(
            "{ours:.0}/s, {our_cost:.0} us of processor each; by {MANY_CLIENTS} clients: {:.0}/s",
            median(many)
        ),
        format!("bare loop: {theirs:.0}/s, {their_cost:.0} us of processor each"),
        ratio,
    ))
}

/// The rate of a round; what the machine took for each, clients and database too, is noted in microseconds.
fn costing(costs: &mut Vec<f64>, round: impl FnOnce() -> Result<f64>) -> Result<f64> {
    let (before, start) = (CpuTime::of_machine()?, Instant::now());
    let rate = round()?;
    let took = CpuTime::of_machine()?.since(before);
    costs.push(took.as_secs_f64() * 1e6 / (rate * start.elapsed().as_secs_f64()));
    Ok(rate)
}

/// The clients, each with clusters of its own to write to.
struct Load {
    clients: Vec<Client>,
    /// The last revision that a write got.
    head: u64,
    writes: usize,
}

impl Load {
    fn new(address: &str, clients: usize) -> Result<Self> {
        let mut clients = (0..clients).map(|_| Client::connect(address)).collect::<Result<Vec<_>>>()?;
        let head = clients[0].patch(&fleet::id(0), &json!({"node_count": 0}))?;
        Ok(Load { clients, head, writes: 0 })
    }

    /// Writes a second, checked.
    fn round(&mut self, time: Duration) -> Result<f64> {
        let (start, from, count) = (Instant::now(), self.writes, self.clients.len());
        let revisions = std::thread::scope(|scope| {
            let clients = self.clients.iter_mut().enumerate();
            let threads: Vec<_> = clients
                .map(|(at, client)| scope.spawn(move || write(client, (at, count), from, start, time)))
                .collect();
            let all = threads.into_iter().map(|it| it.join().ok().context("a client panicked")?);
            all.collect::<Result<Vec<_>>>()
        })?;
        let took = start.elapsed();
        let mut revisions = revisions.concat();
        revisions.sort_unstable();
        let expected: Range<u64> = self.head + 1..self.head + 1 + revisions.len() as u64;
        ensure!(
            revisions.iter().copied().eq(expected),
            "the revisions after {} have a gap or a repeat",
            self.head
        );
        self.head += revisions.len() as u64;
        self.writes += revisions.len();
        Ok(revisions.len() as f64 / took.as_secs_f64())
    }
}

/// What one client writes in a round, the one `at` this place among so many; the revisions that it is told.
fn write(
    client: &mut Client,
    (at, clients): (usize, usize),
    from: usize,
    start: Instant,
    time: Duration,
) -> Result<Vec<u64>> {
    let mut revisions = Vec::new();
    for n in 0.. {
        if start.elapsed() >= time {
            break;
        }
        let cluster = (n * clients + at) % CLUSTERS;
        // Never what the document says already: that would be no write.
        let value = clients * 1_000_000 + from + n;
        let patch = match n % 2 {
            0 => json!({"node_count": value}),
            _ => json!({"patches": {fleet::COMMON_COMPONENT: {"replicaCount": value.to_string()}}}),
        };
        revisions.push(client.patch(&fleet::id(cluster), &patch)?);
    }
    Ok(revisions)
}

/// Transactions of one row, the row as large as a cluster's document.
struct SqliteLoop {
    connection: Connection,
    body: String,
}

impl SqliteLoop {
    fn new(file: &Path) -> Result<Self> {
        let connection = Connection::open(file)?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")?;
        Ok(SqliteLoop { connection, body: fleet::cluster(0).to_string() })
    }

    /// Rows a second.
    fn round(&self) -> Result<f64> {
        let mut insert = self.connection.prepare("INSERT INTO rows (body) VALUES (?1)")?;
        let (start, mut rows) = (Instant::now(), 0_u32);
        while start.elapsed() < ROUND {
            insert.execute([self.body.as_bytes()])?;
            rows += 1;
        }
        Ok(f64::from(rows) / start.elapsed().as_secs_f64())
    }
}

/// The same by one connection to PostgreSQL.
struct PostgresLoop {
    runtime: Runtime,
    session: Session,
    insert: Statement,
    body: String,
}

impl PostgresLoop {
    fn new(url: &str) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (session, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls))?;
        runtime.spawn(connection);
        let insert = runtime.block_on(async {
            session.batch_execute("CREATE TABLE rows (id bigserial PRIMARY KEY, body text NOT NULL)").await?;
            session.prepare("INSERT INTO rows (body) VALUES ($1)").await
        })?;
        Ok(PostgresLoop { runtime, session, insert, body: fleet::cluster(0).to_string() })
    }

    /// Rows a second.
    fn round(&mut self) -> Result<f64> {
        let PostgresLoop { runtime, session, insert, body } = self;
        runtime.block_on(async {
            let (start, mut rows) = (Instant::now(), 0_u32);
            while start.elapsed() < ROUND {
                session.execute(&*insert, &[&*body]).await?;
                rows += 1;
            }
            Ok(f64::from(rows) / start.elapsed().as_secs_f64())
        })
    }
}
