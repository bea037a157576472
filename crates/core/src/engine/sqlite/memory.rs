//! SQLite's memory from the allocator of the Rust program, so that one allocator serves both.

#![allow(unsafe_code, reason = "SQLite takes an allocator as C functions")]

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::ffi::{c_int, c_void};
use std::ptr;

use rusqlite::ffi;

/// Room in front of each block for its length, which C's `free` does not tell; keeps blocks aligned to 16.
const HEADER: usize = 16;

/// Has SQLite take its memory from the program's global allocator.
///
/// That holds for all of the process, so it is for programs, not for libraries, to call, before the first database is
/// opened; later calls change nothing.
pub fn share_allocator() {
    let methods = ffi::sqlite3_mem_methods {
        xMalloc: Some(take),
        xFree: Some(give_back),
        xRealloc: Some(resize),
        xSize: Some(size),
        xRoundup: Some(round_up),
        xInit: Some(init),
        xShutdown: Some(shutdown),
        pAppData: ptr::null_mut(),
    };
    // SAFETY: SQLite copies the methods. It refuses the call when it is already in use, and then keeps its own.
    unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const methods) };
}

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(HEADER)?, HEADER).ok()
}

/// Notes the length of a fresh block and returns what lies behind the note.
///
/// # Safety
/// `block` is null or at least `HEADER` long and aligned to it.
unsafe fn label(block: *mut u8, bytes: usize) -> *mut c_void {
    if block.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: see above.
    unsafe {
        block.cast::<usize>().write(bytes);
        block.add(HEADER).cast()
    }
}

/// The start of the block behind `memory`, and the length that was asked for.
///
/// # Safety
/// `memory` came from `label`.
unsafe fn unlabel(memory: *mut c_void) -> (*mut u8, usize) {
    // SAFETY: see above.
    unsafe {
        let block = memory.cast::<u8>().sub(HEADER);
        (block, block.cast::<usize>().read())
    }
}

unsafe extern "C" fn take(bytes: c_int) -> *mut c_void {
    let bytes = usize::try_from(bytes).unwrap_or(0);
    match layout(bytes) {
        // SAFETY: the layout is at least HEADER long.
        Some(layout) => unsafe { label(alloc(layout), bytes) },
        None => ptr::null_mut(),
    }
}

unsafe extern "C" fn give_back(memory: *mut c_void) {
    if memory.is_null() {
        return;
    }
    // SAFETY: SQLite returns what it got from `take` or `resize`, once.
    unsafe {
        let (block, bytes) = unlabel(memory);
        if let Some(layout) = layout(bytes) {
            dealloc(block, layout);
        }
    }
}

unsafe extern "C" fn resize(memory: *mut c_void, bytes: c_int) -> *mut c_void {
    let bytes = usize::try_from(bytes).unwrap_or(0);
    // SAFETY: SQLite passes what it got from `take` or `resize`; both layouts exist because the sizes fit a C int.
    unsafe {
        let (block, old) = unlabel(memory);
        match (layout(old), layout(bytes)) {
            (Some(old), Some(new)) => label(realloc(block, old, new.size()), bytes),
            _ => ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn size(memory: *mut c_void) -> c_int {
    if memory.is_null() {
        return 0;
    }
    // SAFETY: SQLite passes what it got from `take` or `resize`.
    let (_, bytes) = unsafe { unlabel(memory) };
    c_int::try_from(bytes).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn round_up(bytes: c_int) -> c_int {
    bytes.checked_add(7).map_or(bytes, |padded| padded & !7)
}

unsafe extern "C" fn init(_: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn shutdown(_: *mut c_void) {}
