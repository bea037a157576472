//! Which of several choices of a database wins: every pair of them, each alone, and all together.

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{json_of, refused, sandbox};
use crate::contexts::{cursor_file, directory_file, follow, work};

/// A way to choose a database.
struct Selector {
    name: &'static str,
    /// Commands that make its database, where `m.n.k` holds [`Selector::marker`], and point the selector to it.
    prepare: &'static [&'static str],
    marker: &'static str,
    /// What a command line has to have.
    flags: &'static [&'static str],
    /// What the environment has to have.
    variable: Option<(&'static str, &'static str)>,
    /// What is named as the source, with `CURSORS` and `WORK` for the folders; its beginning, where it depends on more.
    source: &'static str,
}

/// How many there are that a command may have one of.
const EXCLUSIVE: usize = 4;

/// All selectors, strongest first; the first few are equals.
const SELECTORS: [Selector; 10] = [
    Selector {
        name: "-d",
        prepare: &["-d by-file.prdb set m.n.k by-file"],
        marker: "by-file",
        flags: &["-d", "by-file.prdb"],
        variable: None,
        source: "-d",
    },
    Selector {
        name: "--database",
        prepare: &["--database by-name set m.n.k by-name"],
        marker: "by-name",
        flags: &["--database", "by-name"],
        variable: None,
        source: "--database",
    },
    Selector {
        name: "--cursor",
        // Whoever else is in force, it is a cursor of that user.
        prepare: &[
            "-d by-cursor.prdb set m.n.k by-cursor",
            "cursor set c by-cursor.prdb",
            "cursor set c by-cursor.prdb --user alice",
            "cursor set c by-cursor.prdb --user bob",
        ],
        marker: "by-cursor",
        flags: &["--cursor", "c"],
        variable: None,
        source: "--cursor, CURSORS/",
    },
    Selector {
        name: "--select",
        prepare: &["-d by-select.prdb set m.n.k by-select"],
        marker: "by-select",
        flags: &["--select", "./by-select.prdb"],
        variable: None,
        source: "--select",
    },
    Selector {
        name: "--user",
        prepare: &["--user alice set m.n.k by-user"],
        marker: "by-user",
        flags: &["--user", "alice"],
        variable: None,
        source: "--user, CURSORS/alice.cursor",
    },
    Selector {
        name: "PRONTO_USER",
        prepare: &["--user bob set m.n.k by-user-variable"],
        marker: "by-user-variable",
        flags: &[],
        variable: Some(("PRONTO_USER", "bob")),
        source: "PRONTO_USER, CURSORS/bob.cursor",
    },
    Selector {
        name: "PRONTO_DB",
        prepare: &["-d by-variable.prdb set m.n.k by-variable"],
        marker: "by-variable",
        flags: &[],
        variable: Some(("PRONTO_DB", "by-variable.prdb")),
        source: "PRONTO_DB",
    },
    Selector {
        name: ".prontodb",
        prepare: &["-d by-directory.prdb set m.n.k by-directory", "allow"],
        marker: "by-directory",
        flags: &[],
        variable: None,
        source: "WORK/.prontodb",
    },
    Selector {
        name: "default.cursor",
        prepare: &["--database by-default set m.n.k by-default", "cursor by-default"],
        marker: "by-default",
        flags: &[],
        variable: None,
        source: "CURSORS/default.cursor",
    },
    Selector {
        name: "main",
        prepare: &["--database main set m.n.k main"],
        marker: "main",
        flags: &[],
        variable: None,
        source: "default",
    },
];

/// A fresh sandbox in which these selectors are in force.
struct Scene<'a> {
    sandbox: Sandbox,
    selectors: Vec<&'a Selector>,
}

impl<'a> Scene<'a> {
    fn of(selectors: &[&'a Selector]) -> Self {
        let sandbox = sandbox();
        for selector in selectors {
            if selector.name == ".prontodb" {
                directory_file(&sandbox, "", "file = 'by-directory.prdb'");
            }
            follow(&sandbox, selector.prepare);
        }
        Self { sandbox, selectors: selectors.to_vec() }
    }

    fn flags(&self) -> Vec<&'static str> {
        self.selectors.iter().flat_map(|selector| selector.flags).copied().collect()
    }

    fn run(&self, args: &[&str]) -> prontodb_testkit::sandbox::Call {
        let variables = self.selectors.iter().filter_map(|selector| selector.variable);
        variables.fold(self.sandbox.run(args), |call, (name, value)| call.env(name, value))
    }

    /// Expects that the database of `winner` answers, whether flags stand before or after the command.
    #[track_caller]
    fn assert_answers(&self, winner: &Selector) {
        let flags = self.flags();
        let get = ["get", "m.n.k"];
        self.run(&[&flags[..], &get].concat()).prints(format!("{}\n", winner.marker));
        self.run(&[&get, &flags[..]].concat()).prints(format!("{}\n", winner.marker));
    }

