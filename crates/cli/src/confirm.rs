//! Questions before something goes for good.

use std::io::{self, IsTerminal, Write};

use crate::exit::{Code, Failure};
use crate::output;

/// Asks on the terminal, unless `force` has answered already. Only `y` and `yes` are a yes.
///
/// # Errors
/// A failure for any other answer, the end of input among them, and where there is no terminal to ask on.
pub fn confirm(question: &str, force: bool) -> Result<(), Failure> {
    if force {
        return Ok(());
    }
    let question = output::printable(question);
    if !io::stdin().is_terminal() {
        let message = format!("nothing was changed; there is nobody to ask: {question}");
        return Err(Failure::new(Code::Error, "refused", message).hint("--force says that it is meant"));
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| Failure::io("cannot read the answer", &error))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new(Code::Error, "refused", "nothing was changed; the answer was not yes")),
    }
}
