//! `config set`: changes one value in the file and leaves the rest as it was written.

use std::path::Path;

use toml_edit::{DocumentMut, Item, RawString, TableLike, Value};

use super::file::{self, ConfigFile};
use super::keys::{Key, Plain, Settings};
use super::{Flags, Layers, in_one_line, path_in_use};
use crate::exit::Failure;
use crate::paths::Roots;
use crate::replace::Replacement;

/// Sets `key` in the file in use; the usual one is made if it is not there.
///
/// The file must make sense by itself afterwards: flags and variables of this one command don't count.
///
/// # Errors
/// A value that is refused, a file that is no TOML, and those of writing.
pub fn set(flags: &Flags, roots: Roots<'_>, key: &Key, text: &str) -> Result<(), Failure> {
    let path = &path_in_use(flags, roots)?;
    if flags.config.is_some() && !path.exists() {
        return Err(file::missing(path));
    }
    let value = key.check(text).map_err(|why| {
        Failure::invalid(in_one_line(&format!("cannot set {} to `{text}`; {why}", key.name)))
    })?;
    let replacement = Replacement::begin(path)?;
    let mut document = ConfigFile::read(path)?.map(ConfigFile::into_document).unwrap_or_default();
    put(&mut document, key.name, &value).map_err(|table| {
        Failure::invalid(format!("cannot set {} in {}; `{table}` is a table there", key.name, path.display()))
    })?;
    let new = document.to_string();
    check(path, &new)?;
    replacement.finish(new.as_bytes())
}

/// Refuses values that are good by themselves and not together.
fn check(path: &Path, text: &str) -> Result<(), Failure> {
    let file = ConfigFile::parse(path, text.as_bytes().to_vec())?;
    let layers = Layers { flags: &Flags::default(), env: &|_| None, file: Some(&file) };
    match Settings::read(&layers) {
        Ok(settings) => settings.check_together(&layers),
        // Another key is bad already. Setting this one may be the first step to mend both.
        Err(_) => Ok(()),
    }
}

/// Sets the value of `name`, in which dots lead into tables; the error is the part that is of the wrong kind.
fn put<'n>(document: &mut DocumentMut, name: &'n str, value: &Plain) -> Result<(), &'n str> {
    let (tables, key) = name.rsplit_once('.').map_or((None, name), |(tables, key)| (Some(tables), key));
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for part in tables.into_iter().flat_map(|tables| tables.split('.')) {
        table = table.entry(part).or_insert_with(toml_edit::table).as_table_like_mut().ok_or(part)?;
    }
    match table.get_mut(key) {
        Some(Item::Value(old)) => replace(old, value),
        Some(_) => return Err(key),
        None => {
            table.insert(key, Item::Value(to_toml(value)));
            if tables.is_none() {
                move_below_comments(document, key);
            }
        }
    }
    Ok(())
}

/// Changes the value and leaves the blanks and the comment around it.
fn replace(old: &mut Value, new: &Plain) {
    let decor = old.decor().clone();
    *old = to_toml(new);
    *old.decor_mut() = decor;
}

/// Puts a new key at the end of a file without tables, also when that ends with comments.
fn move_below_comments(document: &mut DocumentMut, key: &str) {
    if !document.iter().all(|(_, item)| item.is_value()) {
        return;
    }
    let mut comments = document.trailing().as_str().unwrap_or_default().to_owned();
    if !comments.is_empty() && !comments.ends_with('\n') {
        comments.push('\n');
    }
    if let Some(mut key) = document.key_mut(key) {
        key.leaf_decor_mut().set_prefix(comments);
        document.set_trailing(RawString::default());
    }
}

/// The value in TOML; a number that TOML cannot hold becomes a text.
pub(super) fn to_toml(value: &Plain) -> Value {
    match value {
        Plain::Number(number) => {
            i64::try_from(*number).map_or_else(|_| number.to_string().into(), Value::from)
        }
        Plain::Text(text) => text.as_str().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, name: &str, value: Plain) -> String {
        let mut document: DocumentMut = text.parse().unwrap();
        put(&mut document, name, &value).unwrap();
        document.to_string()
    }

    fn text(text: &str) -> Plain {
        Plain::Text(text.to_owned())
    }

    #[test]
    fn an_empty_file_gets_one_line() {
        assert_eq!(after("", "ns_delim", text("|")), "ns_delim = \"|\"\n");
        assert_eq!(after("", "busy_timeout_ms", Plain::Number(7)), "busy_timeout_ms = 7\n");
    }

    #[test]
    fn only_the_value_changes() {
        let old =
            "# mine\n\nb = 2 # two\n  ns_delim  =  '.'   # the dot\nother = [1,\n 2]\n[x]\ny = 1\n# end";
        let new = old.replace("'.'", "\"|\"");
        assert_eq!(after(old, "ns_delim", text("|")), new);
    }

    #[test]
    fn new_keys_go_to_the_end_and_before_tables() {
        assert_eq!(after("# head\n", "k", text("v")), "# head\nk = \"v\"\n");
        assert_eq!(after("a = 1\n# b = 2", "k", text("v")), "a = 1\n# b = 2\nk = \"v\"\n");
        assert_eq!(after("a = 1", "k", text("v")), "a = 1\nk = \"v\"\n");
        assert_eq!(
            after("a = 1\n\n[t]\nb = 2\n# end\n", "k", text("v")),
            "a = 1\nk = \"v\"\n\n[t]\nb = 2\n# end\n"
        );
    }

    #[test]
    fn dots_lead_into_tables() {
        assert_eq!(after("a = 1\n", "t.k", Plain::Number(2)), "a = 1\n\n[t]\nk = 2\n");
        assert_eq!(after("[t]\nk = 1 # x\n", "t.k", Plain::Number(2)), "[t]\nk = 2 # x\n");
        assert_eq!(after("t = { k = 1 }\n", "t.k", Plain::Number(2)), "t = { k = 2 }\n");
        assert_eq!(after("t.j = 1\n", "t.k", Plain::Number(2)), "t.j = 1\nt.k = 2\n");
    }

    #[test]
    fn tables_are_not_overwritten() {
        let put = |old: &str, name| put(&mut old.parse().unwrap(), name, &Plain::Number(1)).unwrap_err();
        assert_eq!(put("[k]\na = 1\n", "k"), "k");
        assert_eq!(put("[[k]]\na = 1\n", "k"), "k");
        assert_eq!(put("t = 1\n", "t.k"), "t");
    }
}
