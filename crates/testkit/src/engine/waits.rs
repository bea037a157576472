//! Waits for what others change.

use std::io::pipe;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use prontodb_core::engine::{Awaited, Engine, Mark, Wait};

use super::{put, some_space};

/// Longer than any check takes.
const LONG: Duration = Duration::from_secs(20);

/// Not sooner, when nobody changes anything; at once where there is no time.
pub fn a_wait_ends_when_its_time_is_over(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "k", b"v");
    let mark = engine.mark().expect("a mark");
    for millis in [0, 1, 30] {
        let (begun, at_most) = (Instant::now(), Duration::from_millis(millis));
        assert_eq!(engine.await_change(mark, Wait::of(at_most)).expect("a wait"), Awaited::TimedOut);
        assert!(begun.elapsed() >= at_most);
    }
}

/// Whoever waits for a reader that has gone would wait for nobody; one that is there is waited for.
pub fn a_wait_ends_when_nobody_reads_the_answer(engine: &dyn Engine) {
    let space = some_space(engine);
    put(engine, &space, "k", b"v");
    let mark = engine.mark().expect("a mark");
    let (reader, writer) = pipe().expect("a pipe");
    let wait = |at_most| Wait { at_most, reader: Some(writer.as_fd()) };
    let awaited = engine.await_change(mark, wait(Duration::from_millis(5)));
    assert_eq!(awaited.expect("a wait"), Awaited::TimedOut);
    drop(reader);
    assert_eq!(engine.await_change(mark, wait(LONG)).expect("a wait"), Awaited::ReaderGone);
}

/// What a mark of another state or another place is shown for is told at once.
pub fn another_mark_has_been_changed(engine: &dyn Engine) {
    some_space(engine);
    let mark = engine.mark().expect("a mark");
    let other = Mark { change: mark.change.wrapping_add(1), ..mark };
    assert_eq!(engine.await_change(other, Wait::of(LONG)).expect("a wait"), Awaited::Changed);
}
