//! Completions, tried in the shells that are there, and the manual, tried with the programs that read it.

use std::fs;
use std::process::Command;

use prontodb_testkit::sandbox::Sandbox;

use crate::common::{contents, json_of, refused, sandbox};
use crate::help_version::COMMANDS;

const SHELLS: [&str; 4] = ["bash", "zsh", "fish", "powershell"];

/// What is typed, and what it becomes or has offered among other things.
const OFFERED: [(&str, &str); 12] = [
    ("prontodb compl", "completions"),
    ("prontodb --json compl", "completions"),
    ("prontodb -p shop nam", "namespaces"),
    ("prontodb admin us", "user"),
    ("prontodb admin user pass", "passwd"),
    ("prontodb help proj", "projects"),
    ("prontodb get --fallb", "--fallback"),
    ("prontodb get --ns-d", "--ns-delim"),
    ("prontodb admin user add --ro", "--role"),
    ("prontodb admin user add --role wr", "write"),
    ("prontodb import --on-conflict sk", "skip"),
    ("prontodb completions po", "powershell"),
];

/// What is typed, and must not be offered: flags that would be refused.
const WITHHELD: [(&str, &str); 2] =
    [("prontodb admin gc --proj", "--project"), ("prontodb get --on-c", "--on-conflict")];

fn script(s: &Sandbox, shell: &str) -> String {
    s.run(["completions", shell]).succeeds().stderr_is("").stdout()
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// What fish offers, and bash: they can be asked.
fn offers(s: &Sandbox, shell: &str, line: &str) -> String {
    let ask = match shell {
        "bash" => {
            "source ./script; COMP_WORDS=($LINE); [[ $LINE == *' ' ]] && COMP_WORDS+=(''); COMP_CWORD=$((${#COMP_WORDS[@]}-1))
             _prontodb prontodb \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; printf '%s\\n' \"${COMPREPLY[@]}\""
        }
        _ => "source ./script; complete -C \"$LINE\" | string split -f 1 \\t",
    };
    let bare: &[&str] = if shell == "bash" { &["--norc", "--noprofile"] } else { &["--no-config"] };
    s.run_other(shell, [bare, &["-c", ask]].concat()).env("LINE", line).ends().stdout()
}

#[test]
fn bash_and_fish_offer_commands_flags_and_values() {
    for shell in ["bash", "fish"].into_iter().filter(|shell| is_there(shell)) {
        let s = sandbox();
        fs::write(s.path("script"), script(&s, shell)).unwrap();
        for (line, word) in OFFERED {
            let offered = offers(&s, shell, line);
            assert!(offered.lines().any(|offer| offer == word), "{shell} offers for `{line}`: {offered}");
        }
        for (line, word) in WITHHELD {
            let offered = offers(&s, shell, line);
            assert!(!offered.lines().any(|offer| offer == word), "{shell} offers for `{line}`: {offered}");
        }
    }
}

/// zsh cannot be asked: keys are typed in one that runs on a terminal of its own, where the program is a function that says
/// what it was called with.
const TYPE_IN_ZSH: &str = r#"
zmodload zsh/zpty || exit
zpty -b shell zsh -f -i
zpty -w shell "PS1=''; fpath=($PWD \$fpath); autoload -Uz compinit; compinit -D -u; prontodb() { print -r -- \"RAN: \$*\" }; echo READY"
zpty -r shell out $'*READY\r\n'
while IFS= read -r line; do
    zpty -w shell "$line"$'\t'
    zpty -r shell out '*RAN: *'
    zpty -r shell rest $'*\n'
    print -r -- "$rest"
done
zpty -d shell
"#;

#[test]
fn zsh_completes_commands_flags_and_values() {
    if !is_there("zsh") {
        return;
    }
    let s = sandbox();
    fs::write(s.path("_prontodb"), script(&s, "zsh")).unwrap();
    // What zsh lists beside what was typed would be in the way; these have one completion each.
    let typed = OFFERED.iter().chain(&WITHHELD).map(|(line, _)| format!("{line}\n")).collect::<String>();
    let ran = s.run_other("zsh", ["-f", "-c", TYPE_IN_ZSH]).stdin(typed).succeeds().stdout();
    let ran: Vec<_> = ran.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(ran.len(), OFFERED.len() + WITHHELD.len(), "{ran:?}");
    for ((line, word), ran) in OFFERED.iter().chain(&WITHHELD).zip(&ran) {
        let is_completed = ran.split([' ', '=']).any(|part| part == *word);
        let is_offered = OFFERED.iter().any(|(offered, _)| offered == line);
        assert_eq!(is_completed, is_offered, "`{line}` becomes `{ran}`");
    }
}

#[test]
fn every_command_is_in_every_script() {
    let s = sandbox();
    for shell in SHELLS {
        let script = script(&s, shell);
        for command in COMMANDS {
            let last = command.rsplit(' ').next().unwrap();
            assert!(script.contains(last), "{command} is not in the script for {shell}");
        }
    }
    assert!(contents(&s).is_empty());
}

#[test]
fn shells_understand_the_scripts() {
    let s = sandbox();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "-n")] {
        fs::write(s.path("script"), script(&s, shell)).unwrap();
        if is_there(shell) {
            s.run_other(shell, [check, "./script"]).prints("").stderr_is("");
        }
    }
    let powershell = script(&s, "powershell");
    for (open, close) in [('{', '}'), ('(', ')')] {
        let count = |wanted: char| powershell.matches(wanted).count();
        assert_eq!(count(open), count(close), "{open} and {close}");
    }
}