    /// Expects that `winner` is named as what chose the database.
    #[track_caller]
    fn assert_source(&self, winner: &Selector) {
        let source = self.source();
        let cursors = cursor_file(&self.sandbox, "x").parent().unwrap().display().to_string();
        let wanted = winner.source.replace("CURSORS", &cursors);
        let wanted = wanted.replace("WORK", &work(&self.sandbox).display().to_string());
        let is_beginning = ["--cursor", "--select"].contains(&winner.name);
        let fits = if is_beginning { source.starts_with(&wanted) } else { source == wanted };
        assert!(fits, "{source} is named, and {wanted} chose");
    }

    fn source(&self) -> String {
        let flags = self.flags();
        // `context` takes no --select, but --explain goes with every command.
        if flags.contains(&"--select") {
            let outcome = self.run(&[&flags[..], &["get", "m.n.k", "--explain"]].concat()).succeeds();
            let stderr = outcome.stderr();
            let line = stderr.lines().find(|line| line.starts_with("database: ")).unwrap();
            return line.split_once(" (").unwrap().1.strip_suffix(')').unwrap().to_owned();
        }
        let answer = json_of(self.run(&[&flags[..], &["context", "--json"]].concat()));
        answer["database"]["source"].as_str().unwrap().to_owned()
    }
}

/// All pairs of selectors, the stronger one first.
fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..SELECTORS.len()).flat_map(|weak| (0..weak).map(move |strong| (strong, weak)))
}

#[test]
fn each_selector_alone_chooses_its_database() {
    for selector in &SELECTORS {
        println!("{}", selector.name);
        let scene = Scene::of(&[selector]);
        scene.assert_source(selector);
        scene.assert_answers(selector);
        scene.assert_source(selector);
    }
}

#[test]
fn of_every_pair_the_stronger_one_chooses() {
    let mut tried = 0;
    for (strong, weak) in pairs().filter(|(_, weak)| *weak >= EXCLUSIVE) {
        let (strong, weak) = (&SELECTORS[strong], &SELECTORS[weak]);
        println!("{} and {}", strong.name, weak.name);
        // What is set up last must not win for that.
        for order in [[strong, weak], [weak, strong]] {
            let scene = Scene::of(&order);
            scene.assert_answers(strong);
            scene.assert_source(strong);
        }
        tried += 1;
    }
    assert_eq!(tried, 45 - 6);
}

#[test]
fn a_command_has_one_of_the_flags_that_choose() {
    for (first, second) in pairs().filter(|(_, second)| *second < EXCLUSIVE) {
        let scene = Scene::of(&[&SELECTORS[first], &SELECTORS[second]]);
        let [first, second] = [first, second].map(|at| SELECTORS[at].flags);
        for args in [
            [first, second, &["get", "m.n.k"]].concat(),
            [second, &["get", "m.n.k"], first].concat(),
            [&["set", "m.n.k", "1"], first, second].concat(),
        ] {
            refused(&scene.sandbox, &args, 64, "usage").stderr_has(first[0]).stderr_has(second[0]);
        }
    }
}

#[test]
fn without_the_stronger_ones_the_next_one_chooses() {
    for strongest in EXCLUSIVE..SELECTORS.len() {
        let in_force: Vec<_> = SELECTORS[strongest..].iter().collect();
        let scene = Scene::of(&in_force);
        scene.assert_answers(&SELECTORS[strongest]);
        scene.assert_source(&SELECTORS[strongest]);
    }
}

#[test]
fn all_of_the_environment_together_is_the_variable_of_the_user() {
    let environment: Vec<_> =
        SELECTORS.iter().filter(|selector| selector.flags.is_empty() && selector.name != "main").collect();
    assert_eq!(environment.len(), 4);
    let scene = Scene::of(&environment);
    scene.assert_answers(environment[0]);
    scene.assert_source(environment[0]);
}

#[test]
fn each_flag_goes_before_all_of_the_rest() {
    for flag in &SELECTORS[..EXCLUSIVE] {
        let mut in_force = vec![flag];
        in_force.extend(&SELECTORS[EXCLUSIVE..]);
        let scene = Scene::of(&in_force);
        scene.assert_answers(flag);
        scene.assert_source(flag);
    }
}

#[test]
fn writes_go_where_reads_look() {
    for (strong, weak) in pairs().filter(|(_, weak)| *weak >= EXCLUSIVE) {
        let (strong, weak) = (&SELECTORS[strong], &SELECTORS[weak]);
        let scene = Scene::of(&[strong, weak]);
        let flags = scene.flags();
        scene.run(&[&["set", "m.n.k", "written"], &flags[..]].concat()).prints("");
        scene.run(&[&["get", "m.n.k"], &flags[..]].concat()).prints("written\n");
        // Only what a command line or its environment says is gone with it.
        let is_gone = !(strong.flags.is_empty() && strong.variable.is_none()) && strong.name != "--select";
        if is_gone {
            Scene { sandbox: scene.sandbox, selectors: vec![weak] }.assert_answers(weak);
        }
    }
}
