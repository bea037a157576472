//! The configuration: flags, else the environment, else `pronto.conf`, else defaults.
//!
//! Every value remembers where it came from, so that an error about it can say where to mend it.

mod edit;
mod file;
mod keys;
mod template;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use prontodb_core::address::{AddressError, Part};

pub use self::edit::set;
pub use self::file::ConfigFile;
pub use self::keys::{Entry, Key, NAMES, Plain, Settings, help, unknown_key};
pub use self::template::template;
use crate::exit::Failure;
use crate::paths::{self, Env, Roots};

/// A value, and what gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// What gave it.
    pub source: Source,
}

/// What gives a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag of the command line.
    Flag(&'static str),
    /// A variable of the environment.
    Env(&'static str),
    /// The configuration file.
    File(PathBuf),
    /// Nothing: it is the default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Env(name) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The flags that configure, as they were typed.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--ns-delim`.
    pub ns_delim: Option<String>,
    /// `--busy-timeout-ms`.
    pub busy_timeout_ms: Option<String>,
    /// `--durable`.
    pub durable: bool,
    /// `--config`.
    pub config: Option<PathBuf>,
}

impl Flags {
    /// The flag for a key, and its value, if it was given.
    fn get(&self, key: &str) -> Option<(&'static str, &str)> {
        let (flag, value) = match key {
            "ns_delim" => ("--ns-delim", self.ns_delim.as_deref()),
            "busy_timeout_ms" => ("--busy-timeout-ms", self.busy_timeout_ms.as_deref()),
            "durability" => ("--durable", self.durable.then_some("full")),
            _ => return None,
        };
        Some((flag, value?))
    }
}

/// The configuration file in use, whether it is there or not.
///
/// # Errors
/// Nothing says where it would be.
pub fn path_in_use(flags: &Flags, roots: Roots<'_>) -> Result<PathBuf, Failure> {
    match &flags.config {
        Some(path) => Ok(path.clone()),
        None => Ok(roots.config_file()?),
    }
}

/// Checks what the file at `path` holds, or would hold, without anything else that gives values.
///
/// # Errors
/// No TOML, or a bad value.
pub fn check(path: &Path, bytes: Vec<u8>) -> Result<(), Failure> {
    let file = ConfigFile::parse(path, bytes)?;
    Settings::load(&Flags::default(), &|_| None, Some(&file)).map(drop)
}

impl Settings {
    /// Finds and checks every value; warnings tell of keys in the file that mean nothing.
    ///
    /// # Errors
    /// A bad value; the failure names what gave it.
    pub fn load(
        flags: &Flags,
        env: Env<'_>,
        file: Option<&ConfigFile>,
    ) -> Result<(Self, Vec<String>), Failure> {
        let layers = Layers { flags, env, file };
        let settings = Self::read(&layers)?;
        settings.check_together(&layers)?;
        Ok((settings, file.map_or_else(Vec::new, ConfigFile::unknown_keys)))
    }

    /// Refuses default names that hold the delimiter: nobody could write them.
    fn check_together(&self, layers: &Layers<'_>) -> Result<(), Failure> {
        let Setting { value: delimiter, source } = &self.ns_delim;
        for (key, part, name) in [
            ("default_project", Part::Project, &self.default_project),
            ("default_namespace", Part::Namespace, &self.default_namespace),
        ] {
            if name.value.contains(delimiter.char()) {
                let (text, delimiter) = (name.value.clone(), *delimiter);
                let why = AddressError::Delimiter { part, text, delimiter }.to_string();
                let failure = layers.refused(key, &name.value, &name.source, &why);
                return Err(failure.hint(format!("ns_delim comes from {source}; change one of the two")));
            }
        }
        Ok(())
    }
}

/// All that gives values, the first to be asked at the front.
struct Layers<'a> {
    flags: &'a Flags,
    env: Env<'a>,
    file: Option<&'a ConfigFile>,
}

