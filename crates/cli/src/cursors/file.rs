//! Cursors as they lie on disk: one JSON object each.

use std::path::PathBuf;

use prontodb_core::{Clock, Namespace, SystemClock};
use serde_json::{Map, Value};

use crate::exit::Failure;
use crate::output::json::Object;
use crate::user::NOBODY;

/// A saved selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The file of the database; absolute.
    pub database: PathBuf,
    /// The project of addresses that name none.
    pub project: Option<String>,
    /// The namespace of addresses that name none.
    pub namespace: Option<String>,
    /// When it was saved, to the second.
    pub created: String,
    /// Whose it is; `None` is nobody in particular.
    pub user: Option<String>,
}

/// What is selected now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The cursor that was selected, if it was one.
    pub name: Option<String>,
    /// What it says.
    pub cursor: Cursor,
}

impl Cursor {
    /// A cursor that is made now.
    pub fn new(database: PathBuf, user: Option<&str>) -> Self {
        // `2026-11-24T09:30:00.000Z` without its milliseconds.
        let created = format!("{}Z", &SystemClock.now().to_string()[..19]);
        Self { database, project: None, namespace: None, created, user: user.map(str::to_owned) }
    }

    /// Whether it says the same, whenever it was saved.
    pub fn says(&self, other: &Self) -> bool {
        *self == Self { created: self.created.clone(), ..other.clone() }
    }

    /// Its fields, in the order of the file.
    pub fn fields(&self) -> [(&'static str, Option<String>); 5] {
        [
            ("database_path", Some(self.database.display().to_string())),
            ("default_project", self.project.clone()),
            ("default_namespace", self.namespace.clone()),
            ("created_at", Some(self.created.clone())),
            ("user", Some(self.user.clone().unwrap_or_else(|| NOBODY.to_owned()))),
        ]
    }

    /// What its file holds.
    ///
    /// # Errors
    /// A path that JSON cannot hold.
    pub fn to_json(&self) -> Result<Vec<u8>, Failure> {
        self.require_text()?;
        Ok(json(self.fields().as_slice()))
    }

    fn require_text(&self) -> Result<(), Failure> {
        let path = self.database.display();
        match self.database.to_str() {
            Some(_) => Ok(()),
            None => Err(Failure::invalid(format!("{path} is not UTF-8, which cursors need"))),
        }
    }

    /// Reads the object of a file.
    fn read(object: &Map<String, Value>) -> Result<Self, &'static str> {
        let database = PathBuf::from(text(object, "database_path")?.ok_or("it names no database_path")?);
        if !database.is_absolute() {
            return Err("its database_path is not absolute");
        }
        let (project, namespace) = (text(object, "default_project")?, text(object, "default_namespace")?);
        Namespace::or_default(project.as_deref(), namespace.as_deref())
            .map_err(|_| "its project or namespace cannot be a name")?;
        Ok(Self {
            database,
            project,
            namespace,
            created: text(object, "created_at")?.unwrap_or_default(),
            user: text(object, "user")?.filter(|user| user != NOBODY),
        })
    }
}

impl Selected {
    /// Its fields, in the order of the file.
    pub fn fields(&self) -> Vec<(&'static str, Option<String>)> {
        [("cursor", self.name.clone())].into_iter().chain(self.cursor.fields()).collect()
    }

    /// What its file holds.
    ///
    /// # Errors
    /// A path that JSON cannot hold.
    pub fn to_json(&self) -> Result<Vec<u8>, Failure> {
        self.cursor.require_text()?;
        Ok(json(&self.fields()))
    }

    /// Reads what a file holds; that of a named cursor is read as one without a name.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let object = match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err("it holds no JSON object"),
            Err(_) if bytes.trim_ascii().is_empty() => return Err("it is empty"),
            Err(_) => return Err("it is no JSON"),
        };
        Ok(Self { name: text(&object, "cursor")?, cursor: Cursor::read(&object)? })
    }
}

/// A field that is a text, null, or not there; an empty text counts as null.
fn text(object: &Map<String, Value>, name: &str) -> Result<Option<String>, &'static str> {
    match object.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        None | Some(Value::Null | Value::String(_)) => Ok(None),
        Some(_) => Err("a field is no text"),
    }
}

fn json(fields: &[(&'static str, Option<String>)]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut object = Object::begin(&mut text);
    for (name, value) in fields {
        object.text_or_null(name, value.as_deref());
    }
    object.end();
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Selected, &'static str> {
        Selected::parse(text.as_bytes())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let plain = Cursor::new("/a \"b\"/c\n.prdb".into(), None);
        let full = Cursor {
            project: Some("p.q".to_owned()),
            namespace: Some("ä".to_owned()),
            ..Cursor::new("/a".into(), Some("alice"))
        };
        for cursor in [plain, full] {
            let named = Selected { name: None, cursor };
            assert_eq!(Selected::parse(&named.cursor.to_json().unwrap()), Ok(named.clone()));
            let active = Selected { name: Some("work".to_owned()), ..named };
            assert_eq!(Selected::parse(&active.to_json().unwrap()), Ok(active));
        }
    }

    #[test]
    fn moments_are_whole_seconds() {
        let created = Cursor::new("/a".into(), None).created;
        assert!(created.len() == 20 && created.ends_with('Z'), "{created}");
    }

    #[test]
    fn fields_of_others_are_let_be() {
        let cursor = parse(r#"{"database_path":"/a","colour":7}"#).unwrap().cursor;
        assert_eq!(cursor.database, Path::new("/a"));
    }

    #[test]
    fn an_empty_name_is_none() {
        let text = r#"{"database_path":"/a","default_project":"","default_namespace":null,"user":""}"#;
        let Cursor { project, namespace, user, .. } = parse(text).unwrap().cursor;
        assert_eq!((project, namespace, user), (None, None, None));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let long = format!(r#"{{"database_path":"/a","default_project":"{}"}}"#, "n".repeat(65));
        for (text, why) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("{", "no JSON"),
            ("\u{0}", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "names no database_path"),
            (r#"{"database_path":""}"#, "names no database_path"),
            (r#"{"database_path":7}"#, "is no text"),
            (r#"{"database_path":"a/b"}"#, "not absolute"),
            (r#"{"database_path":"/a","default_namespace":["x"]}"#, "is no text"),
            (r#"{"database_path":"/a","default_namespace":"x\ny"}"#, "cannot be a name"),
            (&long, "cannot be a name"),
        ] {
            assert!(parse(text).unwrap_err().contains(why), "{text}");
        }
    }
}
