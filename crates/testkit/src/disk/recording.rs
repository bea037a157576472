//! What was done to the files of a folder, and what a power cut may leave of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The unit in which a disk writes.
const SECTOR: usize = 512;

/// A file, whatever it is called.
pub(super) type Number = usize;

/// Something that was done.
pub(super) enum Event {
    Create {
        file: Number,
        name: String,
    },
    Delete {
        name: String,
    },
    Write {
        file: Number,
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: Number,
        length: usize,
    },
    Sync {
        file: Number,
    },
    /// What was written is lost, and nobody tries again: so Linux does it.
    SyncFailed {
        file: Number,
    },
    SyncFolder,
    Note(u64),
}

/// Writes down what is done.
pub(super) struct Recorder {
    folder: PathBuf,
    /// What was there at the beginning.
    begun: Vec<(String, Vec<u8>)>,
    names: BTreeMap<String, Number>,
    files: usize,
    events: Vec<Event>,
}

impl Recorder {
    pub(super) fn begin(folder: &Path) -> Self {
        let folder = folder.canonicalize().expect("the folder is there");
        let mut begun = Vec::new();
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            begun.push((name, fs::read(entry.path()).expect("a file")));
        }
        let names = begun.iter().enumerate().map(|(file, (name, _))| (name.clone(), file)).collect();
        Self { folder, files: begun.len(), begun, names, events: Vec::new() }
    }

    pub(super) fn is_of(&self, folder: &Path) -> bool {
        self.folder == folder
    }

    pub(super) fn add(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The number of a file in the folder, which is made when it was not known.
    pub(super) fn opened(&mut self, path: &Path) -> Option<Number> {
        let name = self.name_of(path)?;
        if let Some(file) = self.names.get(&name) {
            return Some(*file);
        }
        let file = self.files;
        self.files += 1;
        self.names.insert(name.clone(), file);
        self.add(Event::Create { file, name });
        Some(file)
    }

    pub(super) fn deleted(&mut self, path: &Path) {
        if let Some(name) = self.name_of(path)
            && self.names.remove(&name).is_some()
        {
            self.add(Event::Delete { name });
        }
    }

    fn name_of(&self, path: &Path) -> Option<String> {
        let is_here = path.parent()? == self.folder;
        is_here.then(|| path.file_name().and_then(|name| name.to_str()).map(str::to_owned))?
    }

    pub(super) fn end(self) -> Recording {
        Recording { begun: self.begun, events: self.events }
    }
}

/// What was done to the files of a folder, in order.
pub struct Recording {
    begun: Vec<(String, Vec<u8>)>,
    events: Vec<Event>,
}

/// How much of what was not synced a power cut loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of it.
    All,
    /// Nothing.
    Nothing,
    /// What came last, but for a part of one write.
    Tail,
    /// Any sectors, in any order; some are written in part.
    Any,
}

/// Where what is random comes from: the same for the same number (xorshift64, G. Marsaglia, 2003).
pub struct Dice(u64);

impl Dice {
    /// Dice that fall by this number.
    pub fn new(seed: u64) -> Self {
        // What is 0 would stay that; small numbers are spread.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below another one.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// A file: what is surely on disk, and what was done to it since.
#[derive(Clone, Default)]
struct File<'e> {
    synced: Vec<u8>,
    since: Vec<&'e Event>,
}

/// Which names there are.
#[derive(Clone, Default)]
struct Folder<'e> {
    synced: BTreeMap<String, Number>,
    since: Vec<&'e Event>,
}

impl Recording {
    /// How many moments there are at which the power may go.
    pub fn moments(&self) -> usize {
        self.events.len() + 1
    }

    /// The last number that was noted before a moment.
    pub fn noted(&self, moment: usize) -> Option<u64> {
        self.events[..moment].iter().rev().find_map(|event| match event {
            Event::Note(number) => Some(*number),
            _ => None,
        })
    }

