//! A sealed place in which the real program runs, and checks that read like a transcript.
//!
//! ```no_run
//! # use prontodb_testkit::sandbox::Sandbox;
//! let sandbox = Sandbox::new("target/debug/prontodb");
//! sandbox.run(["set", "a.b.c"]).stdin("v").prints("");
//! sandbox.run(["get", "a.b.c"]).prints("v\n");
//! sandbox.run(["get", "a.b.d"]).fails(2).stderr_has("a.b.d");
//! ```
//!
//! A [`Call`] that never ran and an [`Outcome`] whose exit nobody looked at panic: each is a mistake of the test.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use tempfile::TempDir;

/// How long a program may run before it counts as hanging.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How much of an output a failure shows.
const SHOWN_BYTES: usize = 4096;

/// A directory of its own with a home, a place for temporary files and a working directory, and the program under test.
#[derive(Debug)]
pub struct Sandbox {
    root: TempDir,
    program: PathBuf,
}

impl Sandbox {
    /// An empty sandbox for the program at `program`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let sandbox = Self { root, program: program.into() };
        for dir in [sandbox.home(), sandbox.tmp(), sandbox.path("")] {
            fs::create_dir(&dir).expect("a directory in the sandbox");
        }
        sandbox
    }

    /// What `HOME` is inside.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// What `TMPDIR` is inside.
    pub fn tmp(&self) -> PathBuf {
        self.root.path().join("tmp")
    }

    /// A place in the working directory; `""` is the directory itself.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.path().join("work").join(relative)
    }

    /// The program under test.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A call of the program under test; it runs when its outcome is asked for.
    pub fn run<I>(&self, args: I) -> Call
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.run_other(&self.program, args)
    }

    /// A call of some other program, under the same seal.
    pub fn run_other<I>(&self, program: impl Into<OsString>, args: I) -> Call
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        let mut words = vec![program.into()];
        words.extend(args.into_iter().map(Into::into));
        Call {
            words,
            dir: self.path(""),
            variables: self.variables(),
            stdin: Input::Null,
            stdout: None,
            time_limit: TIME_LIMIT,
            started: false,
        }
    }

    /// Starts a call and does not wait for its end.
    pub fn spawn<I>(&self, args: I) -> Running
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.run(args).spawn()
    }

    fn variables(&self) -> BTreeMap<OsString, OsString> {
        let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let variables = [
            ("HOME", self.home().into()),
            ("TMPDIR", self.tmp().into()),
            ("PATH", path),
            ("LANG", "C.UTF-8".into()),
            ("USER", "tester".into()),
        ];
        // Where bin/coverage.sh has the counters of a process written to.
        let counters = env::var_os("LLVM_PROFILE_FILE").map(|place| ("LLVM_PROFILE_FILE", place));
        variables.into_iter().chain(counters).map(|(name, value)| (name.into(), value)).collect()
    }
}

/// What a program finds on its stdin.
#[derive(Debug)]
enum Input {
    Null,
    Bytes(Vec<u8>),
    Given(Stdio),
}

/// A command line that has yet to run: first what it gets, then what is expected of it.
#[derive(Debug)]
#[must_use = "a call runs when its outcome is asked for"]
pub struct Call {
    words: Vec<OsString>,
    dir: PathBuf,
    variables: BTreeMap<OsString, OsString>,
    stdin: Input,
    stdout: Option<Stdio>,
    time_limit: Duration,
    started: bool,
}

