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

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Answer = Result<Duration, Failure>;

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

/// A pod's directory, and one way to prepare and to clean sub paths in it.
trait Pod {
    fn prepare(&mut self, sub_paths: usize) -> Result<(), Failure>;
    fn clean(&mut self, sub_paths: usize) -> Result<(), Failure>;

    fn cycle(&mut self, count: usize, sub_paths: usize) -> Result<(), Failure> {
        (0..count).try_for_each(|_| {
            self.prepare(sub_paths)?;
            self.clean(sub_paths)
        })
    }
}

fn cycle(mut pod: impl Pod, count: usize, sub_paths: usize) -> Answer {
    let mut watch = Watch::new();
    watch.time(|| pod.cycle(count, sub_paths))?;
    Ok(watch.total)
}

fn clean(mut pod: impl Pod, count: usize, sub_paths: usize) -> Answer {
    let mut watch = Watch::new();
    for _ in 0..count {
        pod.prepare(sub_paths)?;
        watch.time(|| pod.clean(sub_paths))?;
    }
    Ok(watch.total)
}

/// Times what is done where the sub path is mounted already.
fn mounted<P: Pod>(
    mut pod: P,
    count: usize,
    mut again: impl FnMut(&mut P) -> Result<(), Failure>,
) -> Answer {
    let mut watch = Watch::new();
    pod.prepare(1)?;
    let done = watch.time(|| (0..count).try_for_each(|_| again(&mut pod)));
    pod.clean(1)?;
    done?;
    Ok(watch.total)
}

fn main() -> Result<(), Failure> {
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
        ("cycle", [source]) => cycle(floor::Bare::new(root, "floor", source)?, count, 1),
        ("threads", [threads]) => floor::threads(root, count, threads.parse()?),
        ("mounted", []) => {
            mounted(floor::Bare::new(root, "floor", "dir")?, count, |pod| pod.is_mounted())
        }
        ("mkdir", [levels]) => floor::make_dirs(root, count, levels.parse()?),
        ("clean", [n]) => clean(floor::Bare::new(root, "floor", "dir")?, count, n.parse()?),
        ("pod", [n]) => cycle(floor::Bare::new(root, "floor", "dir")?, count, n.parse()?),
        ("mounting-tmpfs", [_]) => floor::mount_and_unmount(root, count, floor::mount_tmpfs),
        ("mounting-bind", [source]) => {
            floor::mount_and_unmount(root, count, |at| floor::bind_read_only(source, at))
        }
        ("mounting-remount", [_]) => floor::remount(root, count),
        ("is-mount-point", [path]) => floor::is_mount_point(path, count),
        ("port-cycle", [source]) => cycle(port::Port::new(root, source)?, count, 1),
        ("port-mounted", []) => mounted(port::Port::new(root, "dir")?, count, |pod| pod.prepare(1)),
        ("port-clean", [n]) => clean(port::Port::new(root, "dir")?, count, n.parse()?),
        ("port-mkdir", [levels]) => port::make_dirs(root, count, levels.parse()?),
        ("port-is-mount-point", [path]) => tables::is_mount_point(path, count),
        ("look-up", [file, target, reader]) => tables::look_up(file, target, reader, count),
        ("parse", [file, reader]) => tables::parse(file, reader, count),
        _ => Err("no such request".into()),
    }
}