impl Layers<'_> {
    fn setting<T>(
        &self,
        key: &'static Key,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Setting<T>, Failure> {
        let (text, source) = self.find(key)?;
        match read(&text) {
            Ok(value) => Ok(Setting { value, source }),
            Err(why) => Err(self.refused(key.name, &text, &source, &why)),
        }
    }

    fn find(&self, key: &'static Key) -> Result<(Cow<'_, str>, Source), Failure> {
        if let Some((flag, value)) = self.flags.get(key.name) {
            return Ok((value.into(), Source::Flag(flag)));
        }
        for variable in [Some(key.variable), short_variable(key)].into_iter().flatten() {
            let Some(value) = paths::variable(self.env, variable) else { continue };
            let text = value
                .into_string()
                .map_err(|_| Failure::invalid(format!("the value of {variable} is not UTF-8")))?;
            return Ok((text.into(), Source::Env(variable)));
        }
        if let Some(file) = self.file
            && let Some(text) = file.value(key.name)?
        {
            return Ok((text, Source::File(file.path().to_owned())));
        }
        Ok((key.default.into(), Source::Default))
    }

    /// Says which value is refused, where it stands, and why, in one line whatever the value holds.
    fn refused(&self, key: &str, text: &str, source: &Source, why: &str) -> Failure {
        let what = match (source, self.file) {
            (Source::Flag(flag), _) => format!("{flag} {text}"),
            (Source::Env(variable), _) => format!("{variable}={text}"),
            (Source::File(_), Some(file)) => format!("{key}={text} in {}", file.place(key)),
            _ => format!("{key}={text}"),
        };
        Failure::invalid(in_one_line(&format!("{what}; {why}")))
    }
}

/// The other variable that says the same.
fn short_variable(key: &Key) -> Option<&'static str> {
    (key.name == "security.required").then_some("PRONTO_SECURITY")
}

