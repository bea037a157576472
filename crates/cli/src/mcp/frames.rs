//! Frames: JSON texts, a line each, on standard input and output.
//!
//! The SDK gets no more calls at a time than [`MOST_CALLS`], and no frame longer than it may be, so that memory is bounded
//! whatever is sent. What is no call is answered here, as the protocol says: without an id where none can be read.

use std::collections::HashSet;
use std::io::{self, BufRead, Read as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ErrorData, JsonRpcMessage, NumberOrString, RequestId,
    ServerJsonRpcMessage,
};
use rmcp::service::RoleServer;
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::exit::Failure;
use crate::output::Out;

/// How many calls are at work or wait at a time; the next ones stay unread.
const MOST_CALLS: usize = 16;
/// How many frames lie between the threads.
const QUEUED: usize = 2;

/// The frames of a session.
pub struct Frames {
    incoming: mpsc::Receiver<Line>,
    outgoing: mpsc::Sender<Vec<u8>>,
    calls: Arc<Calls>,
    /// A call that there is no room for yet.
    held: Option<(RequestId, ClientJsonRpcMessage)>,
    /// What the next thing to be written is.
    reply: Option<Vec<u8>>,
    max_frame: usize,
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

/// The calls that are at work.
#[derive(Default)]
pub struct Calls {
    open: Mutex<HashSet<RequestId>>,
    room: Notify,
    answered: AtomicU64,
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

impl Calls {
    fn open(&self) -> MutexGuard<'_, HashSet<RequestId>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for one more.
    async fn room(&self) {
        while self.open().len() >= MOST_CALLS {
            self.room.notified().await;
        }
    }

    /// Ends a call; says whether it was one.
    fn end(&self, id: &RequestId) -> bool {
        let was_open = self.open().remove(id);
        self.room.notify_one();
        was_open
    }

    /// How many answers there have been.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
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
        spawn("mcp-in", move || {
            read_lines(io::stdin().lock(), max_frame, &lines);
            end.send_replace(true);
        })?;
        spawn("mcp-out", move || {
            write_all(written);
            // Nobody may be there any more to hear it.
            let _ = done.send(());
        })?;
        let frames = Self { incoming, outgoing, calls: Arc::default(), held: None, reply: None, max_frame };
        Ok((frames, Input { ended: Ended(ended), written: all_written }))
    }

    /// The calls that are at work.
    pub fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.calls)
    }

    /// Takes a line apart.
    fn take(&mut self, line: &[u8]) -> Option<ClientJsonRpcMessage> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        match serde_json::from_slice::<ClientJsonRpcMessage>(line) {
            Ok(JsonRpcMessage::Request(request)) => {
                let id = request.id.clone();
                if self.calls.open().contains(&id) {
                    let what = format!("the id {id} is that of a call which has not been answered yet");
                    self.refuse(None, ErrorData::invalid_request(what, None));
                } else {
                    self.held = Some((id, JsonRpcMessage::Request(request)));
                }
                None
            }
            Ok(JsonRpcMessage::Notification(notification)) => {
                // Of what clients tell, only this makes a difference, and only for a call that is at work.
                let cancelled = match &notification.notification {
                    ClientNotification::CancelledNotification(cancelled) => {
                        cancelled.params.request_id.as_ref()
                    }
                    _ => None,
                };
                let is_heeded = cancelled.is_some_and(|id| self.calls.end(id));
                is_heeded.then_some(JsonRpcMessage::Notification(notification))
            }
            // Nobody was asked anything.
            Ok(JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_)) => None,
            Err(_) => {
                let (id, error) = why_not(line)?;
                self.refuse(id, error);
                None
            }
        }
    }

    fn refuse(&mut self, id: Option<RequestId>, error: ErrorData) {
        self.reply = Some(encoded(&ServerJsonRpcMessage::error(error, id)));
    }
}

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
        if let Some(id) = id {
            self.calls.end(id);
        }
        let answers = u64::from(id.is_some());
        let (frame, outgoing, calls) = (encoded(&item), self.outgoing.clone(), self.calls());
        async move {
            let sent = outgoing.send(frame).await;
            calls.answered.fetch_add(answers, Ordering::Relaxed);
            sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
    }

    /// May be dropped at any await: what has been read is kept.
    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if self.reply.is_some() {
                let room = self.outgoing.reserve().await.ok()?;
                room.send(self.reply.take()?);
            }
            if self.held.is_some() {
                self.calls.room().await;
                let (id, message) = self.held.take()?;
                self.calls.open().insert(id);
                return Some(message);
            }
            match self.incoming.recv().await? {
                Line::Whole(line) => {
                    if let Some(message) = self.take(&line) {
                        return Some(message);
                    }
                }
                Line::TooLong => {
                    let what = format!("a frame may have {} bytes", self.max_frame);
                    self.refuse(None, ErrorData::invalid_request(what, None));
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        // The writer ends with the last sender.
        self.outgoing = mpsc::channel(1).0;
        Ok(())
    }
}

