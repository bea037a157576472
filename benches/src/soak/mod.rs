//! A long run of everything at a time through the real program: writers, watchers, caches, workers of a queue, backups, an
//! agent's server, and somebody who keeps the log from becoming shorter for a while. Afterwards all that was acknowledged has to be
//! there, nothing may have been done twice, and what the long-lived processes and the files take may not have grown.
//!
//! **Flat** is what is, in the last quarter of the run, at most what it was in the second, and a little more: a tenth and a
//! megabyte for the median of the memory that a process has for itself, and of the database; nothing for the most handles; a
//! quarter and a megabyte for the longest log; two for the most processes. In the third quarter the log is pinned, and may grow.
//!
//! - [`hands`] write, [`jobs`] has the queue, [`eyes`] watch, [`samples`] measure.

mod eyes;
mod hands;
mod jobs;
mod library;
mod samples;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::Result;
use crate::lab::Lab;
use crate::stats::Samples;
use crate::table::{self, Row, Unit};

pub(crate) use library::work;

/// How many changes are kept for those who watch: as many are made before anything is measured.
const CHANGES_KEPT: u64 = 100_000;
/// How many more there may be for a moment.
const CHANGES_MORE: u64 = 128;
/// How many operations are remembered that had an id: as many are done before anything is measured.
const OPERATIONS_REMEMBERED: u64 = 100_000;
const BACKUPS_KEPT: usize = 3;
/// How many versions are kept of entries with a history.
const VERSIONS: &str = "history=5";
const CACHE_ITEMS: u64 = 200;

pub(crate) fn run(lab: &Lab, minutes: f64) -> Result {
    let soak = Soak::prepare(lab, Duration::from_secs_f64(minutes * 60.0))?;
    let mut rows = soak.run()?;
    rows.extend(soak.latencies());
    table::print_goals("soak", &rows);
    let missed = rows.iter().filter(|row| row.misses_goal()).count();
    if missed == 0 { Ok(()) } else { Err(format!("{missed} lines do not hold").into()) }
}

/// The run: where it works, since when and for how long.
struct Soak<'l> {
    lab: &'l Lab,
    file: PathBuf,
    backups: PathBuf,
    begun: Instant,
    span: Duration,
    /// The revision that all who watch begin behind.
    origin: String,
    /// When one-shots were begun, as part of the run, and how long they took.
    times: Mutex<Vec<(f64, Duration)>>,
    /// The processes that live as long as the run, by what they do.
    residents: Mutex<BTreeMap<&'static str, u32>>,
}

/// What a program said: its exit code and what it printed.
type Said = (i32, String);

impl<'l> Soak<'l> {
    fn prepare(lab: &'l Lab, span: Duration) -> Result<Self> {
        let folder = lab.folder("soak")?;
        let (file, backups) = (folder.join("store.prdb"), folder.join("backups"));
        fs::create_dir(&backups)?;
        let (times, residents) = (Mutex::default(), Mutex::default());
        let (begun, origin) = (Instant::now(), String::new());
        let mut soak = Self { lab, file, backups, begun, span, origin, times, residents };
        let items = format!("timeout=2 max_items={CACHE_ITEMS}");
        soak.must(&["create-cache", "soak.cache", &items])?;
        soak.must(&["admin", "namespace", "set", "soak.told", VERSIONS])?;
        soak.fill_changes()?;
        library::remember(&soak, OPERATIONS_REMEMBERED)?;
        soak.origin = soak.must(&["set", "soak.first.k", "1", "--return", "version"])?.trim().to_owned();
        soak.begun = Instant::now();
        Ok(soak)
    }

