//! Frames: JSON texts, a line each, on standard input and output.
//!
//! All of them are read as they come, so that a cancellation, a ping and the end of input are noticed whatever else is there. Calls
//! for which there is no room yet wait as they are written, as many as [`Calls`] admits; the SDK gets them in turn. What is no call
//! is answered here, as the protocol says: without an id where none can be read.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read as _};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use rmcp::model::{
    CancelledNotification, CancelledNotificationParam, ClientJsonRpcMessage, ErrorCode, ErrorData,
    GetExtensions as _, JsonRpcMessage, RequestId, ServerJsonRpcMessage, ServerResult,
};
use rmcp::service::RoleServer;
use rmcp::transport::Transport;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::{mpsc, oneshot, watch};

use super::calls::{Calls, MOST_BYTES, Refusal, Ticket};
use super::requests::{self, Method, Said};
use crate::exit::Failure;
use crate::output::Out;

/// How many frames lie between the threads.
const QUEUED: usize = 2;
/// How many bytes of answers that are made here may wait to be written while more is read.
const MOST_REPLIES: usize = 1024 * 1024;

/// The frames of a session.
pub struct Frames {
    incoming: mpsc::Receiver<Line>,
    outgoing: mpsc::Sender<Vec<u8>>,
    calls: Arc<Calls>,
    /// Calls that there is no room for yet.
    held: VecDeque<Held>,
    /// What is to be written next.
    replies: Replies,
    /// Whether nothing will come any more.
    is_over: bool,
    max_frame: usize,
}

/// A call that waits for its turn, as it was read.
struct Held {
    id: RequestId,
    method: &'static Method,
    frame: Vec<u8>,
    ticket: Ticket,
}

/// Answers that are made here.
#[derive(Default)]
struct Replies {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
}

/// What else there is to know of the two ends.
pub struct Input {
    /// Whether the input has ended.
    pub ended: Ended,
    /// Comes when all has been written.
    pub written: oneshot::Receiver<()>,
}

/// A line of input.
enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// Knows whether the input has ended.
#[derive(Clone)]
pub struct Ended(watch::Receiver<bool>);

impl Ended {
    /// Waits for the end.
    pub async fn wait(&self) {
        // Whoever would say it is gone only when it has been said.
        let _ = self.0.clone().wait_for(|ended| *ended).await;
    }
}

impl Replies {
    fn push(&mut self, message: &ServerJsonRpcMessage) {
        let frame = encoded(message);
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }
}

impl Frames {
    /// The frames on standard input, none longer than `max_frame` bytes, and on standard output.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn of_stdio(max_frame: usize) -> Result<(Self, Input), Failure> {
        let (lines, incoming) = mpsc::channel(QUEUED);
        let (outgoing, written) = mpsc::channel(QUEUED);
        let (end, ended) = watch::channel(false);
        let (done, all_written) = oneshot::channel();
        let seen = end.clone();
        spawn("mcp-in", move || {
            read_lines(io::stdin().lock(), max_frame, |line| lines.blocking_send(line).is_ok());
            end.send_replace(true);
        })?;
        // While nobody takes what was read, the reader does not come to the end.
        spawn("mcp-end", move || {
            if closes_within(&io::stdin(), None) {
                seen.send_replace(true);
            }
        })?;
        spawn("mcp-out", move || {
            write_all(written);
            // Nobody may be there any more to hear it.
            let _ = done.send(());
        })?;
        let calls = Arc::default();
        let (held, replies) = (VecDeque::new(), Replies::default());
        let frames = Self { incoming, outgoing, calls, held, replies, is_over: false, max_frame };
        Ok((frames, Input { ended: Ended(ended), written: all_written }))
    }

    /// The calls that have not been answered.
    pub fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.calls)
    }

    /// Takes a line apart; what comes of it for the SDK.
    fn take(&mut self, line: Line) -> Option<ClientJsonRpcMessage> {
        let Line::Whole(frame) = line else {
            let what = format!("a frame may have {} bytes", self.max_frame);
            self.refuse(None, ErrorData::invalid_request(what, None));
            return None;
        };
        match requests::read(&frame) {
            Said::Call(id, method) => self.admit(id, method, frame),
            Said::Ping(id) if self.calls.has(&id) => self.refuse_twice(&id),
            Said::Ping(id) => self.replies.push(&ServerJsonRpcMessage::response(ServerResult::empty(()), id)),
            Said::Cancelled(id) => {
                let is_at_work = self.calls.cancel(&id);
                let told = CancelledNotification::new(CancelledNotificationParam::new(Some(id), None));
                return is_at_work.then(|| ClientJsonRpcMessage::notification(told.into()));
            }
            Said::Nothing => {}
            Said::Wrong(id, error) => self.refuse(id, error),
        }
        None
    }

    fn admit(&mut self, id: RequestId, method: &'static Method, frame: Vec<u8>) {
        match self.calls.admit(&id, frame.len()) {
            Ok(ticket) => self.held.push_back(Held { id, method, frame, ticket }),
            Err(Refusal::Twice) => self.refuse_twice(&id),
            Err(Refusal::NoRoom) => {
                let what = format!(
                    "the calls that have not been answered may have {MOST_BYTES} bytes; call again when others have been"
                );
                self.refuse(Some(id), ErrorData::new(BUSY, what, None));
            }
        }
    }

    /// Hands on the call whose turn it is.
    fn hand_on_next(&mut self) -> Option<ClientJsonRpcMessage> {
        let Held { id, method, frame, ticket } = self.held.pop_front()?;
        if ticket.is_cancelled() {
            return None;
        }
        match method.request(&frame) {
            Ok(mut request) => {
                ticket.begin();
                request.extensions_mut().insert(ticket);
                Some(ClientJsonRpcMessage::request(request, id))
            }
            Err(error) => {
                self.calls.end(&id);
                self.refuse(Some(id), error);
                None
            }
        }
    }

    fn refuse_twice(&mut self, id: &RequestId) {
        let what = format!("the id {id} is that of a call which has not been answered yet");
        self.refuse(None, ErrorData::invalid_request(what, None));
    }

    fn refuse(&mut self, id: Option<RequestId>, error: ErrorData) {
        self.replies.push(&ServerJsonRpcMessage::error(error, id));
    }
}

