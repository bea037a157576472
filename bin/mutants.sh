#!/usr/bin/env bash
# Changes the code of addresses, times, leases, queues, policy and expiry in one place at a time, and looks whether a test fails: what
# survives is code that no test holds to. docs/promises.md explains those that may. Takes hours; nothing of the tree is changed.
#
#   bin/mutants.sh                     all groups
#   bin/mutants.sh addresses leases    some of them
#
# What came of it lies in target/mutants.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cargo mutants --version >/dev/null 2>&1 || cargo install --locked cargo-mutants

# Which code, and which tests are to notice: each group by a function of its name.
core=crates/core/src
addresses() { change -f $core/address.rs -- --lib; }
times() { change -f $core/clock.rs -- --lib --test it -- clock ttl expir locks; }
leases() { change -f $core/store/locks.rs -f $core/store/queues.rs -- --test it --test lease -- locks queues keeps_its_promises; }
policy() { change -f $core/auth/policy.rs -f $core/auth/grants.rs -- --lib --test it -- policy auth; }
expiry() {
    change -F '\b\w*(expir|evict|fence)\w*( ->| with|$)' -E 'delete field' -f "$core/**" \
        -e "$core/clock.rs" -e "$core/store/locks.rs" -e "$core/store/queues.rs" -- \
        --test it -- expir evict cache model watch locks auth fence
}

# Goes through the changes of a group. A clean tree passes, which bin/test.sh sees to.
change() {
    local status=0
    cargo mutants --package prontodb-core --baseline skip --timeout 180 --jobs 2 --no-shuffle --colors never \
        --output "target/mutants/$group" "$@" || status=$?
    # 2 is that some survive, and 3 that a test did not come to its end, which is noticed, too.
    case $status in 0 | 2 | 3) ;; *) die "cargo mutants has ended with $status" ;; esac
}

# A program that is not looked into with a debugger is built in half the time, and two clients find what three find sooner.
export CARGO_PROFILE_DEV_DEBUG=none CARGO_PROFILE_TEST_DEBUG=none PRONTODB_TEST_CLIENTS=2
[ $# -gt 0 ] || set -- addresses times leases policy expiry
for group in "$@"; do
    case $group in addresses | times | leases | policy | expiry) ;; *) die "no group $group" ;; esac
    mkdir -p "target/mutants/$group"
    printf '== %s\n' "$group"
    "$group"
done
