//! Copying and comparing memory, in place of the C library of static binaries.
//!
//! On x86-64 musl copies with `rep movsq`, which on many processors takes longer to begin than a row takes to copy, and
//! compares one byte at a time. SQLite and the listings do little else: a scan of a million entries spent two fifths of
//! its time there (docs/performance.md). These take 16 bytes at a time, and short lengths in two overlapping pieces.

#![allow(unsafe_code, reason = "these are the functions that everything else is made safe with")]

use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_storeu_si128};
use std::cmp::Ordering;
use std::ffi::c_int;

/// Bytes that are compared at a time.
const PIECE: usize = size_of::<__m128i>();

type Two = (__m128i, __m128i);
type Four = (Two, Two);

/// Bytes that are copied in one turn of a loop.
const TURN: usize = size_of::<Four>();

/// C's `memcpy`. Whatever overlaps is copied all the same, as by [`memmove`].
///
/// # Safety
/// `length` bytes can be read at `from`, and written at `to`.
#[cfg_attr(target_env = "musl", unsafe(no_mangle))]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: the caller's promise is the one that is asked for.
    unsafe { copy(to, from, length) };
    to
}

/// C's `memmove`.
///
/// # Safety
/// As for [`memcpy`].
#[cfg_attr(target_env = "musl", unsafe(no_mangle))]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: the caller's promise is the one that is asked for.
    unsafe { copy(to, from, length) };
    to
}

/// C's `memcmp`.
///
/// # Safety
/// `length` bytes can be read at either place.
#[cfg_attr(target_env = "musl", unsafe(no_mangle))]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, length: usize) -> c_int {
    // SAFETY: the caller's promise is the one that is asked for.
    unsafe { compare(a, b, length) as c_int }
}

/// BSD's `bcmp`, which Rust compares slices with.
///
/// # Safety
/// As for [`memcmp`].
#[cfg_attr(target_env = "musl", unsafe(no_mangle))]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, length: usize) -> c_int {
    // SAFETY: the caller's promise is the one that is asked for.
    unsafe { compare(a, b, length) as c_int }
}

/// Copies all that is short in one go: everything is read before anything is written, so overlaps do not matter.
#[inline(always)]
unsafe fn copy(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: all offsets lie within the `length` bytes that the caller vouches for.
    unsafe {
        match length {
            0 => {}
            1 => to.write(from.read()),
            2..4 => copy_ends::<u16>(to, from, length),
            4..8 => copy_ends::<u32>(to, from, length),
            8..16 => copy_ends::<u64>(to, from, length),
            16..=32 => copy_ends::<__m128i>(to, from, length),
            33..=64 => copy_ends::<Two>(to, from, length),
            65..=128 => copy_ends::<Four>(to, from, length),
            _ if to.addr().wrapping_sub(from.addr()) >= length => copy_forwards(to, from, length),
            _ => copy_backwards(to, from, length),
        }
    }
}

/// Copies the first and the last piece; they overlap, or meet.
#[inline(always)]
unsafe fn copy_ends<P: Piece>(to: *mut u8, from: *const u8, length: usize) {
    let last = length - size_of::<P>();
    // SAFETY: as for `copy`; the caller has seen to it that a piece is no longer than `length`.
    unsafe {
        let (front, back) = (P::load(from), P::load(from.add(last)));
        front.store(to);
        back.store(to.add(last));
    }
}

/// For copies to a place in front of the old one, or far from it.
#[inline(always)]
unsafe fn copy_forwards(to: *mut u8, from: *const u8, length: usize) {
    let last = length - TURN;
    let mut at = 0;
    // SAFETY: as for `copy`; `length` is more than a turn.
    unsafe {
        let back = Four::load(from.add(last));
        while at < last {
            Four::load(from.add(at)).store(to.add(at));
            at += TURN;
        }
        back.store(to.add(last));
    }
}

/// For copies to a place behind the old one that overlaps it.
#[inline(always)]
unsafe fn copy_backwards(to: *mut u8, from: *const u8, length: usize) {
    let mut at = length;
    // SAFETY: as for `copy`; `length` is more than a turn.
    unsafe {
        let front = Four::load(from);
        while at > TURN {
            at -= TURN;
            Four::load(from.add(at)).store(to.add(at));
        }
        front.store(to);
    }
}

/// Compares as unsigned bytes, the first that differ decide.
#[inline(always)]
unsafe fn compare(a: *const u8, b: *const u8, length: usize) -> Ordering {
    // SAFETY: all offsets lie within the `length` bytes that the caller vouches for.
    unsafe {
        match length {
            0 => Ordering::Equal,
            1 => a.read().cmp(&b.read()),
            2..4 => compare_ends(a, b, length - 2, |place| u16::from_be(u16::load(place))),
            4..8 => compare_ends(a, b, length - 4, |place| u32::from_be(u32::load(place))),
            8..16 => compare_ends(a, b, length - 8, |place| u64::from_be(u64::load(place))),
            _ => compare_pieces(a, b, length),
        }
    }
}