/// The code of a call that there is no room for.
const BUSY: ErrorCode = ErrorCode(-32000);

impl Transport<RoleServer> for Frames {
    type Error = io::Error;

    fn send(
        &mut self,
        item: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        let id = match &item {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            _ => None,
        };
        let ticket = id.and_then(|id| self.calls.end(id));
        let is_answer = id.is_some();
        let (frame, outgoing, calls) = (encoded(&item), self.outgoing.clone(), self.calls());
        async move {
            let sent = outgoing.send(frame).await;
            if is_answer {
                calls.count_answer();
            }
            // A client that does not read gets no further calls done.
            drop(ticket);
            sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
    }

    /// May be dropped at any await: what has been read is kept.
    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if self.is_over && self.held.is_empty() && self.replies.frames.is_empty() {
                return None;
            }
            let reads = !self.is_over && self.replies.bytes < MOST_REPLIES;
            let line = tokio::select! {
                biased;
                room = self.outgoing.reserve(), if !self.replies.frames.is_empty() => {
                    room.ok()?.send(self.replies.pop()?);
                    continue;
                }
                line = self.incoming.recv(), if reads => Some(line),
                () = self.calls.room(), if !self.held.is_empty() => None,
            };
            let message = match line {
                Some(Some(line)) => self.take(line),
                Some(None) => {
                    self.is_over = true;
                    None
                }
                None => self.hand_on_next(),
            };
            if message.is_some() {
                return message;
            }
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        // The writer ends with the last sender.
        self.outgoing = mpsc::channel(1).0;
        Ok(())
    }
}

fn encoded(message: &ServerJsonRpcMessage) -> Vec<u8> {
    let mut frame = Vec::new();
    // Messages are JSON by their types, and memory takes all.
    let _ = serde_json::to_writer(&mut frame, message);
    frame.push(b'\n');
    frame
}

/// Starts a thread. None of them is waited for: the process ends with the session.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map(drop).map_err(|error| Failure::io("cannot begin to serve", &error))
}

/// Waits for so long, or as long as it takes, until whoever writes an input has closed it, though not all may have been read; whether
/// that is so.
fn closes_within(input: &impl AsFd, pause: Option<&Timespec>) -> bool {
    let mut polled = [PollFd::new(input, CLOSED)];
    loop {
        match poll(&mut polled, pause) {
            Ok(_) => return polled[0].revents().intersects(CLOSED | PollFlags::HUP),
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Pipes tell of it in any case; sockets of a client that closes only one direction must be asked.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOSED: PollFlags = PollFlags::RDHUP;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOSED: PollFlags = PollFlags::empty();

/// Reads lines until the input ends, fails, or nobody wants them.
fn read_lines(mut input: impl BufRead, max: usize, mut hand_on: impl FnMut(Line) -> bool) {
    loop {
        let mut line = Vec::new();
        let most = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        match input.by_ref().take(most).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            _ => return,
        }
        let is_whole = line.ends_with(b"\n") || line.len() <= max;
        if !is_whole && skip_line(&mut input).is_err() {
            return;
        }
        let line = if is_whole { Line::Whole(line) } else { Line::TooLong };
        if !hand_on(line) {
            return;
        }
    }
}

/// Reads to the end of a line, and keeps nothing of it.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let read = match input.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = memchr::memchr(b'\n', read);
        let count = end.map_or(read.len(), |at| at + 1);
        input.consume(count);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// Writes frames until there are no more, or nobody reads them.
fn write_all(mut frames: mpsc::Receiver<Vec<u8>>) {
    let out = Out::stdout();
    while let Some(frame) = frames.blocking_recv() {
        if out.write(&frame).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What a reader makes of an input with lines of up to four bytes.
    fn lines(input: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut all = Vec::new();
        read_lines(io::BufReader::with_capacity(3, input), 4, |line| {
            all.push(match line {
                Line::Whole(line) => Some(line),
                Line::TooLong => None,
            });
            true
        });
        all
    }

    #[test]
    fn lines_that_are_too_long_are_left_out_and_said_to_be() {
        let whole = |line: &[u8]| Some(line.to_vec());
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"ab\n\ncd"), [whole(b"ab\n"), whole(b"\n"), whole(b"cd")]);
        assert_eq!(lines(b"abcd\nabcde\nx\n"), [whole(b"abcd\n"), None, whole(b"x\n")]);
        assert_eq!(lines(b"abcdefghijkl"), [None]);
        assert_eq!(lines(b"abcdefghijkl\n\xff\n"), [None, whole(b"\xff\n")]);
    }

    #[test]
    fn an_end_is_seen_behind_what_nobody_has_read() {
        let (reader, mut writer) = io::pipe().unwrap();
        let (socket, mut peer) = UnixStream::pair().unwrap();
        for write in [&mut writer as &mut dyn Write, &mut peer] {
            write.write_all(b"x").unwrap();
        }
        let none = Some(&Timespec { tv_sec: 0, tv_nsec: 0 });
        assert!(!closes_within(&reader, none) && !closes_within(&socket, none));
        drop((writer, peer));
        assert!(closes_within(&reader, None) && closes_within(&socket, None));
    }
}
