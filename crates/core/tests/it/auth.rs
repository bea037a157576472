//! Who may: what the library promises that the program's tests cannot see, above all time.

use std::path::Path;
use std::sync::Arc;

use prontodb_core::auth::policy::{self, Action, Decision, Grant, Identity, Pattern, Role};
use prontodb_core::auth::{Credentials, Seed};
use prontodb_core::engine::memory::MemoryEngine;
use prontodb_core::engine::sqlite::{OpenOptions, SqliteEngine};
use prontodb_core::store::{CacheSettings, Change, Life, Load, LoadOptions, Place, Query, SetOptions};
use prontodb_core::{Address, Delimiter, ErrorKind, ManualClock, Millis, Namespace, Notation, Store, Ttl};
use prontodb_testkit::properties;
use proptest::prelude::*;
use proptest::sample::select;
use secrecy::{ExposeSecret, SecretString};

fn secret(text: &str) -> SecretString {
    text.into()
}

fn password(user: &str, password: &str) -> Credentials {
    Credentials::Password { user: user.to_owned(), password: secret(password) }
}

fn ttl(seconds: u64) -> Ttl {
    Ttl::from_millis(seconds * 1000).unwrap()
}

/// A store with the user sam, and its clock.
fn with_sam() -> (Store, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Millis(1_000_000)));
    let store = Store::new(MemoryEngine::new()).with_clock(Arc::clone(&clock));
    store.add_user("sam", &secret("pass"), None).unwrap();
    (store, clock)
}

fn address(text: &str) -> Address {
    Notation::default().address(text).unwrap()
}

#[test]
fn sessions_hold_to_the_millisecond() {
    let (store, clock) = with_sam();
    let sam = store.authenticate(&password("sam", "pass")).unwrap();
    let session = Credentials::Session(store.begin_session(&sam, ttl(60)).unwrap());
    clock.advance(59_999);
    assert_eq!(store.authenticate(&session).unwrap().name, "sam");
    clock.advance(1);
    let error = store.authenticate(&session).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Denied, "the session has expired"));
}

#[test]
fn api_keys_hold_to_the_millisecond() {
    let (store, clock) = with_sam();
    let key = Credentials::ApiKey(store.create_api_key("ci", Some(Role::Read), Some(ttl(1))).unwrap());
    clock.advance(999);
    assert_eq!(store.authenticate(&key).unwrap().role, Some(Role::Read));
    clock.advance(1);
    assert_eq!(store.authenticate(&key).unwrap_err().to_string(), "the API key ci has expired");
}

#[test]
fn expired_sessions_make_room_for_new_ones() {
    let (store, clock) = with_sam();
    let sam = store.authenticate(&password("sam", "pass")).unwrap();
    let first = store.begin_session(&sam, ttl(1)).unwrap();
    clock.advance(1000);
    store.begin_session(&sam, ttl(1)).unwrap();
    let error = store.authenticate(&Credentials::Session(first)).unwrap_err();
    assert_eq!(error.to_string(), "the credentials are wrong", "it is not kept any more");
}

#[test]
fn wrong_credentials_are_all_told_the_same() {
    let (store, _) = with_sam();
    let session = {
        let sam = store.authenticate(&password("sam", "pass")).unwrap();
        store.begin_session(&sam, ttl(60)).unwrap()
    };
    let key = store.create_api_key("ci", None, None).unwrap();
    let changed = |token: &SecretString| {
        let mut text = token.expose_secret().to_owned();
        let last = if text.ends_with('0') { '1' } else { '0' };
        text.pop();
        text.push(last);
        secret(&text)
    };
    for credentials in [
        password("sam", "wrong"),
        password("sam", ""),
        password("nobody", "pass"),
        password("admin", "wrong"),
        Credentials::Session(changed(&session)),
        Credentials::Session(key.clone()),
        Credentials::Session(secret("")),
        Credentials::ApiKey(changed(&key)),
        Credentials::ApiKey(session),
        Credentials::ApiKey(secret("pdbk_")),
    ] {
        let error = store.authenticate(&credentials).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::Denied, "the credentials are wrong")
        );
    }
}

