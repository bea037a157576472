//! Resources: entries and namespaces by URI, for clients that put them before a model themselves.
//!
//! `prontodb:///project/namespace/key` is an entry, and without the key a namespace, of which `?prefix=` and `&after=` take a part. What is no letter, digit, `-`, `.`, `_` or
//! `~` in a part is written as `%` and two hexadecimal digits for each byte, a slash too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prontodb_core::{Address, EntryName, Listing, Namespace};
use rmcp::model::{ErrorData, ListResourcesResult, Resource, ResourceContents, ResourceTemplate};

use super::desk::{Desk, Jobs, Open};
use super::scope::{Reach, Scope};
use super::server::refused;
use super::subscriptions::{Shown, Subject};
use crate::commands::list::Arguments;
use crate::exit::{Code, Failure};

const SCHEME: &str = "prontodb:///";
/// How many namespaces are listed at a time.
const PAGE: usize = 100;
/// The longest value that is read as a whole.
const MOST_BYTES: u64 = 1024 * 1024;

/// What a URI names.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Namespace { namespace: Namespace, prefix: String, after: Option<String> },
    Entry(Address),
}

/// How URIs of entries are made.
pub fn templates(scope: &Scope) -> Vec<ResourceTemplate> {
    let namespace = match scope.reach {
        Reach::Everything => format!("{SCHEME}{{project}}/{{namespace}}"),
        Reach::Project => format!("{SCHEME}{}/{{namespace}}", escaped(scope.notation.defaults.project())),
        Reach::Namespace => uri_of(&scope.notation.defaults),
    };
    let entry =
        ResourceTemplate::new(format!("{namespace}/{{key}}"), "entry").with_description("The value of a key");
    let keys = ResourceTemplate::new(format!("{namespace}{{?prefix,after}}"), "namespace")
        .with_description("The keys of a namespace: those that start so, behind a key")
        .with_mime_type("application/json");
    vec![entry, keys]
}

/// The namespaces, a page at a time.
pub async fn list(jobs: &Jobs, after: Option<String>) -> Result<ListResourcesResult, ErrorData> {
    let found = jobs.ask(move |desk| {
        let Open { scope, store, .. } = desk.reading()?;
        let spaces = store.namespaces(scope.only_project())?.into_iter().map(|space| space.namespace);
        let mut uris: Vec<_> = spaces
            .filter(|namespace| scope.covers(namespace))
            .map(|namespace| (uri_of(&namespace), scope.show_namespace(&namespace)))
            .filter(|(uri, _)| after.as_ref().is_none_or(|after| uri > after))
            .collect();
        uris.sort();
        Ok(uris)
    });
    let found = found.await.map_err(|failure| refused(&failure))?;
    let next_cursor = (found.len() > PAGE).then(|| found[PAGE - 1].0.clone());
    let resource =
        |(uri, name): (String, String)| Resource::new(uri, name).with_mime_type("application/json");
    let mut listed =
        ListResourcesResult::with_all_items(found.into_iter().take(PAGE).map(resource).collect());
    listed.next_cursor = next_cursor;
    Ok(listed)
}

/// What is at a URI.
pub async fn read(jobs: &Jobs, uri: String) -> Result<ResourceContents, ErrorData> {
    let read = jobs.ask(move |desk| match place(&uri)? {
        Place::Namespace { namespace, prefix, after } => keys(desk, uri, namespace, prefix, after),
        Place::Entry(address) => value(desk, uri, &address),
    });
    read.await.map_err(|failure| refused(&failure))
}

/// What a client may subscribe to by a URI.
pub fn watched(scope: &Scope, uri: &str) -> Result<Subject, Failure> {
    let subject = match place(uri)? {
        Place::Namespace { namespace, prefix, after } => {
            Subject { namespace, entries: Shown::StartingWith { prefix, after } }
        }
        Place::Entry(Address { namespace, name }) => {
            Subject { namespace, entries: Shown::Named(name.as_str().to_owned()) }
        }
    };
    scope.require(&subject.namespace)?;
    Ok(subject)
}

fn keys(
    desk: &mut Desk,
    uri: String,
    namespace: Namespace,
    prefix: String,
    after: Option<String>,
) -> Result<ResourceContents, Failure> {
    let Open { cx, scope, store, max_bytes } = desk.reading()?;
    scope.require(&namespace)?;
    let mut arguments = Arguments::page(max_bytes, 2);
    arguments.after = after;
    let filled = arguments.fill(cx, store, &Listing::Within { namespace, prefix }, false);
    let text = std::mem::take(cx.out.buffer());
    filled?;
    let text = String::from_utf8_lossy(text.trim_ascii_end()).into_owned();
    Ok(ResourceContents::text(text, uri).with_mime_type("application/json"))
}

