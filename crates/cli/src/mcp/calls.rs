//! The calls of a session that have not been answered: how many are at work, and how much room all of them take.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::RequestId;
use tokio::sync::Notify;

/// How many calls are at work at a time; further ones wait for their turn.
const MOST_AT_WORK: usize = 16;
/// How many bytes the frames of all calls have that have not been answered.
pub const MOST_BYTES: usize = 32 * 1024 * 1024;
/// What is kept of a call besides its frame.
const AROUND: usize = 256;

/// The calls of a session.
#[derive(Default)]
pub struct Calls {
    open: Mutex<Open>,
    room: Notify,
    answered: AtomicU64,
}

#[derive(Default)]
struct Open {
    tickets: HashMap<RequestId, Ticket>,
    at_work: usize,
    bytes: usize,
}

/// What a call has from when it was read until the work on it has ended: its share of the room.
#[derive(Clone)]
pub struct Ticket(Arc<Share>);

struct Share {
    calls: Arc<Calls>,
    bytes: usize,
    is_at_work: AtomicBool,
    is_cancelled: AtomicBool,
}

/// Why a call is not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another one has its id.
    Twice,
    /// There is no room for it.
    NoRoom,
}

impl Calls {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a call that was read.
    pub fn admit(self: &Arc<Self>, id: &RequestId, frame: usize) -> Result<Ticket, Refusal> {
        let mut open = self.open();
        let bytes = frame.saturating_add(AROUND);
        let has_room = open.bytes.saturating_add(bytes) <= MOST_BYTES;
        let Entry::Vacant(place) = open.tickets.entry(id.clone()) else { return Err(Refusal::Twice) };
        if !has_room {
            return Err(Refusal::NoRoom);
        }
        let share = Share {
            calls: Arc::clone(self),
            bytes,
            is_at_work: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
        };
        let ticket = place.insert(Ticket(Arc::new(share))).clone();
        open.bytes += bytes;
        Ok(ticket)
    }

    /// Whether a call has not been answered.
    pub fn has(&self, id: &RequestId) -> bool {
        self.open().tickets.contains_key(id)
    }

    /// Waits until one more may be worked on.
    pub async fn room(&self) {
        while self.open().at_work >= MOST_AT_WORK {
            self.room.notified().await;
        }
    }

    /// Knows no more of a call, which is answered; its share is free when its ticket goes.
    pub fn end(&self, id: &RequestId) -> Option<Ticket> {
        self.open().tickets.remove(id)
    }

    /// Cancels a call; whether that makes a difference to whoever works on it.
    pub fn cancel(&self, id: &RequestId) -> bool {
        let ticket = self.end(id);
        ticket.is_some_and(|Ticket(share)| {
            share.is_cancelled.store(true, Ordering::Relaxed);
            share.is_at_work.load(Ordering::Relaxed)
        })
    }

    /// Counts an answer that is on its way.
    pub fn count_answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers there have been.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

impl Ticket {
    /// Begins to work on the call.
    pub fn begin(&self) {
        self.0.is_at_work.store(true, Ordering::Relaxed);
        self.0.calls.open().at_work += 1;
    }

    /// Whether nobody waits for an answer any more.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Relaxed)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.calls.open();
        open.bytes -= self.bytes;
        open.at_work -= usize::from(*self.is_at_work.get_mut());
        self.calls.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: i64) -> RequestId {
        RequestId::Number(number)
    }

    fn taken(calls: &Calls) -> (usize, usize) {
        let open = calls.open();
        (open.at_work, open.bytes)
    }

    #[test]
    fn the_room_of_a_call_is_free_when_nobody_works_on_it_any_more() {
        let calls = Arc::new(Calls::default());
        let first = calls.admit(&id(1), MOST_BYTES - AROUND).unwrap();
        first.begin();
        assert_eq!(calls.admit(&id(1), 1).err(), Some(Refusal::Twice));
        assert_eq!(calls.admit(&id(2), 1).err(), Some(Refusal::NoRoom));
        assert!(calls.cancel(&id(1)) && first.is_cancelled());
        assert!(!calls.cancel(&id(1)));
        assert_eq!(calls.admit(&id(2), 1).err(), Some(Refusal::NoRoom));
        drop(first);
        let second = calls.admit(&id(2), 1).unwrap();
        assert_eq!(taken(&calls), (0, 1 + AROUND));
        drop((second, calls.end(&id(2))));
        assert_eq!(taken(&calls), (0, 0));
    }

    #[test]
    fn a_call_that_waits_for_its_turn_is_cancelled_without_a_word() {
        let calls = Arc::new(Calls::default());
        let waiting = calls.admit(&id(1), 10).unwrap();
        assert!(!calls.cancel(&id(1)) && waiting.is_cancelled());
    }
}