impl Call {
    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.words.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.words.extend(args.into_iter().map(Into::into));
        self
    }

    /// Puts another program and its arguments in front, one that runs what follows them.
    pub fn under<I>(mut self, wrapper: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.words.splice(0..0, wrapper.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Leaves out a variable of the environment.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.variables.remove(name.as_ref());
        self
    }

    /// Runs in another directory; a relative one is within the working directory.
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = self.dir.join(dir);
        self
    }

    /// Gives these bytes on stdin, and then its end. Without this, stdin is `/dev/null`.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Input::Bytes(bytes.into());
        self
    }

    /// Gives a file or a pipe as stdin.
    pub fn stdin_from(mut self, source: impl Into<Stdio>) -> Self {
        self.stdin = Input::Given(source.into());
        self
    }

    /// Sends stdout to a file or a pipe, where the outcome does not see it.
    pub fn stdout_to(mut self, target: impl Into<Stdio>) -> Self {
        self.stdout = Some(target.into());
        self
    }

    /// Allows another time than the usual 30 seconds.
    pub fn within(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Starts the program and does not wait for its end.
    #[track_caller]
    pub fn spawn(mut self) -> Running {
        self.started = true;
        let command_line = self.command_line();
        let (input, bytes) = match std::mem::replace(&mut self.stdin, Input::Null) {
            Input::Null => (Stdio::null(), None),
            Input::Bytes(bytes) => (Stdio::piped(), Some(bytes)),
            Input::Given(source) => (source, None),
        };
        let mut child = Command::new(&self.words[0])
            .args(&self.words[1..])
            .current_dir(&self.dir)
            .env_clear()
            .envs(&self.variables)
            .stdin(input)
            .stdout(self.stdout.take().unwrap_or_else(Stdio::piped))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start\n  {command_line}\n{error}"));
        if let Some((pipe, bytes)) = child.stdin.take().zip(bytes) {
            feed(pipe, bytes);
        }
        let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
        Running {
            child,
            command_line,
            stdout,
            stderr,
            deadline: Instant::now() + self.time_limit,
            done: false,
        }
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn outcome(self) -> Outcome {
        self.spawn().wait()
    }

    /// Expects exit code 0.
    #[track_caller]
    pub fn succeeds(self) -> Outcome {
        self.outcome().succeeds()
    }

    /// Expects exit code 0 and exactly this on stdout.
    #[track_caller]
    pub fn prints(self, stdout: impl AsRef<[u8]>) -> Outcome {
        self.outcome().prints(stdout)
    }

    /// Expects this exit code.
    #[track_caller]
    pub fn fails(self, code: i32) -> Outcome {
        self.outcome().fails(code)
    }

    /// Expects one of these exit codes.
    #[track_caller]
    pub fn fails_with_one_of(self, codes: &[i32]) -> Outcome {
        self.outcome().fails_with_one_of(codes)
    }

    /// Expects that it ends by itself, whatever the exit code.
    #[track_caller]
    pub fn ends(self) -> Outcome {
        self.outcome().ends()
    }

    fn command_line(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|word| clip(&word.to_string_lossy())).collect();
        words.join(" ")
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.started && !thread::panicking() {
            panic!("a call that never ran: ask for its outcome\n  {}", self.command_line());
        }
    }
}

/// A program that was started.
#[derive(Debug)]
#[must_use = "a program that was started has an outcome"]
pub struct Running {
    child: Child,
    command_line: String,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    deadline: Instant,
    done: bool,
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end; a program over its time limit is killed, and the test fails.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let (Some(stdout), Some(stderr)) = (self.rest_of(&self.stdout), self.rest_of(&self.stderr)) else {
            self.give_up();
        };
        let Some(status) = self.status() else { self.give_up() };
        self.done = true;
        Outcome::new(std::mem::take(&mut self.command_line), status, stdout, stderr)
    }

    /// Kills it with SIGKILL, unless it has ended already.
    #[track_caller]
    pub fn kill(mut self) -> Outcome {
        self.child.kill().expect("a child may be killed");
        self.wait()
    }

    /// All that came through a pipe; `None` when it is still open at the deadline.
    fn rest_of(&self, pipe: &Receiver<Vec<u8>>) -> Option<Vec<u8>> {
        pipe.recv_timeout(self.deadline.saturating_duration_since(Instant::now())).ok()
    }

    fn status(&mut self) -> Option<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return Some(status);
            }
            if Instant::now() >= self.deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[track_caller]
    fn give_up(&mut self) -> ! {
        self.end();
        panic!("hangs: killed at its time limit\n  {}", self.command_line);
    }

    fn end(&mut self) {
        self.done = true;
        // An error says that it has ended by itself, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.end();
        if !thread::panicking() {
            panic!("nobody waited for the end of\n  {}", self.command_line);
        }
    }
}

