use crate::commands::{Addressing, Run};
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::output::report::array;
use crate::output::{self, printable};

/// Look whether the database is whole
///
/// Pages, indexes, and all that this program promises of them: that every entry belongs to a namespace and has its value, that
/// counts are right, that records can be read, that values can be decompressed and, where the key is at hand, decrypted. What
/// is wrong is printed a line each, at most 500 of them, and the exit code is 7. Others go on reading and writing meanwhile.
#[derive(clap::Args)]
pub struct Check {
    /// Leave out what takes long: the values, and whether every index agrees with its table
    #[arg(long)]
    quick: bool,
}

impl Run for Check {
    const ADDRESSING: Addressing = Addressing::Nothing;

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let checked = cx.open_existing()?.check(self.quick).map_err(|error| cx.with_hint(error.into()))?;
        let is_whole = checked.problems.is_empty();
        if cx.json() {
            Object::begin(cx.out.buffer())
                .text("state", if is_whole { "good" } else { "damaged" })
                .raw("problems", &array(&checked.problems))
                .raw("more", if checked.is_cut { "true" } else { "false" })
                .number("values", checked.values)
                .raw("unread", &array(&checked.sealed))
                .end();
            cx.out.push(b"\n");
        } else {
            checked.problems.iter().for_each(|problem| cx.out.line(&printable(problem)));
        }
        cx.out.flush()?;
        let path = cx.place()?;
        let path = path.display();
        if !checked.sealed.is_empty() {
            let spaces = checked.sealed.join(", ");
            output::note(&format!(
                "there is no key for the encrypted values of {spaces}; they were not read"
            ));
        }
        if !is_whole {
            let more = if checked.is_cut { "more than " } else { "" };
            let found = output::counted(checked.problems.len() as u64, "problem", "problems");
            let failure = Failure::new(Code::Damaged, "damaged", format!("{path} is damaged; {more}{found}"));
            return Err(
                failure.hint("keep a copy of its files as they are, and restore the last backup; prontodb get reads an entry whose page is sound")
            );
        }
        if !cx.json() {
            let read = match self.quick {
                true => String::new(),
                false => format!("; {} read", output::counted(checked.values, "value was", "values were")),
            };
            output::note(&format!("{path} is whole{read}"));
        }
        Ok(Code::Done)
    }
}
