//! The system of files that stands in front of the one that SQLite would use.
//!
//! Each of its files has the real one behind itself in memory, as SQLite's own shims do (`ext/misc/vfslog.c` of its sources shows
//! the way).

#![allow(unsafe_code, reason = "SQLite takes a system of files as C functions")]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_vfs};

use super::recording::{Event, Number};
use super::{Failure, Kind, state};

/// The system that does the work.
static REAL: AtomicPtr<sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());

fn real() -> *mut sqlite3_vfs {
    REAL.load(Ordering::Acquire)
}

/// A file of ours; the real one follows it.
#[repr(C)]
struct File {
    base: sqlite3_file,
    /// What it is in the recording.
    number: Option<Number>,
}

/// Has SQLite use this one from now on.
pub(super) fn register() {
    // SAFETY: SQLite has such a system for as long as the process lives, and the one that is registered is never freed.
    unsafe {
        let system = ffi::sqlite3_vfs_find(ptr::null());
        assert!(!system.is_null(), "SQLite has a system of files");
        REAL.store(system, Ordering::Release);
        let ours = sqlite3_vfs {
            szOsFile: c_int::try_from(size_of::<File>()).expect("a small number") + (*system).szOsFile,
            pNext: ptr::null_mut(),
            zName: c"prontodb-disk".as_ptr(),
            xOpen: Some(open),
            xDelete: Some(delete),
            ..*system
        };
        let code = ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1);
        assert_eq!(code, ffi::SQLITE_OK);
    }
}

/// # Safety
/// `file` was opened by [`open`].
unsafe fn behind(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: SQLite made room for both.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// Calls a method of the real file.
macro_rules! real {
    ($file:ident, $method:ident $(, $argument:expr)*) => {{
        let real = behind($file);
        match (*(*real).pMethods).$method {
            Some(method) => method(real $(, $argument)*),
            None => ffi::SQLITE_ERROR,
        }
    }};
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};

/// # Safety
/// A name that ends, or none.
unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    // SAFETY: as for the caller.
    (!name.is_null()).then(|| PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes())))
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes room for a file of ours with the real one behind it, and a name that ends, or none.
    unsafe {
        (*file).pMethods = ptr::null();
        if state().fails(Kind::Open).is_some() {
            return ffi::SQLITE_CANTOPEN;
        }
        let Some(open) = (*real()).xOpen else { return ffi::SQLITE_CANTOPEN };
        (*behind(file)).pMethods = ptr::null();
        let code = open(real(), name, behind(file), flags, flags_out);
        if code == ffi::SQLITE_OK {
            let recorder = &mut state().recorder;
            let number = path_of(name).and_then(|path| recorder.as_mut()?.opened(&path));
            file.cast::<File>().write(File { base: sqlite3_file { pMethods: &raw const METHODS }, number });
        }
        code
    }
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, syncs_folder: c_int) -> c_int {
    // SAFETY: SQLite passes a name that ends.
    unsafe {
        if state().fails(Kind::Delete).is_some() {
            return ffi::SQLITE_IOERR_DELETE;
        }
        let Some(delete) = (*real()).xDelete else { return ffi::SQLITE_ERROR };
        let code = delete(real(), name, syncs_folder);
        if let (ffi::SQLITE_OK, Some(path), Some(recorder)) = (code, path_of(name), &mut state().recorder) {
            recorder.deleted(&path);
        }
        code
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes what `open` has opened.
    unsafe { real!(file, xClose) }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, length: c_int, offset: i64) -> c_int {
    if state().fails(Kind::Read).is_some() {
        return ffi::SQLITE_IOERR_READ;
    }
    // SAFETY: as SQLite calls it.
    unsafe { real!(file, xRead, to, length, offset) }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    let (failed, length) = match state().fails(Kind::Write) {
        None => (ffi::SQLITE_OK, length),
        Some(Failure::NoSpace) => return ffi::SQLITE_FULL,
        Some(Failure::Io | Failure::Sync | Failure::Gone) => return ffi::SQLITE_IOERR_WRITE,
        Some(Failure::Short) => (ffi::SQLITE_FULL, length / 2),
    };
    // SAFETY: SQLite passes so many bytes, and a file that `open` has opened.
    unsafe {
        let code = real!(file, xWrite, from, length, offset);
        if code != ffi::SQLITE_OK {
            return code;
        }
        let bytes = std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(length).unwrap_or(0));
        record(file, |file| {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            Event::Write { file, offset, bytes: bytes.to_vec() }
        });
    }
    failed
}

/// Writes down what was done to a file.
///
/// # Safety
/// `file` was opened by [`open`].
unsafe fn record(file: *mut sqlite3_file, event: impl FnOnce(Number) -> Event) {
    // SAFETY: as for the caller.
    let number = unsafe { (*file.cast::<File>()).number };
    if let (Some(number), Some(recorder)) = (number, &mut state().recorder) {
        recorder.add(event(number));
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: i64) -> c_int {
    if state().fails(Kind::Truncate).is_some() {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    // SAFETY: as SQLite calls it.
    unsafe {
        let code = real!(file, xTruncate, length);
        if code == ffi::SQLITE_OK {
            record(file, |file| Event::Truncate { file, length: usize::try_from(length).unwrap_or(0) });
        }
        code
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    let failure = state().fails(Kind::Sync);
    let event = |file| if failure.is_some() { Event::SyncFailed { file } } else { Event::Sync { file } };
    if failure != Some(Failure::Gone) {
        // The real disk need not wait: nobody cuts its power.
        // SAFETY: as SQLite calls it.
        unsafe { record(file, event) };
    }
    if failure.is_some() { ffi::SQLITE_IOERR_FSYNC } else { ffi::SQLITE_OK }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: as SQLite calls it, here and in all that follow.
    unsafe { real!(file, xFileSize, size) }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xLock, level) }
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xUnlock, level) }
}

unsafe extern "C" fn check_reserved(file: *mut sqlite3_file, result: *mut c_int) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xCheckReservedLock, result) }
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, what: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xFileControl, what, argument) }
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xSectorSize) }
}

unsafe extern "C" fn characteristics(file: *mut sqlite3_file) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xDeviceCharacteristics) }
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    page: c_int,
    bytes: c_int,
    extends: c_int,
    to: *mut *mut c_void,
) -> c_int {
    if state().fails(Kind::Share).is_some() {
        return ffi::SQLITE_IOERR_SHMMAP;
    }
    // SAFETY: see above.
    unsafe { real!(file, xShmMap, page, bytes, extends, to) }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xShmLock, offset, count, flags) }
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: see above.
    unsafe {
        let real = behind(file);
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, deletes: c_int) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xShmUnmap, deletes) }
}

/// There is no memory that is the file: so all that is read can fail.
unsafe extern "C" fn fetch(_: *mut sqlite3_file, _: i64, _: c_int, to: *mut *mut c_void) -> c_int {
    // SAFETY: SQLite passes a place for it.
    unsafe { *to = ptr::null_mut() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn unfetch(_: *mut sqlite3_file, _: i64, _: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}
