//! The conformance suite: one small check for each promise of `prontodb_core::engine`.
//!
//! A check gets an engine that nobody has used. [`engine_suite!`](crate::engine_suite) makes a test of each.

pub mod entries;
pub mod eviction;
pub mod history;
pub mod many;
pub mod records;
pub mod scans;
pub mod spaces;
pub mod tables;
pub mod waits;
pub mod writes;

use std::ops::ControlFlow;

use prontodb_core::engine::{Engine, Range, Space, Txn, View};
use prontodb_core::{Coding, Head, Metakeys, Millis, Namespace, Result, Version};

/// Makes the conformance suite a module of tests, each on a fresh engine that `$open` makes and boxes.
#[macro_export]
macro_rules! engine_suite {
    ($suite:ident, $open:expr) => {
        mod $suite {
            #[allow(unused_imports)]
            use super::*;

            const OPEN: fn() -> Box<dyn ::prontodb_core::engine::Engine> = $open;

            $crate::engine_suite! { @tests
                spaces:
                    a_new_engine_is_empty
                    a_new_space_is_empty_and_ordinary
                    a_space_is_found_as_it_was_made
                    an_unknown_namespace_has_no_space
                    no_two_spaces_share_an_id
                    a_namespace_has_one_space
                    spaces_come_in_the_byte_order_of_project_and_namespace
                    spaces_are_found_by_the_whole_name_of_their_project
                    namespaces_that_look_alike_never_meet
                    names_of_namespaces_are_data
                    cache_settings_come_back_field_by_field
                    a_space_stops_being_a_cache
                    cache_settings_are_those_of_one_space
                    cache_settings_leave_the_entries_alone
                    a_new_space_is_not_sealed
                    the_sealing_of_a_space_comes_back
                ;
                tables:
                    no_two_tables_share_a_name
                    a_new_space_lies_in_the_shared_table
                    a_space_may_lie_in_any_table
                    a_cache_may_lie_in_any_table
                    a_dropped_space_is_gone
                    what_is_left_behind_is_swept_in_steps
                    a_space_that_moves_takes_every_change_along
                    what_a_move_leaves_behind_is_no_part_of_the_space
                    a_move_may_end_where_it_began
                    a_failed_write_leaves_tables_and_spaces
                ;
                many:
                    many_entries_are_stored_like_one_after_the_other
                    many_entries_may_be_none_or_one
                    entries_that_break_off_are_not_stored
                    many_entries_are_taken_along_by_a_move
                ;
                history:
                    a_new_space_keeps_no_history
                    how_much_history_is_kept_comes_back
                    versions_come_back_field_by_field
                    versions_come_newest_first
                    a_version_gives_way_to_one_of_the_same_number
                    changes_of_a_space_come_in_one_order
                    ends_are_noted_of_versions_that_are_kept
                    one_version_can_be_dropped
                    trimming_leaves_the_newest
                    what_has_ended_is_forgotten
                    histories_are_those_of_one_space
                    a_history_is_swept_in_steps
                    keeping_all_is_for_the_versions_that_are_there
                    a_failed_write_leaves_histories
                    names_in_histories_are_data
                    histories_leave_entries_alone
                ;
                records:
                    a_new_engine_has_no_records
                    a_record_comes_back
                    a_second_record_replaces_the_first
                    a_removed_record_is_gone
                    records_come_in_the_byte_order_of_keys
                    keys_of_records_are_data
                    the_last_record_has_the_greatest_key
                    a_failed_write_leaves_records
                    records_leave_entries_and_the_revision_alone
                ;
                entries:
                    an_absent_entry_is_none
                    an_entry_comes_back
                    a_second_put_replaces_value_and_head
                    the_size_follows_from_the_value
                    a_coded_value_comes_back_as_it_was_kept
                    put_head_keeps_the_coding
                    heads_come_back_field_by_field
                    upsert_keeps_what_belongs_to_the_key
                    metakeys_of_all_sizes_come_back
                    numbers_of_heads_may_be_large
                    put_head_keeps_value_and_size
                    put_head_makes_no_entry
                    a_removed_entry_is_gone
                    a_removed_entry_can_come_back
                    removing_what_is_absent_is_no_error
                    removing_leaves_the_neighbours
                    expired_entries_are_still_got
                    an_empty_value_is_a_value
                    every_byte_comes_back
                    invalid_utf8_comes_back
                    a_value_of_a_mebibyte_comes_back
                    values_of_all_sizes_replace_each_other
                    large_values_that_are_removed_stay_away
                    names_are_data
                    names_that_look_alike_never_meet
                    names_may_be_as_long_as_addresses_allow
                    one_name_in_two_spaces_is_two_entries
                    ranking_all_gives_each_entry_its_version
                    unranking_all_takes_every_rank_away
                    keeping_all_takes_every_expiry_away
                    changes_of_all_stay_in_their_space
                ;
                scans:
                    an_empty_space_shows_nothing
                    a_panic_passes_through_a_scan
                    names_come_in_the_order_of_their_bytes
                    reverse_is_the_same_order_backwards
                    a_scan_stays_in_its_space
                    a_prefix_selects_what_starts_with_it
                    prefixes_are_literal
                    prefixes_are_case_sensitive
                    a_prefix_may_end_in_the_last_character
                    a_prefix_may_end_before_a_gap_in_the_characters
                    after_begins_behind_a_name
                    after_begins_ahead_of_a_name_in_reverse
                    after_need_not_be_there
                    after_with_a_prefix_stays_within_it
                    after_outside_of_the_prefix_shows_all_or_nothing
                    a_scan_can_be_of_those_with_metakeys_alone
                    entries_are_hidden_from_the_millisecond_they_expire_at
                    expired_entries_are_shown_when_no_moment_is_given
                    fields_names_shows_names_alone
                    fields_heads_shows_no_values
                    fields_values_shows_no_heads
                    fields_all_shows_everything
                    scans_show_how_values_are_coded
                    every_choice_of_fields_shows_the_same_names
                    a_break_ends_the_scan
                ;
                waits:
                    a_wait_ends_when_its_time_is_over
                    a_wait_ends_when_nobody_reads_the_answer
                    another_mark_has_been_changed
                ;
                writes:
                    the_first_version_is_one
                    a_transaction_has_one_version
                    asking_for_the_version_is_a_write
                    the_revision_stays_when_no_version_is_asked_for
                    a_failed_write_leaves_the_revision
                    versions_grow_after_a_failed_write
                    errors_of_bodies_come_back
                    a_failed_write_changes_no_entry
                    a_failed_write_changes_not_all_entries
                    a_failed_write_makes_no_space
                    a_failed_write_leaves_cache_settings
                    a_failed_write_leaves_the_sealing
                    how_long_changes_are_kept_comes_back
                    a_panic_undoes_the_write
                    writes_go_on_after_a_failed_one
                    a_write_sees_its_own_entries
                    a_write_sees_its_own_entries_in_every_listing
                    a_write_sees_its_own_spaces
                    a_write_sees_what_was_written_before_it
                    the_last_change_of_a_write_counts
                    a_read_sees_one_state
                    reads_change_nothing
                ;
                eviction:
                    an_empty_space_has_no_totals
                    totals_count_entries_and_bytes_of_names_and_values
                    totals_follow_every_change
                    totals_leave_out_what_has_expired
                    what_has_expired_is_counted
                    totals_count_all_when_no_moment_is_given
                    totals_are_those_of_one_space
                    expired_entries_come_by_expiry_then_name
                    entries_expire_at_their_millisecond
                    expired_entries_stop_at_the_limit
                    expired_entries_have_the_size_of_their_value
                    expired_entries_are_those_of_one_space
                    fifo_evicts_by_rank
                    lru_evicts_by_rank
                    what_has_no_rank_is_not_evicted_by_rank
                    ttl_evicts_what_expires_soonest
                    equal_victims_come_by_name
                    victims_stop_at_the_limit
                    victims_have_the_size_of_their_value
                    victims_are_those_of_one_space
                    victims_follow_every_change
                ;
            }
        }
    };
    (@tests $($subject:ident: $($check:ident)*;)*) => {
        $(mod $subject {
            $(#[test]
            fn $check() {
                $crate::engine::$subject::$check(&*(super::OPEN)());
            })*
        })*
    };
}

