//! What the measurements were made on: figures of one machine say nothing of another, ratios do.

use std::fmt;
use std::fs;

use anyhow::Result;

/// The machine.
pub(super) struct Machine {
    processor: String,
    cores: usize,
    memory_gib: f64,
    kernel: String,
}

impl Machine {
    pub(super) fn this() -> Result<Self> {
        let field = |file: &str, name: &str| -> Result<String> {
            let text = fs::read_to_string(file)?;
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            Ok(line.split_once(':').map_or("", |(_, value)| value.trim()).to_owned())
        };
        let memory = field("/proc/meminfo", "MemTotal")?;
        let kib: f64 = memory.trim_end_matches(" kB").parse()?;
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        Ok(Machine {
            processor: field("/proc/cpuinfo", "model name")?,
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: kib / 1024.0 / 1024.0,
            // What follows the version is whoever built it.
            kernel: kernel.trim().split('-').next().unwrap_or_default().to_owned(),
        })
    }
}

/// How busy it is: the load averages of the last 1, 5 and 15 minutes.
pub(super) fn load() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(load.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, cores, memory_gib, kernel } = self;
        write!(
            f,
            "{cores} cores ({processor}), {memory_gib:.0} GiB of memory, Linux {kernel}; \
             generator, peer and server share the cores"
        )
    }
}
