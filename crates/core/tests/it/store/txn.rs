//! Transactions: all steps or none, and what they hear.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use prontodb_core::auth::{Identity, Role};
use prontodb_core::store::{
    Check, Condition, MAX_STEPS, OpId, Presence, Step, StepAnswer, Transacted, Transaction,
};
use prontodb_core::transfer::{read_transaction, show_transacted};
use prontodb_core::{Delimiter, ErrorKind, Notation, Record, Version};
use prontodb_testkit::properties;

use super::{Lab, address, namespace, ttl};

on_each_engine! {
    each_step_says_what_came_of_it
    what_fails_leaves_nothing_and_says_where
    every_check_that_fails_is_told
    what_is_missing_undoes_all
    what_only_reads_takes_no_turn
    whoever_may_not_read_checks_nothing
    rules_of_caches_hold
    too_much_is_refused
}

fn read(text: &str) -> Transaction {
    read_transaction(text.as_bytes(), &Notation::default()).unwrap()
}

fn run(lab: &Lab, text: &str) -> Transacted {
    lab.store.transaction(&read(text)).unwrap()
}

fn shown(lab: &Lab, text: &str) -> String {
    show_transacted(&read(text), &run(lab, text), Delimiter::default())
}

fn each_step_says_what_came_of_it(lab: &Lab) {
    lab.set("a.b.old", b"\xff");
    let told = shown(
        lab,
        r#"{"if":[{"k":"a.b.old","version":1,"present":true,"v64":"/w=="},{"k":"a.b.new","absent":true}],
            "then":[{"set":"a.b.new","v":"1"},{"incr":"a.b.new"},{"incr":"a.b.new","by":-5},{"append":"a.b.new","v64":"MA=="},
            {"get":"a.b.new"},{"del":"a.b.new"},{"del":"a.b.new"},{"get":"a.b.new"},{"get":"a.b.old"},{"touch":"a.b.old"},
            {"copy":"a.b.old","to":"c.d.one"},{"rename":"a.b.old","to":"c.d.two"},{"get":"a.b.old"}]}"#,
    );
    assert_eq!(
        told,
        concat!(
            r#"{"done":true,"revision":2,"then":[{"set":"a.b.new","version":2},{"incr":"a.b.new","sum":2},"#,
            r#"{"incr":"a.b.new","sum":-3},{"append":"a.b.new","version":2},{"get":"a.b.new","v":"-30","version":2},"#,
            r#"{"del":"a.b.new","removed":true},{"del":"a.b.new","removed":false},{"get":"a.b.new","v":null},"#,
            r#"{"get":"a.b.old","v64":"/w==","version":1},{"touch":"a.b.old","version":2},"#,
            r#"{"copy":"a.b.old","to":"c.d.one","version":2},{"rename":"a.b.old","to":"c.d.two","version":2},"#,
            r#"{"get":"a.b.old","v":null}]}"#
        )
    );
    assert_eq!((lab.names("a.b").len(), lab.names("c.d")), (0, vec!["one".to_owned(), "two".to_owned()]));
}

