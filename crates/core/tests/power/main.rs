//! Power cuts and failing disks: what is left is whole, in order, and has what was promised.
//!
//! A program of its own, for the disk of the testkit stands in front of all of SQLite's files in a process.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

mod cuts;
mod faults;
mod work;

use std::ffi::c_int;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prontodb_testkit::disk;

/// The disk, for one test at a time: what it does is done to the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    disk::install();
    disk::fail(None);
    alone
}

/// What Rust and SQLite call to have something on disk: the linker takes this in place of the C library's. Nothing waits here, for
/// nobody cuts the power of the real disk; the recording is told of folders.
#[expect(unsafe_code, reason = "it takes the place of a function of C")]
#[unsafe(no_mangle)]
extern "C" fn fsync(descriptor: c_int) -> c_int {
    let path = fs::read_link(PathBuf::from(format!("/proc/self/fd/{descriptor}")));
    if let Some(folder) = path.ok().filter(|path| path.is_dir()) {
        disk::folder_synced(&folder);
    }
    0
}
