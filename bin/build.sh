#!/usr/bin/env bash
# Builds the release binary and prints its path, and nothing else, on stdout; all the rest goes to stderr.
#
#   binary=$(bin/build.sh)
#
# The binary is linked statically against musl wherever that can be had, because such a program starts several times
# faster than one that loads the host's C library; otherwise it is built for the host. This is the one place that
# decides. PRONTODB_TARGET=host, or a target triple, decides otherwise; CARGO_TARGET_DIR is respected.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Prints the musl target of this machine; fails where there is none.
musl_target() {
    [ "$(uname -s)" = Linux ] || return 1
    case $(uname -m) in
    x86_64 | aarch64) echo "$(uname -m)-unknown-linux-musl" ;;
    *) return 1 ;;
    esac
}

has_std() { [ -d "$(rustc --print target-libdir --target "$1")" ]; }

# Asks rustup for a target's standard library; one that could not be had is not asked for again for an hour.
fetch_std() {
    local refused=${CARGO_TARGET_DIR:-target}/.no-$1
    have rustup || return 1
    [ -z "$(find "$refused" -mmin -60 2>/dev/null)" ] || return 1
    say "build.sh: fetching the standard library for $1"
    timeout 120 rustup target add "$1" >&2 && has_std "$1" && return
    mkdir -p "${refused%/*}" && touch "$refused"
    return 1
}

# Prints the target to build for: a triple, or `host`.
choose_target() {
    local target
    if ! target=$(musl_target); then
        echo host
    elif ! have musl-gcc; then
        say "build.sh: no musl-gcc (Debian: musl-tools); building for the host, which starts slower"
        echo host
    elif ! has_std "$target" && ! fetch_std "$target"; then
        say "build.sh: rustup has no $target now; building for the host, which starts slower"
        echo host
    else
        echo "$target"
    fi
}

have cargo || die "no cargo; install Rust, see https://rustup.rs"
target=${PRONTODB_TARGET:-$(choose_target)}
arguments=(--release --package prontodb --bin prontodb)
if [ "$target" != host ]; then
    arguments+=(--target "$target")
    case $target in *-linux-musl) export "CC_${target//-/_}=musl-gcc" ;; esac
fi

# No path of this machine goes into the binary, so that the same sources make the same program elsewhere.
triple=$target
[ "$triple" != host ] || triple=$(rustc -vV | sed -n 's/^host: //p')
registry=${CARGO_HOME:-${HOME:-/root}/.cargo}/registry/src
arguments+=(--config "target.$triple.rustflags=['--remap-path-prefix=$registry=registry', '--remap-path-prefix=$PWD=.']")

# Only cargo knows where its output goes.
messages=$(cargo build "${arguments[@]}" --message-format=json-render-diagnostics)
binary=$(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' <<<"$messages" | tail -n 1)
[ -x "$binary" ] || die "cargo built nothing that can be run"
printf '%s\n' "$binary"