/// Some moment; no check depends on which.
const NOW: Millis = Millis(1_795_253_400_000);

/// The namespace `project.namespace`.
fn namespace(project: &str, namespace: &str) -> Namespace {
    Namespace::new(project, namespace).expect("names of namespaces")
}

/// The head of an entry that was written at [`NOW`], never expires, and has nothing else to tell.
fn plain_head() -> Head {
    Head {
        version: Version(1),
        created: NOW,
        updated: NOW,
        expires: None,
        writer: None,
        rank: None,
        size: 0,
        coding: Coding::PLAIN,
        metakeys: None,
    }
}

/// These pairs as metakeys.
fn metakeys(pairs: &[(&str, &str)]) -> Option<Metakeys> {
    pairs.iter().fold(None, |all: Option<Metakeys>, (name, value)| {
        Some(Metakeys::with(all.as_ref(), name, value).expect("a metakey"))
    })
}

/// A head that expires `millis` after [`NOW`].
fn head_that_expires_in(millis: i64) -> Head {
    Head { expires: Some(Millis(NOW.0 + millis)), ..plain_head() }
}

/// What `body` answers in a read of its own.
fn read<T>(engine: &dyn Engine, body: impl Fn(&dyn View) -> Result<T>) -> T {
    let mut answer = None;
    let done = engine.read(&mut |view| body(view).map(|it| answer = Some(it)));
    done.expect("a read that succeeds");
    answer.expect("a body that was run")
}

