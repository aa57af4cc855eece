//! Prints the mount table as JSON, one mount per line; or the mount that a path is on.
//!
//! `cargo run -p subpath-mountinfo --example mounts [PATH]`

use std::io::{self, BufWriter, Write};

use subpath_mountinfo::MountRecord;
use subpath_mountinfo::table::{MountReader, MountTable};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    if let Some(path) = std::env::args_os().nth(1) {
        // The table has no symbolic links.
        let path = std::fs::canonicalize(path)?;
        if let Some(mount) = MountTable::current()?.covering(path)? {
            print(&mut out, &mount)?;
        }
    } else {
        for mount in MountReader::open("/proc/thread-self/mountinfo")? {
            print(&mut out, &mount?)?;
        }
    }
    Ok(out.flush()?)
}

fn print(out: &mut impl Write, mount: &MountRecord) -> io::Result<()> {
    serde_json::to_writer(&mut *out, mount)?;
    out.write_all(b"\n")
}
