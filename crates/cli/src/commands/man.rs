use std::fs;
use std::path::PathBuf;

use super::{Addressing, Run};
use crate::args::Globals;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::manual;
use crate::output;
use crate::output::json::Object;
use crate::setup::put;

/// Print the manual page of the program, or write the pages of all commands
///
/// install puts them where man looks. A page is printed in the language of manual pages: prontodb man | man -l -
#[derive(clap::Args)]
pub struct Man {
    /// Write all pages into this directory, which is made if it is not there
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    output: Option<PathBuf>,
}

impl Run for Man {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn context(globals: Globals) -> Result<Context, Failure> {
        Context::of_program(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let Some(folder) = &self.output else { return print(cx) };
        let pages = manual::pages().map_err(|error| Failure::io("cannot write the manual", &error))?;
        let cannot = |error| Failure::io(format_args!("cannot write {}", folder.display()), &error);
        fs::create_dir_all(folder).map_err(cannot)?;
        for page in &pages {
            put::file(&folder.join(&page.name), &page.text, put::READABLE).map_err(cannot)?;
        }
        if cx.json() {
            Object::begin(cx.out.buffer()).number("pages", pages.len() as u64).end();
            cx.out.push(b"\n");
            cx.out.flush()?;
        } else {
            let pages = output::counted(pages.len() as u64, "page", "pages");
            output::note(&format!("wrote {pages} to {}", folder.display()));
        }
        Ok(Code::Done)
    }
}

fn print(cx: &mut Context) -> Result<Code, Failure> {
    let page = manual::main_page().map_err(|error| Failure::io("cannot write the manual", &error))?;
    if cx.json() {
        let text = String::from_utf8_lossy(&page.text).into_owned();
        Object::begin(cx.out.buffer()).text("name", &page.name).text("page", &text).end();
        cx.out.push(b"\n");
    } else {
        cx.out.push(&page.text);
    }
    cx.out.flush()?;
    Ok(Code::Done)
}
