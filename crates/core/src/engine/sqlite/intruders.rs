//! Triggers and views that this program has not made. Whoever brings a file that holds some has their statements run with
//! every write.

use rusqlite::Connection;

use super::{layout, schema, sql};

/// What there is of them, as `trigger NAME` and `view NAME`. The triggers of moves are known by every letter.
pub(super) fn find(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql::TRIGGERS_AND_VIEWS)?;
    let mut rows = statement.query([])?;
    let (mut tables, mut found) = (None, Vec::new());
    while let Some(row) = rows.next()? {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        let (table, text): (String, Option<String>) = (row.get(2)?, row.get(3)?);
        if tables.is_none() {
            tables = Some(tables_of_entries(connection)?);
        }
        let is_ours =
            tables.iter().flatten().any(|target| is_of_a_move(&name, &table, target, text.as_deref()));
        if !is_ours {
            found.push(format!("{kind} {}", name.escape_debug()));
        }
    }
    Ok(found)
}

fn tables_of_entries(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare(sql::TABLES_OF_ENTRIES)?.query_map([], |row| row.get(0))?.collect()
}

/// Whether this is the trigger that keeps `target` in step with `table`.
fn is_of_a_move(name: &str, table: &str, target: &str, text: Option<&str>) -> bool {
    let Some((space, event)) = name.strip_prefix("move_").and_then(|rest| rest.split_once('_')) else {
        return false;
    };
    let is_number = !space.is_empty() && space.bytes().all(|b| b.is_ascii_digit());
    let template = schema::MOVE_TRIGGERS.iter().find(|(of, _)| *of == event).filter(|_| is_number);
    template
        .is_some_and(|(_, template)| Some(layout::from_to(template, space, (table, target)).as_str()) == text)
}
