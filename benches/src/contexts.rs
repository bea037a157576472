//! What it costs to find the database in other ways than by `-d FILE`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::lab::Lab;
use crate::rivals::Database;
use crate::{Result, process, trace};

/// A home in which each way leads to the same database.
struct Home<'a> {
    lab: &'a Lab,
    folder: PathBuf,
}

/// Names of the ways, with the flags and the variable of the environment that take them.
const WAYS: [(&str, &[&str], Option<&str>); 5] = [
    ("selected_cursor", &[], None),
    ("named_cursor", &["--cursor", "work"], None),
    ("user", &["--user", "alice"], None),
    ("variable", &[], Some("PRONTO_DB")),
    ("directory", &[], None),
];

/// For each way, how many more files a `get` of `address` opens than with `-d`, and how many times the instructions it
/// takes.
pub(crate) fn count(lab: &Lab, store: &Database, address: &str) -> Result<Vec<(String, f64)>> {
    let home = Home::make(lab, store)?;
    let plain = home.get(["-d", home.database(store)?].as_slice(), address, None);
    let (opens, instructions) = (trace::opens(&plain)?, trace::instructions(&plain)?);
    let mut counts = Vec::new();
    for (way, flags, variable) in WAYS {
        let mut get = home.get(flags, address, variable.map(|name| (name, &store.file)));
        if way == "directory" {
            get.current_dir(home.folder.join("directory"));
        }
        counts.push((format!("get_by_{way}.more_opens"), trace::opens(&get)? - opens));
        let times = trace::instructions(&get)? / instructions;
        counts.push((format!("get_by_{way}.times_instructions"), times));
    }
    Ok(counts)
}

impl<'a> Home<'a> {
    fn make(lab: &'a Lab, store: &Database) -> Result<Self> {
        let home = Self { lab, folder: lab.folder("contexts")? };
        let (file, directory) = (home.database(store)?, home.folder.join("directory"));
        fs::create_dir(&directory)?;
        fs::write(directory.join(".prontodb"), format!("file = \"{file}\"\n"))?;
        for args in [
            &["cursor", "set", "work", file][..],
            &["cursor", "work"],
            &["cursor", file, "--user", "alice"],
            &["allow", "directory"],
        ] {
            process::output(&mut home.command(args))?;
        }
        Ok(home)
    }

    fn database<'s>(&self, store: &'s Database) -> Result<&'s str> {
        store.file.to_str().ok_or_else(|| "the folder is not UTF-8".into())
    }

    fn get(&self, flags: &[&str], address: &str, variable: Option<(&str, &PathBuf)>) -> Command {
        let mut command = self.command(flags);
        command.args(["get", address]).envs(variable);
        command
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.lab.prontodb_binary());
        command.args(args).env("HOME", &self.folder).current_dir(&self.folder);
        command
    }
}