/// What `body` answers in a write of its own.
fn write<T>(engine: &dyn Engine, body: impl Fn(&mut dyn Txn) -> Result<T>) -> T {
    let mut answer = None;
    let done = engine.write(&mut |txn| body(txn).map(|it| answer = Some(it)));
    done.expect("a write that succeeds");
    answer.expect("a body that was run")
}

/// Makes the space of `project.namespace`.
fn space(engine: &dyn Engine, project: &str, name: &str) -> Space {
    write(engine, |txn| txn.create_space(&namespace(project, name), NOW))
}

/// Makes a space for checks that need only one.
fn some_space(engine: &dyn Engine) -> Space {
    space(engine, "project", "namespace")
}

/// Stores one entry with a plain head.
fn put(engine: &dyn Engine, space: &Space, name: &str, value: &[u8]) {
    put_with(engine, space, name, &plain_head(), value);
}

/// Stores one entry.
fn put_with(engine: &dyn Engine, space: &Space, name: &str, head: &Head, value: &[u8]) {
    write(engine, |txn| txn.put(space, name, head, value));
}

/// The value of an entry.
fn value(engine: &dyn Engine, space: &Space, name: &str) -> Option<Vec<u8>> {
    read(engine, |view| Ok(view.get(space, name)?.map(|record| record.value)))
}

/// The head of an entry.
fn head(engine: &dyn Engine, space: &Space, name: &str) -> Option<Head> {
    read(engine, |view| view.head(space, name))
}

/// The names that a scan shows.
fn names(engine: &dyn Engine, space: &Space, range: &Range) -> Vec<String> {
    read(engine, |view| names_in(view, space, range))
}

/// The names that a scan shows to a body.
fn names_in<V: View + ?Sized>(view: &V, space: &Space, range: &Range) -> Result<Vec<String>> {
    let mut names = Vec::new();
    view.scan(space, range, &mut |row| {
        names.push(row.name.to_owned());
        ControlFlow::Continue(())
    })?;
    Ok(names)
}

/// Names to try: each is a valid name, and a trap for whoever builds SQL, patterns, paths or lines from it.
const HOSTILE_NAMES: &[&str] = &[
    "it's",
    "\"quoted\"",
    "`ticked`",
    "[bracketed]",
    "'; DROP TABLE entries; --",
    "%",
    "_",
    "*",
    "?",
    "100%_sure*",
    "back\\slash",
    "../../etc/passwd",
    "a/b",
    " ",
    " padded ",
    "-flag",
    "$1 ?1 :name @name",
    "NULL",
    "0",
    "ключ",
    "鍵",
    "🗝",
    "e\u{301}",
    "\u{202e}right to left",
    "\u{feff}",
    "\u{ffff}",
    "\u{10ffff}",
];

#[cfg(test)]
mod tests {
    const SUITE: &str = include_str!("engine.rs");
    const CHECKS: &str = concat!(
        include_str!("engine/entries.rs"),
        include_str!("engine/eviction.rs"),
        include_str!("engine/history.rs"),
        include_str!("engine/many.rs"),
        include_str!("engine/scans.rs"),
        include_str!("engine/spaces.rs"),
        include_str!("engine/records.rs"),
        include_str!("engine/tables.rs"),
        include_str!("engine/waits.rs"),
        include_str!("engine/writes.rs"),
    );

    #[test]
    fn every_check_is_in_the_suite() {
        let functions = CHECKS.lines().filter_map(|line| line.strip_prefix("pub fn "));
        let checks: Vec<_> = functions.filter_map(|rest| rest.split('(').next()).collect();
        assert!(!checks.is_empty());
        for check in checks {
            assert!(SUITE.lines().any(|line| line.trim() == check), "{check} is in no suite");
        }
    }
}
