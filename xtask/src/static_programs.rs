//! The programs of the image, built as the Containerfile builds them and run as the image would: in an empty
//! folder as root of the file system where we may, so that a library they need would be missed.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace::{cargo, root, run};

const PROGRAMS: [&str; 2] = ["flux-resourceset", "flux-resourceset-cli"];

/// Builds both programs static and sees the server answer.
pub(crate) fn check() -> Result<()> {
    let built = build()?;
    let image = tempfile::Builder::new().prefix("flux-resourceset-image-").tempdir()?;
    for program in PROGRAMS {
        fs::copy(built.join(program), image.path().join(program))
            .with_context(|| format!("{program} was not built"))?;
    }
    fs::create_dir(image.path().join("data"))?;
    fs::copy(root().join("data/seed.json"), image.path().join("seed.json"))?;
    let confined = devices(image.path())? && may_confine(image.path());
    if !confined {
        println!(
            "SKIPPED: confining the programs to an empty folder takes root and chroot; they run unconfined instead"
        );
    }
    serves(image.path(), confined)?;
    let version = in_image(image.path(), confined, "flux-resourceset-cli").arg("--version").output()?;
    if !version.status.success() {
        bail!("the static command line does not run: {}", String::from_utf8_lossy(&version.stderr));
    }
    let size = |program| fs::metadata(built.join(program)).map(|file| file.len() / 1024).unwrap_or_default();
    println!("static programs: the server answers; {} KiB and {} KiB", size(PROGRAMS[0]), size(PROGRAMS[1]));
    Ok(())
}

/// The folder of the release programs. A target of its own: other flags would rebuild everything else.
fn build() -> Result<PathBuf> {
    let about = Command::new("rustc").arg("-vV").output().context("rustc does not start")?;
    let about = String::from_utf8_lossy(&about.stdout).into_owned();
    let host =
        about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say its host")?;
    let target = root().join("target/static");
    run(cargo()
        .args(["build", "--release", "--locked", "--target", host])
        .args(PROGRAMS.map(|program| format!("--bin={program}")))
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_TARGET_DIR", &target))?;
    Ok(target.join(host).join("release"))
}

/// Makes the devices that every container runtime provides; false where only root may.
fn devices(image: &Path) -> Result<bool> {
    let folder = image.join("dev");
    fs::create_dir(&folder)?;
    for (name, minor) in [("null", "3"), ("random", "8"), ("urandom", "9")] {
        let made = Command::new("mknod")
            .arg(folder.join(name))
            .args(["c", "1", minor])
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn may_confine(image: &Path) -> bool {
    let tried = Command::new("chroot").arg(image).args(["/flux-resourceset-cli", "--version"]).output();
    tried.is_ok_and(|output| output.status.success())
}

fn in_image(image: &Path, confined: bool, program: &str) -> Command {
    let mut command = if confined {
        let mut command = Command::new("chroot");
        command.arg(image).arg(format!("/{program}"));
        command
    } else {
        let mut command = Command::new(image.join(program));
        command.current_dir(image);
        command
    };
    command.stdin(Stdio::null());
    command
}

fn serves(image: &Path, confined: bool) -> Result<()> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let folder = if confined { PathBuf::from("/") } else { image.to_owned() };
    let mut server = in_image(image, confined, "flux-resourceset")
        .env("API_MODE", "crud")
        .env("AUTH_TOKEN", "read")
        .env("CRUD_AUTH_TOKEN", "write")
        .env("DATABASE_URL", format!("sqlite://{}?mode=rwc", folder.join("data/fleet.db").display()))
        .env("SEED_FILE", folder.join("seed.json"))
        .env("LISTEN_ADDR", address.to_string())
        .spawn()
        .context("the static server does not start")?;
    let outcome = polled(&mut server, &format!("http://{address}"));
    let _gone = server.kill();
    let _reaped = server.wait();
    outcome
}

fn polled(server: &mut Child, url: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let poll = crate::poll::poll(url, "read", "demo-cluster-01.k8s.example.com", "platform-components");
        match poll {
            Ok(inputs) if !inputs.is_empty() => return Ok(()),
            Ok(_) => bail!("the static server answers the demo cluster with nothing"),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => {}
        }
        if let Some(status) = server.try_wait()? {
            bail!("the static server ended ({status})");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
