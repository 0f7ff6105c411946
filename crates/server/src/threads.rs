//! The threads that serve connections. Each has a runtime of its own and keeps the connections that it gets, so
//! that answering a request wakes no other thread: that costs as much as the answer.

use std::io;
use std::num::NonZero;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::lines;

/// One thread for each processor. They end when this is dropped, and what they still serve with them.
pub(crate) struct Threads {
    handles: Vec<Handle>,
    next: usize,
    _ends: Vec<oneshot::Sender<()>>,
}

impl Threads {
    pub(crate) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let (mut handles, mut ends) = (Vec::new(), Vec::new());
        for at in 0..count {
            let mut builder = Builder::new_current_thread();
            let runtime = builder.enable_all().on_thread_park(lines::flush).build()?;
            handles.push(runtime.handle().clone());
            let (end, ended) = oneshot::channel::<()>();
            ends.push(end);
            thread::Builder::new().name(format!("connections-{at}")).spawn(move || {
                lines::wait_on_this_thread();
                // Ready once its other half is dropped.
                let _ = runtime.block_on(ended);
                runtime.shutdown_background();
            })?;
        }
        Ok(Threads { handles, next: 0, _ends: ends })
    }

    /// Where the next connection is served: each in turn.
    pub(crate) fn next(&mut self) -> Option<&Handle> {
        self.next = (self.next + 1) % self.handles.len().max(1);
        self.handles.get(self.next)
    }
}