/// The text with control characters written out.
fn in_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    use std::path::Path;

    use crate::engines::Durability;
    use prontodb_core::Delimiter;

    use super::*;

    const PATH: &str = "/etc/pronto.conf";

    fn file(text: &str) -> ConfigFile {
        ConfigFile::parse(Path::new(PATH), text.as_bytes().to_vec()).unwrap()
    }

    fn load(flags: &Flags, env: &[(&str, &str)], text: &str) -> Result<(Settings, Vec<String>), Failure> {
        let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        Settings::load(flags, &env, Some(&file(text)))
    }

    fn refusal(flags: &Flags, env: &[(&str, &str)], text: &str) -> String {
        load(flags, env, text).unwrap_err().message
    }

    fn delimited(delimiter: &str) -> Flags {
        Flags { ns_delim: Some(delimiter.to_owned()), ..Flags::default() }
    }

    #[test]
    fn without_anything_there_are_defaults() {
        let (settings, warnings) = Settings::load(&Flags::default(), &|_| None, None).unwrap();
        assert_eq!(settings.ns_delim.value, Delimiter::default());
        assert_eq!(settings.busy_timeout_ms.value, 5000);
        assert_eq!(settings.durability.value, Durability::Normal);
        assert_eq!(settings.max_value_bytes.value, 64 << 20);
        assert_eq!(settings.default_project.value, "default");
        assert_eq!(settings.default_namespace.value, "default");
        assert!(settings.entries().iter().all(|entry| *entry.source == Source::Default));
        assert!(warnings.is_empty());
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_file() {
        let text = "ns_delim = '|'";
        let env = [("PRONTO_NS_DELIM", ":")];
        let delimiter = |flags: &Flags, env: &[(&str, &str)]| {
            let Setting { value, source } = load(flags, env, text).unwrap().0.ns_delim;
            (value.char(), source)
        };
        assert_eq!(delimiter(&delimited("/"), &env), ('/', Source::Flag("--ns-delim")));
        assert_eq!(delimiter(&Flags::default(), &env), (':', Source::Env("PRONTO_NS_DELIM")));
        assert_eq!(delimiter(&Flags::default(), &[]), ('|', Source::File(PATH.into())));
    }

    #[test]
    fn every_flag_is_heard() {
        let flags = Flags { busy_timeout_ms: Some("7".to_owned()), durable: true, ..delimited("/") };
        let (settings, _) = load(&flags, &[("PRONTO_DURABILITY", "normal")], "busy_timeout_ms = 8").unwrap();
        assert_eq!(settings.busy_timeout_ms, Setting { value: 7, source: Source::Flag("--busy-timeout-ms") });
        assert_eq!(
            settings.durability,
            Setting { value: Durability::Full, source: Source::Flag("--durable") }
        );
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let (settings, _) = load(&Flags::default(), &[("PRONTO_BUSY_TIMEOUT_MS", "")], "").unwrap();
        assert_eq!(settings.busy_timeout_ms.source, Source::Default);
    }

    #[test]
    fn a_bad_value_names_what_gave_it() {
        let none = Flags::default();
        let number = "a whole number from 0 to 2147483647 is needed";
        assert_eq!(
            refusal(&Flags { busy_timeout_ms: Some("5s".to_owned()), ..Flags::default() }, &[], ""),
            format!("--busy-timeout-ms 5s; {number}")
        );
        assert_eq!(
            refusal(&none, &[("PRONTO_BUSY_TIMEOUT_MS", "abc")], ""),
            format!("PRONTO_BUSY_TIMEOUT_MS=abc; {number}")
        );
        assert_eq!(
            refusal(&none, &[], "# one\n# two\nbusy_timeout_ms = -1\n"),
            format!("busy_timeout_ms=-1 in {PATH}, line 3; {number}")
        );
        assert_eq!(
            refusal(&none, &[], "\n[durability]\nfull = true\n"),
            format!("durability in {PATH}, line 2 is of the type table; a text or a whole number is needed")
        );
    }

    #[test]
    fn a_bad_value_that_a_better_source_hides_is_no_matter() {
        assert!(load(&delimited("/"), &[("PRONTO_NS_DELIM", "ab")], "ns_delim = 'cd'").is_ok());
    }

    #[test]
    fn refusals_are_one_line() {
        assert!(!refusal(&delimited("a\nb"), &[], "").contains('\n'));
        assert!(!refusal(&Flags::default(), &[("PRONTO_DEFAULT_PROJECT", "a\nb")], "").contains('\n'));
        assert!(!refusal(&Flags::default(), &[], "durability = '''a\nb'''").contains('\n'));
    }

    #[test]
    fn variables_that_are_not_utf_8_are_refused() {
        let env = |name: &str| (name == "PRONTO_NS_DELIM").then(|| OsString::from_vec(vec![0xff]));
        let failure = Settings::load(&Flags::default(), &env, None).unwrap_err();
        assert_eq!(failure.message, "the value of PRONTO_NS_DELIM is not UTF-8");
    }

    #[test]
    fn default_names_may_not_hold_the_delimiter_in_use() {
        let text = "default_project = 'my.app'\ndefault_namespace = 'a|b'";
        let failure = load(&Flags::default(), &[], text).unwrap_err();
        assert_eq!(
            failure.message,
            format!("default_project=my.app in {PATH}, line 1; the project `my.app` holds the delimiter `.`")
        );
        assert_eq!(failure.hint.unwrap(), "ns_delim comes from default; change one of the two");
        assert!(refusal(&delimited("|"), &[], text).starts_with("default_namespace=a|b in "));
        assert!(load(&delimited("/"), &[], text).is_ok());
    }

    #[test]
    fn keys_that_mean_nothing_are_warned_of() {
        let text = "colour = 1\nns_delim = '|'\nbusy_timeout = 2\n\n[server]\nport = 1\n\n[[x]]\na.b = 1\n";
        let (settings, warnings) = load(&Flags::default(), &[], text).unwrap();
        assert_eq!(settings.ns_delim.value.char(), '|');
        let known = keys::listed(keys::KEYS.iter().map(|key| key.name));
        assert_eq!(
            warnings,
            [
                format!("unknown key `colour` in {PATH}, line 1; known are {known}"),
                format!("unknown key `busy_timeout` in {PATH}, line 3; did you mean busy_timeout_ms?"),
                format!("unknown key `server` in {PATH}, line 5; known are {known}"),
                format!("unknown key `x` in {PATH}, line 8; known are {known}"),
            ]
        );
    }
}
