//! Log lines on their way to standard error. A thread that serves connections leaves its own until it has
//! nothing else to do: one write for what many requests said, and no thread waits for another's.

use std::cell::Cell;
use std::io::{self, Write};
use std::mem;
use std::sync::{Mutex, PoisonError};

/// From here on a thread that never comes to rest writes too.
const MANY: usize = 16 * 1024;

static WAITING: Mutex<Vec<u8>> = Mutex::new(Vec::new());

thread_local! {
    static WAITS: Cell<bool> = const { Cell::new(false) };
}

/// Where lines are written to, each at once.
pub(crate) struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend_from_slice(line);
        let enough = waiting.len() >= MANY || !WAITS.get();
        drop(waiting);
        if enough {
            self.flush()?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            return Ok(());
        }
        let room = Vec::with_capacity(waiting.capacity());
        let lines = mem::replace(&mut *waiting, room);
        drop(waiting);
        io::stderr().lock().write_all(&lines)
    }
}

/// From now on lines of this thread wait for a [`flush`], which it promises whenever it comes to rest.
pub(crate) fn wait_on_this_thread() {
    WAITS.set(true);
}

/// Writes what waits.
pub(crate) fn flush() {
    // Whoever reads the log is gone: there is nobody to tell.
    let _ = Lines.flush();
}