#[test]
fn the_seeded_user_is_there_until_users_are_made() {
    let store =
        Store::in_memory().with_seed(|| Ok(Seed { user: "root".to_owned(), password: secret("deep") }));
    assert!(store.authenticate(&password("admin", "pronto!")).is_err());
    assert_eq!(store.authenticate(&password("root", "deep")).unwrap().role, Some(Role::Admin));
    assert_eq!(store.users().unwrap()[0].created, None, "a look makes nothing");
    store.set_password("root", &secret("deeper")).unwrap();
    assert!(store.authenticate(&password("root", "deep")).is_err());
    assert!(store.authenticate(&password("root", "deeper")).is_ok());
    let other = store.with_seed(|| Ok(Seed::default()));
    assert!(other.authenticate(&password("admin", "pronto!")).is_err(), "the seed is over");
}

#[test]
fn nobody_takes_the_name_of_the_seeded_user() {
    let store = Store::in_memory();
    let error = store.create_api_key("admin", Some(Role::Read), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.to_string(), "there is a user or key admin already");
    assert_eq!(store.add_user("admin", &secret("x"), None).unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn a_store_that_acts_for_somebody_does_only_what_they_may() {
    let (store, _) = with_sam();
    store.set(&address("a.b.k"), b"1", &SetOptions::default()).unwrap();
    store.grant("sam", Role::Read, &Pattern::parse("a.*", Delimiter::default()).unwrap()).unwrap();
    let sam = store.authenticate(&password("sam", "pass")).unwrap();
    let store = store.act_as(sam);
    assert_eq!(store.get(&address("a.b.k")).unwrap().unwrap().value, b"1");
    let denied = |error: prontodb_core::Error| error.kind() == ErrorKind::Denied;
    assert!(denied(store.set(&address("a.b.k"), b"2", &SetOptions::default()).unwrap_err()));
    assert!(denied(store.get(&address("c.d.k")).unwrap_err()));
    assert!(denied(store.delete_matching(address("a.b.k").namespace(), &Query::default()).unwrap_err()));
    assert!(denied(store.add_user("joe", &secret("x"), None).unwrap_err()));
    assert!(denied(store.audit_log("", 9).unwrap_err()));
}

/// Expects that whom a store acts for is refused, for a reason that says so.
#[track_caller]
fn holds_no_longer(store: &mut Store, why: &str) {
    let error = store.renew_identity().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let expected = format!("no longer holds; {why}");
    assert!(error.to_string().ends_with(&expected), "{error}");
}

/// Another store on the same file, which acts for whoever has these credentials.
fn beside(store: &Store, path: &Path, credentials: &Credentials) -> Store {
    let identity = store.authenticate(credentials).unwrap();
    on_file(path).act_as(identity)
}

fn on_file(path: &Path) -> Store {
    Store::new(SqliteEngine::open(OpenOptions::new(path)).unwrap())
}

#[test]
fn a_running_store_notices_that_a_proof_holds_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.prdb");
    let owner = on_file(&path);
    owner.add_user("sam", &secret("pass"), None).unwrap();
    let sam = owner.authenticate(&password("sam", "pass")).unwrap();
    let token = owner.begin_session(&sam, ttl(60)).unwrap();
    let key = Credentials::ApiKey(owner.create_api_key("ci", None, None).unwrap());
    let mut by_password = beside(&owner, &path, &password("sam", "pass"));
    let mut by_session = beside(&owner, &path, &Credentials::Session(token.clone()));
    let mut by_key = beside(&owner, &path, &key);
    for store in [&mut by_password, &mut by_session, &mut by_key] {
        store.renew_identity().unwrap();
    }
    owner.end_session(&token).unwrap();
    holds_no_longer(&mut by_session, "the session has ended");
    owner.revoke_api_key("ci").unwrap();
    holds_no_longer(&mut by_key, "the API key was revoked or has expired");
    by_password.renew_identity().unwrap();
    owner.set_password("sam", &secret("pass")).unwrap();
    holds_no_longer(&mut by_password, "the user was removed or has another password by now");
    let events = owner.audit_log("", 99).unwrap();
    let refused: Vec<_> = events.iter().filter(|(_, event)| !event.done).collect();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused.iter().all(|(_, event)| event.action == "go on"));
}