/// Compares the first and the last bytes as numbers that order like them.
#[inline(always)]
unsafe fn compare_ends<N: Ord>(
    a: *const u8,
    b: *const u8,
    last: usize,
    load: impl Fn(*const u8) -> N,
) -> Ordering {
    // SAFETY: as for `compare`.
    let (a_back, b_back) = unsafe { (a.add(last), b.add(last)) };
    load(a).cmp(&load(b)).then_with(|| load(a_back).cmp(&load(b_back)))
}

#[inline(always)]
unsafe fn compare_pieces(a: *const u8, b: *const u8, length: usize) -> Ordering {
    let last = length - PIECE;
    let mut at = 0;
    loop {
        // SAFETY: as for `compare`; `length` is at least a piece, and `at` at most `last`.
        let equal = unsafe { _mm_cmpeq_epi8(__m128i::load(a.add(at)), __m128i::load(b.add(at))) };
        // SAFETY: SSE2 is part of x86-64.
        let differing = !unsafe { _mm_movemask_epi8(equal) } & 0xffff;
        if differing != 0 {
            let place = at + differing.trailing_zeros() as usize;
            // SAFETY: the place lies within the piece.
            return unsafe { a.add(place).read().cmp(&b.add(place).read()) };
        }
        if at == last {
            return Ordering::Equal;
        }
        at = (at + PIECE).min(last);
    }
}

/// What is read and written at a time, at any address.
trait Piece: Copy {
    /// # Safety
    /// There is as much to read at `place`.
    unsafe fn load(place: *const u8) -> Self;

    /// # Safety
    /// There is as much room at `place`.
    unsafe fn store(self, place: *mut u8);
}

macro_rules! number_pieces {
    ($($number:ty),*) => {$(
        impl Piece for $number {
            #[inline(always)]
            unsafe fn load(place: *const u8) -> Self {
                // SAFETY: the caller's promise.
                unsafe { place.cast::<Self>().read_unaligned() }
            }

            #[inline(always)]
            unsafe fn store(self, place: *mut u8) {
                // SAFETY: the caller's promise.
                unsafe { place.cast::<Self>().write_unaligned(self) }
            }
        }
    )*};
}
number_pieces!(u16, u32, u64);

impl Piece for __m128i {
    #[inline(always)]
    unsafe fn load(place: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm_loadu_si128(place.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, place: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { _mm_storeu_si128(place.cast(), self) }
    }
}

/// Two pieces, one behind the other. (Arrays would be copied to the stack in between.)
impl<P: Piece> Piece for (P, P) {
    #[inline(always)]
    unsafe fn load(place: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe { (P::load(place), P::load(place.add(size_of::<P>()))) }
    }

    #[inline(always)]
    unsafe fn store(self, place: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            self.0.store(place);
            self.1.store(place.add(size_of::<P>()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length that takes another way, and some turns of the loops.
    const LENGTHS: std::ops::Range<usize> = 0..400;

    fn numbered(length: usize) -> Vec<u8> {
        (0..length).map(|place| (place * 7 + place / 256) as u8).collect()
    }

    #[test]
    fn bytes_are_copied_and_no_others() {
        for length in LENGTHS {
            let from = numbered(length);
            let mut to = vec![0xaa; length + 2];
            // SAFETY: both are as long as it takes.
            let returned = unsafe { memcpy(to.as_mut_ptr().add(1), from.as_ptr(), length) };
            assert_eq!(returned, to[1..].as_mut_ptr());
            assert_eq!((to[0], &to[1..=length], to[length + 1]), (0xaa, from.as_slice(), 0xaa), "{length}");
        }
    }

    #[test]
    fn what_overlaps_is_moved() {
        for length in LENGTHS {
            for (source, target) in [(0, 0), (0, 1), (1, 0), (0, 15), (15, 0), (0, 70), (70, 0), (0, 300)] {
                let before = numbered(length + 300);
                let mut wanted = before.clone();
                wanted.copy_within(source..source + length, target);
                let mut moved = before;
                let start = moved.as_mut_ptr();
                // SAFETY: both ranges lie within the buffer.
                unsafe { memmove(start.add(target), start.add(source), length) };
                assert_eq!(moved, wanted, "{length} bytes from {source} to {target}");
            }
        }
    }

    #[test]
    fn the_first_byte_that_differs_decides() {
        for length in LENGTHS {
            let a = numbered(length);
            // SAFETY: both are as long as it takes.
            let compared = |b: &[u8]| unsafe {
                (memcmp(a.as_ptr(), b.as_ptr(), length), bcmp(a.as_ptr(), b.as_ptr(), length))
            };
            assert_eq!(compared(&a.clone()), (0, 0));
            for place in 0..length {
                let mut b = a.clone();
                b[place] ^= 0x80;
                // What follows says the opposite, and must not count.
                if place + 1 < length {
                    b[place + 1] = if b[place] > a[place] { 0 } else { 0xff };
                }
                let (order, differs) = compared(&b);
                assert_eq!(order.cmp(&0), a[place].cmp(&b[place]), "{length} bytes, {place}");
                assert_ne!(differs, 0);
            }
        }
    }
}
