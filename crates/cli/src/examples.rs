//! Examples in the help of the commands that are used most. A test runs each of them.
//!
//! They stand apart from the definitions, which are built whenever a command runs.

/// Lines of a shell for a command, in the order in which they can be run.
static EXAMPLES: &[(&str, &[&str])] = &[
    (
        "set",
        &[
            "prontodb set shop.prices.apple 120",
            "prontodb set shop.prices.apple --file apple.json --json",
            "date | prontodb set shop.prices.updated             # what is piped in",
            "prontodb set shop.sessions.ann token --ttl 15m      # in a cache",
            "prontodb set shop.prices.pear 80 --if-absent        # exit code 3 when it is there",
            "prontodb set shop.prices.pear 85 --if-value 80      # only if nobody else has changed it",
        ],
    ),
    (
        "get",
        &[
            "prontodb get shop.prices.apple",
            "prontodb get shop.prices.apple --context eu --fallback     # apple__eu, else apple",
            "prontodb get shop.prices.apple --meta                      # version, times and writer, too",
            "prontodb get shop.prices.apple shop.prices.kiwi --json",
        ],
    ),
    (
        "del",
        &[
            "prontodb del shop.prices.apple shop.prices.kiwi",
            "prontodb del shop.prices.k --prefix --dry-run      # the keys that begin with k",
            "prontodb del shop.prices.k --prefix --yes",
        ],
    ),
    (
        "keys",
        &[
            "prontodb keys                            # everything, as full addresses",
            "prontodb keys shop.prices                # the keys of a namespace",
            "prontodb keys shop.prices.a --long       # those that begin with a",
            "prontodb keys shop.prices --glob '*le'",
            "prontodb keys shop.prices --count",
        ],
    ),
    (
        "scan",
        &[
            "prontodb scan shop.prices",
            "prontodb scan shop.prices --json",
            "prontodb scan shop.prices --limit 100 --after apple      # goes on behind a key",
        ],
    ),
    (
        "txn",
        &[
            "prontodb txn <change.json",
            r#"echo '{"then":[{"incr":"shop.stock.pears","by":-1},{"incr":"shop.sold.pears","by":1}]}' | prontodb txn"#,
        ],
    ),
    (
        "watch",
        &[
            "prontodb watch shop.prices",
            "prontodb watch shop.prices --snapshot --jsonl      # first all that is there",
            "prontodb watch shop --limit 1 --timeout 10m        # one change, or exit code 4",
        ],
    ),
    (
        "lock run",
        &[
            "prontodb lock run deploy -- ./deploy.sh",
            "prontodb lock run deploy --wait 5m -- sh -c 'prontodb set shop.state.deployed yes'",
        ],
    ),
    (
        "queue push",
        &[
            "prontodb queue push shop.jobs 'resize 17.png'",
            "prontodb queue push shop.jobs --file job.json --priority 200",
            "prontodb queue push shop.jobs retry-later --delay 10m",
        ],
    ),
    (
        "queue claim",
        &[
            "prontodb queue claim shop.jobs --ttl 5m               # exit code 2 when there is none",
            "prontodb queue claim shop.jobs --ttl 5m --wait 1h     # waits for one",
            "prontodb queue claim shop.jobs --ttl 5m --json",
        ],
    ),
    (
        "export",
        &[
            "prontodb export shop.prices",
            "prontodb export shop.prices --with-meta --output prices.jsonl",
            "prontodb export shop.prices --json",
        ],
    ),
    (
        "import",
        &[
            "prontodb import shop.prices prices.csv --dry-run",
            "prontodb import shop.prices prices.csv --on-conflict skip",
            "prontodb export shop.prices | prontodb import shop.copy",
        ],
    ),
    (
        "backup",
        &[
            "prontodb backup                                 # its path is printed",
            "prontodb backup --output archives --keep 7",
            "prontodb backup --output shop.tar.gz",
            "prontodb backup --verify shop.tar.gz",
            "prontodb backup --list",
        ],
    ),
    (
        "restore",
        &[
            "prontodb restore shop.tar.gz --dry-run",
            "prontodb restore shop.tar.gz                # what there was is kept",
            "prontodb restore shop.tar.gz --to copy      # into another database",
        ],
    ),
];

/// The examples of a command, as its help has them; none for most.
pub fn of(command: &str) -> Option<String> {
    let command = if command == "ls" { "keys" } else { command };
    let (_, lines) = EXAMPLES.iter().find(|(name, _)| *name == command)?;
    let lines = lines.iter().map(|line| format!("\n  {line}"));
    Some(std::iter::once(HEADING.to_owned()).chain(lines).collect())
}

/// What stands over them.
pub const HEADING: &str = "Examples:";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands;

    #[test]
    fn examples_are_of_commands_there_are() {
        for (name, lines) in EXAMPLES {
            assert!(commands::all().any(|command| command.name == *name), "{name}");
            assert!(lines.iter().all(|line| line.contains(&format!("prontodb {name}"))), "{name}");
        }
    }
}
