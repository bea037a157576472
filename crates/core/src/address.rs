//! Where an entry lives: `project.namespace.key__context`.
//!
//! The delimiter is notation only. What is stored are names without it, so `x|y|z` and `x.y.z` are one entry.

use std::fmt;

/// Longest name of a project or namespace, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Longest key, and longest context, in bytes.
pub const MAX_KEY_BYTES: usize = 512;
/// What stands between a key and its context.
pub const CONTEXT_MARK: &str = "__";
/// The project and the namespace of addresses that name none.
pub const DEFAULT_NAME: &str = "default";

/// Why a text is not an address, or not a part of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// A part with nothing in it.
    #[error("the {0} is empty")]
    Empty(Part),
    /// A part over its limit.
    #[error("the {part} is {bytes} bytes long; at most {max} are allowed")]
    TooLong {
        /// Which part.
        part: Part,
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A control character in a part.
    #[error("the {part} holds the control character U+{:04X}", *.character as u32)]
    Control {
        /// Which part.
        part: Part,
        /// The character.
        character: char,
    },
    /// The delimiter inside a part that stands alone.
    #[error("the {part} `{text}` holds the delimiter `{delimiter}`")]
    Delimiter {
        /// Which part.
        part: Part,
        /// The part.
        text: String,
        /// The delimiter in use.
        delimiter: Delimiter,
    },
    /// More than three parts.
    #[error(
        "`{address}` has {parts} parts; an address has at most three, project{delimiter}namespace{delimiter}key"
    )]
    TooManyParts {
        /// The address.
        address: String,
        /// How many parts it has.
        parts: usize,
        /// The delimiter in use.
        delimiter: Delimiter,
    },
    /// An address that is to name a namespace does not have two parts.
    #[error("`{address}` is no namespace; write project{delimiter}namespace")]
    NotANamespace {
        /// The address.
        address: String,
        /// The delimiter in use.
        delimiter: Delimiter,
    },
    /// A context that would not be found again behind the last `__`.
    #[error("the context `{0}` may neither start with `_` nor hold `__`")]
    AmbiguousContext(String),
    /// A character that cannot be a delimiter.
    #[error(
        "`{0}` cannot be the delimiter: one character is needed, other than letters, digits, `_`, `-`, `=`, `;`, quotes, blanks"
    )]
    BadDelimiter(String),
}

/// The parts of an address, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first.
    Project,
    /// The second.
    Namespace,
    /// The third.
    Key,
    /// What follows the last `__` of the key.
    Context,
    /// The start of keys that a listing asks for.
    Prefix,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Project => "project",
            Self::Namespace => "namespace",
            Self::Key => "key",
            Self::Context => "context",
            Self::Prefix => "prefix",
        })
    }
}

/// The character between the parts of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimiter(char);

impl Default for Delimiter {
    fn default() -> Self {
        Self('.')
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Delimiter {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if Self::is_allowed(c) => Ok(Self(c)),
            _ => Err(AddressError::BadDelimiter(text.to_owned())),
        }
    }
}

impl Delimiter {
    fn is_allowed(c: char) -> bool {
        !(c.is_alphanumeric() || c.is_whitespace() || c.is_control() || "_-=;\"'`".contains(c))
    }

    /// Many delimiters, more than an address has characters; those of ASCII come first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        ('!'..='\u{2fff}').filter(|c| Self::is_allowed(*c)).map(Self)
    }

    /// The character itself.
    pub fn char(self) -> char {
        self.0
    }
}

/// A namespace within a project. The order is that of the names' bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    project: String,
    namespace: String,
}

impl Namespace {
    /// Checks both names; a delimiter is no concern here, since none is stored.
    ///
    /// # Errors
    /// Names that are empty, longer than 64 bytes, or hold control characters.
    pub fn new(project: impl Into<String>, namespace: impl Into<String>) -> Result<Self, AddressError> {
        let (project, namespace) = (project.into(), namespace.into());
        check_part(Part::Project, &project, MAX_NAME_BYTES)?;
        check_part(Part::Namespace, &namespace, MAX_NAME_BYTES)?;
        Ok(Self { project, namespace })
    }

