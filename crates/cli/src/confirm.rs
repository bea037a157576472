//! Questions on the terminal whose answer is yes or no.

use std::io::{self, IsTerminal, Write};

use crate::exit::{Code, Failure};
use crate::output;

/// Asks whether something that cannot be undone is meant; with `force` that has been answered already.
///
/// # Errors
/// What ends the command before anything is changed: an answer that is not yes, the end of input among them, and a standard
/// input that is no terminal, where nobody can be asked.
pub fn confirm(question: &str, force: bool) -> Result<(), Failure> {
    if force {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        let message = format!("`{question}` has to be answered, and standard input is no terminal");
        return Err(Failure::usage(message).hint("--force says that it is meant"));
    }
    // Where nobody sees the question, nobody says yes.
    let _ = write!(io::stderr(), "{} [y/N] ", output::printable(question));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| Failure::io("cannot read the answer", &error))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Code::Error, "refused", "nothing was changed; the answer was not yes")),
    }
}