    /// How often folders were synced.
    pub fn folder_syncs(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::SyncFolder)).count()
    }

    /// How often files were synced.
    pub fn syncs(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Sync { .. })).count()
    }

    /// Makes the files as a power cut before event `moment` may leave them.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn cut(&self, moment: usize, loss: Loss, dice: &mut Dice, to: &Path) {
        let mut folder = Folder::default();
        let mut files: BTreeMap<Number, File<'_>> = BTreeMap::new();
        for (number, (name, bytes)) in self.begun.iter().enumerate() {
            folder.synced.insert(name.clone(), number);
            files.insert(number, File { synced: bytes.clone(), since: Vec::new() });
        }
        for event in &self.events[..moment] {
            match event {
                Event::Create { .. } | Event::Delete { .. } => folder.since.push(event),
                Event::SyncFolder => folder.sync(),
                Event::Write { file, .. } | Event::Truncate { file, .. } => {
                    files.entry(*file).or_default().since.push(event);
                }
                Event::Sync { file } => files.entry(*file).or_default().sync(),
                Event::SyncFailed { file } => files.entry(*file).or_default().since.clear(),
                Event::Note(_) => {}
            }
        }
        for (name, number) in folder.after_a_cut(loss, dice) {
            let bytes = files.remove(&number).unwrap_or_default().after_a_cut(loss, dice);
            fs::write(to.join(name), bytes).expect("a file is written");
        }
    }
}

impl Folder<'_> {
    fn sync(&mut self) {
        for event in std::mem::take(&mut self.since) {
            apply_to_names(&mut self.synced, event);
        }
    }

    fn after_a_cut(mut self, loss: Loss, dice: &mut Dice) -> BTreeMap<String, Number> {
        let count = self.since.len();
        let kept = match loss {
            Loss::All => 0,
            Loss::Nothing | Loss::Any => count,
            Loss::Tail => dice.below(count + 1),
        };
        for event in self.since.into_iter().take(kept) {
            if loss != Loss::Any || dice.below(2) == 0 {
                apply_to_names(&mut self.synced, event);
            }
        }
        self.synced
    }
}

fn apply_to_names(names: &mut BTreeMap<String, Number>, event: &Event) {
    match event {
        Event::Create { file, name } => drop(names.insert(name.clone(), *file)),
        Event::Delete { name } => drop(names.remove(name)),
        _ => {}
    }
}

impl File<'_> {
    fn sync(&mut self) {
        for event in std::mem::take(&mut self.since) {
            apply_whole(&mut self.synced, event);
        }
    }

    fn after_a_cut(mut self, loss: Loss, dice: &mut Dice) -> Vec<u8> {
        let count = self.since.len();
        let kept = match loss {
            Loss::All => 0,
            Loss::Nothing | Loss::Any => count,
            Loss::Tail => dice.below(count + 1),
        };
        for (place, event) in self.since.into_iter().enumerate() {
            match (loss, event) {
                (Loss::Any, event) => apply_in_part(&mut self.synced, event, dice),
                (Loss::Tail, Event::Write { offset, bytes, .. }) if place == kept => {
                    write_part(&mut self.synced, *offset, bytes, 0..dice.below(bytes.len()));
                }
                _ if place < kept => apply_whole(&mut self.synced, event),
                _ => {}
            }
        }
        self.synced
    }
}

fn apply_whole(content: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Write { offset, bytes, .. } => write(content, *offset, bytes),
        Event::Truncate { length, .. } => content.resize(*length, 0),
        _ => {}
    }
}

/// Any of the sectors, some of them in part: what was there before stays in the rest.
fn apply_in_part(content: &mut Vec<u8>, event: &Event, dice: &mut Dice) {
    match event {
        Event::Write { offset, bytes, .. } => {
            let mut at = 0;
            while at < bytes.len() {
                let end = (at + SECTOR - (offset + at) % SECTOR).min(bytes.len());
                match dice.below(8) {
                    0..4 => {}
                    4 => write_part(content, *offset, bytes, at..at + dice.below(end - at)),
                    _ => write_part(content, *offset, bytes, at..end),
                }
                at = end;
            }
        }
        event if dice.below(2) == 0 => apply_whole(content, event),
        _ => {}
    }
}

