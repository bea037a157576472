//! Which physical table a space lies in, and how statements are written for it.

use std::borrow::Cow;

use super::{schema, sql};
use crate::engine::{Catalog, Fields, Range, Space};

/// The columns of an entry, apart from its name, in the order that [`super::rows`] reads them.
const HEAD_COLUMNS: &str = "name, version, created, updated, expires, writer, rank, size, coding, metakeys";

/// A statement for the table of `space`. Table names are made by this program alone.
pub(super) fn statement(template: &str, space: &Space) -> String {
    of_table(template, &space.table)
}

/// A statement for the table of a catalog.
pub(super) fn of_catalog(template: &str, catalog: Catalog) -> String {
    of_table(template, catalog.name())
}

/// A statement that reads a file of an earlier schema: what that has no column for is nothing.
pub(super) fn for_schema(schema: usize, statement: &str) -> Cow<'_, str> {
    match schema {
        1 => without_metakeys(statement).replace(", coding", ", NULL").replace(", data_key", ", NULL").into(),
        2 => without_metakeys(statement).into(),
        3 => without_past(statement).into(),
        _ => statement.into(),
    }
}

fn without_metakeys(statement: &str) -> String {
    without_past(statement).replace("metakeys", "NULL")
}

fn without_past(statement: &str) -> String {
    statement.replace(", changes", ", NULL").replace(", history", ", NULL")
}

/// A statement that takes entries of `space` to the table `target`.
pub(super) fn to_target(template: &str, space: &Space, target: &str) -> String {
    from_to(template, &space.id.to_string(), (&space.table, target))
}

/// The same for the space of this number, from one table to another.
pub(super) fn from_to(template: &str, space: &str, (table, target): (&str, &str)) -> String {
    let new_columns: Vec<_> = schema::COLUMNS.split(", ").map(|column| format!("NEW.{column}")).collect();
    let filled = template.replace("{target}", target).replace("{ns}", space);
    let filled =
        filled.replace("{columns}", schema::COLUMNS).replace("{new_columns}", &new_columns.join(", "));
    of_table(&filled, table)
}

/// The statement that ends one of the triggers of a move.
pub(super) fn drop_trigger(name: &str) -> String {
    schema::DROP_TRIGGER.replace("{trigger}", name)
}

pub(super) fn of_table(template: &str, table: &str) -> String {
    template.replace("{table}", table)
}

/// The scan of a range: only the columns that are wanted, so that values are not read in vain.
pub(super) fn scan(space: &Space, range: &Range, has_end: bool) -> String {
    let columns = match range.fields {
        Fields::Names => "name",
        Fields::Heads => HEAD_COLUMNS,
        Fields::Values => "name, coding, coalesce(value, large)",
        Fields::All => {
            "name, version, created, updated, expires, writer, rank, size, coding, metakeys, coalesce(value, large)"
        }
    };
    let order = if range.reverse { "DESC" } else { "ASC" };
    let wanted = match (range.visible_at, range.with_metakeys) {
        (None, false) => sql::ALWAYS.to_owned(),
        (None, true) => sql::HAS_METAKEYS.to_owned(),
        (Some(_), false) => sql::VISIBLE.to_owned(),
        (Some(_), true) => format!("{} AND {}", sql::VISIBLE, sql::HAS_METAKEYS),
    };
    let end = if has_end { sql::BELOW } else { "" };
    let template = sql::SCAN.replace("{columns}", columns).replace("{wanted}", &wanted).replace("{end}", end);
    statement(&template, space).replace("{order}", order)
}
