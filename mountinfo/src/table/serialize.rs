//! Records for serde: JSON and the like.
//!
//! A field that is UTF-8 becomes a string, any other `{"hex": "…"}` with two digits per byte, so
//! that nothing is lost and nothing mistaken.

use std::fmt::Write as _;

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use super::options::{MountOptions, OptionalFields, Propagation};
use super::record::MountRecord;

/// Bytes as a string or as `{"hex": "…"}`.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(self.0) {
            return serializer.serialize_str(text);
        }
        let mut hex = String::with_capacity(self.0.len() * 2);
        for byte in self.0 {
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
        serializer.collect_seq(options.iter().map(|option| Bytes(option)))
    }
}

impl Serialize for OptionalFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Bytes))
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
        map.serialize_field("root", &Bytes(&self.root))?;
        map.serialize_field("mount_point", &Bytes(&self.mount_point))?;
        map.serialize_field("mount_options", &self.mount_options)?;
        map.serialize_field("optional_fields", &self.optional_fields)?;
        map.serialize_field("propagation", &self.propagation)?;
        map.serialize_field("fs_type", &Bytes(&self.fs_type))?;
        map.serialize_field("source", &Bytes(&self.source))?;
        map.serialize_field("super_options", &self.super_options)?;
        map.serialize_field("deleted", &self.is_deleted())?;
        map.end()
    }
}
