//! Replicas in an object store that speaks S3.
//!
//! An object appears when it is whole, so nothing needs another name first. What is long goes there in parts, which are
//! thrown away when it does not come to an end.

use std::io::{self, Read, Write};
use std::time::Duration;

use rusty_s3::actions::{CreateMultipartUpload, ListObjectsV2};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use ureq::http::Response;
use ureq::{Agent, Body};

use super::{Fill, Storage};
use crate::exit::{Code, Failure};

/// What a place in an object store begins with.
pub const SCHEME: &str = "s3://";
/// How long a request may be under way before its signature is none any more.
const VALID: Duration = Duration::from_secs(3600);
/// How long nothing may come back.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a part. There may be 10,000 of them, and all but the last have at least 5 MiB.
const PART: usize = 32 << 20;
/// More bytes of an answer that is read as a whole are none of ours.
const LONGEST_ANSWER: u64 = 16 << 20;

/// A prefix in a bucket.
pub struct ObjectStore {
    agent: Agent,
    bucket: Bucket,
    credentials: Credentials,
    /// What all names begin with; empty, or with a `/` at its end.
    prefix: String,
    shown: String,
}

impl ObjectStore {
    /// The store at `s3://BUCKET/PREFIX`, with the endpoint, the region and the keys of the environment.
    ///
    /// # Errors
    /// A place that is none, or keys that are missing.
    pub fn open(place: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let path = place.strip_prefix(SCHEME).unwrap_or(place);
        let (name, prefix) = path.split_once('/').unwrap_or((path, ""));
        let prefix = prefix.trim_matches('/');
        let given =
            |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let needed = |name: &str| {
            given(&[name]).ok_or_else(|| {
                Failure::usage(format!("{place} needs keys, and {name} is not set"))
                    .hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
            })
        };
        let (key, secret) = (needed("AWS_ACCESS_KEY_ID")?, needed("AWS_SECRET_ACCESS_KEY")?);
        let credentials = match given(&["AWS_SESSION_TOKEN"]) {
            Some(token) => Credentials::new_with_token(key, secret, token),
            None => Credentials::new(key, secret),
        };
        let region = given(&["AWS_REGION", "AWS_DEFAULT_REGION"]).unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = given(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
        // Others than Amazon's may have no name for each bucket.
        let style = if endpoint.is_some() { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let invalid = |why: String| Failure::invalid(format!("{place} cannot be used; {why}"));
        let url = endpoint.parse().map_err(|_| invalid("the endpoint is no URL".to_owned()))?;
        let bucket =
            Bucket::new(url, style, name.to_owned(), region).map_err(|error| invalid(error.to_string()))?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .timeout_per_write(Some(PATIENCE))
            .build();
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let shown = format!("{SCHEME}{name}/{prefix}");
        Ok(Self { agent: config.into(), bucket, credentials, prefix, shown })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn put_whole(&self, key: &str, bytes: &[u8]) -> Result<(), Failure> {
        let url = self.bucket.put_object(Some(&self.credentials), key).sign(VALID);
        self.answer("write", key, self.agent.put(url.as_str()).send(bytes)).map(drop)
    }

    /// What came back, if that is a success.
    fn answer(
        &self,
        verb: &str,
        key: &str,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, Failure> {
        let shown = format!("{SCHEME}{}/{key}", self.bucket.name());
        let answer = answer
            .map_err(|error| Failure::new(Code::Error, "io", format!("cannot {verb} {shown}; {error}")))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let why = self.text(answer).ok().and_then(|text| code_of(&text).map(str::to_owned));
        let why = why.map_or_else(|| status.to_string(), |code| format!("{status}, {code}"));
        let message = format!("cannot {verb} {shown}; the server says {why}");
        Err(match status.as_u16() {
            401 | 403 => Failure::new(Code::Denied, "denied", message),
            _ => Failure::new(Code::Error, "io", message),
        })
    }

    fn text(&self, answer: Response<Body>) -> Result<String, Failure> {
        let mut text = String::new();
        let read = answer.into_body().into_reader().take(LONGEST_ANSWER).read_to_string(&mut text);
        read.map_err(|error| Failure::io(format_args!("cannot read an answer of {}", self.shown), &error))?;
        Ok(text)
    }

    fn unreadable(&self, why: &dyn std::fmt::Display) -> Failure {
        Failure::new(Code::Error, "io", format!("{} answers what cannot be read; {why}", self.shown))
    }
}

/// The word in an answer of S3 that says what is wrong.
fn code_of(answer: &str) -> Option<&str> {
    let (_, rest) = answer.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}

/// An object that is being written: in one go, or in parts once it is longer than one.
struct Upload<'s> {
    store: &'s ObjectStore,
    key: String,
    part: Vec<u8>,
    id: Option<String>,
    tags: Vec<String>,
    failure: Option<Failure>,
}

impl Upload<'_> {
    fn ship_part(&mut self) -> Result<(), Failure> {
        let (bucket, credentials) = (&self.store.bucket, Some(&self.store.credentials));
        let id = match self.id.take() {
            Some(id) => id,
            None => {
                let url = bucket.create_multipart_upload(credentials, &self.key).sign(VALID);
                let answer = self.store.agent.post(url.as_str()).send_empty();
                let text = self.store.text(self.store.answer("write", &self.key, answer)?)?;
                let begun = CreateMultipartUpload::parse_response(&text);
                begun.map_err(|error| self.store.unreadable(&error))?.upload_id().to_owned()
            }
        };
        let id = self.id.insert(id);
        let number = u16::try_from(self.tags.len() + 1).unwrap_or(u16::MAX);
        let url = bucket.upload_part(credentials, &self.key, number, id).sign(VALID);
        let answer = self.store.agent.put(url.as_str()).send(self.part.as_slice());
        let answer = self.store.answer("write", &self.key, answer)?;
        let tag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok());
        self.tags.push(tag.ok_or_else(|| self.store.unreadable(&"a part has no tag"))?.to_owned());
        self.part.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.id.is_none() {
            return self.store.put_whole(&self.key, &self.part);
        }
        self.ship_part()?;
        let (Some(id), credentials) = (&self.id, Some(&self.store.credentials)) else { return Ok(()) };
        let tags = self.tags.iter().map(String::as_str);
        let done = self.store.bucket.complete_multipart_upload(credentials, &self.key, id, tags);
        let url = done.sign(VALID);
        let answer = self.store.agent.post(url.as_str()).send(done.body());
        let text = self.store.text(self.store.answer("write", &self.key, answer)?)?;
        // A failure may come behind a status of success.
        match code_of(&text) {
            Some(code) => Err(self.store.unreadable(&code)),
            None => Ok(()),
        }
    }

    fn abort(&self) {
        if let Some(id) = &self.id {
            let aborted =
                self.store.bucket.abort_multipart_upload(Some(&self.store.credentials), &self.key, id);
            // What matters is the error that led here.
            let _ = self.store.agent.delete(aborted.sign(VALID).as_str()).call();
        }
    }
}

impl Write for Upload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() >= PART {
            self.ship_part().map_err(|failure| {
                let error = io::Error::other(failure.message.clone());
                self.failure = Some(failure);
                error
            })?;
        }
        let taken = bytes.len().min(PART - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Storage for ObjectStore {
    fn put(&self, name: &str, fill: &mut Fill<'_>) -> Result<(), Failure> {
        let mut upload = Upload {
            store: self,
            key: self.key(name),
            part: Vec::new(),
            id: None,
            tags: Vec::new(),
            failure: None,
        };
        let filled = fill(&mut upload).map_err(|failure| upload.failure.take().unwrap_or(failure));
        filled.and_then(|()| upload.finish()).inspect_err(|_| upload.abort())
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>, Failure> {
        let key = self.key(name);
        let url = self.bucket.get_object(Some(&self.credentials), &key).sign(VALID);
        let answer = self.agent.get(url.as_str()).call();
        if answer.as_ref().is_ok_and(|answer| answer.status().as_u16() == 404) {
            return Ok(None);
        }
        let answer = self.answer("read", &key, answer)?;
        Ok(Some(Box::new(answer.into_body().into_reader())))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, Failure> {
        let (prefix, mut names, mut token) = (self.key(folder), Vec::new(), None::<String>);
        loop {
            let mut list = self.bucket.list_objects_v2(Some(&self.credentials));
            list.with_prefix(prefix.as_str());
            list.with_delimiter("/");
            if let Some(token) = token.take() {
                list.with_continuation_token(token);
            }
            let answer = self.agent.get(list.sign(VALID).as_str()).call();
            let text = self.text(self.answer("list", &prefix, answer)?)?;
            let listed = ListObjectsV2::parse_response(&text).map_err(|error| self.unreadable(&error))?;
            let keys = listed.contents.into_iter().map(|object| object.key);
            let folders = listed.common_prefixes.into_iter().map(|folder| folder.prefix);
            let own = keys.chain(folders).filter_map(|key| {
                let name = key.strip_prefix(&prefix)?;
                Some(name.strip_suffix('/').unwrap_or(name).to_owned())
            });
            names.extend(own.filter(|name| !name.is_empty()));
            token = listed.next_continuation_token;
            if token.is_none() {
                break;
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, folder: &str, first: &str) -> Result<(), Failure> {
        let names = self.list(folder)?;
        for name in std::iter::once(first).chain(names.iter().map(String::as_str)) {
            let key = self.key(&format!("{folder}{name}"));
            let url = self.bucket.delete_object(Some(&self.credentials), &key).sign(VALID);
            self.answer("remove", &key, self.agent.delete(url.as_str()).call())?;
        }
        Ok(())
    }

    fn shown(&self, name: &str) -> String {
        format!("{}{name}", self.shown)
    }
}
