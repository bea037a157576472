//! What is wrong with a file: pages and indexes by SQLite's own check, and what this program promises of its tables.

use std::collections::BTreeSet;

use rusqlite::{Row, params};

use super::view::SqliteView;
use super::{layout, sql};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Deed;

/// The catalogs whose records excuse entries that are not, or not yet, where their space is.
const EXCUSES: [&str; 2] = ["sys_leftovers", "sys_moves"];

/// A million writes a second take 146,000 years to get there, and the numbers behind it are SQLite's to run out of.
pub(super) const MAX_REVISION: u64 = 1 << 62;

/// Why an entry cannot be as it is, by the numbers of [`sql::ODD_ENTRIES`].
const ODD: [&str; 7] = [
    "has no value, or two",
    "has lost its large value",
    "has a value of another length than it says",
    "expires, and its namespace is no cache",
    "has a rank, and its namespace is no cache with a limit",
    "has no rank, and its namespace is a cache with a limit",
    "is of a write that has not been yet",
];

/// Why a version cannot be as its history has it, by the numbers of [`sql::ODD_PAST`].
const ODD_PAST: [&str; 4] = [
    "is of a change that there is no word for",
    "has no value, or has one and is of a removal",
    "has a value of another length than it says",
    "is of a write that has not been yet",
];

/// What was found. Damage that stops one look is a finding, and the next one follows.
struct Findings<'v> {
    view: &'v SqliteView<'v>,
    lines: Vec<String>,
}

/// All that can be seen without the values. Where SQLite finds the file itself damaged, that alone is told.
pub(super) fn problems(view: &SqliteView<'_>, quick: bool) -> Result<Vec<String>> {
    let mut findings = Findings { view, lines: Vec::new() };
    let statement = if quick { sql::INTEGRITY_QUICKLY } else { sql::INTEGRITY };
    findings.look(|view| view.all(statement, [], |row| row.get(0)))?;
    findings.lines.retain(|line| line != "ok");
    if findings.lines.is_empty() {
        findings.look_for_intruders()?;
        findings.look_at_structure()?;
    }
    Ok(findings.lines)
}

/// The same without a look at pages, indexes and what others have put in.
pub(super) fn structure(view: &SqliteView<'_>) -> Result<Vec<String>> {
    let mut findings = Findings { view, lines: Vec::new() };
    findings.look_at_structure()?;
    Ok(findings.lines)
}