/// Writes a part of what was to be written. The length of a file is that behind all of it: it is kept apart from what is in the file.
fn write_part(content: &mut Vec<u8>, offset: usize, bytes: &[u8], part: std::ops::Range<usize>) {
    if !part.is_empty() {
        content.resize(content.len().max(offset + bytes.len()), 0);
        write(content, offset + part.start, &bytes[part]);
    }
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(events: Vec<Event>) -> Recording {
        Recording { begun: vec![("a".to_owned(), vec![0; 1200])], events }
    }

    fn cut(recording: &Recording, loss: Loss, seed: u64) -> BTreeMap<String, Vec<u8>> {
        let to = tempfile::tempdir().unwrap();
        recording.cut(recording.moments() - 1, loss, &mut Dice::new(seed), to.path());
        let files = fs::read_dir(to.path()).unwrap().map(|entry| entry.unwrap());
        files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
    }

    fn written(byte: u8) -> Event {
        Event::Write { file: 0, offset: 100, bytes: vec![byte; 1000] }
    }

    #[test]
    fn what_was_synced_stays_whatever_is_lost() {
        let recording = recording(vec![written(1), Event::Sync { file: 0 }, Event::Note(7), written(2)]);
        assert_eq!((recording.noted(2), recording.noted(3), recording.syncs()), (None, Some(7), 1));
        let synced = [vec![0; 100], vec![1; 1000], vec![0; 100]].concat();
        assert_eq!(cut(&recording, Loss::All, 0)["a"], synced);
        assert_eq!(
            cut(&recording, Loss::Nothing, 0)["a"],
            [vec![0; 100], vec![2; 1000], vec![0; 100]].concat()
        );
        let (mut mixed, mut torn) = (0, 0);
        for seed in 0..200 {
            let left = &cut(&recording, Loss::Any, seed)["a"];
            assert!(left[..100] == synced[..100] && left[1100..] == synced[1100..]);
            assert!(left[100..1100].iter().all(|byte| [1, 2].contains(byte)));
            let changes: Vec<_> = (100..1099).filter(|at| left[*at] != left[at + 1]).collect();
            mixed += usize::from(!changes.is_empty());
            torn += usize::from(changes.iter().any(|at| (at + 1) % SECTOR != 0));
            let tail = &cut(&recording, Loss::Tail, seed)["a"];
            let ends = tail[100..1100].iter().position(|byte| *byte == 1).unwrap_or(1000);
            assert!(
                tail[100 + ends..1100].iter().all(|byte| *byte == 1),
                "a tail is lost, and nothing before it"
            );
        }
        assert!(mixed > 50 && torn > 20, "{mixed} mixed, {torn} torn");
    }

    #[test]
    fn names_are_there_when_their_folder_was_synced() {
        let made = || Event::Create { file: 1, name: "b".to_owned() };
        let gone = || Event::Delete { name: "a".to_owned() };
        let content = || Event::Write { file: 1, offset: 0, bytes: b"new".to_vec() };
        let names = |events, loss, seed| cut(&recording(events), loss, seed).into_keys().collect::<Vec<_>>();
        let unsynced = || vec![made(), content(), Event::Sync { file: 1 }, gone()];
        assert_eq!(names(unsynced(), Loss::All, 0), ["a"]);
        assert_eq!(names(unsynced(), Loss::Nothing, 0), ["b"]);
        let seen: std::collections::BTreeSet<_> =
            (0..50).map(|seed| names(unsynced(), Loss::Any, seed)).collect();
        assert_eq!(seen.len(), 4);
        let synced = || unsynced().into_iter().chain([Event::SyncFolder]).collect();
        assert!((0..50).all(|seed| names(synced(), Loss::Any, seed) == ["b"]));
    }
}