#[test]
fn a_running_store_notices_what_somebody_may_by_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.prdb");
    let owner = on_file(&path);
    owner.add_user("sam", &secret("pass"), Some(Role::Write)).unwrap();
    let mut store = beside(&owner, &path, &password("sam", "pass"));
    let mut set = |expected: bool| {
        store.renew_identity().unwrap();
        assert_eq!(store.set(&address("a.b.k"), b"1", &SetOptions::default()).is_ok(), expected);
    };
    set(true);
    owner.set_role("sam", Some(Role::Read)).unwrap();
    set(false);
    let pattern = Pattern::parse("a.b", Delimiter::default()).unwrap();
    owner.grant("sam", Role::Write, &pattern).unwrap();
    set(true);
    owner.revoke_grant("sam", &pattern).unwrap();
    set(false);
    owner.remove_user("sam").unwrap();
    holds_no_longer(&mut store, "the user was removed or has another password by now");
}

#[test]
fn the_seeded_user_stays_proved_until_the_password_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.prdb");
    let owner = on_file(&path);
    let mut store = beside(&owner, &path, &password("admin", "pronto!"));
    store.renew_identity().unwrap();
    owner.add_user("sam", &secret("pass"), None).unwrap();
    store.renew_identity().unwrap();
    owner.set_password("admin", &secret("another")).unwrap();
    holds_no_longer(&mut store, "the user was removed or has another password by now");
}

#[test]
fn whom_nobody_asked_for_proof_stays_who_they_are() {
    let (store, _) = with_sam();
    let mut store = store.act_as(Identity::vouched_for("joe", Some(Role::Write), Vec::new()));
    store.renew_identity().unwrap();
    assert_eq!(store.identity().unwrap().role, Some(Role::Write));
    let mut owner = Store::in_memory();
    owner.renew_identity().unwrap();
    assert!(owner.identity().is_none());
}

#[test]
fn no_session_begins_with_a_password_that_was_changed_since() {
    let (store, _) = with_sam();
    let sam = store.authenticate(&password("sam", "pass")).unwrap();
    store.set_password("sam", &secret("another")).unwrap();
    assert_eq!(store.begin_session(&sam, ttl(60)).unwrap_err().kind(), ErrorKind::Denied);
    let admin = store.authenticate(&password("admin", "pronto!")).unwrap();
    store.set_password("admin", &secret("another")).unwrap();
    assert_eq!(store.begin_session(&admin, ttl(60)).unwrap_err().kind(), ErrorKind::Denied);
}

/// The events behind the first `skipped`: who, done or not, what, to what.
fn events(store: &Store, skipped: usize) -> Vec<(String, bool, String, String)> {
    let log = store.audit_log("", 99).unwrap().into_iter().skip(skipped);
    log.map(|(_, event)| (event.who, event.done, event.action, event.target)).collect()
}

#[test]
fn what_others_do_to_caches_is_written_down() {
    let (store, _) = with_sam();
    let cache = address("a.b.k").namespace;
    let settings = CacheSettings::parse("90").unwrap();
    store.create_cache(&cache, &settings).unwrap();
    assert_eq!(events(&store, 1), [], "nothing is noted of the owner");
    let store = store.act_as(Identity::vouched_for("joe", Some(Role::Admin), Vec::new()));
    store.create_cache(&cache, &settings).unwrap();
    store.set_cache(&cache, &CacheSettings::parse("max_items=9").unwrap()).unwrap();
    store.collect_garbage().unwrap();
    store.drop_cache(&cache, false).unwrap();
    let done = |action: &str, target: &str| ("joe".to_owned(), true, action.to_owned(), target.to_owned());
    let expected =
        [("create cache", "a.b"), ("set cache", "a.b"), ("collect garbage", "0"), ("drop cache", "a.b")];
    assert_eq!(events(&store, 1), expected.map(|(action, target)| done(action, target)));
}

#[test]
fn nobody_forges_a_line_of_the_audit_log() {
    let (store, _) = with_sam();
    for user in ["x\n…\towner\tcli\tdone", "owner", "pass word", "a secret in the wrong place"] {
        store.authenticate(&password(user, "x")).unwrap_err();
    }
    store.authenticate(&password("sam", "x")).unwrap_err();
    let whos: Vec<_> = events(&store, 1).into_iter().map(|(who, ..)| who).collect();
    assert_eq!(whos, [["an unknown user"; 4].as_slice(), &["sam"]].concat());
    let store = store.act_as(Identity::vouched_for("j\noe", None, Vec::new()));
    store.get(&address("a.b.k")).unwrap_err();
    let store = store.act_as(Identity::vouched_for("admin", Some(Role::Admin), Vec::new()));
    let (who, _, _, target) = events(&store, 6).remove(0);
    assert_eq!(who, "j\\noe");
    assert!(target.starts_with("j\\noe may not read"), "{target}");
}

