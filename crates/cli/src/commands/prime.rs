use std::path::absolute;

use super::{Addressing, Run};
use crate::args::Globals;
use crate::context::{Context, refuse_select};
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::output::{printable, quoted};

/// How much of a path is shown; its end says most.
const SHOWN: usize = 120;

/// Tell an agent what it has to know, in under 400 tokens
///
/// For the start of a session: what is selected here, how addresses are written, the commands that matter, and the exit codes. The
/// commands it shows can be run as they stand.
#[derive(clap::Args)]
pub struct Prime {}

impl Run for Prime {
    const ADDRESSING: Addressing = Addressing::Namespace;

    fn context(globals: Globals) -> Result<Context, Failure> {
        refuse_select(&globals)?;
        Context::new(globals)
    }

    fn run(self, cx: &mut Context) -> Result<Code, Failure> {
        let path = &cx.selection()?.path;
        let path = absolute(path).unwrap_or_else(|_| path.clone()).display().to_string();
        let text = told(cx, &path);
        if cx.json() {
            let (defaults, user) = (cx.notation.defaults.clone(), cx.user.value.clone());
            Object::begin(cx.out.buffer())
                .text("database", &path)
                .text("project", defaults.project())
                .text("namespace", defaults.namespace())
                .text_or_null("user", user.as_deref())
                .text("prime", &text)
                .end();
            cx.out.push(b"\n");
        } else {
            cx.out.push(text.as_bytes());
        }
        cx.out.flush()?;
        Ok(Code::Done)
    }
}

/// What there is to know.
fn told(cx: &Context, path: &str) -> String {
    let delimiter = cx.notation.delimiter;
    let (project, namespace) = (cx.notation.defaults.project(), cx.notation.defaults.namespace());
    let writer = cx.writer().value.map(|writer| format!(", you write as {writer}")).unwrap_or_default();
    let place = |parts: &[&str]| quoted(&parts.join(&delimiter.to_string()));
    let key = |name| place(&["app", "conf", name]);
    let (url, runs, conf, jobs) = (key("url"), key("runs"), place(&["app", "conf"]), place(&["app", "jobs"]));
    let (path, project, namespace) = (printable(&end_of(path)), printable(project), printable(namespace));
    let writer = printable(&writer);
    format!(
        "ProntoDB keeps values under keys, shared by all processes on this machine; each command is atomic.
Database {path}{writer}.
Address: project{delimiter}namespace{delimiter}key; left out, project is {project} and namespace {namespace}. -p P -n N K says the same. key__ctx is a variant of key.

prontodb set {url} http://x
prontodb get {url}
prontodb keys {conf} --max-bytes 4000
prontodb scan {conf} --json
prontodb del {url}

Safe beside others:
prontodb incr {runs} 1
prontodb append {url} text
prontodb set {url} v --if-present
prontodb update {url} -- tr a-z A-Z
prontodb lock run build --ttl 60s --wait 5m -- echo mine
prontodb queue push {jobs} work
prontodb queue claim {jobs} --ttl 5m --json

Also --if-absent, --if-version N (get --meta shows it). claim gives a fence: queue ack {jobs} --fence F when done. TTLs need a cache: create-cache P{delimiter}N SECONDS.
stdout is data alone, stderr the rest; --json works everywhere, and errors have kind and hint. Values from files: set K --file F, or a pipe.
Exit: 0 done, 1 error, 2 missing, 3 conflict, 4 timed out, 5 denied, 6 over a limit, 7 damaged, 64 usage.
More: prontodb help, prontodb help COMMAND, prontodb context.
"
    )
}

/// The end of a long path.
fn end_of(path: &str) -> String {
    let length = path.chars().count();
    if length <= SHOWN {
        return path.to_owned();
    }
    format!("…{}", path.chars().skip(length - SHOWN).collect::<String>())
}