    /// The same for names that may be left out, where `default` stands in.
    ///
    /// # Errors
    /// Those of [`Namespace::new`].
    pub fn or_default(project: Option<&str>, namespace: Option<&str>) -> Result<Self, AddressError> {
        Self::new(project.unwrap_or(DEFAULT_NAME), namespace.unwrap_or(DEFAULT_NAME))
    }

    /// Reads `project.namespace`.
    ///
    /// # Errors
    /// Any other number of parts, and names that [`Namespace::new`] refuses.
    pub fn parse(text: &str, delimiter: Delimiter) -> Result<Self, AddressError> {
        match split(text, delimiter)?[..] {
            [project, namespace] => Self::new(project, namespace),
            _ => Err(AddressError::NotANamespace { address: text.to_owned(), delimiter }),
        }
    }

    /// The name of the project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The name within the project.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The way users write it.
    pub fn display(&self, delimiter: Delimiter) -> String {
        format!("{}{delimiter}{}", self.project, self.namespace)
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self { project: DEFAULT_NAME.to_owned(), namespace: DEFAULT_NAME.to_owned() }
    }
}

/// The name of an entry within its namespace: `key`, or `key__context`.
///
/// Both spellings are one text because a key without a context never holds `__`, so nothing is lost, and the order of
/// names is the order in which listings print them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(String);

impl EntryName {
    /// Reads `key` or `key__context`; the context is what follows the last `__`.
    ///
    /// # Errors
    /// Parts that are empty, too long, or hold control characters.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Self::check(text).map(|()| Self(text.to_owned()))
    }

    /// Becomes the name that `text` is, in the memory it has.
    ///
    /// # Errors
    /// Those of [`EntryName::parse`].
    pub(crate) fn assign(&mut self, text: &str) -> Result<(), AddressError> {
        Self::check(text).map(|()| self.become_checked(text))
    }

    /// Where the last mark stands. Searching for one of two bytes needs no more than looking; `str::rfind` prepares itself
    /// first, and loads look at millions of names.
    fn mark(text: &str) -> Option<usize> {
        text.as_bytes().windows(CONTEXT_MARK.len()).rposition(|pair| pair == CONTEXT_MARK.as_bytes())
    }

    fn check(text: &str) -> Result<(), AddressError> {
        match Self::mark(text) {
            Some(at) => Self::check_both(&text[..at], &text[at + CONTEXT_MARK.len()..]),
            None => check_part(Part::Key, text, MAX_KEY_BYTES),
        }
    }

    /// The entry of `key` for `context`; `key` is taken as it is, `__` in it included.
    ///
    /// # Errors
    /// Parts that are empty, too long, or hold control characters; a context that could not be told from the key again.
    pub fn with_context(key: &str, context: &str) -> Result<Self, AddressError> {
        Self::check_both(key, context).map(|()| Self(format!("{key}{CONTEXT_MARK}{context}")))
    }

    fn check_both(key: &str, context: &str) -> Result<(), AddressError> {
        check_part(Part::Key, key, MAX_KEY_BYTES)?;
        check_part(Part::Context, context, MAX_KEY_BYTES)?;
        if context.starts_with('_') || context.contains(CONTEXT_MARK) {
            return Err(AddressError::AmbiguousContext(context.to_owned()));
        }
        Ok(())
    }

    /// No name yet; to be filled by [`EntryName::assign`] or [`EntryName::become_checked`].
    pub(crate) fn nothing() -> Self {
        Self(String::new())
    }

    /// Takes over a text that was a name before, in the memory it has.
    pub(crate) fn become_checked(&mut self, name: &str) {
        self.0.clear();
        self.0.push_str(name);
    }

    /// The key, without the context.
    pub fn key(&self) -> &str {
        Self::mark(&self.0).map_or(&self.0, |at| &self.0[..at])
    }

    /// The context, if the name has one.
    pub fn context(&self) -> Option<&str> {
        Self::mark(&self.0).map(|at| &self.0[at + CONTEXT_MARK.len()..])
    }

    /// `key` or `key__context`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An entry's full address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Project and namespace.
    pub namespace: Namespace,
    /// Key and context.
    pub name: EntryName,
}

