//! The program's allocator: made for commands that live for a millisecond.
//!
//! A one-shot makes some thousand small allocations and then exits. Fetching their pages from the kernel one fault at a
//! time costs more than all it does with them, so the first pages are fetched in one go, and blocks are cut from the
//! front of a chunk. What is freed goes to a list of blocks of its size, so that commands that run for hours stay small.
//! Blocks above 128 KiB, and those of unusual alignment, are left to the system. docs/performance.md has the figures.

#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::hint;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The largest block that is cut from a chunk.
const MAX_BLOCK: usize = 128 * 1024;
/// Blocks start at multiples of this.
const GRAIN: usize = 16;
/// Sizes up to this have a list for every multiple of [`GRAIN`]; above, four lists for every doubling.
const MAX_FINE: usize = 1024;
const FINE_CLASSES: usize = MAX_FINE / GRAIN;
const CLASSES: usize = FINE_CLASSES + 4 * (MAX_BLOCK / MAX_FINE).ilog2() as usize;
/// What is fetched from the kernel at a time.
const CHUNK: usize = 1024 * 1024;
/// How much of the first chunk is fetched at once: what a `get` needs.
const PREFETCHED: usize = 96 * 1024;

/// The allocator; one for the program.
pub struct Arena {
    busy: AtomicBool,
    state: UnsafeCell<State>,
}

struct State {
    /// The uncut rest of the chunk.
    next: *mut u8,
    end: *mut u8,
    /// Freed blocks of each class, each holding a pointer to the one freed before it.
    free: [*mut u8; CLASSES],
}

// SAFETY: the state is only touched by whoever has set `busy`.
unsafe impl Sync for Arena {}

impl Arena {
    /// An arena that holds nothing yet.
    pub const fn new() -> Self {
        let state = State { next: ptr::null_mut(), end: ptr::null_mut(), free: [ptr::null_mut(); CLASSES] };
        Self { busy: AtomicBool::new(false), state: UnsafeCell::new(state) }
    }

    /// Runs `body` while no other thread does. It is a few instructions long, so waiting threads spin.
    fn locked<T>(&self, body: impl FnOnce(&mut State) -> T) -> T {
        while self.busy.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            hint::spin_loop();
        }
        // SAFETY: `busy` is ours until it is cleared below, and `body` cannot reach this arena.
        let result = body(unsafe { &mut *self.state.get() });
        self.busy.store(false, Ordering::Release);
        result
    }
}

// SAFETY: blocks are as large as their class, aligned to GRAIN, and belong to one owner between alloc and dealloc; whether
// a block is ours follows from its layout alone, so both sides agree.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class_of(layout) {
            Some(class) => self.locked(|state| state.take(class)),
            // SAFETY: the caller's promise is passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class_of(layout) {
            Some(class) => self.locked(|state| state.give_back(block, class)),
            // SAFETY: the block came from the system for the same reason.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises a size that makes a layout with this alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        match (class_of(layout), class_of(new_layout)) {
            (Some(old), Some(new)) if old == new => block,
            // SAFETY: the caller's promise is passed on.
            (None, None) => unsafe { System.realloc(block, layout, new_size) },
            // SAFETY: both blocks are at least as long as what is copied, and the old one is not used again.
            _ => unsafe {
                let moved = self.alloc(new_layout);
                if !moved.is_null() {
                    ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                    self.dealloc(block, layout);
                }
                moved
            },
        }
    }
}

impl State {
    fn take(&mut self, class: usize) -> *mut u8 {
        let freed = self.free[class];
        if freed.is_null() {
            return self.cut(class_size(class));
        }
        // SAFETY: `give_back` wrote the pointer there, and nobody owns the block.
        self.free[class] = unsafe { freed.cast::<*mut u8>().read() };
        freed
    }

    fn give_back(&mut self, block: *mut u8, class: usize) {
        // SAFETY: the block is at least GRAIN long, aligned, and no longer owned.
        unsafe { block.cast::<*mut u8>().write(self.free[class]) };
        self.free[class] = block;
    }

    /// Cuts `size` bytes from the chunk; from a new one when too little is left.
    fn cut(&mut self, size: usize) -> *mut u8 {
        if self.end.addr() - self.next.addr() < size && !self.fetch() {
            return ptr::null_mut();
        }
        let block = self.next;
        // SAFETY: that much is left of the chunk.
        self.next = unsafe { block.add(size) };
        block
    }

