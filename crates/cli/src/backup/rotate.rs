//! Which backups have become too many or too old.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use super::list::names_in;
use super::names::{Day, Name};
use super::partial::cannot_write;
use crate::exit::Failure;
use crate::files::sync_directory;

/// What is kept of the backups of a database: those that any of the rules keeps, and the newest always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The newest so many.
    pub newest: Option<u64>,
    /// Those of the last so many days.
    pub days: Option<u64>,
}

impl Rules {
    /// Those that have to go, of all backups of one database.
    fn leavers(self, mut names: Vec<Name>, today: Day) -> Vec<Name> {
        if self == Self::default() {
            return Vec::new();
        }
        names.sort_by_key(|name| Reverse(name.at));
        let is_kept = |place: usize, name: &Name| {
            let is_new = self.newest.is_some_and(|newest| (place as u64) < newest);
            let is_young = self.days.is_some_and(|days| {
                let age = today.days_since(name.at.0);
                u64::try_from(age).unwrap_or(0) <= days
            });
            place == 0 || is_new || is_young
        };
        let placed = names.into_iter().enumerate();
        placed.filter(|(place, name)| !is_kept(*place, name)).map(|(_, name)| name).collect()
    }
}

/// The backups in a folder that have to go once there is a new one, `fresh`, which is not among them, whatever the days of the
/// others are.
///
/// # Errors
/// The folder cannot be read.
pub fn find(folder: &Path, fresh: &Name, rules: Rules) -> Result<Vec<PathBuf>, Failure> {
    let mut names = names_in(folder)?;
    names.retain(|name| name.database == fresh.database && name != fresh);
    names.push(fresh.clone());
    let leavers = rules.leavers(names, Day::today());
    Ok(leavers.into_iter().filter(|name| name != fresh).map(|name| folder.join(name.to_string())).collect())
}

/// Removes backups.
///
/// # Errors
/// Those of the file system.
pub fn remove(folder: &Path, paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        match fs::remove_file(path) {
            Err(error) if !crate::files::is_absent(&error) => {
                return Err(Failure::io(format_args!("cannot remove {}", path.display()), &error));
            }
            _ => {}
        }
    }
    match paths {
        [] => Ok(()),
        _ => sync_directory(folder).map_err(|error| cannot_write(folder, &error)),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn names(list: &[&str]) -> Vec<Name> {
        let parse = |text: &&str| Name::parse(OsStr::new(&format!("prontodb_m_{text}.tar.gz"))).unwrap();
        list.iter().map(parse).collect()
    }

    fn leavers(newest: Option<u64>, days: Option<u64>, list: &[&str]) -> Vec<String> {
        let today = names(&["20260301"])[0].at.0;
        let leavers = Rules { newest, days }.leavers(names(list), today);
        leavers.iter().map(|name| name.to_string()[11..].replace(".tar.gz", "")).collect()
    }

    #[test]
    fn the_newest_so_many_are_kept() {
        let list = ["20260227", "20260301_n02", "20260301", "20260301_n10"];
        assert_eq!(leavers(Some(2), None, &list), ["20260301", "20260227"]);
        assert_eq!(leavers(Some(4), None, &list), [""; 0]);
        assert_eq!(leavers(None, None, &list), [""; 0]);
    }

    #[test]
    fn those_of_the_last_days_are_kept_and_the_newest_always() {
        assert_eq!(leavers(None, Some(1), &["20260228", "20260227", "20260301"]), ["20260227"]);
        assert_eq!(leavers(None, Some(0), &["20200101", "20190101"]), ["20190101"]);
        assert_eq!(leavers(None, Some(0), &["20990101", "20200101"]), ["20200101"]);
    }

    #[test]
    fn what_one_rule_keeps_is_kept() {
        let list = ["20260301", "20260228", "20260101", "20250101"];
        assert_eq!(leavers(Some(3), Some(1), &list), ["20250101"]);
        assert_eq!(leavers(Some(1), Some(1), &list), ["20260101", "20250101"]);
    }
}
