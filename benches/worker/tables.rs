//! The mount table's readers: the port's, and procfs as it is.

use std::hint::black_box;

use procfs::FromRead;
use procfs::process::MountInfos;
use subpath_mountinfo::{KernelMounter, MountTable, Mounter, Place};

use super::{Answer, Failure, Watch};

pub fn is_mount_point(path: &str, count: usize) -> Answer {
    let mut watch = Watch::new();
    watch.time(|| {
        (0..count).try_for_each(|_| {
            KernelMounter.is_mount_point(Place::at(&path)).map(|m| assert!(black_box(m)))
        })
    })?;
    Ok(watch.total)
}

/// Opens a table and looks one mount point up in it.
pub fn look_up(file: &str, target: &str, reader: &str, count: usize) -> Answer {
    let mut watch = Watch::new();
    let found = watch.time(|| -> Result<usize, Failure> {
        let mut found = 0;
        for _ in 0..count {
            found += match reader {
                "port" => MountTable::open(file)?.at(target)?.len(),
                "procfs" => MountInfos::from_file(file)?
                    .0
                    .iter()
                    .filter(|mount| mount.mount_point.as_os_str() == target)
                    .count(),
                "bare" => read(file).map(|()| 1)?,
                _ => return Err("no such reader".into()),
            };
        }
        Ok(found)
    })?;
    if found != count {
        return Err(format!("found {found} times in {count} tables").into());
    }
    Ok(watch.total)
}

/// Opens a table and parses every field of every line.
pub fn parse(file: &str, reader: &str, count: usize) -> Answer {
    let mut watch = Watch::new();
    watch.time(|| -> Result<(), Failure> {
        for _ in 0..count {
            match reader {
                "port" => drop(black_box(MountTable::open(file)?.records()?)),
                "procfs" => drop(black_box(MountInfos::from_file(file)?)),
                "bare" => read(file)?,
                _ => return Err("no such reader".into()),
            }
        }
        Ok(())
    })?;
    Ok(watch.total)
}

/// What no reader can do without: every byte comes through read(2).
fn read(file: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::open(file)?;
    let mut buffer = [0; 64 << 10];
    while std::io::Read::read(&mut file, &mut buffer)? > 0 {
        black_box(&buffer);
    }
    Ok(())
}