    /// Makes as many changes as are kept, for the log of them is as long as it gets from then on.
    fn fill_changes(&self) -> Result {
        let mut watch = self.command(&["watch", "--timeout", "1s"]);
        watch.stdin(Stdio::null()).stderr(Stdio::null()).status()?;
        let mut child = self.stream("500").spawn()?;
        let mut input = child.stdin.take().ok_or("no pipe to a stream")?;
        for number in 0..CHANGES_KEPT + 10 * CHANGES_MORE {
            writeln!(input, "{}", hands::line("soak.before", number % 1000, number))?;
        }
        drop(input);
        if child.wait()?.success() { Ok(()) } else { Err("the first stream has failed".into()) }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.lab.prontodb(&self.file, ["--busy-timeout-ms", "60000"]);
        command.args(args);
        command
    }

    /// A stream that reads lines of JSON.
    fn stream(&self, chunk: &str) -> Command {
        let mut command = self.command(&["stream", "--format", "jsonl", "--chunk", chunk]);
        command.env("PRONTO_SECURITY", "false").stdin(Stdio::piped()).stderr(Stdio::null());
        command
    }

    /// Runs a one-shot, and notes how long it took.
    fn say(&self, args: &[&str]) -> Result<Said> {
        let (at, start) = (self.part(), Instant::now());
        let output = self.command(args).stdin(Stdio::null()).stderr(Stdio::piped()).output()?;
        self.times.lock().unwrap_or_else(PoisonError::into_inner).push((at, start.elapsed()));
        let code = output.status.code().ok_or_else(|| format!("{args:?} was killed"))?;
        if code == 1 {
            return Err(format!("{args:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok((code, String::from_utf8(output.stdout)?))
    }

    /// Runs a one-shot that has to succeed.
    fn must(&self, args: &[&str]) -> Result<String> {
        match self.say(args)? {
            (0, answer) => Ok(answer),
            (code, _) => Err(format!("{args:?} ends with {code}").into()),
        }
    }

    /// How much of the run is over.
    fn part(&self) -> f64 {
        self.begun.elapsed().as_secs_f64() / self.span.as_secs_f64()
    }

    fn is_over(&self) -> bool {
        self.part() >= 1.0
    }

    /// Waits, but not beyond the end; whether the run goes on.
    fn pause(&self, time: Duration) -> bool {
        let left = self.span.saturating_sub(self.begun.elapsed());
        thread::sleep(time.min(left));
        !self.is_over()
    }

    /// A process that lives as long as the run, and is measured.
    fn settle(&self, name: &'static str, command: &mut Command) -> Result<Child> {
        let child = command.spawn()?;
        self.residents.lock().unwrap_or_else(PoisonError::into_inner).insert(name, child.id());
        Ok(child)
    }

    fn residents(&self) -> BTreeMap<&'static str, u32> {
        self.residents.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn resident(&self, name: &str) -> Option<u32> {
        self.residents().get(name).copied()
    }

    fn run(&self) -> Result<Vec<Row>> {
        let heard = thread::scope(|scope| -> Result<Heard> {
            let steady = eyes::steady(self)?;
            let resumed = scope.spawn(|| eyes::resumed(self));
            let watched = scope.spawn(move || eyes::read(steady));
            let hands = [0, 1].map(|number| scope.spawn(move || hands::one_shots(self, number)));
            let stream = scope.spawn(|| hands::stream(self));
            let library = scope.spawn(|| library::drive(self));
            let agent = scope.spawn(|| hands::agent(self));
            let pusher = scope.spawn(|| jobs::push(self));
            let workers = [1, 2].map(|number| scope.spawn(move || jobs::work(self, number)));
            let backups = scope.spawn(|| self.back_up());
            let pinned = scope.spawn(|| eyes::pin(self));
            let sampler = scope.spawn(|| samples::take(self));
            let hands = hands.into_iter().map(join).collect::<Result<Vec<_>>>()?;
            let written = [join(stream)?, join(library)?, join(agent)?];
            Ok(Heard {
                written: hands.into_iter().chain(written).collect(),
                jobs: jobs::Done::of(join(pusher)?, workers.into_iter().map(join).collect::<Result<_>>()?),
                backups: join(backups)?,
                samples: join(sampler)?,
                pinned: join(pinned)?,
                seen: [join(watched)?, join(resumed)?],
            })
        })?;
        self.judge(&heard)
    }

    /// Backs up every few minutes; how often.
    fn back_up(&self) -> Result<u64> {
        let pause = (self.span / 20).max(Duration::from_secs(15));
        let (folder, keep) = (path(&self.backups)?, BACKUPS_KEPT.to_string());
        let mut made = 0;
        while self.pause(pause) {
            self.must(&["backup", "--output", folder, "--keep", &keep])?;
            made += 1;
        }
        Ok(made)
    }

    fn judge(&self, heard: &Heard) -> Result<Vec<Row>> {
        let written = hands::Written::sum(&heard.written);
        let none = |what: &str, number: u64| Row::new(what, Unit::Count, number as f64).at_most(0.0);
        let count = |what: &str, number: u64| Row::new(what, Unit::Count, number as f64);
        let one_shots = self.times.lock().unwrap_or_else(PoisonError::into_inner).len();
        let mut rows = vec![
            Row::new("minutes", Unit::Each, self.span.as_secs_f64() / 60.0),
            count("one-shots", one_shots as u64),
            count("entries that were written and acknowledged", written.watched + written.others),
            none("entries that are not what was acknowledged last", written.wrong(self)?),
            none("sums, of additions some of which were tried again, that are off", written.sums_off(self)?),
            none(
                "entries in a full cache above its limit",
                self.count("soak.cache")?.saturating_sub(CACHE_ITEMS),
            ),
            count("reads that were compared with the last write", written.compared),
            none("reads that saw something else", written.misread),
        ];
        rows.extend(heard.jobs.rows(self)?);
        rows.extend(heard.seen.iter().flat_map(|seen| seen.rows(written.watched)));
        let archives = fs::read_dir(&self.backups)?.collect::<Result<Vec<_>, _>>()?;
        rows.push(count("backups", heard.backups).at_least(1.0));
        rows.push(none("archives more than are kept", archives.len().saturating_sub(BACKUPS_KEPT) as u64));
        let newest = archives.iter().map(fs::DirEntry::path).max().ok_or("there is no archive")?;
        rows.push(none(
            "exit code of backup --verify",
            code(Command::new(self.lab.prontodb_binary()).args(["backup", "--verify"]).arg(newest))?,
        ));
        rows.push(none("exit code of admin check", code(&mut self.command(&["admin", "check"]))?));
        rows.extend(samples::rows(&heard.samples, heard.pinned));
        Ok(rows)
    }

    /// How many entries a namespace has.
    fn count(&self, namespace: &str) -> Result<u64> {
        Ok(self.must(&["keys", namespace, "--count"])?.trim().parse()?)
    }

    /// How long one-shots took in the second and in the last quarter: for the reader, since it depends on what else the machine does.
    fn latencies(&self) -> Vec<Row> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let quarter = |from: f64| {
            Samples::of_times(
                times.iter().filter(|(at, _)| (from..from + 0.25).contains(at)).map(|(_, took)| *took),
            )
        };
        let (second, last) = (quarter(0.25), quarter(0.75));
        let row = |what: &str, seconds: f64| Row::new(what, Unit::Seconds, seconds);
        vec![
            row("a one-shot, median in the second quarter", second.median()),
            row("a one-shot, median in the last quarter", last.median()),
            row("a one-shot, p99 in the second quarter", second.percentile(99.0)),
            row("a one-shot, p99 in the last quarter", last.percentile(99.0)),
        ]
    }
}

/// What all those at work have to tell.
struct Heard {
    written: Vec<hands::Written>,
    jobs: jobs::Done,
    backups: u64,
    samples: Vec<samples::Sample>,
    /// Between which parts of the run the log was pinned.
    pinned: (f64, f64),
    seen: [eyes::Seen; 2],
}

fn join<T>(hand: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    hand.join().map_err(|_| "a thread has panicked")?
}

/// How a command ends.
fn code(command: &mut Command) -> Result<u64> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    Ok(status.code().map_or(u64::MAX, |code| code.unsigned_abs().into()))
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()).into())
}