#[test]
fn nobody_new_is_called_owner() {
    let (store, _) = with_sam();
    for error in [
        store.add_user("owner", &secret("x"), None).unwrap_err(),
        store.create_api_key("owner", None, None).map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("it means whoever may read the file"), "{error}");
    }
}

#[test]
fn the_known_password_is_known_whoever_has_it() {
    let (store, _) = with_sam();
    store.add_user("ann", &secret("pronto!"), None).unwrap();
    store.set_password("sam", &secret("pronto!")).unwrap();
    assert!(store.has_known_password("ann").unwrap() && store.has_known_password("sam").unwrap());
    store.set_password("sam", &secret("pronto")).unwrap();
    assert!(!store.has_known_password("sam").unwrap());
}

#[test]
fn grants_stand_side_by_side_and_are_taken_back_one_by_one() {
    let (store, _) = with_sam();
    store.create_api_key("ci", None, None).unwrap();
    let pattern = |text: &str| Pattern::parse(text, Delimiter::default()).unwrap();
    let grant = |who: &str, role, text: &str| Grant { who: who.to_owned(), role, pattern: pattern(text) };
    let given = [
        grant("ci", Role::Read, "a.*"),
        grant("sam", Role::Read, "a.*"),
        grant("sam", Role::Read, "a.b"),
        grant("sam", Role::Write, "b.*"),
    ];
    for Grant { who, role, pattern } in given.iter().rev() {
        store.grant(who, *role, pattern).unwrap();
    }
    assert_eq!(store.grants().unwrap(), given);
    store.revoke_grant("sam", &pattern("a.*")).unwrap();
    let error = store.revoke_grant("sam", &pattern("a.*")).unwrap_err();
    assert_eq!(error.to_string(), "nothing is granted to sam by a.*");
    assert_eq!(store.grants().unwrap(), [&given[..1], &given[2..]].concat());
}

#[test]
fn nothing_is_granted_by_patterns_with_control_characters() {
    let (store, _) = with_sam();
    for text in ["a\n.b", "a.b\tc", "a.\u{9b}*"] {
        let pattern = Pattern::parse(text, Delimiter::default()).unwrap();
        let error = store.grant("sam", Role::Read, &pattern).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }
    assert_eq!(store.grants().unwrap(), []);
}

#[test]
fn no_error_repeats_a_secret_in_the_wrong_place() {
    let (store, _) = with_sam();
    let pattern = Pattern::parse("a.b", Delimiter::default()).unwrap();
    let token = "pdbk_00_5ec4e7";
    for error in [
        store.grant(token, Role::Read, &pattern).unwrap_err(),
        store.revoke_grant(token, &pattern).unwrap_err(),
        store.revoke_api_key(token).unwrap_err(),
        store.remove_user(token).unwrap_err(),
        store.add_user("user=eve;pass=5ec4e7", &secret("x"), None).unwrap_err(),
        Pattern::parse(token, Delimiter::default()).unwrap_err(),
        token.parse::<Role>().unwrap_err(),
    ] {
        assert!(!error.to_string().contains("5ec4e7"), "{error}");
    }
}

#[test]
fn only_admins_write_as_somebody_else_at_another_time() {
    let (store, _) = with_sam();
    let kept = |role: Option<Role>, store: Store| {
        let Address { namespace, name } = address("a.b.k");
        let (created, updated) = (Millis(1), Millis(2));
        let writer = Some("ann".to_owned());
        let life = Life::Kept { created, updated, expires: None, writer, metakeys: None };
        let mut load = Load::new(LoadOptions::default());
        load.push(Place::default(), &namespace, &name, Change::Set { value: b"1", life }).unwrap();
        let store = store.act_as(Identity::vouched_for("joe", role, Vec::new()));
        (load.commit(&store).map_err(|error| error.kind()), store)
    };
    let (refused, store) = kept(Some(Role::Write), store);
    assert_eq!(refused, Err(ErrorKind::Denied));
    assert!(store.head(&address("a.b.k")).unwrap().is_none());
    let (done, store) = kept(Some(Role::Admin), store);
    assert!(done.is_ok());
    assert_eq!(store.head(&address("a.b.k")).unwrap().unwrap().writer.as_deref(), Some("ann"));
}

