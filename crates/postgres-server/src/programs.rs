//! Where PostgreSQL's programs are, and as whom they run: they refuse to be root.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Debian's folder, which is on nobody's `PATH`: one folder per version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The first version whose servers are tested against.
const OLDEST: u32 = 15;

/// PostgreSQL's programs on this machine.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
    user: Option<User>,
}

/// Whom the programs run as, where this process is root.
#[derive(Debug, Clone, Copy)]
struct User {
    id: u32,
    group: u32,
}

impl Programs {
    /// Those of the folder that `PATH` names first, else Debian's newest.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn find() -> Result<Programs, String> {
        let path = env::var_os("PATH").unwrap_or_default();
        // Resolved: the others stand beside the program, not beside a link to it.
        let on_path =
            env::split_paths(&path).filter_map(|folder| fs::canonicalize(folder.join("postgres")).ok());
        let on_path = on_path.filter_map(|program| program.parent().map(Path::to_path_buf));
        let folder = on_path.chain(debian()).find(|folder| complete(folder)).ok_or_else(|| {
            format!("PostgreSQL {OLDEST} or newer is not there; `apt-get install postgresql` brings it")
        })?;
        let root = run(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        let user = if root {
            Some(User::other().ok_or("PostgreSQL does not run as root, and there is no other user")?)
        } else {
            None
        };
        Ok(Programs { folder, user })
    }

    /// [`find`](Programs::find) for a test: `None`, with a word on standard error, where they are missing.
    ///
    /// # Panics
    /// Where they are missing and `REQUIRE_TOOLS` is set.
    pub fn or_skip() -> Option<Programs> {
        match Programs::find() {
            Ok(programs) => Some(programs),
            Err(missing) => {
                assert!(env::var_os("REQUIRE_TOOLS").is_none(), "{missing}");
                #[allow(
                    clippy::print_stderr,
                    reason = "that a test was skipped is said where tests are read"
                )]
                {
                    eprintln!("SKIPPED: {missing}");
                }
                None
            }
        }
    }

    /// One of the programs, to be run as their user.
    pub fn command(&self, name: &str) -> Command {
        self.as_user(self.folder.join(name))
    }

    pub(crate) fn as_user(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).current_dir("/").env("LC_ALL", "C").env_remove("PGOPTIONS");
        if let Some(User { id, group }) = self.user {
            command.uid(id).gid(group);
        }
        command
    }

    /// A new folder that belongs to their user.
    pub(crate) fn folder(&self) -> io::Result<TempDir> {
        let folder = tempfile::Builder::new().prefix("flux-resourceset-postgres-").tempdir()?;
        self.give(folder.path())?;
        Ok(folder)
    }

    /// Gives `path` to their user, and to nobody else.
    pub(crate) fn give(&self, path: &Path) -> io::Result<()> {
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        match self.user {
            Some(User { id, group }) => chown(path, Some(id), Some(group)),
            None => Ok(()),
        }
    }
}

impl User {
    /// PostgreSQL's own user, else the one that owns nothing.
    fn other() -> Option<User> {
        let users = fs::read_to_string("/etc/passwd").ok()?;
        ["postgres", "nobody"].iter().find_map(|name| {
            let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut numbers = line.split(':').skip(2).map(str::parse);
            Some(User { id: numbers.next()?.ok()?, group: numbers.next()?.ok()? })
        })
    }
}

fn debian() -> Vec<PathBuf> {
    let folders = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let version = |entry: &fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let mut found: Vec<(u32, PathBuf)> =
        folders.filter_map(|entry| Some((version(&entry)?, entry.path().join("bin")))).collect();
    found.sort();
    found.into_iter().rev().filter(|(version, _)| *version >= OLDEST).map(|(_, folder)| folder).collect()
}

fn complete(folder: &Path) -> bool {
    let programs = ["postgres", "initdb", "pg_basebackup", "psql"];
    if !programs.iter().all(|name| folder.join(name).is_file()) {
        return false;
    }
    let version = run(Command::new(folder.join("postgres")).arg("--version")).unwrap_or_default();
    let number = version.split_whitespace().find_map(|word| word.split('.').next()?.parse::<u32>().ok());
    number.is_some_and(|number| number >= OLDEST)
}

/// What `command` says, where it ends well; else what it complains of.
pub(crate) fn run(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    match output.status.success() {
        true => Ok(said(&output.stdout)),
        false => {
            let program = command.get_program().to_string_lossy().into_owned();
            Err(io::Error::other(format!("{program}: {}", said(&output.stderr))))
        }
    }
}