impl Address {
    /// The way users write it, in full.
    pub fn display(&self, delimiter: Delimiter) -> String {
        format!("{}{delimiter}{}", self.namespace.display(delimiter), self.name)
    }
}

/// How to read the addresses of one command: the delimiter, the defaults, and what flags have fixed.
#[derive(Clone, Debug, Default)]
pub struct Notation {
    /// Stands between the parts.
    pub delimiter: Delimiter,
    /// Fills what an address leaves out.
    pub defaults: Namespace,
    /// What an argument means that names no namespace.
    pub short: Short,
    /// `--context`: the argument is the key, and this its context.
    pub context: Option<String>,
}

/// What an argument means that names no namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Short {
    /// The start of an address; as that of an entry, a key of the default namespace.
    #[default]
    Addresses,
    /// In listings a prefix of keys in the default namespace, because a cursor gives that.
    Prefixes,
    /// Always a key, or a prefix, of the default namespace, because `-p` or `-n` was given; no other argument is allowed.
    Keys,
}

/// What a listing covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Keys of one namespace that start with a prefix.
    Within {
        /// The namespace.
        namespace: Namespace,
        /// What the keys start with; may be empty.
        prefix: String,
    },
    /// All of the project of this name, and the namespace of this name in the default project.
    StartingWith(String),
    /// All of the project of this name, for whoever sees no other.
    Project(String),
    /// Everything there is.
    All,
}

impl Listing {
    /// Whether it covers anything of a namespace, where a project that is left out is `default_project`.
    pub fn covers(&self, namespace: &Namespace, default_project: &str) -> bool {
        match self {
            Self::All => true,
            Self::StartingWith(start) => {
                namespace.project() == start
                    || (namespace.namespace() == start && namespace.project() == default_project)
            }
            Self::Project(project) => namespace.project() == project,
            Self::Within { namespace: within, .. } => namespace == within,
        }
    }
}

impl Notation {
    /// Reads the address of one entry, of one to three parts.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn address(&self, text: &str) -> Result<Address, AddressError> {
        if self.short == Short::Keys {
            return Ok(Address { namespace: self.defaults.clone(), name: self.key(text)? });
        }
        let (namespace, key) = match split(text, self.delimiter)?[..] {
            [key] => (self.defaults.clone(), key),
            [namespace, key] => (Namespace::new(self.defaults.project(), namespace)?, key),
            [project, namespace, key] => (Namespace::new(project, namespace)?, key),
            _ => return Err(self.too_many_parts(text)),
        };
        Ok(Address { namespace, name: self.key(key)? })
    }

    /// Reads a key, or `key__context`, that stands alone.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn key(&self, text: &str) -> Result<EntryName, AddressError> {
        self.refuse_delimiter(Part::Key, text)?;
        match &self.context {
            Some(context) => {
                self.refuse_delimiter(Part::Context, context)?;
                EntryName::with_context(text, context)
            }
            None => EntryName::parse(text),
        }
    }

    /// Reads what a listing covers; `None` is a command without an argument.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn listing(&self, text: Option<&str>) -> Result<Listing, AddressError> {
        let within = |namespace, prefix: &str| Listing::Within { namespace, prefix: prefix.to_owned() };
        if self.short == Short::Keys {
            let prefix = text.unwrap_or_default();
            self.refuse_delimiter(Part::Prefix, prefix)?;
            return Ok(within(self.defaults.clone(), prefix));
        }
        let Some(text) = text else {
            return Ok(match self.short {
                Short::Prefixes => within(self.defaults.clone(), ""),
                _ => Listing::All,
            });
        };
        match split(text, self.delimiter)?[..] {
            [prefix] if self.short == Short::Prefixes => Ok(within(self.defaults.clone(), prefix)),
            [start] => {
                check_part(Part::Project, start, MAX_NAME_BYTES)?;
                Ok(Listing::StartingWith(start.to_owned()))
            }
            [project, namespace] => Ok(within(Namespace::new(project, namespace)?, "")),
            [project, namespace, prefix] => Ok(within(Namespace::new(project, namespace)?, prefix)),
            _ => Err(self.too_many_parts(text)),
        }
    }

    /// Refuses a part that is given alone and holds the delimiter.
    ///
    /// # Errors
    /// [`AddressError::Delimiter`].
    pub fn refuse_delimiter(&self, part: Part, text: &str) -> Result<(), AddressError> {
        if text.contains(self.delimiter.0) {
            let (text, delimiter) = (text.to_owned(), self.delimiter);
            return Err(AddressError::Delimiter { part, text, delimiter });
        }
        Ok(())
    }

    fn too_many_parts(&self, text: &str) -> AddressError {
        let parts = text.split(self.delimiter.0).count();
        AddressError::TooManyParts { address: text.to_owned(), parts, delimiter: self.delimiter }
    }
}