trait InNamespace {
    fn namespace(&self) -> &Namespace;
}

impl InNamespace for Address {
    fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

/// The same decision, made by looking at every grant by itself.
fn model(identity: &Identity, action: Action, namespace: Option<&Namespace>) -> bool {
    let enough = |role: Role| match (role, action) {
        (Role::Admin, _) | (Role::Write, Action::Write | Action::Read) | (Role::Read, Action::Read) => true,
        (Role::Write | Role::Read, _) => false,
    };
    let means = |glob: &str, name: Option<&str>| match name {
        Some(name) => glob == "*" || glob == name || (glob == "a*" && name.starts_with('a')),
        None => glob == "*",
    };
    identity.role.is_some_and(enough)
        || identity.grants.iter().any(|grant| {
            enough(grant.role)
                && means(&grant.pattern.project, namespace.map(Namespace::project))
                && means(&grant.pattern.namespace, namespace.map(Namespace::namespace))
        })
}

#[test]
fn decisions_follow_from_each_grant_by_itself() {
    let role = || select(&[Role::Read, Role::Write, Role::Admin][..]);
    let glob = || select(&["*", "a*", "a", "ab", "b"][..]).prop_map(str::to_owned);
    let grant = (role(), glob(), glob()).prop_map(|(role, project, namespace)| Grant {
        who: "sam".to_owned(),
        role,
        pattern: Pattern { project, namespace },
    });
    let name = || select(&["a", "ab", "b", "c"][..]);
    let place = prop::option::weighted(0.9, (name(), name()));
    let action = select(&[Action::Read, Action::Write, Action::Admin][..]);
    let strategy = (prop::option::weighted(0.2, role()), prop::collection::vec(grant, 0..4), place, action);
    properties::check(2000, &strategy, |(role, grants, place, action)| {
        let identity = Identity::vouched_for("sam", role, grants);
        let namespace = place.map(|(project, namespace)| Namespace::new(project, namespace).unwrap());
        let decision = policy::decide(&identity, action, namespace.as_ref());
        prop_assert_eq!(decision == Decision::Allowed, model(&identity, action, namespace.as_ref()));
        if let Decision::Denied(why) = decision {
            prop_assert!(why.starts_with("sam may not "), "{}", why);
        }
        Ok(())
    });
}

#[test]
fn patterns_are_read_in_the_delimiter_in_use() {
    let parse = |text: &str, delimiter: &str| Pattern::parse(text, delimiter.parse().unwrap());
    let pattern = parse("a.b/*", "/").unwrap();
    assert_eq!((pattern.project.as_str(), pattern.namespace.as_str()), ("a.b", "*"));
    assert_eq!(parse("*", ".").unwrap().display(Delimiter::default()), "*.*");
    for bad in ["", "a", "a.", ".a", "a.b.c", "a.[b"] {
        assert_eq!(parse(bad, ".").unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
    }
}

#[test]
fn a_refusal_names_the_deed_the_place_and_the_role() {
    let place = Namespace::new("p", "n").unwrap();
    for (action, place, role, expected) in [
        (
            Action::Write,
            Some(&place),
            Some(Role::Read),
            "write in namespace n of project p; sam has the role read there",
        ),
        (
            Action::Admin,
            None,
            Some(Role::Write),
            "administer in the database as a whole; sam has the role write there",
        ),
        (Action::Read, Some(&place), None, "read in namespace n of project p; sam has no role there"),
    ] {
        let decision = policy::decide(&Identity::vouched_for("sam", role, Vec::new()), action, place);
        assert_eq!(decision, Decision::Denied(format!("sam may not {expected}")));
    }
    for role in [Role::Read, Role::Write, Role::Admin] {
        assert_eq!(role.to_string().parse::<Role>().unwrap(), role);
    }
}