    /// Begins a new chunk. What is left of the old one is lost: less than an eighth.
    fn fetch(&mut self) -> bool {
        let is_first = self.end.is_null();
        // SAFETY: an anonymous mapping at no fixed address touches nothing that is there; on failure nothing is used.
        unsafe {
            let (kind, access) =
                (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
            let chunk = libc::mmap(ptr::null_mut(), CHUNK, access, kind, -1, 0);
            if chunk == libc::MAP_FAILED {
                return false;
            }
            #[cfg(target_os = "linux")]
            if is_first {
                // Only a matter of speed, and unknown to kernels before 5.14.
                libc::madvise(chunk, PREFETCHED, libc::MADV_POPULATE_WRITE);
            }
            self.next = chunk.cast();
            self.end = self.next.add(CHUNK);
        }
        true
    }
}

/// The class of a layout; `None` when the system serves it.
#[inline]
fn class_of(layout: Layout) -> Option<usize> {
    let size = layout.size();
    if size > MAX_BLOCK || layout.align() > GRAIN {
        return None;
    }
    if size <= MAX_FINE {
        return Some(size.div_ceil(GRAIN).max(1) - 1);
    }
    // Four steps from each power of two to the next: 1280, 1536, 1792, 2048, 2560, …
    let doubling = (size - 1).ilog2();
    let step = (size - 1) >> (doubling - 2) & 3;
    Some(FINE_CLASSES + 4 * (doubling - MAX_FINE.ilog2()) as usize + step)
}

/// The length of the blocks of a class.
fn class_size(class: usize) -> usize {
    match class.checked_sub(FINE_CLASSES) {
        None => (class + 1) * GRAIN,
        Some(coarse) => (MAX_FINE / 4 * (coarse % 4 + 5)) << (coarse / 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    #[test]
    fn every_size_has_the_smallest_class_that_holds_it() {
        for size in 0..=MAX_BLOCK {
            let class = class_of(layout(size)).unwrap();
            assert!(class_size(class) >= size, "{size}");
            assert!(class == 0 || class_size(class - 1) < size, "{size}");
        }
        assert_eq!(class_of(layout(MAX_BLOCK)), Some(CLASSES - 1));
        assert_eq!(class_of(layout(MAX_BLOCK + 1)), None);
        assert_eq!(class_of(Layout::from_size_align(32, 32).unwrap()), None);
    }

    #[test]
    fn blocks_are_aligned_and_never_overlap() {
        let arena = Arena::new();
        let mut blocks = Vec::new();
        for round in 0..2_000_usize {
            let layout = layout(round * 37 % 40_000 + 1);
            // SAFETY: the layout has a size, and what is written lies within it.
            let block = unsafe { arena.alloc(layout) };
            assert!(!block.is_null() && block.addr() % 8 == 0);
            // SAFETY: as above.
            unsafe { block.write_bytes(round as u8, layout.size()) };
            blocks.push((block, layout, round as u8));
            if round % 3 == 0 {
                let (block, layout, _) = blocks.swap_remove(round / 3 % blocks.len());
                // SAFETY: it was allocated with this layout and is forgotten.
                unsafe { arena.dealloc(block, layout) };
            }
        }
        for (block, layout, fill) in blocks {
            // SAFETY: all of the block was written.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            assert!(bytes.iter().all(|byte| *byte == fill));
        }
    }

    #[test]
    fn what_is_freed_is_used_again() {
        let arena = Arena::new();
        // SAFETY: each block is freed once, with its layout.
        unsafe {
            let first = arena.alloc(layout(100));
            arena.dealloc(first, layout(100));
            assert_eq!(arena.alloc(layout(97)), first);
        }
    }

    #[test]
    fn growing_keeps_the_contents() {
        let arena = Arena::new();
        // SAFETY: sizes and layouts go together as GlobalAlloc asks.
        unsafe {
            let mut block = arena.alloc(layout(8));
            block.cast::<u64>().write(0x1234_5678);
            let mut size = 8;
            for next in [16, 17, 1000, 1025, 30_000, 40_000, 100_000, 20] {
                block = arena.realloc(block, layout(size), next);
                size = next;
                assert_eq!(block.cast::<u64>().read(), 0x1234_5678, "{next}");
            }
        }
    }
}
