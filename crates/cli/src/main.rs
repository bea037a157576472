//! `prontodb`, the program. Reading order: [`run`] is the table of contents, [`args`] splits the command line,
//! [`context`] finds out where a command works, [`commands`] holds one command a file, [`exit`] tells what went wrong.

mod arena;
mod args;
mod backup;
mod commands;
mod completions;
mod config;
mod confirm;
mod context;
mod cursors;
mod directory;
mod dry_run;
mod engines;
mod examples;
mod exit;
mod explain;
mod fence;
mod files;
mod grammar;
mod help;
mod manual;
#[cfg(feature = "mcp")]
mod mcp;
#[cfg(target_arch = "x86_64")]
#[cfg_attr(not(any(target_env = "musl", test)), expect(dead_code, reason = "other C libraries do it well"))]
mod memory;
mod names;
mod output;
mod paths;
mod prompt;
mod renamed;
mod replace;
mod replica;
mod run;
mod secret;
mod selection;
mod setup;
mod stdin;
mod tree;
mod user;
mod waiting;

#[global_allocator]
static ARENA: arena::Arena = arena::Arena::new();

fn main() {
    std::panic::set_hook(Box::new(|panic| std::process::exit(run::report_panic(panic).number().into())));
    engines::share_allocator();
    let code = run::run(std::env::args_os().skip(1).collect());
    std::process::exit(code.number().into());
}
