use std::mem;
use std::path::PathBuf;

use prontodb_core::Namespace;

use super::{Addressing, Run};
use crate::args::Globals;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::mcp::{self, Kind, Options};

/// How many bytes an answer has unless that is said.
const MAX_BYTES: u64 = 16 * 1024;
/// The least that is of any use.
const LEAST_BYTES: u64 = 1024;

/// Serve an agent by the Model Context Protocol, on standard input and output
///
/// Its tools read, write and list entries, take locks and hand out work. With -p they reach that project alone, with -n that
/// namespace alone. An answer is cut at --max-bytes, and says how to go on. The end of input ends it, with exit code 0.
///
/// While a client watches, a log of changes is kept and what has expired is removed, with --read-only too.
///
/// With --memory it has the tools of the reference memory server instead, for a knowledge graph that any number of agents may write
/// at once. That is kept in the namespace memory.graph, or in the one that -p and -n name.
#[derive(clap::Args)]
pub struct Mcp {
    /// Change nothing that anybody wrote: there are no tools that write
    #[arg(long)]
    read_only: bool,

    /// Cut answers at so many bytes; 16384 unless said
    #[arg(long, value_name = "N", conflicts_with = "memory")]
    max_bytes: Option<u64>,

    /// Be a drop-in for the reference memory server
    #[arg(long)]
    memory: bool,

    /// Take over the file of the reference memory server, and end: what is not there yet is added
    #[arg(long, value_name = "FILE", requires = "memory", conflicts_with = "read_only")]
    import: Option<PathBuf>,
}

impl Run for Mcp {
    const ADDRESSING: Addressing = Addressing::Namespace;
    const IS_FENCED: bool = true;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let max_bytes = self.max_bytes.unwrap_or(MAX_BYTES);
        if max_bytes < LEAST_BYTES {
            return Err(Failure::usage(format!("--max-bytes needs at least {LEAST_BYTES}")));
        }
        if let (true, None) = (self.memory, &cx.globals.namespace) {
            let project = cx.globals.project.as_deref().unwrap_or("memory");
            let graph = Namespace::new(project, "graph");
            cx.notation.defaults = graph.map_err(|error| Failure::invalid(error.to_string()))?;
        }
        if let Some(file) = &self.import {
            return mcp::import(cx, &cx.notation.defaults, file);
        }
        let kind = if self.memory { Kind::Memory } else { Kind::Store };
        // It goes to a thread that may be at work still when this one ends.
        let cx = mem::replace(cx, Context::unconfigured(Globals::default())?);
        mcp::serve(cx, Options { kind, read_only: self.read_only, max_bytes })
    }
}
