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

# Lists anew which functions common commands run, for the linker: the program starts faster where they lie together.
layout:
    bin/layout.sh

# Kills writers at random moments, a hundred thousand times (eight times as often as is said), and looks for what was acknowledged.
crash kills="12500":
    PRONTODB_TEST_KILLS={{ kills }} cargo test --release --package prontodb --test it -- --nocapture many_processes::kill

# Kills all that is done in many steps, each so often: backups, restores, migrations, moves, drops, renames, vacuums, operations under ids.
kills times="200":
    PRONTODB_TEST_KILLS={{ times }} cargo test --release --package prontodb --test it -- --nocapture killed whoever_is_killed

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

# Feeds parsers what they never met, all of them or those that are named, so many seconds each.
fuzz seconds="60" *targets:
    bin/fuzz.sh {{ seconds }} {{ targets }}

# Changes the code in one place at a time, and names the changes that no test notices.
mutants *groups:
    bin/mutants.sh {{ groups }}

# How much of each file the tests run.
coverage *arguments:
    bin/coverage.sh {{ arguments }}

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
