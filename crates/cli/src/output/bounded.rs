//! Lists of which no more is printed than was asked for, and which say where to go on.

use super::json::{Object, push_string};
use super::{Out, note, quoted};
use crate::exit::{Code, Failure};

/// How the entries of a list are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By what is printed of each.
    Lines,
    /// As a JSON array.
    Json,
    /// As JSON objects, a line each.
    JsonLines,
}

// No doc comment: clap would take it for what a command is about.
#[derive(Default, clap::Args)]
pub struct Bounds {
    /// No more than so many bytes in all, whole entries; then stderr, or "next" in JSON, says what to go on with
    #[arg(long, value_name = "N")]
    pub max_bytes: Option<u64>,

    /// Begin behind this name
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub after: Option<String>,
}

impl Bounds {
    /// Prints the part of a sorted list that is wanted, and says whether that is nothing at all. `name` is what an entry is
    /// called, and `show` writes it: a line, or with `is_json` an object.
    ///
    /// # Errors
    /// Those of [`Bounded::end`] and of writing standard output.
    pub fn print<T>(
        &self,
        out: &mut Out,
        is_json: bool,
        items: &[T],
        name: impl Fn(&T) -> &str,
        show: impl Fn(&mut Out, &T),
    ) -> Result<bool, Failure> {
        let is_wanted = |item: &&T| self.after.as_deref().is_none_or(|after| name(item) > after);
        let form = if is_json { Form::Json } else { Form::Lines };
        let mut list = Bounded::begin(out, form, self.max_bytes);
        for item in items.iter().filter(is_wanted) {
            if !list.add(out, [name(item), ""], |out| show(out, item)) {
                break;
            }
        }
        list.end(out)?;
        out.flush()?;
        list.tell_next();
        Ok(list.shown() == 0)
    }
}

/// A list on its way out.
pub struct Bounded {
    form: Form,
    /// The most bytes that the whole answer may have; `None` is no limit.
    max: Option<usize>,
    shown: u64,
    /// The last entry that is shown, where somebody may want to go on behind it.
    last: String,
    is_cut: bool,
    /// The first entry and what it takes, where there is no room for it.
    too_long: Option<(String, usize)>,
}

impl Bounded {
    /// Begins a list. With a limit nothing may be flushed before its end, and JSON becomes an object that has room for the
    /// place to go on at.
    pub fn begin(out: &mut Out, form: Form, max: Option<u64>) -> Self {
        let max = max.map(|max| usize::try_from(max).unwrap_or(usize::MAX));
        if form == Form::Json {
            out.push(if max.is_some() { b"{\"entries\":[" } else { b"[" });
        }
        Self { form, max, shown: 0, last: String::new(), is_cut: false, too_long: None }
    }

    /// Keeps what `show` writes of an entry, called by the parts of its name, if there is room for it and for what comes
    /// last; says whether there was.
    pub fn add(&mut self, out: &mut Out, name: [&str; 2], show: impl FnOnce(&mut Out)) -> bool {
        if self.is_cut {
            return false;
        }
        let before = out.buffer().len();
        if self.form == Form::Json && self.shown > 0 {
            out.push(b",");
        }
        show(out);
        if self.form == Form::JsonLines {
            out.push(b"\n");
        }
        if let Some(max) = self.max {
            let name = name.concat();
            let needed = out.buffer().len() + self.ending(&name);
            if needed > max {
                out.buffer().truncate(before);
                self.is_cut = true;
                self.too_long = Some((name, needed)).filter(|_| self.shown == 0);
                return false;
            }
            self.last = name;
        }
        self.shown += 1;
        true
    }

    /// Leaves out all that follows.
    pub fn cut(&mut self) {
        self.is_cut = true;
    }

    /// Whether something was left out.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// How many entries are shown.
    pub fn shown(&self) -> u64 {
        self.shown
    }

    /// Whether pieces of it may be printed before it is whole.
    pub fn flows(&self) -> bool {
        self.max.is_none()
    }