impl Findings<'_> {
    fn look_for_intruders(&mut self) -> Result<()> {
        self.look(|view| {
            let told =
                |intruder| format!("the {intruder} is none of prontodb's, and acts when entries are used");
            Ok(view.intruders()?.into_iter().map(told).collect())
        })
    }

    fn look_at_structure(&mut self) -> Result<()> {
        self.look_at_spaces()?;
        self.look_at_tables()?;
        self.look_at_history()
    }

    fn look(&mut self, look: impl Fn(&SqliteView<'_>) -> Result<Vec<String>>) -> Result<()> {
        match look(self.view) {
            Ok(lines) => self.lines.extend(lines),
            Err(error) if error.kind() == ErrorKind::Damaged => self.lines.push(told(&error)),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn look_at_spaces(&mut self) -> Result<()> {
        self.look(|view| match view.number(sql::STATE_ROWS)? {
            1 if view.number(sql::REVISION)? > MAX_REVISION => {
                Ok(vec!["sys_state has a revision that no database reaches".to_owned()])
            }
            1 => Ok(Vec::new()),
            rows => Ok(vec![format!("sys_state has {rows} rows, and should have one")]),
        })?;
        self.look(|view| {
            view.all(sql::SPACES_WITHOUT_TABLE, [], |row| {
                Ok(format!("{}: its table {} is not there", namespace(row)?, text(row, 2)?))
            })
        })?;
        self.look(|view| {
            view.all(sql::SPACES_WITH_A_BAD_NUMBER, [], |row| {
                Ok(format!("{}: its number is another's, or was never given out", namespace(row)?))
            })
        })?;
        self.look(|view| {
            view.all(sql::SPACES_THAT_MISS_A_CACHE, [], |row| {
                Ok(format!(
                    "{}: it is a cache without settings, or has settings and is none",
                    namespace(row)?
                ))
            })
        })?;
        self.look(|view| {
            view.all(sql::CACHES_OF_NOBODY, [], |row| {
                Ok(format!("sys_caches has settings of a namespace {} that is not there", number(row, 0)?))
            })
        })
    }

    fn look_at_tables(&mut self) -> Result<()> {
        let has_large = self.view.has_table("large_values")?;
        let tables: Vec<String> = self.view.all(sql::TABLES_OF_ENTRIES, [], |row| row.get(0))?;
        let excused = self.excused()?;
        for table in &tables {
            self.look(|view| {
                let nobodys = view.all(&layout::of_table(sql::ENTRIES_OF_NOBODY, table), [table], |row| {
                    Ok((number(row, 0)?, number(row, 1)?))
                })?;
                let nobodys = nobodys.into_iter().filter(|(space, _)| !excused.contains(space));
                Ok(nobodys
                    .map(|(space, count)| format!("{table} has {count} entries of no namespace ({space})"))
                    .collect())
            })?;
            self.look(|view| {
                let large = if has_large { sql::LARGE_VALUES } else { sql::NO_LARGE_VALUES };
                let statement = layout::of_table(sql::ODD_ENTRIES, table)
                    .replace("{large}", large)
                    .replace("{plain}", view.plain());
                view.all(&statement, [table], |row| {
                    let odd = usize::try_from(number(row, 3)?).unwrap_or_default();
                    let why = ODD.get(odd).copied().unwrap_or_default();
                    Ok(format!("{}.{}: the entry {why}", namespace(row)?, text(row, 2)?))
                })
            })?;
        }
        if !has_large {
            return Ok(());
        }
        let of_tables = tables.iter().map(|table| layout::of_table(sql::LARGE_USED, table));
        // A damaged file may have no table of entries at all.
        let used: Vec<_> = std::iter::once(sql::NOTHING_USED.to_owned()).chain(of_tables).collect();
        let statement = sql::ODD_LARGE_VALUES.replace("{used}", &used.join(" UNION ALL "));
        self.look(|view| {
            view.all(&statement, params![], |row| {
                let (table, number) = (row.get::<_, Option<String>>(0)?, number(row, 1)?);
                Ok(match table {
                    Some(table) => format!("the large value {number} belongs to several entries of {table}"),
                    None => format!("the large value {number} belongs to no entry"),
                })
            })
        })
    }

    fn look_at_history(&mut self) -> Result<()> {
        if !self.view.has_table("history")? {
            return Ok(());
        }
        let excused = self.excused()?;
        self.look(|view| {
            let nobodys = view.all(sql::PAST_OF_NOBODY, [], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
            let nobodys = nobodys.into_iter().filter(|(space, _)| !excused.contains(space));
            let told = |(space, count)| format!("history has {count} versions of no namespace ({space})");
            Ok(nobodys.map(told).collect())
        })?;
        let words = |is_meant: fn(&Deed) -> bool| {
            let meant: Vec<_> =
                Deed::ALL.into_iter().filter(is_meant).map(|deed| format!("'{}'", deed.name())).collect();
            meant.join(", ")
        };
        let statement = sql::ODD_PAST
            .replace("{deeds}", &words(|_| true))
            .replace("{removals}", &words(|deed| deed.is_removal()));
        self.look(|view| {
            view.all(&statement, [], |row| {
                let odd = usize::try_from(number(row, 4)?).unwrap_or_default();
                let why = ODD_PAST.get(odd).copied().unwrap_or_default();
                Ok(format!("{}.{}: version {} {why}", namespace(row)?, text(row, 2)?, number(row, 3)?))
            })
        })
    }

    /// The spaces whose entries may be elsewhere for the time being.
    fn excused(&self) -> Result<BTreeSet<i64>> {
        let mut excused: BTreeSet<Option<i64>> = BTreeSet::new();
        for table in EXCUSES {
            if self.view.has_table(table)? {
                let statement = layout::of_table(sql::SPACES_OF_RECORDS, table);
                excused.extend(self.view.all(&statement, [], |row| row.get::<_, Option<i64>>(0))?);
            }
        }
        Ok(excused.into_iter().flatten().collect())
    }
}

/// An error and its cause, as one line.
fn told(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}; {source}"),
        None => error.to_string(),
    }
}

/// The namespace that the first two columns name.
fn namespace(row: &Row<'_>) -> rusqlite::Result<String> {
    Ok(format!("{}.{}", text(row, 0)?, text(row, 1)?))
}

/// A text that may hold anything.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(row.get::<_, String>(column)?.escape_debug().to_string())
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<i64> {
    row.get(column)
}
