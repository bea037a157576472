//! Ships what is written to a database into a replica, as it is written.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use prontodb_core::coding::Recipients;
use prontodb_core::{Clock as _, Endings, Error, ErrorKind, Millis, SystemClock};

use super::catalog::{Beginning, Catalog, End, Generation};
use super::hand::{Hand, Taken};
use super::{Storage, codec, names};
use crate::context::Session;
use crate::engines::follow::{FileMark, Follower, Position};
use crate::engines::{self, Access, OpenOptions};
use crate::exit::{Code, Failure};
use crate::output::json::Object;
use crate::output::{self, Out, counted};

/// How often a look is taken whether anything was written.
const LOOK: Duration = Duration::from_millis(100);
/// How long nothing is tried after the first failure, and after many.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A file that was written so shortly before may be written again without any other time of change.
const GRAIN_MS: i64 = 1000;
const MILLIS_OF_A_DAY: i64 = 24 * 60 * 60 * 1000;

/// What is to be followed, and how.
pub struct Order {
    /// The file of the database.
    pub path: PathBuf,
    /// What the database is called in the replica.
    pub database: String,
    /// How long to wait for others.
    pub patience: Duration,
    /// A folder for what does not fit into memory.
    pub spill: PathBuf,
    /// Whom the replica is encrypted for.
    pub recipients: Option<Recipients>,
    /// Whether to end once all that is there has been shipped.
    pub once: bool,
    /// How often what was written is shipped.
    pub interval: Duration,
    /// How often a new generation begins.
    pub snapshot_every: Duration,
    /// For how many days there is every moment; `None` for all.
    pub keep_days: Option<u64>,
    /// How long the log may become while the replica cannot be written.
    pub max_log: u64,
    /// Whether stdout gets a line of JSON for each file that was shipped.
    pub is_json: bool,
}

/// Follows a database, for whom `store` acts, until the process is to end, or once.
///
/// # Errors
/// Those of the first look at both; later ones of the database; with `once` all. What cannot be written later is tried again.
/// [`ErrorKind::Denied`] once whoever it is done for may not read all any more.
pub fn follow(order: &Order, store: Session, storage: &dyn Storage, out: &mut Out) -> Result<Code, Failure> {
    let endings = Endings::expect().map_err(|error| Failure::io("cannot wait for signals", &error))?;
    let catalog = Catalog::make(storage, &order.database, &order.path, SystemClock.now())?;
    let follower = Follower::open(&order.path, order.patience)?;
    let mut shipper = Shipper {
        order,
        store,
        storage,
        out,
        endings: &endings,
        follower,
        hand: Hand::new(order.spill.clone()),
        generation: None,
        shipped: 0,
        trouble: None,
    };
    shipper.begin(&catalog)?;
    shipper.run()
}

/// A generation that is being written.
struct Current {
    id: String,
    begin: Millis,
    /// The number of the last segment.
    last: u64,
    /// The log that it began with, and its bytes then.
    log: ([u8; 8], u64),
}

/// A replica that cannot be written at present.
struct Trouble {
    until: Instant,
    pause: Duration,
}

struct Shipper<'a> {
    order: &'a Order,
    store: Session,
    storage: &'a dyn Storage,
    out: &'a mut Out,
    endings: &'a Endings,
    follower: Follower,
    hand: Hand,
    generation: Option<Current>,
    shipped: u64,
    trouble: Option<Trouble>,
}

