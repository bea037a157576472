//! The documents, tried: transcripts are run, links lead somewhere, and docs/cli.md is what the program says of itself.
//!
//! A `console` block is a transcript. `$ ` begins a command, `> ` goes on with it, and below stands all that it prints, on
//! stdout and stderr; `…` stands for any text within a line. The blocks of one document share a sandbox. A command that
//! fails has to be followed by `$ echo $?`, so that readers learn of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prontodb_testkit::sandbox::Sandbox;

use crate::common::sandbox;

/// Kinds of blocks besides `console`: code has tests of its own, and the rest is no claim about what a command does.
const OTHER_BLOCKS: [&str; 4] = ["", "rust", "text", "toml"];

/// How to write docs/cli.md anew.
const UPDATE: &str = "UPDATE_DOCS=1 cargo test -p prontodb --test it docs";

#[test]
fn transcripts_are_true() {
    let mut tried = 0;
    for document in documents() {
        let steps = steps(&document);
        tried += steps.len();
        follow(&document, &steps);
    }
    assert!(tried > 0, "no document has a transcript");
}

#[test]
fn every_block_is_of_a_kind_that_is_tried() {
    for document in documents() {
        for (number, line) in read(&document).lines().enumerate() {
            let kind = line.trim_start().strip_prefix("```").unwrap_or_default();
            let known = kind == "console" || OTHER_BLOCKS.contains(&kind);
            assert!(known, "{}:{}: `{kind}` is tried by nobody", document.display(), number + 1);
        }
    }
}

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        let text = read(&document);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let path = target.split('#').next().unwrap();
            let leads = path.is_empty() || document.parent().unwrap().join(path).exists();
            assert!(leads, "{} links to {target}, which is not there", document.display());
        }
    }
}

#[test]
fn files_tests_and_columns_that_are_named_are_there() {
    let mut sources = files_below(&root().join("crates"), "rs");
    sources.push(root().join("Cargo.toml"));
    let code: String = sources.iter().map(|path| read(path)).collect();
    for document in files_below(&root().join("docs"), "md") {
        for name in read(&document).split('`').skip(1).step_by(2) {
            let is_file = name.ends_with(".rs");
            let is_key = name.contains("__");
            let is_name =
                !is_key && name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let is_there = match is_file {
                true => sources.iter().any(|path| path.ends_with(name)),
                false => !is_name || code.contains(name),
            };
            assert!(is_there, "{} names {name}, which is not there", document.display());
        }
    }
}

#[test]
fn every_promise_has_tests_that_are_there() {
    let code: String = files_below(&root().join("crates"), "rs").iter().map(|path| read(path)).collect();
    let page = read(&root().join("docs/promises.md"));
    let is_promise = |line: &&str| line.starts_with("| ") && !line.ends_with("| tests |");
    let promises: Vec<_> = page.lines().filter(is_promise).collect();
    assert!(promises.len() > 40, "{} promises", promises.len());
    for promise in promises {
        let tests = promise.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let words = tests.split('`').skip(1).step_by(2);
        let names: Vec<_> = words.filter(|name| !name.contains([' ', '.'])).collect();
        assert!(!names.is_empty(), "no test for: {promise}");
        for name in names {
            assert!(code.contains(&format!("fn {name}(")), "there is no test {name}");
        }
    }
}

#[test]
fn the_reference_of_commands_is_what_the_program_says() {
    let page = root().join("docs/cli.md");
    let text = reference(&sandbox());
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &text).unwrap();
    }
    assert!(fs::read_to_string(&page).unwrap_or_default() == text, "docs/cli.md is out of date; {UPDATE}");
}

/// A command of a transcript, and what it prints.
struct Step {
    line: usize,
    command: String,
    output: String,
}

fn steps(document: &Path) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_transcript = false;
    for (number, line) in read(document).lines().enumerate() {
        if line.starts_with("```") {
            is_transcript = line == "```console";
        } else if let (true, Some(command)) = (is_transcript, line.strip_prefix("$ ")) {
            steps.push(Step { line: number + 1, command: command.to_owned(), output: String::new() });
        } else if is_transcript {
            let step = steps.last_mut().expect("a transcript begins with a command");
            match line.strip_prefix("> ") {
                Some(more) if step.output.is_empty() => step.command.extend(["\n", more]),
                _ => step.output.extend([line, "\n"]),
            }
        }
    }
    steps
}

