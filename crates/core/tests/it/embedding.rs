//! docs/embedding.md, tried: its code stands here word for word, and runs.

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;

use prontodb_core::engine::sqlite::{OpenOptions, SqliteEngine};
use prontodb_core::engine::{Fields, Row};
use prontodb_core::store::{CacheSettings, Condition, Query, SetOptions, Sink};
use prontodb_core::{ErrorKind, ManualClock, Millis, Namespace, Notation, Store};

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn a_database_is_opened_written_and_read() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("shop.prdb");

    let engine = SqliteEngine::open(OpenOptions::new(path))?;
    let store = Store::new(engine).with_writer(Some("till-3".to_owned()));
    let apple = Notation::default().address("shop.prices.apple")?;

    store.set(&apple, b"120", &SetOptions::default())?;
    let record = store.get(&apple)?.expect("it was just written");
    assert_eq!(record.value, b"120");
    assert_eq!(record.head.writer.as_deref(), Some("till-3"));

    std::thread::spawn(move || store.get(&apple).map(|found| assert!(found.is_some())))
        .join()
        .expect("a store moves to other threads")?;
    Ok(())
}

#[test]
fn a_condition_that_does_not_hold_is_a_conflict() -> Outcome {
    let store = Store::in_memory();
    let apple = Notation::default().address("shop.prices.apple")?;
    store.set(&apple, b"120", &SetOptions::default())?;

    let seen = store.get(&apple)?.expect("it is there").head.version;
    let unchanged = Condition { version: Some(seen), ..Condition::default() };
    let options = SetOptions { condition: unchanged, ..SetOptions::default() };
    store.set(&apple, b"125", &options)?;

    let refused = store.set(&apple, b"130", &options).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    Ok(())
}

#[test]
fn several_changes_are_one() -> Outcome {
    let store = Store::in_memory();
    let notation = Notation::default();

    let (stock, sold) = (notation.address("shop.stock.apple")?, notation.address("shop.sold.apple")?);
    let sale = store.write(|writer| {
        let left = writer.increment(&stock, -1)?;
        writer.increment(&sold, 1)?;
        match left {
            0.. => Ok(left),
            _ => Err(prontodb_core::Error::new(ErrorKind::Conflict, "there is none left")),
        }
    });
    assert!(sale.is_err() && store.get(&sold)?.is_none(), "nothing has happened");
    Ok(())
}

#[test]
fn time_is_what_the_clock_says() -> Outcome {
    let clock = Arc::new(ManualClock::at(Millis(0)));
    let store = Store::in_memory().with_clock(Arc::clone(&clock));
    let sessions = Namespace::new("web", "sessions")?;
    store.create_cache(&sessions, &CacheSettings::parse("timeout=60")?)?;

    let token = Notation::default().address("web.sessions.token")?;
    store.set(&token, b"t0ken", &SetOptions::default())?;
    clock.advance(59_999);
    assert!(store.get(&token)?.is_some());
    clock.advance(1);
    assert!(store.get(&token)?.is_none());
    Ok(())
}

#[test]
fn listings_flow_into_a_sink() -> Outcome {
    let store = Store::in_memory();
    let notation = Notation::default();
    for name in ["shop.prices.pear", "shop.prices.apple"] {
        store.set(&notation.address(name)?, b"1", &SetOptions::default())?;
    }

    #[derive(Default)]
    struct Names(Vec<String>);

    impl Sink for Names {
        fn row(&mut self, row: Row<'_>) {
            self.0.push(row.name.to_owned());
        }

        fn page(&mut self) -> prontodb_core::Result<ControlFlow<()>> {
            Ok(ControlFlow::Continue(()))
        }
    }

    let mut names = Names::default();
    let query = Query { fields: Fields::Names, ..Query::default() };
    store.list(&Namespace::new("shop", "prices")?, &query, &mut names)?;
    assert_eq!(names.0, ["apple", "pear"]);
    Ok(())
}

#[test]
fn the_page_shows_the_code_that_runs_here() {
    let here = without_indents(include_str!("embedding.rs"));
    let page = include_str!("../../../../docs/embedding.md");
    let blocks: Vec<_> =
        page.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        assert!(here.contains(&without_indents(block)), "the page has code that is not tried:\n{block}");
    }
}

fn without_indents(code: &str) -> String {
    code.lines().map(|line| format!("{}\n", line.trim())).collect()
}
