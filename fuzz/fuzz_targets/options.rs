//! Options of mount(8), any bytes: what is understood for the file system is understood once more, as the same
//! and nothing else.
//!
//! That it is what libmount makes of the options is tested by mountinfo/tests/libmount.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subpath_mountinfo::internal::option_flags;

fuzz_target!(|options: &[u8]| {
    let Some((_, data)) = option_flags(options) else { return };
    assert_eq!(option_flags(&data), Some((0, data)));
});
