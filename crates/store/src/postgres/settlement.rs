//! What makes a commit of unknown outcome known: before this handle reads again, it raises the store's fence,
//! which waits for a commit under way and makes one that is still on its way write nothing.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::sync::Mutex;
use tokio_postgres::types::Type;

use super::connection::Session;
use super::failure::Failure;

/// Which commits of this handle ended unsaid, and up to where that is settled.
///
/// A connection that is cut, or a future that is dropped, can leave a commit behind that the server has yet
/// to meet: in its buffers, in a proxy's. Looking for its entry would find nothing, and it would be done
/// afterwards all the same.
#[derive(Debug)]
pub(super) struct Settlement {
    /// The fence last seen; a commit names it.
    fence: AtomicI64,
    unsaid: AtomicU64,
    settled: Mutex<u64>,
}

/// A commit that was sent and has not been answered: unless it is said to be, it counts as unsaid.
pub(super) struct Doubt<'a> {
    settlement: &'a Settlement,
    said: bool,
}

impl Settlement {
    /// For a handle that may write: the commits of a process that it takes the place of are settled first.
    pub(super) fn of_writer() -> Self {
        Settlement { unsaid: AtomicU64::new(1), ..Self::of_reader() }
    }

    /// For a handle that only reads, and so leaves nothing behind.
    pub(super) fn of_reader() -> Self {
        Settlement { fence: AtomicI64::new(0), unsaid: AtomicU64::new(0), settled: Mutex::new(0) }
    }

    /// The fence to name in a commit.
    pub(super) fn fence(&self) -> i64 {
        self.fence.load(Ordering::Acquire)
    }

    /// Takes note of the fence that stands in the store. It may be a lower one: a standby that lagged has it.
    pub(super) fn saw(&self, fence: i64) {
        self.fence.store(fence, Ordering::Release);
    }

    /// To be held while a commit is under way.
    pub(super) fn doubt(&self) -> Doubt<'_> {
        Doubt { settlement: self, said: false }
    }

    /// Whether nothing has to be settled before a read.
    pub(super) async fn is_settled(&self) -> bool {
        self.unsaid.load(Ordering::Acquire) == 0
            || *self.settled.lock().await >= self.unsaid.load(Ordering::Acquire)
    }

    /// Settles what ended unsaid so far.
    pub(super) async fn settle(&self, session: &Session) -> Result<(), Failure> {
        let mut settled = self.settled.lock().await;
        let due = self.unsaid.load(Ordering::Acquire);
        if *settled < due {
            let raise = "UPDATE flux_resourceset.meta SET fence = fence + $1 RETURNING fence";
            for row in session.query(raise, &[(&1_i64, Type::INT8)]).await? {
                self.saw(row.try_get(0)?);
            }
            *settled = due;
        }
        Ok(())
    }
}

impl Doubt<'_> {
    /// The server said what became of it.
    pub(super) fn dispel(mut self) {
        self.said = true;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if !self.said {
            self.settlement.unsaid.fetch_add(1, Ordering::AcqRel);
        }
    }
}
