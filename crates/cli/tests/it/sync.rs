//! `sync`: one database made like another.

use crate::common::{contents, data_folder, sandbox};

#[test]
fn a_database_is_made_like_another() {
    let s = sandbox();
    for line in ["set p.n.a 1", "set p.n.b 2", "create-cache p.c 90", "set p.c.k v --ttl 1h"] {
        s.run(["--database", "one"]).args(line.split(' ')).prints("");
    }
    for line in ["set p.n.b 3", "set q.m.gone 4"] {
        s.run(["-d", "two.prdb"]).args(line.split(' ')).prints("");
    }
    let wanted = "* p.c\n+ p.c.k\n+ p.n.a\n~ p.n.b\n- q.m.gone\n";
    s.run(["sync", "one", "./two.prdb", "--dry-run"]).prints(wanted).stderr_is("");
    s.run(["scan", "-d", "two.prdb"]).prints("p.n.b=3\nq.m.gone=4\n");
    s.run(["sync", "one", "./two.prdb"]).prints("").stderr_is("prontodb: set 3 entries, removed 1\n");
    let one = s.run(["scan", "--long", "--database", "one"]).succeeds().stdout();
    let two = s.run(["scan", "--long", "-d", "two.prdb"]).succeeds().stdout();
    let without_versions = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split_once('\t').unwrap().1.to_owned()).collect()
    };
    assert_eq!(without_versions(&one).len(), 3);
    assert_eq!(without_versions(&one)[1..], without_versions(&two)[1..]);
    s.run(["sync", "one", "./two.prdb", "--dry-run"]).prints("");
    s.run(["sync", "one", "./two.prdb"]).prints("").stderr_has("set 0 entries, removed 0");
}

#[test]
fn a_target_that_is_not_there_is_made_and_a_source_is_not() {
    let s = sandbox();
    s.run(["sync", "one", "two"]).fails(1).stderr_has("there is no database");
    assert!(contents(&s).is_empty());
    s.run(["set", "p.n.a", "1", "--database", "one"]).prints("");
    s.run(["sync", "one", "two", "--dry-run"]).prints("+ p.n.a\n");
    assert!(!data_folder(&s).join("two").exists());
    s.run(["sync", "one", "two"]).succeeds();
    s.run(["scan", "--database", "two"]).prints("p.n.a=1\n");
    let before = s.run(["cursor", "active"]).ends().stdout();
    s.run(["sync", "two", "one"]).succeeds();
    assert_eq!(s.run(["cursor", "active"]).ends().stdout(), before, "nothing is selected by the way");
}

#[test]
fn a_database_is_not_its_own_pattern() {
    let s = sandbox();
    s.run(["set", "p.n.a", "1", "-d", "x.prdb"]).prints("");
    std::os::unix::fs::symlink("x.prdb", s.path("link.prdb")).unwrap();
    for (a, b) in [("./x.prdb", "./x.prdb"), ("./x.prdb", "./link.prdb"), ("./x.prdb", "././x.prdb")] {
        s.run(["sync", a, b]).fails(64).stderr_has("is both");
    }
    s.run(["sync", "./x.prdb"]).fails(64);
    s.run(["sync", "./x.prdb", "y", "-d", "z.prdb"]).fails(64);
}