/// What a program did.
#[derive(Debug)]
pub struct Outcome {
    command_line: String,
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    checked: bool,
}

impl Outcome {
    #[track_caller]
    fn new(command_line: String, status: ExitStatus, stdout: Vec<u8>, stderr: Vec<u8>) -> Self {
        let outcome = Self { command_line, status, stdout, stderr, checked: false };
        outcome.require(!outcome.stderr().contains("panicked at"), "shows the text of a panic");
        outcome
    }

    /// Expects exit code 0.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.fails(0)
    }

    /// Expects exit code 0 and exactly this on stdout.
    #[track_caller]
    pub fn prints(self, stdout: impl AsRef<[u8]>) -> Self {
        self.succeeds().stdout_is(stdout)
    }

    /// Expects this exit code.
    #[track_caller]
    pub fn fails(mut self, code: i32) -> Self {
        self.checked = true;
        self.require(self.status.code() == Some(code), &format!("expected exit code {code}"));
        self
    }

    /// Expects one of these exit codes.
    #[track_caller]
    pub fn fails_with_one_of(mut self, codes: &[i32]) -> Self {
        let code = self.code();
        self.require(
            code.is_some_and(|code| codes.contains(&code)),
            &format!("expected an exit code of {codes:?}"),
        );
        self
    }

    /// Expects that it ended by itself, whatever the exit code.
    #[track_caller]
    pub fn ends(mut self) -> Self {
        let code = self.code();
        self.require(code.is_some(), "expected that no signal ends it");
        self
    }

    /// Expects exactly this on stdout.
    #[track_caller]
    pub fn stdout_is(self, expected: impl AsRef<[u8]>) -> Self {
        let expected = expected.as_ref();
        self.require(self.stdout == expected, &format!("expected this on stdout:\n{}", shown(expected)));
        self
    }

    /// Expects this text somewhere on stdout.
    #[track_caller]
    pub fn stdout_has(self, text: &str) -> Self {
        self.require(self.stdout().contains(text), &format!("expected on stdout: {text}"));
        self
    }

    /// Expects this text nowhere on stdout.
    #[track_caller]
    pub fn stdout_lacks(self, text: &str) -> Self {
        self.require(!self.stdout().contains(text), &format!("not expected on stdout: {text}"));
        self
    }

    /// Expects exactly this on stderr.
    #[track_caller]
    pub fn stderr_is(self, expected: &str) -> Self {
        self.require(self.stderr == expected.as_bytes(), &format!("expected this on stderr:\n{expected}"));
        self
    }

    /// Expects this text somewhere on stderr.
    #[track_caller]
    pub fn stderr_has(self, text: &str) -> Self {
        self.require(self.stderr().contains(text), &format!("expected on stderr: {text}"));
        self
    }

    /// Expects this text nowhere on stderr.
    #[track_caller]
    pub fn stderr_lacks(self, text: &str) -> Self {
        self.require(!self.stderr().contains(text), &format!("not expected on stderr: {text}"));
        self
    }

    /// The exit code; `None` if a signal ended it. Whoever asks has looked.
    pub fn code(&mut self) -> Option<i32> {
        self.checked = true;
        self.status.code()
    }

    /// What it wrote to stdout.
    pub fn stdout_bytes(&self) -> &[u8] {
        &self.stdout
    }

    /// What it wrote to stdout, as text.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// What it wrote to stderr, as text.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Fails the test with all that is known, unless `met`.
    #[track_caller]
    pub fn require(&self, met: bool, expectation: &str) {
        if !met && !thread::panicking() {
            panic!("{expectation}\n{}", self.transcript());
        }
    }

    fn transcript(&self) -> String {
        let (stdout, stderr) = (shown(&self.stdout), shown(&self.stderr));
        format!("$ {}\n{}\n--- stdout\n{stdout}\n--- stderr\n{stderr}", self.command_line, self.status)
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        self.require(self.checked, "nobody looked at how this ended");
    }
}

