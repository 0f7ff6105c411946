//! The small shell script that outlives this process by a moment: it holds the reading end of a pipe, and
//! when that closes, even because this process was killed, it ends the server and removes its folder.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::Programs;

#[derive(Debug)]
pub(crate) struct Supervisor {
    child: Child,
    pipes: Mutex<Option<Pipes>>,
}

#[derive(Debug)]
struct Pipes {
    words: ChildStdin,
    echoes: BufReader<ChildStdout>,
}

impl Supervisor {
    /// Starts the script for a server in `folder`; the server itself is started by a word.
    pub(crate) fn start(
        programs: &Programs,
        folder: &Path,
        settings: impl IntoIterator<Item = String>,
    ) -> io::Result<Supervisor> {
        let mut shell = programs.as_user("/bin/sh");
        shell.args(["-c", include_str!("supervisor.sh"), "supervisor"]);
        shell.arg(programs.command("postgres").get_program()).arg(folder);
        for setting in settings {
            shell.arg("-c").arg(setting);
        }
        // A group of its own: what interrupts the tests at a terminal must not end it half-way.
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = shell.spawn()?;
        let missing = || io::Error::other("a pipe of the supervisor is missing");
        let words = child.stdin.take().ok_or_else(missing)?;
        let echoes = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        Ok(Supervisor { child, pipes: Mutex::new(Some(Pipes { words, echoes })) })
    }

    /// Has the script do what `word` says, and returns when it is done.
    pub(crate) fn tell(&self, word: &str) -> io::Result<()> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = || io::Error::other("the supervisor of the PostgreSQL server has ended");
        let Pipes { words, echoes } = pipes.as_mut().ok_or_else(ended)?;
        writeln!(words, "{word}")?;
        let mut echo = String::new();
        match echoes.read_line(&mut echo)? {
            0 => Err(ended()),
            _ => Ok(()),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.pipes.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // Nothing can be done about a script that failed.
        let _ = self.child.wait();
    }
}
