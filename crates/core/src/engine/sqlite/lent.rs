//! Databases that lie in something else, an archive for example: SQLite reads their pages through whoever knows where they are.
//!
//! SQLite asks a system of files for all it reads. Ours has the files that are lent to it at present, by names of its own,
//! and leaves what SQLite puts aside meanwhile to the one of the operating system. Nothing is ever written through it.

#![allow(unsafe_code, reason = "SQLite takes a system of files as C functions")]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rusqlite::{Connection, OpenFlags, ffi};

/// The name of the system of files.
const NAME: &CStr = c"prontodb-lent";

/// Bytes that are read in any order, by several threads.
pub trait ReadAt: Send + Sync {
    /// How many there are.
    fn bytes(&self) -> u64;

    /// Fills `buffer` with those from `offset` on; all of it is within.
    ///
    /// # Errors
    /// Those of reading.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A file that nobody writes.
struct Whole {
    file: File,
    bytes: u64,
}

/// The bytes of a file that nobody writes.
///
/// # Errors
/// Those of opening it.
pub(super) fn whole_file(path: &Path) -> io::Result<Arc<dyn ReadAt>> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    Ok(Arc::new(Whole { file, bytes }))
}

impl ReadAt for Whole {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// What is lent at present, by the names that SQLite opens.
static LENT: Mutex<BTreeMap<String, Arc<dyn ReadAt>>> = Mutex::new(BTreeMap::new());

fn lent() -> MutexGuard<'static, BTreeMap<String, Arc<dyn ReadAt>>> {
    LENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the database that `bytes` are, to read it. What may be in a log is not looked at.
///
/// # Errors
/// Those of SQLite.
pub(super) fn connect(bytes: Arc<dyn ReadAt>) -> rusqlite::Result<Connection> {
    static LOANS: AtomicU64 = AtomicU64::new(0);
    register()?;
    let name = LOANS.fetch_add(1, Ordering::Relaxed).to_string();
    lent().insert(name.clone(), bytes);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags_and_vfs(&name, flags, NAME);
    // The file that was opened has it by now.
    lent().remove(&name);
    opened
}

/// Makes the system of files known to SQLite, once.
fn register() -> rusqlite::Result<()> {
    static DONE: OnceLock<c_int> = OnceLock::new();
    let code = DONE.get_or_init(|| {
        // SAFETY: what is found lives as long as the process, and so does the copy that is registered.
        unsafe {
            let Some(system) = ffi::sqlite3_vfs_find(ptr::null()).as_ref() else { return ffi::SQLITE_ERROR };
            let file_bytes = c_int::try_from(size_of::<LentFile>()).unwrap_or(c_int::MAX);
            let ours = ffi::sqlite3_vfs {
                szOsFile: system.szOsFile.max(file_bytes),
                pNext: ptr::null_mut(),
                zName: NAME.as_ptr(),
                xOpen: Some(open),
                xAccess: Some(access),
                xFullPathname: Some(full_name),
                ..*system
            };
            ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 0)
        }
    });
    match *code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
    }
}

/// A file as SQLite has it: what C knows of it stands in front.
#[repr(C)]
struct LentFile {
    base: ffi::sqlite3_file,
    bytes: Arc<dyn ReadAt>,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(refuse_write),
    xTruncate: Some(refuse_truncate),
    xSync: Some(ignore),
    xFileSize: Some(file_size),
    xLock: Some(ignore),
    xUnlock: Some(ignore),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a name that ends, or none; room for either kind of file; and a place for flags, or none.
    unsafe {
        if flags & ffi::SQLITE_OPEN_MAIN_DB == 0 {
            return match ffi::sqlite3_vfs_find(ptr::null()).as_mut() {
                Some(system) => match system.xOpen {
                    Some(open) => open(system, name, file, flags, flags_out),
                    None => ffi::SQLITE_CANTOPEN,
                },
                None => ffi::SQLITE_CANTOPEN,
            };
        }
        (*file).pMethods = ptr::null();
        if name.is_null() {
            return ffi::SQLITE_CANTOPEN;
        }
        let Some(bytes) = CStr::from_ptr(name).to_str().ok().and_then(|name| lent().get(name).cloned())
        else {
            return ffi::SQLITE_CANTOPEN;
        };
        let base = ffi::sqlite3_file { pMethods: &raw const METHODS };
        file.cast::<LentFile>().write(LentFile { base, bytes });
        if !flags_out.is_null() {
            *flags_out = flags;
        }
    }
    ffi::SQLITE_OK
}

/// There is nothing beside what is lent.
unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    _: *const c_char,
    _: c_int,
    result: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a place for it.
    unsafe { *result = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_name(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite passes a name that ends, and so much room.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes_with_nul();
        if name.len() > usize::try_from(room).unwrap_or(0) {
            return ffi::SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(name.as_ptr(), out.cast(), name.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes what `open` has written, once.
    unsafe { file.cast::<LentFile>().drop_in_place() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    let (Ok(length), Ok(offset)) = (usize::try_from(length), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_READ;
    };
    // SAFETY: `open` has written the file, one thread at a time uses it, and SQLite passes room for so many bytes.
    let (bytes, buffer) = unsafe {
        let to = to.cast::<u8>();
        // SQLite wants zeros behind the end, and a slice of Rust may hold nothing undefined.
        to.write_bytes(0, length);
        (&(*file.cast::<LentFile>()).bytes, std::slice::from_raw_parts_mut(to, length))
    };
    let behind = bytes.bytes().saturating_sub(offset);
    let there = usize::try_from(behind).unwrap_or(length).min(length);
    match bytes.read_at(&mut buffer[..there], offset) {
        Ok(()) if there < length => ffi::SQLITE_IOERR_SHORT_READ,
        Ok(()) => ffi::SQLITE_OK,
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn refuse_write(_: *mut ffi::sqlite3_file, _: *const c_void, _: c_int, _: i64) -> c_int {
    ffi::SQLITE_READONLY
}

unsafe extern "C" fn refuse_truncate(_: *mut ffi::sqlite3_file, _: i64) -> c_int {
    ffi::SQLITE_READONLY
}

unsafe extern "C" fn ignore(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: `open` has written the file, and SQLite passes a place for the size.
    unsafe { *size = i64::try_from((*file.cast::<LentFile>()).bytes.bytes()).unwrap_or(i64::MAX) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved(_: *mut ffi::sqlite3_file, result: *mut c_int) -> c_int {
    // SAFETY: SQLite passes a place for it.
    unsafe { *result = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4096
}

unsafe extern "C" fn characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    // So SQLite looks for no log and takes no locks.
    ffi::SQLITE_IOCAP_IMMUTABLE
}
