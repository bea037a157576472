//! What `prontodb` promises on the command line, asked of the real program; a file a subject.

#![allow(clippy::unwrap_used, reason = "a helper that finds no answer fails the test, as it should")]

mod addresses;
mod admin_database;
mod append;
mod audit;
mod auth;
mod backup;
mod backups_under_load;
mod bad_input;
mod bad_luck;
mod bounded;
mod caches;
mod care;
mod common;
mod completions;
mod config;
mod contexts;
mod contexts_regressions;
mod cursor_defaults;
mod cursors;
mod damaged_cursors;
mod databases;
mod del;
mod directory_file;
mod discovery;
mod docs;
mod doctor;
mod dry_runs;
mod encryption;
mod examples;
mod exists;
mod explain;
mod flags;
mod get;
mod help_version;
mod history;
mod incr;
mod install;
mod json;
mod key_verbs;
mod keys;
mod limits;
mod locks;
mod long_listings;
mod many_processes;
#[cfg(feature = "mcp")]
mod mcp;
mod metakeys;
mod moves;
mod objects;
mod once;
mod overlays;
mod paths;
mod point_in_time;
mod precedence;
mod queues;
mod regressions;
mod rename_copy;
mod restore;
mod revoked;
mod round_trips;
mod scan;
mod set;
mod set_conditions;
mod side_by_side;
mod stream;
mod sync;
mod terminal;
mod touch;
mod transfer;
mod trees;
mod ttl;
mod txn;
mod uninstall;
mod update;
mod users;
mod wait;
mod watch;

/// A file that is not listed above is never compiled, and its tests never fail.
#[test]
fn every_file_of_tests_is_listed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let listed = include_str!("main.rs").lines().any(|line| line == format!("mod {name};"));
        assert!(name == "main" || listed, "{} is not listed in main.rs", path.display());
    }
}
