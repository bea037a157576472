//! `cursor`: saving and selecting databases.

pub mod active;
pub mod clear;
pub mod delete;
pub mod list;
pub mod rename;
pub mod select;
pub mod set;

use crate::context::Context;
use crate::exit::Failure;
use crate::output;

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
