//! `cursor`: saving and selecting databases.

pub mod active;
pub mod clear;
pub mod delete;
pub mod list;
pub mod rename;
pub mod select;
pub mod set;

use std::path::Path;

use crate::context::Context;
use crate::exit::Failure;
use crate::output::{self, report};

/// Says what is selected from now on.
pub fn tell_selected(cx: &mut Context, name: &str, path: &Path) -> Result<(), Failure> {
    let path = path.display().to_string();
    let told = format!("{name} is selected: {path}");
    cx.tell_done(&told, &[("selected", report::text(name)), ("path", report::text(path))])
}

/// Says when something stronger than the active selection decides here.
pub fn note_stronger(cx: &Context) -> Result<(), Failure> {
    let active = cx.cursors()?.active_file();
    match cx.selection() {
        Ok(selection) if selection.by.file() == Some(&active) || selection.is_first_use() => {}
        Ok(selection) => output::note(&format!("{} goes before it here", selection.by)),
        Err(failure) => output::note(&format!("something else goes before it here: {}", failure.message)),
    }
    Ok(())
}
