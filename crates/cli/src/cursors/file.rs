//! Cursors as they lie on disk: one JSON object each.

use std::path::PathBuf;

use prontodb_core::{Clock, Namespace, SystemClock};
use serde::{Deserialize, Deserializer};

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

    /// Checks what a file holds.
    fn of(fields: &mut Fields) -> Result<Self, &'static str> {
        let database = PathBuf::from(fields.database_path.take().ok_or("it names no database_path")?);
        if !database.is_absolute() {
            return Err("its database_path is not absolute");
        }
        let (project, namespace) = (fields.default_project.take(), fields.default_namespace.take());
        if project.is_some() || namespace.is_some() {
            Namespace::or_default(project.as_deref(), namespace.as_deref())
                .map_err(|_| "its project or namespace cannot be a name")?;
        }
        let created = fields.created_at.take().unwrap_or_default();
        let user = fields.user.take().filter(|user| user != NOBODY);
        Ok(Self { database, project, namespace, created, user })
    }
}

/// The fields of a file as they are written. Those of others are let be.
#[derive(Deserialize)]
struct Fields {
    #[serde(default, deserialize_with = "text")]
    cursor: Option<String>,
    #[serde(default, deserialize_with = "text")]
    database_path: Option<String>,
    #[serde(default, deserialize_with = "text")]
    default_project: Option<String>,
    #[serde(default, deserialize_with = "text")]
    default_namespace: Option<String>,
    #[serde(default, deserialize_with = "text")]
    created_at: Option<String>,
    #[serde(default, deserialize_with = "text")]
    user: Option<String>,
}

/// A text or null; an empty text counts as null.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
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
        match bytes.trim_ascii_start().first() {
            Some(b'{') => {}
            Some(_) => return Err("it holds no JSON object"),
            None => return Err("it is empty"),
        }
        let mut fields: Fields = serde_json::from_slice(bytes).map_err(|error| match error.is_data() {
            true => "a field is no text, or stands there twice",
            false => "it is no JSON",
        })?;
        Ok(Self { cursor: Cursor::of(&mut fields)?, name: fields.cursor })
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
            ("{\u{0}}", "no JSON"),
            ("\u{0}", "no JSON object"),
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