fn value(desk: &mut Desk, uri: String, address: &Address) -> Result<ResourceContents, Failure> {
    let Open { scope, store, .. } = desk.reading()?;
    scope.require(&address.namespace)?;
    let missing = || Failure::new(Code::Missing, "not_found", format!("there is no {}", scope.show(address)));
    let record = store.get(address)?.ok_or_else(missing)?;
    if record.head.size > MOST_BYTES {
        let what = format!("{} has {} bytes", scope.show(address), record.head.size);
        return Err(Failure::new(Code::Limit, "limit", format!("{what}; the tool get reads it in parts")));
    }
    Ok(match String::from_utf8(record.value) {
        Ok(text) => ResourceContents::text(text, uri),
        Err(bytes) => ResourceContents::blob(STANDARD.encode(bytes.into_bytes()), uri)
            .with_mime_type("application/octet-stream"),
    })
}

/// Reads a URI.
fn place(uri: &str) -> Result<Place, Failure> {
    let wrong = || {
        let what = format!("{uri} is no {SCHEME}PROJECT/NAMESPACE/KEY");
        Failure::invalid(format!("{what}; `%` and two digits stand for what is no letter or digit"))
    };
    let rest = uri.strip_prefix(SCHEME).ok_or_else(wrong)?;
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let parts = path.split('/').map(unescaped).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
    let invalid = |error: prontodb_core::address::AddressError| Failure::invalid(format!("{uri}: {error}"));
    match (parts.as_slice(), query) {
        ([project, namespace], query) => {
            let namespace = Namespace::new(project.as_str(), namespace.as_str()).map_err(invalid)?;
            let [prefix, after] = part(query).ok_or_else(wrong)?;
            Ok(Place::Namespace { namespace, prefix: prefix.unwrap_or_default(), after })
        }
        ([project, namespace, key], None) => {
            let namespace = Namespace::new(project.as_str(), namespace.as_str()).map_err(invalid)?;
            Ok(Place::Entry(Address { namespace, name: EntryName::parse(key).map_err(invalid)? }))
        }
        _ => Err(wrong()),
    }
}

/// Reads which part of a namespace is meant: what its keys start with, and which one they are behind.
fn part(query: Option<&str>) -> Option<[Option<String>; 2]> {
    let mut part = [None, None];
    for (name, value) in query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .map(|term| term.split_once('='))
        .collect::<Option<Vec<_>>>()?
    {
        let place = match name {
            "prefix" => &mut part[0],
            "after" => &mut part[1],
            _ => return None,
        };
        if place.replace(unescaped(value)?).is_some() {
            return None;
        }
    }
    Some(part)
}

fn uri_of(namespace: &Namespace) -> String {
    format!("{SCHEME}{}/{}", escaped(namespace.project()), escaped(namespace.namespace()))
}

/// A part of a URI.
fn escaped(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// What a part of a URI stands for.
fn unescaped(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_say_what_they_were_made_of() {
        for (project, name) in [("a", "b"), ("a.b/c", "d e"), ("ключ", "%41?x=#"), ("..", ".")] {
            let namespace = Namespace::new(project, name).unwrap();
            let place = place(&uri_of(&namespace)).unwrap();
            assert_eq!(place, Place::Namespace { namespace, prefix: String::new(), after: None });
        }
    }

    #[test]
    fn uris_of_entries_and_pages_are_told_from_others() {
        let at = |uri: &str| place(uri).map_err(|failure| failure.message);
        let namespace = || Namespace::new("p", "n").unwrap();
        let name = EntryName::parse("a/b__c").unwrap();
        assert_eq!(
            at("prontodb:///p/n/a%2Fb__c"),
            Ok(Place::Entry(Address { namespace: namespace(), name }))
        );
        let part = |prefix: &str, after: Option<&str>| {
            let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
            Ok(Place::Namespace { namespace: namespace(), prefix, after })
        };
        assert_eq!(at("prontodb:///p/n?after=k%201"), part("", Some("k 1")));
        assert_eq!(at("prontodb:///p/n?prefix=a%26b"), part("a&b", None));
        assert_eq!(at("prontodb:///p/n?prefix=k&after=k%3D"), part("k", Some("k=")));
        assert_eq!(at("prontodb:///p/n?after=k&prefix="), part("", Some("k")));
        for wrong in [
            "",
            "file:///p/n/k",
            "prontodb://p/n/k",
            "prontodb:///",
            "prontodb:///p",
            "prontodb:///p/n/",
            "prontodb:///p/n/k/l",
            "prontodb:///p/n/k?after=x",
            "prontodb:///p/n?x=1",
            "prontodb:///p/n?",
            "prontodb:///p/n?after",
            "prontodb:///p/n?after=a&after=b",
            "prontodb:///p/n?prefix=%zz",
            "prontodb:///p/n/%4",
            "prontodb:///p/n/%ff",
            "prontodb:///p//k",
            "prontodb:///p/n/a%00",
        ] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }
}
