//! A cursor as it lies on disk: one JSON object.

use std::path::{Path, PathBuf};

use prontodb_core::address::DEFAULT_NAME;
use prontodb_core::{Clock, Namespace, SystemClock};
use serde_json::{Map, Value};

use crate::exit::{Code, Failure};
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
    /// Of an active selection: the name of the cursor that was selected.
    pub selected: Option<String>,
}

impl Cursor {
    /// A cursor that is made now.
    pub fn new(database: PathBuf, user: Option<String>) -> Self {
        // `2026-11-24T09:30:00.000Z` without its milliseconds.
        let created = format!("{}Z", &SystemClock.now().to_string()[..19]);
        Self { database, project: None, namespace: None, created, user, selected: None }
    }

    /// The same for an active selection, which remembers the cursor's name.
    pub fn selected_as(&self, name: Option<&str>) -> Self {
        Self { selected: name.map(str::to_owned), ..self.clone() }
    }

    /// What its file holds.
    ///
    /// # Errors
    /// A path that JSON cannot hold.
    pub fn to_json(&self) -> Result<Vec<u8>, Failure> {
        if self.database.to_str().is_none() {
            let path = self.database.display();
            return Err(Failure::invalid(format!("{path} is not UTF-8, which cursors need")));
        }
        let mut text = Vec::new();
        let mut object = Object::begin(&mut text);
        for (name, value) in self.fields() {
            object.text_or_null(name, value.as_deref());
        }
        object.end();
        text.push(b'\n');
        Ok(text)
    }

    /// Its fields, in the order of the file; the last is for active selections.
    pub fn fields(&self) -> [(&'static str, Option<String>); 6] {
        [
            ("database_path", Some(self.database.display().to_string())),
            ("default_project", self.project.clone()),
            ("default_namespace", self.namespace.clone()),
            ("created_at", Some(self.created.clone())),
            ("user", Some(self.user.clone().unwrap_or_else(|| NOBODY.to_owned()))),
            ("cursor", self.selected.clone()),
        ]
    }

    /// Reads the file at `path`, which should be that of `user`.
    ///
    /// # Errors
    /// Whatever is no cursor, and a cursor of another user.
    pub fn parse(path: &Path, bytes: &[u8], user: Option<&str>) -> Result<Self, Failure> {
        let cursor = read(bytes).map_err(|why| damaged(path, why))?;
        if cursor.user.as_deref() == user {
            return Ok(cursor);
        }
        let (owner, user) = (cursor.user.as_deref().unwrap_or(NOBODY), user.unwrap_or(NOBODY));
        Err(Failure::invalid(format!("{} is a cursor of the user {owner}, not of {user}", path.display()))
            .hint(format!("--user {owner} uses it; prontodb cursor list --user {owner} shows all of them")))
    }
}

/// The failure of a file that is no cursor.
pub fn damaged(path: &Path, why: &str) -> Failure {
    let what = format!("the cursor file {} is damaged; {why}", path.display());
    Failure::new(Code::Damaged, "damaged", what)
        .hint("write it anew with prontodb cursor set NAME PATH, or prontodb cursor NAME for the active one")
}

fn read(bytes: &[u8]) -> Result<Cursor, &'static str> {
    let object: Map<String, Value> = match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err("it holds no JSON object"),
        Err(_) if bytes.trim_ascii().is_empty() => return Err("it is empty"),
        Err(_) => return Err("it is no JSON"),
    };
    let text = |name: &str| match object.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        None | Some(Value::Null | Value::String(_)) => Ok(None),
        Some(_) => Err("a field is no text"),
    };
    let database = PathBuf::from(text("database_path")?.ok_or("it names no database_path")?);
    if !database.is_absolute() {
        return Err("its database_path is not absolute");
    }
    let (project, namespace) = (text("default_project")?, text("default_namespace")?);
    let named = |name: &Option<String>| name.clone().unwrap_or_else(|| DEFAULT_NAME.to_owned());
    Namespace::new(named(&project), named(&namespace))
        .map_err(|_| "its project or namespace cannot be a name")?;
    Ok(Cursor {
        database,
        project,
        namespace,
        created: text("created_at")?.unwrap_or_default(),
        user: text("user")?.filter(|user| user != NOBODY),
        selected: text("cursor")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/c/x.cursor";

    fn parse(text: &str) -> Result<Cursor, Failure> {
        Cursor::parse(Path::new(PATH), text.as_bytes(), None)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let plain = Cursor::new("/a \"b\"/c\n.prdb".into(), None);
        let full = Cursor {
            project: Some("p.q".to_owned()),
            namespace: Some("ä".to_owned()),
            user: Some("alice".to_owned()),
            ..plain.selected_as(Some("work"))
        };
        for cursor in [plain, full] {
            let text = cursor.to_json().unwrap();
            let read = Cursor::parse(Path::new(PATH), &text, cursor.user.as_deref()).unwrap();
            assert_eq!(read, cursor);
        }
    }

    #[test]
    fn moments_are_whole_seconds() {
        let created = Cursor::new("/a".into(), None).created;
        assert!(created.len() == 20 && created.ends_with('Z'), "{created}");
    }

    #[test]
    fn fields_of_others_are_let_be() {
        assert_eq!(parse(r#"{"database_path":"/a","colour":7}"#).unwrap().database, Path::new("/a"));
    }

    #[test]
    fn what_is_no_cursor_is_named() {
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
            let failure = parse(text).unwrap_err();
            assert_eq!(failure.code, Code::Damaged, "{text}");
            assert!(failure.message.contains(PATH) && failure.message.contains(why), "{}", failure.message);
        }
    }

    #[test]
    fn the_cursor_of_another_is_refused() {
        let failure = parse(r#"{"database_path":"/a","user":"alice"}"#).unwrap_err();
        assert!(failure.message.contains(PATH) && failure.message.contains("alice"), "{}", failure.message);
        assert!(failure.hint.unwrap().contains("--user alice"));
    }
}