/// The parts of an address, none of them empty.
fn split(text: &str, delimiter: Delimiter) -> Result<Vec<&str>, AddressError> {
    let parts: Vec<_> = text.split(delimiter.0).collect();
    match parts.iter().position(|part| part.is_empty()) {
        Some(at) => Err(AddressError::Empty(part_at(at, parts.len()))),
        None => Ok(parts),
    }
}

/// Which part stands at place `at` of an address of `count` parts; keys come last.
fn part_at(at: usize, count: usize) -> Part {
    match count - at {
        1 => Part::Key,
        2 => Part::Namespace,
        _ => Part::Project,
    }
}

fn check_part(part: Part, text: &str, max: usize) -> Result<(), AddressError> {
    if text.is_empty() {
        return Err(AddressError::Empty(part));
    }
    if text.len() > max {
        return Err(AddressError::TooLong { part, bytes: text.len(), max });
    }
    match text.chars().find(|c| c.is_control()) {
        Some(character) => Err(AddressError::Control { part, character }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notation() -> Notation {
        Notation::default()
    }

    fn shown(text: &str) -> String {
        notation().address(text).unwrap().display(Delimiter::default())
    }

    #[test]
    fn missing_parts_come_from_the_defaults() {
        assert_eq!(shown("a"), "default.default.a");
        assert_eq!(shown("a.b"), "default.a.b");
        assert_eq!(shown("a.b.c"), "a.b.c");
    }

    #[test]
    fn a_fourth_part_is_an_error() {
        let error = notation().address("a.b.c.d").unwrap_err();
        assert!(matches!(error, AddressError::TooManyParts { parts: 4, .. }), "{error}");
    }

    #[test]
    fn errors_name_the_part() {
        let long = "x".repeat(513);
        for (part, address) in [
            ("project", format!("{long}.n.k")),
            ("namespace", format!("p.{long}.k")),
            ("key", format!("p.n.{long}")),
            ("context", format!("p.n.k__{long}")),
        ] {
            let error = notation().address(&address).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
        let alone = Notation { short: Short::Keys, ..Notation::default() };
        assert!(alone.listing(Some("n.k")).unwrap_err().to_string().contains("prefix"));
    }

    #[test]
    fn empty_parts_are_errors() {
        for (text, part) in [
            ("", Part::Key),
            (".b.c", Part::Project),
            ("a..c", Part::Namespace),
            ("a.b.", Part::Key),
            ("k__", Part::Context),
            ("__c", Part::Key),
            ("a.b.__", Part::Key),
        ] {
            assert_eq!(notation().address(text), Err(AddressError::Empty(part)), "{text:?}");
        }
    }

    #[test]
    fn a_name_that_is_used_again_is_the_new_text_or_as_before() {
        let mut name = EntryName::nothing();
        name.assign("k__a").unwrap();
        assert_eq!((name.key(), name.context()), ("k", Some("a")));
        assert!(name.assign("k__").is_err());
        assert_eq!(name.as_str(), "k__a");
        name.become_checked("b");
        assert_eq!(name, EntryName::parse("b").unwrap());
    }

    #[test]
    fn names_that_are_left_out_have_a_default() {
        for (project, namespace, shown) in [
            (None, None, "default.default"),
            (Some("p"), None, "p.default"),
            (None, Some("n"), "default.n"),
            (Some("p"), Some("n"), "p.n"),
        ] {
            let found = Namespace::or_default(project, namespace).unwrap();
            assert_eq!(found.display(Delimiter::default()), shown);
            assert_eq!(format!("{}.{}", found.project(), found.namespace()), shown);
        }
        assert!(Namespace::or_default(Some(""), None).is_err());
    }

    #[test]
    fn the_last_mark_starts_the_context() {
        for (text, key, context) in [
            ("k", "k", None),
            ("k__a", "k", Some("a")),
            ("k__a__b", "k__a", Some("b")),
            ("k___b", "k_", Some("b")),
            ("k____b", "k__", Some("b")),
            ("k_a", "k_a", None),
        ] {
            let name = EntryName::parse(text).unwrap();
            assert_eq!((name.key(), name.context()), (key, context), "{text}");
            assert_eq!(name.as_str(), text);
        }
    }

    #[test]
    fn only_the_key_has_a_context() {
        let address = notation().address("a__b.c.d").unwrap();
        assert_eq!(address.namespace.project(), "a__b");
        assert_eq!(address.name.context(), None);
    }

    #[test]
    fn contexts_that_the_mark_would_swallow_are_refused() {
        for context in ["_b", "a__b", "a__"] {
            let refused = EntryName::with_context("k", context);
            assert_eq!(refused, Err(AddressError::AmbiguousContext(context.to_owned())));
        }
    }

    #[test]
    fn limits_are_in_bytes() {
        let name = "ä".repeat(32);
        assert!(Namespace::new(name.clone(), "n").is_ok());
        assert!(Namespace::new(name + "x", "n").is_err());
        assert!(EntryName::parse(&"k".repeat(512)).is_ok());
        assert!(EntryName::parse(&"k".repeat(513)).is_err());
    }

    #[test]
    fn control_characters_are_refused_and_all_others_taken() {
        for bad in ["a\nb", "a\u{7f}", "\u{85}", "nul\0"] {
            assert!(matches!(EntryName::parse(bad), Err(AddressError::Control { .. })), "{bad:?}");
        }
        for good in
            ["a b", "it's \"quoted\"", "a/b/../c", "'; DROP TABLE entries; --", "ключ", "🗝", "-k", "="]
        {
            assert_eq!(EntryName::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn delimiters_are_single_and_special() {
        for good in ["|", "/", ":", "→", ","] {
            assert!(good.parse::<Delimiter>().is_ok(), "{good}");
        }
        for bad in ["", "ab", "a", "7", "_", "-", "=", ";", "'", "\"", " ", "\n", "é"] {
            assert!(bad.parse::<Delimiter>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn there_is_a_delimiter_for_every_address() {
        let all: Vec<_> = Delimiter::all().map(Delimiter::char).collect();
        assert!(all.len() > 2 * MAX_NAME_BYTES + MAX_KEY_BYTES, "{}", all.len());
        assert!(all.is_sorted_by(|a, b| a < b), "none comes twice");
        for delimiter in all {
            assert_eq!(delimiter.to_string().parse::<Delimiter>().map(Delimiter::char), Ok(delimiter));
        }
    }

    #[test]
    fn only_the_delimiter_in_use_is_barred() {
        let bars = Notation { delimiter: "|".parse().unwrap(), ..Notation::default() };
        assert_eq!(bars.address("x|y|z"), notation().address("x.y.z"));
        assert_eq!(bars.address("x|y|z.z").unwrap().name.as_str(), "z.z");
    }

    #[test]
    fn keys_that_stand_alone_hold_no_delimiter() {
        let alone = Notation { short: Short::Keys, ..Notation::default() };
        assert_eq!(alone.address("k__c").unwrap().name.context(), Some("c"));
        assert!(matches!(alone.address("n.k"), Err(AddressError::Delimiter { part: Part::Key, .. })));
        assert!(matches!(
            alone.listing(Some("n.k")),
            Err(AddressError::Delimiter { part: Part::Prefix, .. })
        ));
    }

    #[test]
    fn a_context_from_a_flag_leaves_the_key_whole() {
        let flagged = Notation { context: Some("b".to_owned()), ..Notation::default() };
        assert_eq!(flagged.address("k__a"), notation().address("k__a__b"));
    }

    #[test]
    fn listings_take_two_parts_for_a_namespace() {
        let within = |p: &str, n: &str, prefix: &str| Listing::Within {
            namespace: Namespace::new(p, n).unwrap(),
            prefix: prefix.to_owned(),
        };
        assert_eq!(notation().listing(None), Ok(Listing::All));
        assert_eq!(notation().listing(Some("a")), Ok(Listing::StartingWith("a".to_owned())));
        assert_eq!(notation().listing(Some("a.b")), Ok(within("a", "b", "")));
        assert_eq!(notation().listing(Some("a.b.k__")), Ok(within("a", "b", "k__")));
        assert!(notation().listing(Some("a.b.c.d")).is_err());
        let alone = Notation { short: Short::Keys, ..Notation::default() };
        assert_eq!(alone.listing(None), Ok(within("default", "default", "")));
        assert_eq!(alone.listing(Some("pre")), Ok(within("default", "default", "pre")));
    }

    #[test]
    fn a_listing_covers_what_it_names_and_nothing_else() {
        let within = Namespace::new("p", "n").unwrap();
        for (listing, covered) in [
            (Listing::All, "p.n p.x x.n x.p d.p d.n"),
            (Listing::Project("p".to_owned()), "p.n p.x"),
            (Listing::StartingWith("p".to_owned()), "p.n p.x d.p"),
            (Listing::Within { namespace: within, prefix: String::new() }, "p.n"),
        ] {
            let covers = |text: &&str| {
                let namespace = Namespace::parse(text, Delimiter::default()).unwrap();
                listing.covers(&namespace, "d")
            };
            let found: Vec<_> =
                ["p.n", "p.x", "x.n", "x.p", "d.p", "d.n"].into_iter().filter(covers).collect();
            assert_eq!(found.join(" "), covered, "{listing:?}");
        }
    }

    #[test]
    fn a_cursor_lists_its_namespace_unless_the_address_names_another() {
        let within = |namespace: &str, prefix: &str| {
            let namespace = Namespace::parse(namespace, Delimiter::default()).unwrap();
            Ok(Listing::Within { namespace, prefix: prefix.to_owned() })
        };
        let cursor = Notation {
            short: Short::Prefixes,
            defaults: Namespace::new("p", "n").unwrap(),
            ..Notation::default()
        };
        assert_eq!(cursor.listing(None), within("p.n", ""));
        assert_eq!(cursor.listing(Some("k")), within("p.n", "k"));
        assert_eq!(cursor.listing(Some("a.b")), within("a.b", ""));
        assert_eq!(cursor.listing(Some("a.b.k")), within("a.b", "k"));
        assert_eq!(cursor.address("b.k").unwrap().namespace, Namespace::new("p", "b").unwrap());
    }
}
