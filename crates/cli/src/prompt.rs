//! Questions on the terminal whose answers it does not show.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use secrecy::SecretString;

use crate::exit::Failure;
use crate::output;

/// The terminal of this process, whatever its standard input is.
const TERMINAL: &str = "/dev/tty";
/// The longest line that a terminal hands over.
const MAX_LINE_BYTES: usize = 4096;
/// What Ctrl-C and Ctrl-\ type.
const INTERRUPTS: [u8; 2] = [0x03, 0x1c];

/// Asks for a secret, and reads the line that is the answer.
///
/// While it waits, Ctrl-C is a character and no signal: so the terminal shows again what is typed before the command ends.
///
/// # Errors
/// [`Failure::interrupted`] when that was typed.
pub fn ask(question: &str) -> Result<SecretString, Failure> {
    let mut line = [0; MAX_LINE_BYTES];
    let read =
        converse(question, &mut line).map_err(|error| Failure::io("cannot ask on the terminal", &error));
    let answer = read.and_then(|length| answer(&line[..length]));
    line.fill(0);
    answer
}

/// Writes the question, reads a line, and says how long it is.
fn converse(question: &str, line: &mut [u8]) -> io::Result<usize> {
    let mut terminal = File::options().read(true).write(true).open(TERMINAL)?;
    let silence = Silence::on(terminal.try_clone()?)?;
    terminal.write_all(format!("{}: ", output::printable(question)).as_bytes())?;
    let length = terminal.read(line)?;
    drop(silence);
    terminal.write_all(b"\n")?;
    Ok(length)
}

fn answer(line: &[u8]) -> Result<SecretString, Failure> {
    if line.iter().any(|byte| INTERRUPTS.contains(byte)) {
        return Err(Failure::interrupted());
    }
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err(Failure::invalid("nothing was answered"));
    };
    match std::str::from_utf8(line) {
        Ok(text) if !text.contains(char::is_control) => Ok(text.into()),
        Ok(_) => Err(Failure::invalid("a control character was typed")),
        Err(_) => Err(Failure::invalid("what was typed is not UTF-8")),
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence {
    terminal: File,
    before: Termios,
}

impl Silence {
    fn on(terminal: File) -> io::Result<Self> {
        let before = termios::tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ISIG);
        // Lines come when they end, and these end them, too.
        silent.local_modes.insert(LocalModes::ICANON);
        silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPTS[0];
        silent.special_codes[SpecialCodeIndex::VEOL2] = INTERRUPTS[1];
        termios::tcsetattr(&terminal, OptionalActions::Now, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // There is nobody to tell, and nothing else to try.
        let _ = termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
