//! Where the captured inputs lie, when this machine has them.

use std::path::PathBuf;

/// The folder named by `KARAT_REAL_INPUTS`; `None`, said aloud, when it is not set.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("KARAT_REAL_INPUTS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: KARAT_REAL_INPUTS does not name the folder of captured inputs");
    }
    folder
}