impl Shipper<'_> {
    /// Goes on where the last follower ended, if nothing was missed since, and removes what was never finished.
    fn begin(&mut self, catalog: &Catalog) -> Result<(), Failure> {
        for id in &catalog.unfinished {
            self.storage.remove(&names::folder(id), names::GENERATION)?;
        }
        let Some(last) = catalog.generations.last() else { return Ok(()) };
        self.refuse_plain(last)?;
        // Moments go on from the last one, whatever the clock says.
        self.hand.moment(last.end());
        if self.resumes(last)? {
            let (id, begin, last) = (last.id.clone(), last.begin, last.last());
            self.generation = Some(Current { id, begin, last, log: ([0; 8], 0) });
        }
        Ok(())
    }

    /// A replica that was encrypted stays so: a flag that was forgotten must not publish what it holds.
    fn refuse_plain(&self, last: &Generation) -> Result<(), Failure> {
        let (beginning, _) = Beginning::read(self.storage, &last.id)?;
        if !beginning.encrypted || self.order.recipients.is_some() {
            return Ok(());
        }
        Err(Failure::invalid(
            "the replica is encrypted, and nobody is named who can read what would come now",
        )
        .hint("name them with --age-recipient, or another folder for a replica that is not encrypted"))
    }

    /// Refuses to begin with what cannot be restored.
    fn refuse_damaged(&self) -> Result<(), Failure> {
        let options = OpenOptions {
            access: Access::Read,
            busy_timeout: self.order.patience,
            ..OpenOptions::new(&self.order.path)
        };
        let checked = engines::open(&options)?.check(true)?;
        match checked.problems.first() {
            None => Ok(()),
            Some(problem) => {
                let what =
                    format!("{} is damaged, and no generation begins; {problem}", self.order.path.display());
                Err(Failure::new(Code::Damaged, "damaged", what)
                    .hint("prontodb admin check tells all of it; what the replica holds already is as good as it was"))
            }
        }
    }

    fn resumes(&mut self, last: &Generation) -> Result<bool, Failure> {
        let Some(end) = End::read(self.storage)? else { return Ok(false) };
        let position = Position::parse(&end.position);
        let is_last = end.generation == last.id && end.segments == last.last();
        let Some(position) = position.filter(|_| is_last) else { return Ok(false) };
        let (beginning, _) = Beginning::read(self.storage, &last.id)?;
        if beginning.encrypted != self.order.recipients.is_some() {
            return Ok(false);
        }
        let FileMark { inode, bytes, modified } = self.follower.mark()?;
        let is_same = (inode, bytes, modified) == (end.inode, end.bytes, end.modified);
        let is_old = end.at.saturating_sub(modified / 1_000_000) >= GRAIN_MS;
        Ok(self.follower.resume(position, is_same && is_old)?)
    }

    fn run(&mut self) -> Result<Code, Failure> {
        // The first snapshot waits for nothing; but whoever is in its way is not asked without a pause.
        let look = LOOK.min(self.order.interval);
        let mut wait = if self.generation.is_none() { Duration::ZERO } else { look };
        loop {
            let is_over = self.order.once || self.endings.wait(wait);
            wait = look;
            match self.renew() {
                Ok(()) => {}
                // Somebody is in the way, and nothing is read before it is known for whom.
                Err(error) if error.is_retryable() && !is_over => continue,
                Err(error) => return Err(error.into()),
            }
            match self.round(is_over) {
                Ok(()) if is_over => return self.end(),
                Ok(()) => {}
                Err(failure) if is_over || self.is_final(&failure) => return Err(failure),
                // Somebody is at work on the database; the next round finds it finished.
                Err(failure) if failure.retryable => {}
                Err(failure) => self.wait_with(&failure),
            }
        }
    }

    /// Refuses to go on for whoever may not read all any more.
    fn renew(&mut self) -> Result<(), Error> {
        self.store.renew_identity()?;
        self.store.require_admin()
    }

    /// Whether it is of no use to try again.
    fn is_final(&self, failure: &Failure) -> bool {
        let is_new = self.shipped == 0 && self.generation.is_none() && !failure.retryable;
        is_new
            || failure.code == Code::Interrupted
            || ["closed_pipe", "damaged", "invalid", "unsupported"].contains(&failure.kind)
            || self.follower.look().is_err_and(|error| error.kind() != ErrorKind::Busy)
    }

    /// Takes one look, and does what there is to do.
    fn round(&mut self, is_over: bool) -> Result<(), Failure> {
        if self.is_in_trouble() && !is_over {
            return self.bear();
        }
        let may_begin = self.order.once || !is_over || self.generation.is_none();
        if may_begin && self.is_due() {
            return self.begin_generation();
        }
        let is_all = self.take(true)?;
        if self.generation.is_none() {
            return self.begin_generation();
        }
        if is_over || self.is_ripe() || self.hand.is_heavy() {
            self.ship()?;
        }
        if is_all {
            self.shorten()?;
        }
        self.mind_log()
    }

    fn is_in_trouble(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| Instant::now() < trouble.until)
    }

    /// Waits until the replica may be there again, as long as the log does not become too long.
    fn bear(&mut self) -> Result<(), Failure> {
        if self.generation.is_none() && self.follower.position().is_none() {
            return Ok(());
        }
        self.mind_log()
    }

    /// Keeps out of the way of those who empty the log, and lets go of one that has become too long, because the replica is
    /// away, or slower than those who write.
    fn mind_log(&mut self) -> Result<(), Failure> {
        let look = self.follower.look()?;
        self.hand.note(&look);
        self.follower.step_aside(&look)?;
        let begun = self.generation.as_ref().map_or((look.log(), 0), |current| current.log);
        let grown = if begun.0 == look.log() { look.bytes().saturating_sub(begun.1) } else { look.bytes() };
        if grown > self.order.max_log {
            let since = self.hand.span().map_or_else(|| SystemClock.now(), |(first, _)| first);
            self.follower.let_go()?;
            self.hand.clear();
            self.generation = None;
            output::warn(&format!(
                "the log is longer than --max-log, and the follower lets go of it; what is written from {since} on is \
                 missing until there is a new generation"
            ));
        }
        Ok(())
    }

    /// Tells of a failure, once, and lets some time pass.
    fn wait_with(&mut self, failure: &Failure) {
        let pause = match &self.trouble {
            Some(trouble) => (trouble.pause * 2).min(PAUSES.1),
            None => {
                output::warn(&format!(
                    "the replica cannot be written, and is tried again; {}",
                    failure.message
                ));
                PAUSES.0
            }
        };
        self.trouble = Some(Trouble { until: Instant::now() + pause, pause });
    }

    /// Says that what had failed is done.
    fn recover(&mut self) {
        if self.trouble.take().is_some() {
            output::note("the replica is written again");
        }
    }

    /// Whether it is time for a new generation.
    fn is_due(&self) -> bool {
        let Some(current) = &self.generation else { return self.follower.position().is_none() };
        let age = SystemClock.now().0.saturating_sub(current.begin.0);
        u128::try_from(age).unwrap_or(0) >= self.order.snapshot_every.as_millis()
    }

    /// Whether it is time to ship what was taken.
    fn is_ripe(&self) -> bool {
        let Some((first, _)) = self.hand.span() else { return false };
        let age = SystemClock.now().0.saturating_sub(first.0);
        u128::try_from(age).unwrap_or(0) + LOOK.as_millis() / 2 >= self.order.interval.as_millis()
    }

    /// Takes in hand what there is, and ships what does not fit; whether that was all.
    fn take(&mut self, may_ship: bool) -> Result<bool, Failure> {
        loop {
            match self.hand.take(&mut self.follower)? {
                Taken::All => return Ok(true),
                Taken::Full if may_ship => self.ship()?,
                Taken::Full => return Ok(false),
                Taken::Lost(why) => {
                    self.ship()?;
                    if self.generation.take().is_some() {
                        output::note(&format!("a new generation is needed: {why}"));
                    }
                    return Ok(false);
                }
            }
        }
    }

    /// Writes what is in hand as the next segment.
    fn ship(&mut self) -> Result<(), Failure> {
        let (Some(current), Some((_, at))) = (&mut self.generation, self.hand.span()) else { return Ok(()) };
        let (number, recipients) = (current.last + 1, self.order.recipients.as_ref());
        let name = names::segment(&current.id, number, at, recipients.is_some());
        let (hand, id) = (&mut self.hand, current.id.as_str());
        self.storage.put(&name, &mut |sink| {
            codec::encode(sink, recipients, &mut |plain| hand.write(plain, id, number))
        })?;
        current.last = number;
        let bytes = self.hand.bytes();
        self.hand.clear();
        self.shipped += 1;
        self.recover();
        self.tell("segment", &name, at, bytes)
    }

    /// Keeps the log short. What others write meanwhile is taken in hand, and shipped afterwards: when the follower is slower
    /// than they are, they wait for it here.
    fn shorten(&mut self) -> Result<(), Failure> {
        let look = self.follower.look()?;
        self.hand.note(&look);
        if !self.follower.is_long(&look) {
            return Ok(());
        }
        let hand = &mut self.hand;
        let shortened = self.follower.shorten(&mut |follower| Ok(hand.take_all(follower)? == Taken::All));
        shortened.map_err(Failure::from)
    }

    /// Copies the whole database, and goes on from there. When that fails, nothing is held that is of no use.
    fn begin_generation(&mut self) -> Result<(), Failure> {
        self.try_generation().or_else(|failure| {
            if self.generation.is_none() {
                self.follower.let_go()?;
            }
            Err(failure)
        })
    }

    fn try_generation(&mut self) -> Result<(), Failure> {
        self.refuse_damaged()?;
        if self.generation.is_some() {
            self.take(true)?;
            self.ship()?;
        } else {
            // What is held may be of no use any more.
            self.follower.let_go()?;
            self.hand.clear();
        }
        self.follower.move_on()?;
        let look = self.follower.look()?;
        let begin = self.hand.moment(SystemClock.now());
        let id = names::generation(begin);
        let recipients = self.order.recipients.as_ref();
        let name = names::snapshot(&id, recipients.is_some());
        let (follower, hand, endings) = (&mut self.follower, &mut self.hand, self.endings);
        let (mut hash, mut base, mut is_over, mut looked) =
            (blake3::Hasher::new(), None, false, Instant::now());
        let put = self.storage.put(&name, &mut |sink| {
            codec::encode(sink, recipients, &mut |plain| {
                let mut plain = Hashing { inner: plain, hash: &mut hash };
                base = Some(follower.snapshot(&look, &mut plain, &mut |follower| {
                    is_over = endings.wait(Duration::ZERO);
                    if is_over {
                        return Err(Error::new(ErrorKind::Io, "the snapshot was interrupted"));
                    }
                    if looked.elapsed() >= LOOK {
                        looked = Instant::now();
                        hand.note(&follower.look()?);
                    }
                    Ok(())
                })?);
                Ok(())
            })
        });
        if base.is_some() {
            // The follower goes on from the new snapshot, also if that could not be kept.
            self.generation = None;
        }
        let base = match (put, base) {
            (Ok(()), Some(base)) => base,
            (_, _) if is_over => return Err(Failure::interrupted()),
            (Err(failure), _) => return Err(failure),
            (Ok(()), None) => return Err(Failure::invalid("the snapshot was not written")),
        };
        let known = recipients.is_none().then(|| hash.finalize().to_hex().to_string());
        Beginning::new(base.position, base.bytes, known, recipients.is_some()).write(self.storage, &id)?;
        self.recover();
        output::note(&format!(
            "generation {id} begins with a snapshot of {}",
            counted(base.bytes, "byte", "bytes")
        ));
        self.generation = Some(Current { id, begin, last: 0, log: (look.log(), look.bytes()) });
        self.shipped += 1;
        self.tell("snapshot", &name, begin, base.bytes)?;
        self.remove_old()
    }

    /// Removes generations that no moment needs that is to be kept.
    fn remove_old(&mut self) -> Result<(), Failure> {
        let Some(days) = self.order.keep_days else { return Ok(()) };
        let span = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(MILLIS_OF_A_DAY);
        let oldest = SystemClock.now().0.saturating_sub(span);
        let catalog = Catalog::read(self.storage)?;
        for pair in catalog.generations.windows(2) {
            if pair[1].begin.0 > oldest {
                break;
            }
            self.storage.remove(&names::folder(&pair[0].id), names::GENERATION)?;
            output::note(&format!("generation {} is older than --keep-days, and was removed", pair[0].id));
        }
        Ok(())
    }

    /// Remembers where it has come to, so that the next follower can go on there.
    fn end(&mut self) -> Result<Code, Failure> {
        let (Some(current), Some(position)) = (&self.generation, self.follower.position()) else {
            return Ok(Code::Done);
        };
        let FileMark { inode, bytes, modified } = self.follower.mark()?;
        let end = End {
            generation: current.id.clone(),
            segments: current.last,
            position: position.to_string(),
            inode,
            bytes,
            modified,
            at: SystemClock.now().0,
        };
        if self.shipped > 0 || End::read(self.storage)?.is_none_or(|known| known.position != end.position) {
            end.write(self.storage)?;
        }
        if self.shipped == 0 && self.order.once {
            output::note("there is nothing new to ship");
        }
        Ok(Code::Done)
    }

    fn tell(&mut self, what: &str, name: &str, at: Millis, bytes: u64) -> Result<(), Failure> {
        if !self.order.is_json {
            return Ok(());
        }
        Object::begin(self.out.buffer())
            .text("shipped", what)
            .text("file", name)
            .moment("at", Some(at))
            .number("bytes", bytes)
            .end();
        self.out.push(b"\n");
        self.out.flush()
    }
}

/// Passes bytes on, and hashes them.
struct Hashing<'w> {
    inner: &'w mut dyn Write,
    hash: &'w mut blake3::Hasher,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
