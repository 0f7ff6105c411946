//! A line on a terminal's stderr while something takes long; nothing where stderr is no terminal.

use std::io::{self, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shown from `start` until it is dropped, which leaves no trace.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn start(doing: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(doing);
        // A template that does not parse shows the default one; this one does.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed} {bytes}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress(bar)
    }

    /// Reads to the end, counting.
    pub(crate) fn read(&self, reader: impl Read) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.wrap_read(reader).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
