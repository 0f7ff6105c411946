//! More clients than there is room for: idle connections, clients that take no answer, ten thousand clusters in one
//! second. Those who poll meanwhile are answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Round;
use super::client::Client;
use super::lineage::{FOREVER, Lineage};
use super::stage::Stage;
use super::workload::Workload;

/// The most files that a process may have open here, and what it is left beside idle connections.
const FILES: u32 = 1024;
const LEFT: u32 = 200;
/// Clients that ask and take nothing of what they are answered, among the idle.
const SLOW: usize = 100;
const CLUSTERS: usize = 10_000;
/// How many of them ask at the same time.
const AT_ONCE: usize = 200;

const PROCESSES: [(&str, &str); 2] = [("crud", "crud"), ("reader", "read-only")];

/// Connections up to the file limit less 200 do not keep others from being answered.
pub(super) fn idle(round: &mut Round<'_>) -> Result<()> {
    let few = |lineage: &mut Lineage| lineage.files = Some(FILES);
    let stage = Stage::set_for(round.program, None, &PROCESSES, Workload { clusters: 6 }, few)?;
    let load = stage.load();
    let reader = stage.lineages.get(1).context("there is no reader")?;
    let address = reader.address().context("the reader does not run")?;
    let slow = format!("{}Host: faults\r\n\r\n", reader.poll(0)).repeat(200);
    for _ in 0..round.some() {
        let mut crowd = Vec::new();
        for nth in 0..usize::try_from(FILES - LEFT)? {
            let mut stream = TcpStream::connect(address)?;
            if nth < SLOW {
                stream.set_nonblocking(true)?;
                // What it does not take is as good as sent.
                let _partly = stream.write(slow.as_bytes());
            }
            crowd.push(stream);
        }
        let start = Instant::now();
        let reply = reader.polled().context("no answer beside idle connections")?;
        ensure!(reply.status == 200, "polls beside idle connections are answered with {}", reply.code());
        ensure!(start.elapsed() < FOREVER / 2, "a poll beside idle connections took {:?}", start.elapsed());
        load.wait_for_writes()?;
        drop(crowd);
        reader.wait_until_ready()?;
    }
    let seen = load.stop()?;
    stage.judge(&seen)
}

/// Each of ten thousand clusters polls by a connection of its own, within a second or as fast as the machine can.
pub(super) fn all_at_once(round: &mut Round<'_>) -> Result<()> {
    let few = |lineage: &mut Lineage| {
        lineage.files = Some(FILES);
        // How long a debug build takes to read so many is not what this is about.
        lineage.variable("MAX_STALENESS", "60s");
    };
    let stage = Stage::set_for(round.program, None, &PROCESSES, Workload { clusters: CLUSTERS }, few)?;
    let reader = stage.lineages.get(1).context("there is no reader")?;
    let address = reader.address().context("the reader does not run")?;
    // They poll before anything is written: each has one answer, and one alone.
    let (next, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let refused = Mutex::new(String::new());
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let cluster = next.fetch_add(1, Ordering::Relaxed);
                    if cluster >= CLUSTERS {
                        return;
                    }
                    match once(address, reader, cluster) {
                        Ok(said) if is_own(&said, cluster) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        other => drop(refused.lock().map(|mut refused| *refused = format!("{other:?}"))),
                    }
                }
            });
        }
    });
    println!("    {CLUSTERS} clusters polled in {:.1} s", start.elapsed().as_secs_f32());
    let answered = answered.into_inner();
    let refused = refused.into_inner().unwrap_or_default();
    ensure!(
        answered == CLUSTERS,
        "{answered} of {CLUSTERS} clusters were answered what is theirs: {refused}"
    );
    let mut client = Client::default();
    let written = client.ask(
        stage.lineages.first().and_then(Lineage::address).context("the writer does not run")?,
        &stage.lineages[0].request("PATCH", "/namespaces/own-0"),
        r#"{"labels":{"after":"all"}}"#,
    );
    ensure!(written.is_some_and(|reply| reply.status == 200), "a write after the crowd failed");
    Ok(())
}

fn is_own(answer: &str, cluster: usize) -> bool {
    answer.starts_with("HTTP/1.1 200 ") && answer.contains(&format!("\"own-{cluster}\""))
}

/// One poll by a connection that is closed then: all that comes back.
fn once(address: SocketAddr, reader: &Lineage, cluster: usize) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request = format!("{}Host: faults\r\nConnection: close\r\n\r\n", reader.poll(cluster));
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
