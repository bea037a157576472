#!/usr/bin/env bash
# Counts the instructions, system calls, page faults and waits for the disk of a `get` and a `set`, which no load of the
# machine disturbs, and fails when a limit of benches/counts.txt does not hold.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for tool in valgrind strace; do
    if ! have "$tool"; then
        echo "counts: skipped, there is no $tool"
        exit 0
    fi
done
exec bin/bench.sh counts
