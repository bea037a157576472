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
use crate::selection;

/// Says when something stronger than the active selection decides here.
fn note_stronger(cx: &Context) -> Result<(), Failure> {
    let active = cx.cursors()?.active_file();
    match selection::choose(cx.surroundings()) {
        Ok(selection) if selection.by.file() == Some(&active) || selection.by.is_default() => {}
        Ok(selection) => output::note(&format!("here {} decides, and goes before it", selection.by)),
        Err(failure) => output::note(&format!("here something goes before it: {}", failure.message)),
    }
    Ok(())
}