    /// Keeps what comes last.
    ///
    /// # Errors
    /// Not even one entry fits, or not even an empty list.
    pub fn end(&self, out: &mut Out) -> Result<(), Failure> {
        let next = (self.is_cut && self.shown > 0).then_some(self.last.as_str());
        match (self.form, self.max, next) {
            (Form::Json, None, _) => out.push(b"]\n"),
            (Form::Json, Some(_), next) => {
                out.push(b"],");
                push_next(out.buffer(), next);
                out.push(b"}\n");
            }
            (Form::JsonLines, Some(_), Some(next)) => {
                Object::begin(out.buffer()).text("next", next).end();
                out.push(b"\n");
            }
            _ => {}
        }
        match (self.max, &self.too_long) {
            (Some(max), Some((name, needed))) => {
                let what = format!("the first entry, {name}, does not fit into {max} bytes");
                let name = quoted(name);
                Err(too_little(
                    what,
                    &format!("--max-bytes {needed} has room for it; --after {name} goes past it"),
                ))
            }
            (Some(max), None) if out.buffer().len() > max => {
                let what = format!("not even an empty answer fits into {max} bytes");
                Err(too_little(what, "give it more with --max-bytes"))
            }
            _ => Ok(()),
        }
    }

    /// Says on stderr with which flag to go on, where something was left out and JSON does not say it.
    pub fn tell_next(&self) {
        if self.is_cut && self.shown > 0 && self.form == Form::Lines {
            note(&format!("there is more; go on with --after {}", quoted(&self.last)));
        }
    }

    /// How many bytes come last at most, if `name` is the last entry.
    fn ending(&self, name: &str) -> usize {
        if self.form == Form::Lines {
            return 0;
        }
        let mut next = Vec::new();
        push_next(&mut next, Some(name));
        next.len().max("\"next\":null".len()) + "],}\n".len()
    }
}

fn push_next(out: &mut Vec<u8>, next: Option<&str>) {
    out.extend_from_slice(b"\"next\":");
    match next {
        Some(next) => push_string(out, next),
        None => out.extend_from_slice(b"null"),
    }
}

fn too_little(what: String, hint: &str) -> Failure {
    Failure::new(Code::Limit, "limit", what).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed of entries within so many bytes, and where to go on.
    fn answer(form: Form, max: u64, names: &[&str]) -> Result<(String, Option<String>), String> {
        let mut out = Out::stdout();
        let mut list = Bounded::begin(&mut out, form, Some(max));
        for name in names {
            list.add(&mut out, [name, ""], |out| match form {
                Form::Lines => out.line(name),
                _ => Object::begin(out.buffer()).text("k", name).end(),
            });
        }
        list.end(&mut out).map_err(|failure| failure.message)?;
        let next = list.is_cut.then(|| list.last.clone());
        Ok((String::from_utf8(std::mem::take(out.buffer())).unwrap(), next))
    }

    #[test]
    fn no_answer_is_longer_than_asked_for_and_none_is_shorter_than_need_be() {
        let names = ["a", "bb", "c\"c", "d", "日本"];
        for form in [Form::Lines, Form::Json, Form::JsonLines] {
            let whole = answer(form, 10_000, &names).unwrap().0;
            let mut seen = 0;
            for max in 0..=whole.len() as u64 + 40 {
                let Ok((text, next)) = answer(form, max, &names) else { continue };
                assert!(text.len() as u64 <= max, "{form:?} {max}: {text}");
                let shown = names.iter().position(|name| Some(*name) == next.as_deref());
                let shown = shown.map_or(names.len(), |at| at + 1);
                assert!(shown >= seen, "{form:?} {max}: {text}");
                seen = shown;
            }
            assert_eq!(seen, names.len());
        }
    }

    #[test]
    fn what_does_not_fit_at_all_is_an_error() {
        assert!(answer(Form::Lines, 1, &["ab"]).unwrap_err().contains("first entry"));
        assert!(answer(Form::Json, 30, &["a long name"]).unwrap_err().contains("first entry"));
        assert!(answer(Form::Json, 5, &[]).unwrap_err().contains("empty"));
        assert_eq!(answer(Form::Json, 27, &[]).unwrap().0, "{\"entries\":[],\"next\":null}\n");
    }
}