#[test]
fn shells_that_nobody_knows_are_refused() {
    let s = sandbox();
    refused(&s, &["completions"], 64, "usage");
    refused(&s, &["completions", "tcsh"], 64, "usage").stderr_has("bash, zsh, fish, powershell");
    assert!(
        json_of(s.run(["--json", "completions", "bash"]))["script"].as_str().unwrap().contains("compgen")
    );
}

#[test]
fn a_page_for_the_program_and_for_each_command() {
    let s = sandbox();
    let page = s.run(["man"]).succeeds().stderr_is("").stdout();
    for word in [".TH prontodb 1", "SH \"FLAGS OF EVERY COMMAND\"", "EXIT STATUS", "prontodb\\-admin(1)"] {
        assert!(page.contains(word), "{word} is not in\n{page}");
    }
    s.run(["man", "--output", "a/b"]).prints("").stderr_has("pages to a/b");
    assert_eq!(fs::read_to_string(s.path("a/b/prontodb.1")).unwrap(), page);
    for command in COMMANDS {
        let name = format!("a/b/prontodb-{}.1", command.replace(' ', "-"));
        let page = fs::read_to_string(s.path(&name)).unwrap_or_else(|_| panic!("{name} is not there"));
        assert!(page.contains(".SH SYNOPSIS") && page.contains("SEE ALSO"), "{page}");
    }
    let pages = json_of(s.run(["man", "--output", "a/b", "--json"]))["pages"].as_u64().unwrap();
    assert_eq!(fs::read_dir(s.path("a/b")).unwrap().count() as u64, pages);
    fs::write(s.path("file"), "").unwrap();
    refused(&s, &["man", "--output", "file/x"], 1, "io");
}

#[test]
fn the_manual_is_read_without_a_warning() {
    let s = sandbox();
    s.run(["man", "--output", "pages"]).succeeds();
    for (reader, flags) in
        [("groff", &["-man", "-ww", "-Tutf8", "-z"][..]), ("mandoc", &["-T", "lint", "-W", "warning"])]
    {
        if !is_there(reader) {
            continue;
        }
        let mut pages: Vec<_> =
            fs::read_dir(s.path("pages")).unwrap().map(|page| page.unwrap().path()).collect();
        pages.sort();
        for page in pages {
            let args = flags.iter().copied().chain(page.to_str());
            s.run_other(reader, args).prints("").stderr_is("");
        }
    }
}
