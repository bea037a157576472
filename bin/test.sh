#!/usr/bin/env bash
# Passes the tests on a fresh machine with nothing but a Rust toolchain: installs the rest as root from Debian's
# packages, or says what is missing. Stops at the first step that fails.
#
#   bin/test.sh              all steps
#   bin/test.sh lint docs    only these; their names are those of the functions below

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
exec </dev/null

ALL_STEPS=(tools format lint test scoreboard s3 mcp docs build counts deny)

step_tools() {
    have cargo || die 'no cargo; install Rust, see https://rustup.rs'
    provide_tools all
    rustc --version
    cargo fmt --version || provide_component rustfmt
    cargo clippy --version || provide_component clippy
    cargo metadata --locked --format-version 1 >/dev/null ||
        die 'see above; when Cargo.lock is missing or behind, run cargo check and commit it'
}

provide_component() {
    have rustup || die "the Rust on this machine has no $1"
    timeout 120 rustup component add "$1" || die "rustup could not fetch $1"
}

step_format() { cargo fmt --all --check; }

step_lint() {
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --package prontodb --no-default-features -- -D warnings
    ! have shellcheck || shellcheck --severity=warning bin/*.sh .ci/run
}

step_test() { cargo test --workspace; }

# Whether the scoreboard finds what is lost, and writes down what it has measured; measuring itself is no test.
step_scoreboard() {
    if have python3; then
        python3 -B benches/scoreboard/tests.py
    else
        leave_out 'there is no python3'
    fi
}

# The object store is a server on this machine, whose program comes from PyPI.
step_s3() {
    local venv=target/moto port=${PRONTODB_TEST_S3_PORT:-5557} server status=0
    if ! [ -x "$venv/bin/moto_server" ]; then
        { python3 -m venv "$venv" && "$venv/bin/pip" install -q 'moto[server]'; } || {
            leave_out 'moto, an S3 server in Python, could not be installed'
            return
        }
    fi
    cargo clippy --package prontodb --features s3 --all-targets -- -D warnings
    export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
    "$venv/bin/moto_server" -H 127.0.0.1 -p "$port" >/dev/null 2>&1 &
    server=$!
    "$venv/bin/python" - "$AWS_ENDPOINT_URL/replicas" <<'PYTHON' &&
import sys, time, urllib.request
for _ in range(600):
    try:
        urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="PUT"))
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit("the S3 server does not answer")
PYTHON
        PRONTODB_TEST_S3=s3://replicas cargo test --package prontodb --features s3 -- object_store || status=$?
    kill "$server"
    return "$status"
}

# Clients are written with SDKs of others; this one comes from PyPI.
step_mcp() {
    local venv=target/mcp-client
    if ! "$venv/bin/python" -c 'import mcp' 2>/dev/null; then
        { python3 -m venv "$venv" && "$venv/bin/pip" install -q mcp; } || {
            leave_out 'mcp, the official client in Python, could not be installed'
            return
        }
    fi
    cargo build --package prontodb
    "$venv/bin/python" crates/cli/tests/mcp/client.py "${CARGO_TARGET_DIR:-target}/debug/prontodb"
}

step_docs() { RUSTDOCFLAGS="${RUSTDOCFLAGS:-} -D warnings" cargo doc --no-deps --workspace; }

step_build() {
    local binary
    binary=$(bin/build.sh)
    ls -l "$binary"
}

# Instructions and system calls are the same on every run, whatever else the machine does: a gate, not an opinion.
step_counts() {
    if ! [ -x bin/counts.sh ]; then
        leave_out 'there is no bin/counts.sh'
    elif ! have valgrind || ! have strace; then
        leave_out 'it needs valgrind and strace'
    elif [[ $(bin/build.sh) != *-linux-musl/* ]]; then
        leave_out 'the limits are those of the static binary, and this one is not'
    else
        bin/counts.sh
    fi
}

# Advisories need the network; `just deny` asks for them too.
step_deny() {
    if cargo deny --version 2>/dev/null; then
        cargo deny --offline check bans licenses sources
    else
        leave_out 'no cargo-deny; just deny installs it'
    fi
}

left_out=''
leave_out() {
    left_out=" (left out: $1)"
    printf 'left out: %s\n' "$1"
}

finish() {
    local status=$?
    [ "$status" = 0 ] || summary+=$(printf '%-8s %4d s  FAILED' "$step" $((SECONDS - started)))
    printf '\n=== summary\n%s\n' "${summary%$'\n'}"
}

steps=("${@:-${ALL_STEPS[@]}}")
for step in "${steps[@]}"; do
    declare -F "step_$step" >/dev/null || die "no step $step; there are: ${ALL_STEPS[*]}"
done

summary=''
trap finish EXIT
for step in "${steps[@]}"; do
    printf '\n=== %s\n' "$step"
    started=$SECONDS left_out=''
    "step_$step"
    summary+=$(printf '%-8s %4d s  ok%s' "$step" $((SECONDS - started)) "$left_out")$'\n'
done