/// Writes to a program's stdin on the side, since it may be slow to read. One that stops reading is no error.
fn feed(mut pipe: impl Write + Send + 'static, bytes: Vec<u8>) {
    thread::spawn(move || pipe.write_all(&bytes));
}

/// Reads a pipe to its end on the side; without a pipe there is nothing to read.
fn drain(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        // Nobody may be there to take it any more: the test has failed already.
        let _ = sender.send(bytes);
    });
    receiver
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]).into_owned();
    if bytes.len() > SHOWN_BYTES { format!("{text}… ({} bytes)", bytes.len()) } else { text }
}

fn clip(word: &str) -> String {
    const LONGEST: usize = 100;
    match word.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}… ({} bytes)", &word[..at], word.len()),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    fn shell() -> Sandbox {
        Sandbox::new("sh")
    }

    fn sh(sandbox: &Sandbox, script: &str) -> Call {
        sandbox.run(["-c", script])
    }

    fn complaint(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let panic = catch_unwind(test).expect_err("a test that fails");
        panic.downcast_ref::<String>().expect("a message").clone()
    }

    #[test]
    fn programs_see_the_sandbox_and_nothing_else() {
        let sandbox = shell();
        let expected = format!(
            "HOME={}\nLANG=C.UTF-8\nTMPDIR={}\nUSER=tester\n",
            sandbox.home().display(),
            sandbox.tmp().display()
        );
        let script = "env | grep -vE '^(PATH|PWD|OLDPWD|SHLVL|_)=' | sort; cat";
        sh(&sandbox, script).prints(expected);
        sh(&sandbox, "pwd -P").prints(format!("{}\n", sandbox.path("").canonicalize().unwrap().display()));
    }

    #[test]
    fn inputs_and_variables_reach_the_program() {
        let sandbox = shell();
        sh(&sandbox, "cat; echo $K").stdin("in ").env("K", "v").prints("in v\n");
        sh(&sandbox, "echo ${HOME-none}").env_remove("HOME").prints("none\n");
        fs::create_dir(sandbox.path("sub")).unwrap();
        sh(&sandbox, "basename \"$PWD\"").current_dir("sub").prints("sub\n");
        sh(&sandbox, "exit 3").under(["env"]).fails(3);
    }

    #[test]
    fn failures_show_command_code_and_output() {
        let message = complaint(|| drop(sh(&shell(), "echo out; echo err >&2; exit 7").fails(1)));
        for part in
            ["expected exit code 1", "echo out; echo err >&2; exit 7", "exit status: 7", "out\n", "err\n"]
        {
            assert!(message.contains(part), "{part} is not in\n{message}");
        }
    }

    #[test]
    fn what_nobody_checks_panics() {
        assert!(complaint(|| drop(sh(&shell(), "true"))).contains("never ran"));
        assert!(complaint(|| drop(sh(&shell(), "true").outcome())).contains("nobody looked"));
        assert!(complaint(|| drop(sh(&shell(), "true").spawn())).contains("nobody waited"));
    }

    #[test]
    fn programs_that_hang_are_killed() {
        let hangs = || drop(sh(&shell(), "exec sleep 60").within(Duration::from_millis(50)).outcome());
        let start = Instant::now();
        assert!(complaint(hangs).contains("hangs"));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn panics_of_the_program_are_noticed() {
        let message = complaint(|| drop(sh(&shell(), "echo thread panicked at x >&2").succeeds()));
        assert!(message.contains("text of a panic"), "{message}");
    }

    #[test]
    fn killed_programs_have_no_exit_code() {
        let mut outcome = shell().spawn(["-c", "exec sleep 60"]).kill();
        assert_eq!(outcome.code(), None);
    }
}