/// What is wrong with a frame that is no message, and whose answer that is; `None` where nobody waits for one.
fn why_not(line: &[u8]) -> Option<(Option<RequestId>, ErrorData)> {
    let frame: Value = match serde_json::from_slice(line) {
        Ok(frame) => frame,
        Err(error) => {
            return Some((None, ErrorData::parse_error(format!("the frame is no JSON: {error}"), None)));
        }
    };
    let invalid = |what: &'static str| ErrorData::invalid_request(what, None);
    let Value::Object(frame) = frame else {
        return Some((None, invalid("a frame is a JSON object; the protocol has no batches")));
    };
    let method = frame.get("method").and_then(Value::as_str);
    let id = match frame.get("id") {
        None if method.is_some_and(|method| method.starts_with("notifications/")) => return None,
        Some(Value::String(id)) => Some(NumberOrString::String(id.as_str().into())),
        Some(Value::Number(id)) => id.as_i64().map(NumberOrString::Number),
        _ => None,
    };
    let error = match (&id, method) {
        (None, _) => invalid("a call needs an id, a whole number or a text"),
        (Some(_), None) => invalid("a call needs a method"),
        (Some(_), Some(_)) if frame.get("jsonrpc").and_then(Value::as_str) != Some("2.0") => {
            invalid("a frame needs \"jsonrpc\":\"2.0\"")
        }
        (Some(_), Some(method)) => ErrorData::invalid_params(
            format!("the parameters of {method} are not as the protocol has them"),
            None,
        ),
    };
    Some((id, error))
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

/// Reads lines until the input ends, fails, or nobody wants them.
fn read_lines(mut input: impl BufRead, max: usize, lines: &mpsc::Sender<Line>) {
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
        if lines.blocking_send(line).is_err() {
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
    use super::*;

    /// What a reader makes of an input with lines of up to four bytes.
    fn lines(input: &[u8]) -> Vec<Option<Vec<u8>>> {
        let (sender, mut lines) = mpsc::channel(100);
        read_lines(io::BufReader::with_capacity(3, input), 4, &sender);
        let mut all = Vec::new();
        while let Ok(line) = lines.try_recv() {
            all.push(match line {
                Line::Whole(line) => Some(line),
                Line::TooLong => None,
            });
        }
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
    fn frames_that_are_no_calls_are_told_apart() {
        for (frame, id, code) in [
            ("{", None, -32700),
            ("\u{1}", None, -32700),
            ("[]", None, -32600),
            ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", None, -32600),
            ("{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", None, -32600),
            ("{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}", None, -32600),
            ("{\"id\":7,\"method\":\"ping\"}", Some("7"), -32600),
            ("{\"jsonrpc\":\"2.0\",\"id\":\"x\"}", Some("x"), -32600),
            ("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":5}", Some("7"), -32602),
        ] {
            let (found, error) = why_not(frame.as_bytes()).unwrap();
            assert_eq!(found.map(|id| id.to_string()).as_deref(), id, "{frame}");
            assert_eq!(error.code.0, code, "{frame}");
        }
        assert!(why_not(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\",\"params\":3}").is_none());
    }
}
