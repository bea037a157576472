//! A server of the Model Context Protocol on standard input and output, for one agent.
//!
//! The protocol is the official SDK's, which needs an async runtime: one thread has it, and only here. Beside it a thread
//! reads frames, one writes them ([`frames`]), and one works on the database ([`desk`]), another watches it where a client wants to
//! hear of changes ([`subscriptions`]), so that a call that waits for its
//! turn keeps neither a ping nor the end of the session from being noticed.

mod calls;
mod desk;
mod frames;
mod graph;
mod memory;
mod requests;
mod resources;
mod scope;
mod server;
mod subscriptions;
mod tools;

use std::time::Duration;

use rmcp::ServiceExt as _;
use tokio::time::{sleep, timeout};

pub use self::graph::import;

use self::calls::Calls;
use self::desk::Desk;
use self::frames::{Ended, Frames};
use self::scope::Scope;
use self::server::Server;
use crate::context::Context;
use crate::exit::{Code, Failure};

/// How long calls go on behind the end of input while none of them is answered.
const GRACE: Duration = Duration::from_secs(1);
/// How much longer than the largest value a frame may be: its escapes, and what is around it
const FRAME: (u64, u64) = (2, 64 * 1024);
/// but never longer than this, for it lies in memory as a whole, more than once.
const LONGEST_FRAME: u64 = 16 * 1024 * 1024;

/// Which tools a server has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Those for entries, locks and queues.
    Store,
    /// Those of the reference memory server, for a knowledge graph.
    Memory,
}

/// What the server of a session does.
pub struct Options {
    /// Which tools it has.
    pub kind: Kind,
    /// Whether it changes nothing.
    pub read_only: bool,
    /// How many bytes an answer has at most.
    pub max_bytes: u64,
}

/// Serves whoever writes to standard input, until that ends.
pub fn serve(cx: Context, options: Options) -> Result<Code, Failure> {
    let scope = Scope::of(&cx);
    let of_value = cx.settings.max_value_bytes.value.saturating_mul(FRAME.0).saturating_add(FRAME.1);
    let max_frame = usize::try_from(of_value.min(LONGEST_FRAME)).unwrap_or(usize::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| Failure::io("cannot begin to serve", &error))?;
    runtime.block_on(async {
        let (frames, input) = Frames::of_stdio(max_frame)?;
        let (calls, ended, written) = (frames.calls(), input.ended, input.written);
        let desk = Desk::begin(cx, &scope, options.max_bytes)?;
        let server = Server::new(options, scope, desk, ended.clone());
        tokio::select! {
            _ = async {
                if let Ok(session) = server.serve(frames).await {
                    // How it ended makes no difference: there is nobody left to tell.
                    let _ = session.waiting().await;
                }
                // Whoever does not read what is left is not waited for.
                let _ = timeout(GRACE, written).await;
            } => {}
            () = stalled(ended, &calls) => {}
        }
        Ok(Code::Done)
    })
}

/// Waits until the input has ended, and then no call has been answered for a while.
async fn stalled(ended: Ended, calls: &Calls) {
    ended.wait().await;
    let mut answered = calls.answered();
    loop {
        sleep(GRACE).await;
        match calls.answered() {
            now if now == answered => return,
            now => answered = now,
        }
    }
}
