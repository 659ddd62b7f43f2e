//! Where results are written: looked at before there are any.

use crate::cli::{Failure, file};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

/// Whether this names the standard output.
pub(super) fn is_output(path: Option<&Path>) -> bool {
    path.is_some_and(|path| path.as_os_str() == "-")
}

/// Whether a file can be written, without changing it, or leaving one where there was none.
///
/// # Errors
///
/// Why it cannot.
pub(super) fn check_file(path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path.filter(|path| !is_output(Some(path))) else { return Ok(()) };
    // A pipe or a device is opened once, when there is something to write.
    let known = fs::metadata(path).ok();
    if known.as_ref().is_some_and(|known| !known.is_file() && !known.is_dir()) {
        return Ok(());
    }
    file(path, OpenOptions::new().append(true).create(true).open(path))?;
    if known.is_none() { file(path, fs::remove_file(path)) } else { Ok(()) }
}

/// Whether files can be written into a folder, which is made for that if there is none, and then
/// removed again.
///
/// # Errors
///
/// Why they cannot.
pub(super) fn check_folder(folder: &Path) -> Result<(), Failure> {
    let is_new = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let made: Vec<&Path> = folder.ancestors().take_while(is_new).collect();
    let looked = fs::create_dir_all(folder).and_then(|()| try_in(folder));
    for path in made {
        // Another sweep may have put something into it.
        let _ = fs::remove_dir(path);
    }
    file(folder, looked)
}

fn try_in(folder: &Path) -> io::Result<()> {
    let trial = folder.join(format!(".raft-sim-{}", std::process::id()));
    fs::write(&trial, "")?;
    fs::remove_file(&trial)
}
