//! Records of the catalogs as values of their types.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::{Catalog, Txn, View};
use crate::error::{Error, ErrorKind, Result};

/// How many records are read at a time.
const PAGE: usize = 1000;

/// What a catalog keeps.
pub(crate) trait Kept: Serialize + DeserializeOwned {
    /// Where.
    const CATALOG: Catalog;
}

pub(crate) fn find<T: Kept, V: View + ?Sized>(view: &V, key: &str) -> Result<Option<T>> {
    view.record(T::CATALOG, key)?.map(|record| read(&record)).transpose()
}

/// All records, each with its key, in the order of keys.
pub(crate) fn all<T: Kept, V: View + ?Sized>(view: &V) -> Result<Vec<(String, T)>> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = view.records(T::CATALOG, &after, PAGE)?;
        for (key, record) in &page {
            all.push((key.clone(), read(record)?));
        }
        match page.into_iter().last() {
            Some((last, _)) => after = last,
            None => return Ok(all),
        }
    }
}

pub(crate) fn keep<T: Kept>(txn: &mut dyn Txn, key: &str, record: &T) -> Result<()> {
    let text = serde_json::to_string(record).map_err(|error| unreadable::<T>(&error))?;
    txn.put_record(T::CATALOG, key, &text)
}

/// Removes the records that `is_meant` picks; says how many there were.
pub(crate) fn remove_where<T: Kept>(txn: &mut dyn Txn, is_meant: impl Fn(&T) -> bool) -> Result<usize> {
    let meant: Vec<_> = all::<T, _>(txn)?.into_iter().filter(|(_, record)| is_meant(record)).collect();
    meant.iter().try_for_each(|(key, _)| txn.remove_record(T::CATALOG, key))?;
    Ok(meant.len())
}

pub(crate) fn read<T: Kept>(record: &str) -> Result<T> {
    serde_json::from_str(record).map_err(|error| unreadable::<T>(&error))
}

fn unreadable<T: Kept>(error: &serde_json::Error) -> Error {
    Error::new(ErrorKind::Damaged, format!("a record of {} cannot be read; {error}", T::CATALOG.name()))
}

/// Values as texts in base64, in what is kept as JSON.
pub(crate) mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}
