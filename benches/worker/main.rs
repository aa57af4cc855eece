//! The Rust half of the benchmarks: the bare system calls that each operation cannot do without, the
//! port called from Rust, and the readers of the mount table. `benches/golang` starts it, sends requests
//! on its standard input, one a line, and reads the answers, one a line: how many nanoseconds the timed
//! part took.
//!
//! Requests: `NAME COUNT ROOT [ARGUMENT ...]`. With `BENCH_MARK` in the environment each timed part
//! lies between two access(2) calls that a tracer can find.

mod floor;
mod port;
mod tables;

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

type Answer = Result<Duration, Box<dyn std::error::Error>>;

/// Adds up the time of the parts that count.
struct Watch {
    total: Duration,
    marks: bool,
}

impl Watch {
    fn new() -> Watch {
        Watch { total: Duration::ZERO, marks: std::env::var_os("BENCH_MARK").is_some() }
    }

    fn time<T>(&mut self, part: impl FnOnce() -> T) -> T {
        self.mark("/bench-mark-begin");
        let start = Instant::now();
        let result = part();
        self.total += start.elapsed();
        self.mark("/bench-mark-end");
        result
    }

    fn mark(&self, name: &str) {
        if self.marks {
            let _ = nix::unistd::access(name, nix::unistd::AccessFlags::F_OK);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            [name, count, root, ref rest @ ..] => perform(name, count.parse()?, root, rest),
            _ => Err("too few words".into()),
        };
        let mut out = std::io::stdout().lock();
        match answer {
            Ok(time) => writeln!(out, "{}", time.as_nanos())?,
            Err(error) => writeln!(out, "error: {line}: {error}")?,
        }
        out.flush()?;
    }
    Ok(())
}

fn perform(name: &str, count: usize, root: &str, rest: &[&str]) -> Answer {
    match (name, rest) {
        ("cycle", [source]) => floor::cycle(root, count, source),
        ("threads", [threads]) => floor::threads(root, count, threads.parse()?),
        ("mounted", []) => floor::mounted(root, count),
        ("mkdir", [levels]) => floor::make_dirs(root, count, levels.parse()?),
        ("clean", [sub_paths]) => floor::clean(root, count, sub_paths.parse()?),
        ("pod", [sub_paths]) => floor::pod(root, count, sub_paths.parse()?),
        ("is-mount-point", [path]) => floor::is_mount_point(path, count),
        ("port-cycle", [source]) => port::cycle(root, count, source),
        ("port-mounted", []) => port::mounted(root, count),
        ("port-clean", [sub_paths]) => port::clean(root, count, sub_paths.parse()?),
        ("port-mkdir", [levels]) => port::make_dirs(root, count, levels.parse()?),
        ("port-is-mount-point", [path]) => tables::is_mount_point(path, count),
        ("look-up", [file, target, reader]) => tables::look_up(file, target, reader, count),
        ("parse", [file, reader]) => tables::parse(file, reader, count),
        _ => Err("no such request".into()),
    }
}
