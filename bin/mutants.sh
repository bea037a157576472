#!/usr/bin/env bash
# Changes the code of addresses, times, leases, queues, policy, fences and expiry in one place at a time, and looks whether a test
# fails: what survives is code that no test holds to. Takes hours; changes nothing in the tree.
#
#   bin/mutants.sh                     all groups
#   bin/mutants.sh addresses leases    some of them
#
# What came of it lies in target/mutants, in a folder for each group; docs/promises.md tells what has survived.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cargo mutants --version >/dev/null 2>&1 || cargo install --locked cargo-mutants

# Which code is changed, and which tests are to notice: those that are built fast first, and others for what they have missed.
core=crates/core/src
addresses() {
    change "--lib" "" -f $core/address.rs
    again "--test=it" "stream transfer listing" -f $core/address.rs
}
times() {
    change "--lib" "" -f $core/clock.rs
    again "--test=it" "clock ttl expir locks" -f $core/clock.rs
}
leases() {
    change "--test=lease" "" -f $core/store/locks.rs -f $core/store/queues.rs
    again "--test=it" "locks queues once txn sharing" -f $core/store/locks.rs -f $core/store/queues.rs
}
policy() { change "--test=it" "auth" -f $core/auth/policy.rs -f $core/auth/grants.rs; }
# cargo-mutants 27.1 applies no filter to changes that leave a field to its default: those of all files are tried here, too.
expiry() {
    change "--test=it" "expir evict cache model watch locks auth fence conformance" -f "$core/**" \
        -F '\b\w*(expir|evict|fence)\w*( ->| with|$)' \
        -e $core/clock.rs -e $core/store/locks.rs -e $core/store/queues.rs
}

# Goes through the changes, and has tests of a target look: those that are named, or all. A clean tree passes, which bin/test.sh
# sees to.
change() {
    local target=$1 status=0 tests
    read -ra tests <<<"$2"
    cargo mutants --package prontodb-core --baseline skip --timeout 180 --jobs 2 --no-shuffle --colors never \
        --output "target/mutants/$group" --cargo-arg="$target" "${@:3}" -- -- "${tests[@]}" || status=$?
    # 2 is that some survive, and 3 that a test did not come to its end, which is noticed, too.
    case $status in 0 | 2 | 3) ;; *) die "cargo mutants has ended with $status" ;; esac
}

# The same for what has survived.
again() { change "$@" --iterate; }

# A program that nobody looks into with a debugger is built in half the time, and two clients are enough to see most.
export CARGO_PROFILE_DEV_DEBUG=none CARGO_PROFILE_TEST_DEBUG=none PRONTODB_TEST_CLIENTS=2
[ $# -gt 0 ] || set -- addresses times leases policy expiry
for group in "$@"; do
    case $group in addresses | times | leases | policy | expiry) ;; *) die "no group $group" ;; esac
    mkdir -p "target/mutants/$group"
    printf '== %s\n' "$group"
    "$group"
done
