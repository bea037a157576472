//! The rules of docs/architecture.md that can be seen in the sources, checked by reading them.
//!
//! Comments don't count. A rule that stands in the way is changed in docs/architecture.md first, with its reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files of commands with more than one of them, and how many they have.
const SEVERAL_COMMANDS: [(&str, usize); 1] = [("commands/list.rs", 2)];

#[test]
fn the_core_reads_no_environment_and_prints_nothing() {
    expect_none("core/src", |line| {
        // `env!` and `option_env!` speak of the build.
        let code = line.code.replace("env!", "");
        has_word(&code, &["env", "stdin", "stdout", "stderr"])
            || ["print!", "println!", "dbg!"].iter().any(|name| code.contains(name))
    });
}

#[test]
fn the_core_touches_files_in_its_engines_alone() {
    expect_none("core/src", |line| {
        let is_engine = line.file.starts_with("core/src/engine") || line.file.starts_with("core/src/sys");
        let is_handed = line.is_in("core/src/store/load/spill.rs");
        !is_engine && !is_handed && line.has_word(&["fs", "File", "net"])
    });
}

#[test]
fn the_core_tells_systems_apart_in_one_folder() {
    expect_none("core/src", |line| {
        !line.file.starts_with("core/src/sys") && line.has_word(&["libc", "target_os", "target_family"])
    });
}

#[test]
fn time_comes_from_the_clock_alone() {
    for folder in ["core/src", "cli/src"] {
        expect_none(folder, |line| !line.is_in("core/src/clock.rs") && line.has_word(&["SystemTime"]));
    }
}

#[test]
fn only_the_sqlite_engine_and_its_test_disk_know_rusqlite() {
    let homes = ["core/src/engine/sqlite", "testkit/src/disk/vfs.rs"];
    for folder in ["core/src", "cli/src", "testkit/src"] {
        expect_none(folder, |line| {
            !homes.iter().any(|home| line.file.starts_with(home))
                && line.has_word(&["rusqlite", "libsqlite3_sys"])
        });
    }
}

#[test]
fn sql_stands_in_two_files() {
    let statements = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "PRAGMA ", "CREATE "];
    let homes = ["core/src/engine/sqlite/sql.rs", "core/src/engine/sqlite/schema.rs"];
    for folder in ["core/src", "cli/src"] {
        expect_none(folder, |line| {
            !homes.iter().any(|home| line.is_in(home))
                // Flags of system calls have such names, too.
                && statements.iter().any(|statement| line.code.replace("OFlags::CREATE", "").contains(statement))
        });
    }
}

#[test]
fn the_program_names_its_engines_in_one_file() {
    let modules = ["engine::sqlite", "engine::memory"];
    expect_none("cli/src", |line| {
        let names_engine = line.has_word(&["SqliteEngine", "MemoryEngine"])
            || modules.iter().any(|module| line.code.contains(module));
        names_engine && !line.is_in("cli/src/engines.rs")
    });
}

#[test]
fn one_place_decides_how_the_program_ends() {
    for folder in ["core/src", "cli/src"] {
        expect_none(folder, |line| !line.is_in("cli/src/main.rs") && line.code.contains("process::exit"));
    }
}

#[test]
fn a_file_of_commands_holds_one_command() {
    for (path, text) in sources("cli/src/commands") {
        let several = SEVERAL_COMMANDS.iter().find(|(file, _)| path.ends_with(file));
        let expected = match several {
            Some((_, count)) => *count,
            None => usize::from(!path.ends_with("mod.rs")),
        };
        assert_eq!(text.matches("\nimpl Run for ").count(), expected, "commands in {}", path.display());
    }
}

#[test]
fn the_core_needs_neither_clap_nor_tokio_nor_anyhow() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--package", "prontodb-core", "--all-features"])
        .args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.starts_with("prontodb-core "), "{tree}");
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap();
        assert!(!["clap", "tokio", "anyhow"].contains(&name), "prontodb-core depends on {line}");
    }
}

/// A line of a source file, without its comment.
struct Line<'a> {
    /// The path within `crates/`.
    file: &'a Path,
    code: String,
}

impl Line<'_> {
    fn is_in(&self, file: &str) -> bool {
        self.file == Path::new(file)
    }

    fn has_word(&self, wanted: &[&str]) -> bool {
        has_word(&self.code, wanted)
    }
}

fn has_word(code: &str, wanted: &[&str]) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| wanted.contains(&word))
}

/// Expects that no line of the sources in `folder` breaks the rule.
#[track_caller]
fn expect_none(folder: &str, breaks_the_rule: impl Fn(&Line<'_>) -> bool) {
    let mut found = Vec::new();
    for (path, text) in sources(folder) {
        let file = path.strip_prefix(crates()).unwrap();
        for (place, line) in text.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            let code = line.split(" // ").next().unwrap_or_default().to_owned();
            if !is_comment && breaks_the_rule(&Line { file, code }) {
                found.push(format!("crates/{}:{}: {}", file.display(), place + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "these lines break the rule:\n{}", found.join("\n"));
}

/// The Rust files below a folder of `crates/`, and what they hold.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut folders = vec![crates().join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    assert!(!files.is_empty(), "no sources in {folder}");
    files
}

fn crates() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