/// Runs the commands in their order, each in a shell of its own that knows how the one before it ended.
fn follow(document: &Path, steps: &[Step]) {
    let sandbox = sandbox();
    let programs = sandbox.program().parent().unwrap().display();
    let path = format!("{programs}:{}", env::var("PATH").unwrap());
    let mut code = 0;
    for Step { line, command, output } in steps {
        let place = format!("{}:{line}: {command}", document.display());
        assert!(code == 0 || command == "echo $?", "{place}\nthe command before it ends with {code}, unsaid");
        let script = format!("exec 2>&1; (exit {code}); {command}");
        let mut outcome =
            sandbox.run_other("sh", ["-c", &script]).env("PATH", &path).env("USER", "ada").ends();
        code = outcome.code().unwrap();
        let printed = outcome.stdout();
        assert!(fits(output, &printed), "{place}\nthe document says\n{output}\nthe program says\n{printed}");
    }
    assert_eq!(code, 0, "the last command of {} fails, unsaid", document.display());
}

/// Whether a text is what a document says, in which `…` stands for any text within a line.
fn fits(said: &str, text: &str) -> bool {
    let line_fits = |(said, line): (&str, &str)| {
        let Some((start, said)) = said.split_once('…') else { return said == line };
        let (middle, end) = said.rsplit_once('…').unwrap_or(("", said));
        let rest = line.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        rest.is_some_and(|rest| rest.contains(middle))
    };
    said.lines().count() == text.lines().count() && said.lines().zip(text.lines()).all(line_fits)
}

#[test]
fn an_ellipsis_stands_for_text_within_a_line() {
    for said in ["a…d\n", "…", "abcd", "…b…", "a…c…", "abcd…"] {
        assert!(fits(said, "abcd\n"), "{said}");
    }
    for said in ["", "a", "b…", "…c", "a…x…", "abcd\n…", "abcd…d"] {
        assert!(!fits(said, "abcd\n"), "{said}");
    }
}

/// The help of the program, of its groups and of all its commands, as one page.
fn reference(sandbox: &Sandbox) -> String {
    let help = |words: &[&str]| sandbox.run([&["help"], words].concat()).succeeds().stdout();
    let shared = section(&help(&["version"]), SHARED_FLAGS);
    let mut page = format!(
        "# The commands\n\nWritten by the program itself; do not edit. `{UPDATE}` writes it anew.\n\n\
         ```text\n{}```\n\nAll commands take these flags; `-p`, `-n`, `--key` and `--context` are refused where they \
         would do nothing:\n\n\
         ```text\n{shared}```\n",
        help(&[])
    );
    for topic in topics(&help, &[]) {
        let words: Vec<_> = topic.iter().map(String::as_str).collect();
        let text = help(&words).replace(&shared, "").replace("\n\n\n", "\n\n");
        write!(page, "\n## {}\n\n```text\n{}\n```\n", words.join(" "), text.trim_end()).unwrap();
    }
    page
}

/// The commands within a group, and within its groups, each as its words.
fn topics(help: &dyn Fn(&[&str]) -> String, group: &[&str]) -> Vec<Vec<String>> {
    let within = commands(&help(group)).into_iter();
    let topics = within.flat_map(|(name, is_group)| {
        let words = [group, &[name.as_str()]].concat();
        match is_group {
            true => topics(help, &words),
            false => vec![words.into_iter().map(str::to_owned).collect()],
        }
    });
    topics.collect()
}

const SHARED_FLAGS: &str = "Flags of every command:\n";

/// The lines of a help from a heading to the next empty line.
fn section(help: &str, heading: &str) -> String {
    let from = help.find(heading).expect("a help with this heading");
    help[from..].lines().take_while(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

/// The commands that a help lists, and whether each is a group of further ones. Help itself is left out.
fn commands(help: &str) -> Vec<(String, bool)> {
    let listed = section(help, "Commands:\n");
    let names = listed.lines().skip(1).map(|line| {
        let name = line.split_whitespace().next().unwrap();
        (name.to_owned(), line.ends_with("(a group of commands)"))
    });
    names.filter(|(name, _)| name != "help").collect()
}

/// README.md and its like, and all of docs/.
fn documents() -> Vec<PathBuf> {
    let in_root = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let in_root = in_root.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let mut documents: Vec<_> = in_root.chain(files_below(&root().join("docs"), "md")).collect();
    documents.sort();
    documents
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|end| end == extension) {
            files.push(path);
        }
    }
    files
}

fn read(document: &Path) -> String {
    fs::read_to_string(document).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}
