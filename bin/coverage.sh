#!/usr/bin/env bash
# Runs the tests with counters in the code, those of the program in its processes too, and prints how much of each file they run, the
# least first. Who is killed, or may not write where the counters are kept, tells nothing, so what only such processes do looks as if it
# were never run; and tests of those who may not write fail, for they find a message about it.
#
#   bin/coverage.sh            all tests; takes half an hour, and 16 GB in target/llvm-cov-target
#   bin/coverage.sh ARG...     those that `cargo test ARG...` runs
#
# `cargo llvm-cov report --failure-mode all --html` makes pages of it afterwards, in target/llvm-cov/html.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cargo llvm-cov --version >/dev/null 2>&1 || cargo install --locked cargo-llvm-cov
rustup component add llvm-tools
others='/(tests|testkit|benches)/'
[ $# -gt 0 ] || set -- --package prontodb --package prontodb-core
cargo llvm-cov --no-report --ignore-run-fail "$@"
# Each process has a file of its own, since one that is killed as it writes breaks its file.
cargo llvm-cov report --failure-mode all --json --summary-only --ignore-filename-regex "$others" | python3 -c '
import json, os, sys

told = json.load(sys.stdin)["data"][0]
files = [(file["summary"]["lines"], os.path.relpath(file["filename"])) for file in told["files"]]
for lines, name in sorted(files, key=lambda file: (file[0]["percent"], file[1])):
    print("{:6.1f} %  {:5} of {:5} lines  {}".format(lines["percent"], lines["covered"], lines["count"], name))
lines, regions = told["totals"]["lines"], told["totals"]["regions"]
print("{:6.1f} % of lines, {:.1f} % of regions".format(lines["percent"], regions["percent"]))'
