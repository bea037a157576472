//! What commands do, counted by tools: numbers that no load of the machine disturbs.

use std::process::{Command, Stdio};

use crate::{Result, process};

/// Whether the tools are installed.
pub(crate) fn tools_are_there() -> bool {
    ["valgrind", "strace"].iter().all(|tool| process::run(Command::new(tool).arg("--version")).is_ok())
}

/// Instructions of a command, as callgrind counts them.
pub(crate) fn instructions(command: &Command) -> Result<f64> {
    let report = report(&["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"], command)?;
    let count = report.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim());
    count.and_then(|count| count.parse().ok()).ok_or_else(|| format!("no count in: {report}").into())
}

/// System calls of a command.
pub(crate) fn system_calls(command: &Command) -> Result<f64> {
    Ok(total(&report(&["strace", "-f", "-c"], command)?))
}

/// How often a command waits for the disk.
pub(crate) fn syncs(command: &Command) -> Result<f64> {
    Ok(total(&report(&["strace", "-f", "-c", "-e", "trace=fsync,fdatasync"], command)?))
}

/// How many files a command opens, or tries to.
pub(crate) fn opens(command: &Command) -> Result<f64> {
    Ok(total(&report(&["strace", "-f", "-c", "-e", "trace=open,openat"], command)?))
}

/// The fewest page faults of several runs: what is shared with other runs at that moment varies.
pub(crate) fn page_faults(mut command: impl FnMut() -> Command) -> Result<f64> {
    let mut fewest = u64::MAX;
    for _ in 0..20 {
        fewest = fewest.min(process::run(&mut command())?.usage.minor_faults);
    }
    Ok(fewest as f64)
}

/// Runs `command` under a tool, and returns what the tool writes to stderr.
fn report(tool: &[&str], command: &Command) -> Result<String> {
    let mut tooled = Command::new(tool[0]);
    tooled.args(&tool[1..]).arg(command.get_program()).args(command.get_args());
    tooled.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(directory) = command.get_current_dir() {
        tooled.current_dir(directory);
    }
    let output = tooled.stdin(Stdio::null()).stdout(Stdio::null()).output()?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(report) } else { Err(format!("{tooled:?}: {report}").into()) }
}

/// The calls in the last line of `strace -c`; without any call it prints nothing.
fn total(report: &str) -> f64 {
    let line = report.lines().find(|line| line.ends_with(" total"));
    let calls = line.and_then(|line| line.split_whitespace().nth(3));
    calls.and_then(|calls| calls.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_number_of_the_last_line_counts_the_calls() {
        let report = "% time seconds usecs/call calls errors syscall\n100.00 0.000123 1 95 4 total\n";
        assert_eq!(total(report), 95.0);
        assert_eq!(total(""), 0.0);
    }
}
