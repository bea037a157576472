//! Which physical table a space lies in, and how statements are written for it.

use super::sql;
use crate::engine::{Catalog, Fields, Range, Space};

/// The columns of an entry, apart from its name, in the order that [`super::rows`] reads them.
const HEAD_COLUMNS: &str = "name, version, created, updated, expires, writer, rank, size";

/// A statement for the table of `space`. Table names are made by this program alone.
pub(super) fn statement(template: &str, space: &Space) -> String {
    of_table(template, &space.table)
}

/// A statement for the table of a catalog.
pub(super) fn of_catalog(template: &str, catalog: Catalog) -> String {
    of_table(template, catalog.name())
}

fn of_table(template: &str, table: &str) -> String {
    template.replace("{table}", table)
}

/// The scan of a range: only the columns that are wanted, so that values are not read in vain.
pub(super) fn scan(space: &Space, range: &Range) -> String {
    let columns = match range.fields {
        Fields::Names => "name",
        Fields::Heads => HEAD_COLUMNS,
        Fields::Values => "name, value, large",
        Fields::All => "name, version, created, updated, expires, writer, rank, size, value, large",
    };
    let order = if range.reverse { "DESC" } else { "ASC" };
    statement(sql::SCAN, space).replace("{columns}", columns).replace("{order}", order)
}
