//! `admin project`: the names that namespaces share.

pub mod create;
pub mod describe;
pub mod drop;

use std::ffi::OsStr;

use prontodb_core::Namespace;
use prontodb_core::address::Part;

use crate::context::{Context, text};
use crate::exit::Failure;

/// Reads the project of a command, from its word or from `-p`.
pub fn project_of(cx: &Context, word: Option<&OsStr>) -> Result<String, Failure> {
    let name = match (word, &cx.globals.project) {
        (Some(_), Some(_)) => return Err(Failure::usage("-p and a project exclude each other")),
        (Some(word), None) => text(word)?,
        (None, Some(name)) => name,
        (None, None) => return Err(Failure::usage("the project is missing")),
    };
    let invalid = |error: &dyn std::fmt::Display| Failure::invalid(error.to_string());
    cx.notation.refuse_delimiter(Part::Project, name).map_err(|error| invalid(&error))?;
    Namespace::new(name, "namespace").map_err(|error| invalid(&error))?;
    Ok(name.to_owned())
}
