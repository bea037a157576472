# The one door: every task of the repository, a line or two each.

# The tasks there are.
default:
    @just --list --unsorted

# Everything a change must pass, or only the named steps: just test lint docs
test *steps:
    bin/test.sh {{ steps }}

# Builds, installs to ~/.local/bin (--prefix DIR) and shows that it works.
deploy *arguments:
    bin/deploy.sh {{ arguments }}

# Builds the release binary; prints its path.
build:
    @bin/build.sh

# Builds what a release hands out into target/dist, and tries it: archive, Debian package, crates.
package *arguments:
    bin/package.sh {{ arguments }}

# Times, side by side with others of the kind.
bench *arguments:
    bin/bench.sh {{ arguments }}

# Everything at a time for so long; fails where anything is lost, done twice or grows.
soak minutes="60":
    bin/soak.sh {{ minutes }}

# Instructions and system calls, which must not grow.
counts *arguments:
    bin/counts.sh {{ arguments }}

# Kills writers at random moments, some ten thousand times, and looks for what was acknowledged.
crash kills="2500":
    PRONTODB_TEST_KILLS={{ kills }} cargo test --release --package prontodb --test it -- --nocapture kill

# Cuts the power, and fails each call to the disk.
power cuts="10000" stride="1":
    PRONTODB_TEST_CUTS={{ cuts }} PRONTODB_TEST_FAULT_STRIDE={{ stride }} cargo test --release --package prontodb-core --test power -- --nocapture

# Goes through all states that so many clients of one lock or item can come to.
leases clients="4":
    PRONTODB_TEST_CLIENTS={{ clients }} cargo test --release --package prontodb-core --test lease -- --nocapture

# Tries random histories: many, and others every time.
properties times="50":
    PRONTODB_TEST_TIMES={{ times }} cargo test --release --package prontodb-core --test it -- agree accounts

# Sends so many generated entries through every format and back, byte for byte.
round-trips entries="100000":
    PRONTODB_TEST_ENTRIES={{ entries }} cargo test --release --package prontodb --test it -- round_trips

# Takes so many backups while others write, restores each, and compares it with what was acknowledged by its revision.
backups times="1000":
    PRONTODB_TEST_BACKUPS={{ times }} cargo test --release --package prontodb --test it -- --nocapture backups_under_load

# Feeds a parser what it never met: stream, tsv, json, jsonl, csv or names. What it finds is kept as a test.
fuzz target seconds="60":
    cargo fuzz --version || cargo install --locked cargo-fuzz
    mkdir -p fuzz/corpus/{{ target }}
    # The sanitizers are for nightly compilers; this one is told to pass for such a one.
    RUSTC_BOOTSTRAP=1 cargo fuzz run {{ target }} fuzz/corpus/{{ target }} fuzz/seeds/{{ target }} -- -max_total_time={{ seconds }} -max_len=400

# Formats the code.
fmt:
    cargo fmt --all

# Looks for warnings, in the code and in the scripts.
lint:
    bin/test.sh format lint

# Licences, duplicates, sources and advisories of the dependencies.
deny:
    @cargo deny --version || cargo install --locked cargo-deny
    cargo deny check

# Builds the documentation of the libraries; a warning is an error.
docs:
    bin/test.sh docs

# How large the release binary is.
size:
    @binary=$(bin/build.sh) && size "$binary" && ls -l "$binary"

# What the program is made of, and what is in the tree twice.
tree:
    cargo tree --package prontodb --edges normal
    cargo tree --duplicates --target all

# Looks for misspelt words.
typos:
    @typos --version || cargo install --locked typos-cli
    typos