fn what_fails_leaves_nothing_and_says_where(lab: &Lab) {
    lab.set("a.b.text", "no number");
    for (step, kind) in [
        (r#"{"incr":"a.b.text"}"#, ErrorKind::Invalid),
        (r#"{"set":"a.b.k","v":"","ttl":"5s"}"#, ErrorKind::NoTtl),
        (r#"{"touch":"a.b.text","ttl":"5s"}"#, ErrorKind::NoTtl),
    ] {
        let transaction = read(&format!(
            r#"{{"then":[{{"set":"a.b.k","v":"1"}},{{"del":"a.b.text"}},{{"set":"a.b.text","v":"x"}},{step}]}}"#
        ));
        let error = lab.store.transaction(&transaction).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().starts_with("then[3]: "), "{error}");
    }
    assert_eq!(
        (lab.names("a.b"), lab.value("a.b.text").unwrap()),
        (vec!["text".to_owned()], b"no number".to_vec())
    );
    assert_eq!(lab.store.revision().unwrap(), Version(1));
}

fn every_check_that_fails_is_told(lab: &Lab) {
    lab.set("a.b.k", "v");
    let text = r#"{"if":[{"k":"a.b.k","v":"v"},{"k":"a.b.k","v":"w"},{"k":"a.b.no","present":true},{"k":"a.b.k","version":9},
        {"k":"a.b.no","v":""},{"k":"a.b.k","absent":true}],"then":[{"del":"a.b.k"}],"else":[{"get":"a.b.k"},{"get":"a.b.no"}]}"#;
    assert_eq!(
        shown(lab, text),
        concat!(
            r#"{"done":false,"else":[{"get":"a.b.k","v":"v","version":1},{"get":"a.b.no","v":null}],"failed":["#,
            r#"{"if":1,"k":"a.b.k","version":1},{"if":2,"k":"a.b.no","version":null},{"if":3,"k":"a.b.k","version":1},"#,
            r#"{"if":4,"k":"a.b.no","version":null},{"if":5,"k":"a.b.k","version":1}],"revision":1}"#
        )
    );
    assert_eq!(lab.value("a.b.k").unwrap(), b"v");
    // What has expired is absent.
    lab.cache("a.c", "timeout=1");
    lab.set("a.c.k", "v");
    lab.wait(1000);
    let done = run(lab, r#"{"if":[{"k":"a.c.k","absent":true}]}"#);
    assert!(matches!(done, Transacted::Done { .. }), "{done:?}");
}

fn what_is_missing_undoes_all(lab: &Lab) {
    for step in
        [r#"{"touch":"a.b.no"}"#, r#"{"copy":"a.b.no","to":"a.b.x"}"#, r#"{"rename":"a.b.no","to":"a.b.x"}"#]
    {
        let text = format!(r#"{{"then":[{{"set":"a.b.k","v":"1"}},{step}]}}"#);
        assert_eq!(run(lab, &text), Transacted::Missing { revision: Version(1), step: 1 });
        assert_eq!(lab.value("a.b.k"), None);
    }
    assert_eq!(lab.store.revision().unwrap(), Version(0));
}

fn what_only_reads_takes_no_turn(lab: &Lab) {
    let text = r#"{"if":[{"k":"a.b.k","present":true}],"then":[{"get":"a.b.k"}],"else":[{"get":"a.b.l"}]}"#;
    assert!(
        shown(lab, text).starts_with(r#"{"done":false,"else":[{"get":"a.b.l","v":null}],"failed":[{"if":0"#)
    );
    lab.set("a.b.k", "v");
    assert_eq!(
        shown(lab, text),
        r#"{"done":true,"revision":1,"then":[{"get":"a.b.k","v":"v","version":1}]}"#
    );
    let reader = lab.another_store().act_as(Identity::vouched_for("ann", Some(Role::Read), Vec::new()));
    assert!(matches!(reader.transaction(&read(text)).unwrap(), Transacted::Done { .. }));
    assert_eq!(lab.store.revision().unwrap(), Version(1));
    // Reads of a full cache count as use, also among others.
    lab.cache("a.c", "timeout=60 max_items=2 policy=lru");
    lab.set("a.c.one", "1");
    lab.set("a.c.two", "2");
    run(lab, r#"{"then":[{"get":"a.c.one"}]}"#);
    lab.set("a.c.three", "3");
    assert_eq!(lab.names("a.c"), ["one", "three"]);
    run(lab, r#"{"then":[{"get":"a.c.one"},{"set":"a.c.four","v":"4"}]}"#);
    assert_eq!(lab.names("a.c"), ["four", "one"]);
}

fn whoever_may_not_read_checks_nothing(lab: &Lab) {
    lab.set("a.b.k", "secret");
    lab.set("a.c.k", "v");
    let grant = |role, pattern: &str| prontodb_core::auth::Grant {
        who: "ann".to_owned(),
        role,
        pattern: prontodb_core::auth::Pattern::parse(pattern, Delimiter::default()).unwrap(),
    };
    let ann = lab.another_store().act_as(Identity::vouched_for("ann", None, vec![grant(Role::Write, "a.c")]));
    for text in [
        r#"{"if":[{"k":"a.b.k","v":"secret"}],"then":[{"set":"a.c.k","v":"w"}]}"#,
        r#"{"if":[{"k":"a.b.k","v":"secret"}],"then":[{"get":"a.c.k"}]}"#,
        r#"{"then":[{"set":"a.c.k","v":"w"},{"get":"a.b.k"}]}"#,
        r#"{"then":[{"set":"a.c.k","v":"w"},{"set":"a.b.k","v":"w"}]}"#,
        r#"{"then":[{"copy":"a.b.k","to":"a.c.k"}]}"#,
        r#"{"if":[{"k":"a.c.k","absent":true}],"then":[{"set":"a.c.k","v":"w"}],"else":[{"get":"a.b.k"}]}"#,
    ] {
        assert_eq!(ann.transaction(&read(text)).unwrap_err().kind(), ErrorKind::Denied, "{text}");
    }
    assert_eq!(lab.value("a.c.k").unwrap(), b"v");
    let done =
        ann.transaction(&read(r#"{"if":[{"k":"a.c.k","v":"v"}],"then":[{"set":"a.c.k","v":"w"}]}"#)).unwrap();
    assert!(matches!(done, Transacted::Done { .. }));
    let event = lab.store.audit_log("", 99).unwrap().pop().unwrap().1;
    assert_eq!((event.who.as_str(), event.target.as_str(), event.done), ("ann", "a.c 1", true));
}

fn rules_of_caches_hold(lab: &Lab) {
    lab.cache("a.c", "timeout=60 max_items=2");
    run(
        lab,
        r#"{"then":[{"set":"a.c.a","v":"1","ttl":"5s"},{"set":"a.c.b","v":"2"},{"set":"a.c.c","v":"3"},{"touch":"a.c.c","ttl":"7s"}]}"#,
    );
    assert_eq!(lab.names("a.c"), ["b", "c"]);
    assert_eq!(lab.usage("a.c"), lab.held("a.c"));
    assert_eq!(lab.expiry("a.c.c"), Some(lab.now().after(ttl(7000))));
}

fn too_much_is_refused(lab: &Lab) {
    let many =
        |count| Transaction { then: vec![Step::Delete(address("a.b.k")); count], ..Transaction::default() };
    assert_eq!(lab.store.transaction(&many(MAX_STEPS + 1)).unwrap_err().kind(), ErrorKind::Limit);
    assert!(matches!(lab.store.transaction(&many(MAX_STEPS)).unwrap(), Transacted::Done { .. }));
    let long = vec![b'x'; super::MAX_VALUE_BYTES as usize];
    lab.set("a.b.k", &long);
    let gets = |count| vec![Step::Get(address("a.b.k")); count];
    let get = |then| lab.store.transaction(&Transaction { then, ..Transaction::default() });
    assert!(get(gets(1)).is_ok());
    assert_eq!(get(gets(2)).unwrap_err().kind(), ErrorKind::Limit);
    let mut then = gets(2);
    then.push(Step::Delete(address("a.b.k")));
    assert_eq!(get(then).unwrap_err().kind(), ErrorKind::Limit);
    let set = Step::Set { address: address("a.b.l"), value: [long.as_slice(), b"x"].concat(), ttl: None };
    assert_eq!(get(vec![set]).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(lab.names("a.b"), ["k"]);
}

#[test]
fn what_is_no_transaction_is_refused_with_the_place() {
    for (text, says) in [
        ("", "line 1, column 0: EOF"),
        ("{", "line 1, column 1: EOF"),
        ("[]", "expected an object"),
        ("{}", "nothing to do"),
        (r#"{"then":[]}"#, "nothing to do"),
        (r#"{"than":[]}"#, "line 1, column 7: unknown field `than`"),
        (r#"{"then":[],"then":[]}"#, "duplicate field `then`"),
        (r#"{"then":{}}"#, "expected a sequence"),
        (r#"{"then":[["a.b.c"]]}"#, "expected an object"),
        (r#"{"then":[{}]}"#, "then[0]: one of set, del"),
        (r#"{"then":[{"get":"a.b.c"},{"set":"a.b.c","del":"a.b.c"}]}"#, "then[1]: one of set, del"),
        (r#"{"then":[{"set":"a.b.c","set":"a.b.d"}]}"#, "duplicate field `set`"),
        (r#"{"then":[{"set":"a.b.c"}]}"#, "then[0]: one of v and v64"),
        (r#"{"then":[{"set":"a.b.c","v":null}]}"#, "expected a string"),
        (r#"{"then":[{"set":"a.b.c","v":1}]}"#, "expected a string"),
        (r#"{"then":[{"set":"a.b.c","v":"1","v64":"MQ=="}]}"#, "then[0]: v and v64 exclude"),
        (r#"{"then":[{"set":"a.b.c","v64":"?"}]}"#, "then[0]: v64 is no base64"),
        (r#"{"then":[{"set":"a.b.c","v":"1","ttl":"0"}]}"#, "then[0]: a time to live"),
        (r#"{"then":[{"set":"a.b.c","v":"1","by":1}]}"#, "then[0]: by means nothing to set"),
        (r#"{"then":[{"get":"a.b.c","v":"1"}]}"#, "then[0]: v means nothing to get"),
        (r#"{"then":[{"incr":"a.b.c","by":1.5}]}"#, "expected i64"),
        (r#"{"then":[{"incr":"a.b.c","by":9223372036854775808}]}"#, "expected i64"),
        (r#"{"then":[{"copy":"a.b.c"}]}"#, "then[0]: to is wanted"),
        (r#"{"then":[{"get":"a.b.c.d"}]}"#, "then[0]: "),
        (r#"{"then":[{"get":""}]}"#, "then[0]: "),
        (r#"{"if":[{"k":"a.b.c"}]}"#, "if[0]: one of absent"),
        (r#"{"if":[{"absent":true}]}"#, "missing field `k`"),
        (r#"{"if":[{"k":"a.b.c","absent":false}]}"#, "if[0]: absent and present are true"),
        (r#"{"if":[{"k":"a.b.c","absent":true,"present":true}]}"#, "if[0]: absent and present exclude"),
        (r#"{"if":[{"k":"a.b.c","absent":true,"v":""}]}"#, "if[0]: what is absent"),
        (r#"{"if":[{"k":"a.b.c","version":-1}]}"#, "expected u64"),
        (r#"{"else":[{"set":"a.b.c","v":"1"}]}"#, "unknown field `set`"),
        (r#"{"then":[{"get":"a.b.c"}]} x"#, "trailing characters"),
    ] {
        let error = read_transaction(text.as_bytes(), &Notation::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
    let secret = r#"{"then":[{"incr":"a.b.c","by":"hunter2"}]}"#;
    let error = read_transaction(secret.as_bytes(), &Notation::default()).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    for bytes in [&b"\xff"[..], b"{\"then\":[{\"get\":\"\xff\"}]}", b"\0"] {
        assert!(read_transaction(bytes, &Notation::default()).is_err());
    }
}

/// Entries as the model has them; every write has a version of its own that the model does not know.
type Entries = BTreeMap<&'static str, Vec<u8>>;

const KEYS: [&str; 4] = ["a.b.k", "a.b.l", "a.c.k", "d.e.f__x"];

fn steps() -> impl Strategy<Value = Step> {
    let key = || select(&KEYS[..]).prop_map(address);
    let value =
        || select(vec![b"".to_vec(), b"7".to_vec(), b"\xff".to_vec(), b"9223372036854775807".to_vec()]);
    prop_oneof![
        4 => (key(), value()).prop_map(|(address, value)| Step::Set { address, value, ttl: None }),
        1 => key().prop_map(Step::Delete),
        2 => (key(), -2..3_i64).prop_map(|(address, by)| Step::Increment { address, by }),
        1 => (key(), value()).prop_map(|(address, value)| Step::Append { address, value }),
        1 => key().prop_map(|address| Step::Touch { address, ttl: None }),
        2 => key().prop_map(Step::Get),
        1 => (key(), key()).prop_map(|(from, to)| Step::Copy { from, to }),
        1 => (key(), key()).prop_map(|(from, to)| Step::Rename { from, to }),
    ]
}

fn checks() -> impl Strategy<Value = Check> {
    let presence = option::of(select(vec![Presence::Absent, Presence::Present]));
    let value = option::of(select(vec![b"7".to_vec(), b"".to_vec()]));
    (select(&KEYS[..]), presence, value).prop_map(|(key, presence, value)| Check {
        address: address(key),
        condition: Condition { presence, value, version: None },
    })
}

fn transactions() -> impl Strategy<Value = (Transaction, usize)> {
    let otherwise = vec(select(&KEYS[..]).prop_map(address), 0..2);
    let transaction = (vec(checks(), 0..2), vec(steps(), 0..6), otherwise)
        .prop_map(|(checks, then, otherwise)| Transaction { checks, then, otherwise });
    (transaction, 1..4_usize)
}

fn key_of(at: &prontodb_core::Address) -> &'static str {
    KEYS.into_iter().find(|key| address(key) == *at).unwrap()
}

/// What a step does; what it hears but for versions, or that it fails.
fn make(entries: &mut Entries, step: &Step) -> Result<Option<Option<Vec<u8>>>, ()> {
    let number = |value: &[u8]| std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
    Ok(Some(match step {
        Step::Set { address, value, .. } => {
            entries.insert(key_of(address), value.clone());
            None
        }
        Step::Delete(address) => Some(vec![u8::from(entries.remove(key_of(address)).is_some())]),
        Step::Increment { address, by } => {
            let before = entries.get(key_of(address)).map_or(Ok(0), |value| number(value).ok_or(()))?;
            let sum = before.checked_add(*by).ok_or(())?;
            entries.insert(key_of(address), sum.to_string().into_bytes());
            Some(sum.to_string().into_bytes())
        }
        Step::Append { address, value } => {
            entries.entry(key_of(address)).or_default().extend(value);
            None
        }
        Step::Touch { address, .. } => return Ok(entries.contains_key(key_of(address)).then_some(None)),
        Step::Get(address) => entries.get(key_of(address)).cloned(),
        Step::Copy { from, to } | Step::Rename { from, to } => {
            let Some(value) = entries.get(key_of(from)).cloned() else { return Ok(None) };
            if matches!(step, Step::Rename { .. }) {
                entries.remove(key_of(from));
            }
            entries.insert(key_of(to), value);
            None
        }
    }))
}

fn heard(answer: &StepAnswer) -> Option<Vec<u8>> {
    match answer {
        StepAnswer::Written(_) => None,
        StepAnswer::Removed(was_there) => Some(vec![u8::from(*was_there)]),
        StepAnswer::Sum(sum) => Some(sum.to_string().into_bytes()),
        StepAnswer::Got(found) => found.clone().map(|Record { value, .. }| value),
    }
}

/// Runs transactions, each so many times under one id, and compares what they leave and what they hear with the model.
fn check(lab: impl Fn() -> Lab, cases: u32) {
    let histories = vec(transactions(), 1..12);
    properties::check(cases, &histories, |history| {
        let (lab, mut entries) = (lab(), Entries::new());
        for (number, (transaction, times)) in history.iter().enumerate() {
            let before = entries.clone();
            let holds = transaction.checks.iter().all(|Check { address, condition }| {
                let value = entries.get(key_of(address));
                condition.presence.is_none_or(|wanted| (wanted == Presence::Present) == value.is_some())
                    && condition.value.as_ref().is_none_or(|wanted| value == Some(wanted))
            });
            let made: Result<Vec<_>, ()> = match holds {
                true => transaction.then.iter().map(|step| make(&mut entries, step)).collect(),
                false => Ok(Vec::new()),
            };
            if !matches!(&made, Ok(made) if made.iter().all(Option::is_some)) {
                entries = before;
            }
            let mut answers = Vec::new();
            for _ in 0..*times {
                let op = OpId::new(&number.to_string(), None).unwrap();
                answers.push(
                    lab.another_store()
                        .with_op(Some(op))
                        .transaction(transaction)
                        .map_err(|error| error.kind()),
                );
            }
            prop_assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
            match (&answers[0], made) {
                (Ok(Transacted::Done { then, .. }), Ok(made)) => {
                    let made: Option<Vec<_>> = made.into_iter().collect();
                    prop_assert_eq!(Some(then.iter().map(heard).collect::<Vec<_>>()), made.filter(|_| holds));
                }
                (Ok(Transacted::Refused { otherwise, .. }), _) => {
                    prop_assert!(!holds);
                    prop_assert_eq!(otherwise.len(), transaction.otherwise.len());
                }
                (Ok(Transacted::Missing { step, .. }), Ok(made)) => {
                    prop_assert_eq!(made.iter().position(Option::is_none), Some(*step));
                }
                (answer, made) => {
                    prop_assert!(answer.is_err() || made.is_err(), "{answer:?} and not {made:?}");
                }
            }
            for key in KEYS {
                prop_assert_eq!(lab.value(key), entries.get(key).cloned(), "{}", key);
            }
        }
        Ok(())
    });
}

#[test]
fn random_transactions_in_memory_agree_with_the_model() {
    check(Lab::in_memory, 300);
}

#[test]
fn random_transactions_on_sqlite_agree_with_the_model() {
    check(Lab::on_sqlite, 40);
}

#[test]
fn random_transactions_of_encrypted_values_agree_with_the_model() {
    let lab = || {
        let lab = Lab::in_memory();
        lab.store.encrypt(&namespace("a.b"), &super::coding::recipients()).unwrap();
        lab
    };
    check(lab, 60);
}
