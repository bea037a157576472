//! Who a command works for: `--user`, else `PRONTO_USER`, else nobody in particular.

use crate::args::Globals;
use crate::config::{Setting, Source};
use crate::exit::Failure;
use crate::names::Rule;
use crate::paths::{self, DEFAULT_DATABASE, Env, RESERVED};

/// How files and flags call nobody in particular.
pub const NOBODY: &str = "default";

const VARIABLE: &str = "PRONTO_USER";
const NAMES: Rule = Rule { max: 32, marks: "_-" };

/// The name of a user; `None` is nobody in particular.
pub type User = Setting<Option<String>>;

/// Finds out who a command works for.
///
/// # Errors
/// A name that cannot be a user's.
pub fn find(globals: &Globals, env: Env<'_>) -> Result<User, Failure> {
    let (name, source) = match (&globals.user, paths::variable(env, VARIABLE)) {
        (Some(name), _) => (name.clone(), Source::Flag("--user")),
        (None, Some(name)) => (name.to_string_lossy().into_owned(), Source::Env(VARIABLE)),
        (None, None) => return Ok(Setting { value: None, source: Source::Default }),
    };
    if let Some(why) = why_no_user(&name) {
        let name = name.escape_debug();
        return Err(Failure::invalid(format!("`{name}` from {source} cannot be a user; {why}")));
    }
    Ok(Setting { value: (name != NOBODY).then_some(name), source })
}

fn why_no_user(name: &str) -> Option<String> {
    if let Some(why) = NAMES.why_not(name) {
        return Some(why);
    }
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Some("it has to start with a letter".to_owned());
    }
    // The database of a user has the user's name.
    let is_reserved = name == DEFAULT_DATABASE || RESERVED.contains(&name);
    is_reserved.then(|| "the database of that name is not theirs; take another".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(flag: Option<&str>, variable: &str) -> Result<Option<String>, String> {
        let globals = Globals { user: flag.map(str::to_owned), ..Globals::default() };
        let env = |name: &str| (name == VARIABLE).then(|| variable.into());
        find(&globals, &env).map(|user| user.value).map_err(|failure| failure.message)
    }

    #[test]
    fn the_flag_goes_before_the_variable() {
        assert_eq!(user(Some("alice"), "bob"), Ok(Some("alice".to_owned())));
        assert_eq!(user(None, "bob"), Ok(Some("bob".to_owned())));
        assert_eq!(user(None, ""), Ok(None));
        assert_eq!(user(Some("default"), "bob"), Ok(None));
    }

    #[test]
    fn names_are_short_words() {
        let long = "n".repeat(33);
        for (name, why) in [
            ("", "1 to 32"),
            (long.as_str(), "1 to 32"),
            ("a b", "are allowed"),
            ("a.b", "are allowed"),
            ("../a", "are allowed"),
            ("ä", "are allowed"),
            ("a\n", "are allowed"),
            ("1a", "start with a letter"),
            ("-a", "start with a letter"),
            ("main", "not theirs"),
            ("cursors", "not theirs"),
        ] {
            let message = user(Some(name), "").unwrap_err();
            assert!(message.contains(why) && message.contains("--user"), "{name:?}: {message}");
            assert!(!message.contains('\n'), "{name:?}");
        }
        assert_eq!(user(Some(&long[..32]), "").unwrap().unwrap().len(), 32);
    }
}
