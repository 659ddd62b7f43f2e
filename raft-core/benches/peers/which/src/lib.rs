//! Stands in for the crate `which` while the peers are built.
//!
//! The crate `raft` compiles its messages with `prost-build` 0.11, which wants a `protoc` on the
//! machine, asks the crate `which` where it is, and has no feature to bring one along. This answers
//! with the one that `protoc-bin-vendored` carries. `PROTOC` in the environment still goes first.

use std::ffi::OsStr;
use std::path::PathBuf;

/// Where the program `name` is. Only `protoc` is known.
///
/// # Errors
///
/// For any other program, and for platforms without a vendored `protoc`.
pub fn which(name: impl AsRef<OsStr>) -> Result<PathBuf, String> {
    if name.as_ref() != "protoc" {
        return Err(format!("only protoc is known here, not {}", name.as_ref().display()));
    }
    protoc_bin_vendored::protoc_bin_path().map_err(|error| error.to_string())
}
