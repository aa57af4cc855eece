//! Serialization of records with serde (feature `serde`).
//!
//! A path or name becomes a string if it is UTF-8, and otherwise a map `{"hex": "…"}` with two
//! digits for each byte. Either can be turned back into the exact bytes.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use super::options::{MountOptions, OptionalFields, Propagation};
use super::record::MountRecord;

/// A path or a name.
struct Text<'a>(&'a OsStr);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(text) = self.0.to_str() {
            return serializer.serialize_str(text);
        }
        let mut hex = String::with_capacity(self.0.len() * 2);
        for byte in self.0.as_bytes() {
            let _ = write!(hex, "{byte:02x}"); // writing to a String does not fail
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("hex", &hex)?;
        map.end()
    }
}

impl Serialize for MountOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options: Vec<_> = self.iter().collect();
        serializer.collect_seq(options.iter().map(|option| Text(option)))
    }
}

impl Serialize for OptionalFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Text))
    }
}

impl Serialize for Propagation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("Propagation", 4)?;
        map.serialize_field("shared", &self.shared)?;
        map.serialize_field("master", &self.master)?;
        map.serialize_field("propagate_from", &self.propagate_from)?;
        map.serialize_field("unbindable", &self.unbindable)?;
        map.end()
    }
}

impl Serialize for MountRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("MountRecord", 13)?;
        map.serialize_field("id", &self.id)?;
        map.serialize_field("parent_id", &self.parent_id)?;
        map.serialize_field("major", &self.device.major)?;
        map.serialize_field("minor", &self.device.minor)?;
        map.serialize_field("root", &Text(self.root.as_os_str()))?;
        map.serialize_field("mount_point", &Text(self.mount_point.as_os_str()))?;
        map.serialize_field("mount_options", &self.mount_options)?;
        map.serialize_field("optional_fields", &self.optional_fields)?;
        map.serialize_field("propagation", &self.propagation)?;
        map.serialize_field("fs_type", &Text(&self.fs_type))?;
        map.serialize_field("source", &Text(&self.source))?;
        map.serialize_field("super_options", &self.super_options)?;
        map.serialize_field("deleted", &self.is_deleted())?;
        map.end()
    }
}
