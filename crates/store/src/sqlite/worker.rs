//! Threads that own SQLite connections and work off a queue, so that no async code ever blocks.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use rusqlite::{Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::database::Database;
use super::failure::Failure;
use crate::{Error, ErrorKind, StoreId};

type Job = Box<dyn FnOnce(&mut Database) + Send>;

/// One thread per connection, all serving one queue. Dropping it waits for the work under way,
/// closes the connections and ends the threads.
#[derive(Debug)]
pub(super) struct Workers {
    queue: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    lost: ErrorKind,
}

impl Workers {
    /// Starts a thread for each of `databases`; `lost` classes the loss of a thread during a job.
    pub(super) fn start(name: &str, databases: Vec<Database>, lost: ErrorKind) -> Result<Self, Error> {
        let (queue, jobs) = mpsc::channel();
        let jobs = Arc::new(Mutex::new(jobs));
        let mut workers = Workers { queue: Some(queue), threads: Vec::new(), lost };
        for database in databases {
            let jobs = Arc::clone(&jobs);
            let thread = thread::Builder::new().name(name.into()).spawn(move || serve(&jobs, database));
            workers.threads.push(thread.map_err(|source| {
                Error::new(ErrorKind::Unavailable, "no thread could be started for the store")
                    .caused_by(source)
            })?);
        }
        Ok(workers)
    }

    /// Has one of the threads answer a question, inside a transaction, with the store that it is about.
    pub(super) async fn read<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>, StoreId) -> Result<T, Failure> + Send + 'static,
    {
        self.call(move |database| {
            database
                .transaction(TransactionBehavior::Deferred, |transaction, store| work(&transaction, store))
        })
        .await
    }

    /// Has one of the threads do `work`. Where the returned future is dropped, work that has begun
    /// is finished and work that has not is left undone.
    pub(super) async fn call<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&mut Database) -> Result<T, Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |database| {
            if !reply.is_closed() {
                // The asker may be gone by now; what was committed stays in the log.
                let _ = reply.send(work(database));
            }
        });
        let sent = self.queue.as_ref().is_some_and(|queue| queue.send(job).is_ok());
        if !sent {
            return Err(Error::new(ErrorKind::Unavailable, "the store's thread has ended: restart"));
        }
        answer
            .await
            .map_err(|_| Error::new(self.lost, "the store's thread ended during the work: restart"))?
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on stderr.
            let _ = thread.join();
        }
    }
}

fn serve(jobs: &Mutex<mpsc::Receiver<Job>>, mut database: Database) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(&mut database),
            Err(mpsc::RecvError) => return,
        }
    }
}
