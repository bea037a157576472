# Shared by the scripts of this folder; sourced, never run. They stand in the root of the repository afterwards.
# shellcheck shell=bash

set -euo pipefail
# shellcheck disable=SC2034 # read by scripts that take paths
called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# rustup puts cargo here, but only login shells learn of it.
command -v cargo >/dev/null || PATH="${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH"

# What is called besides a Rust toolchain: command, Debian packages, when (to build, or only to test), whether it can
# be done without, and what for. The one list: a test that calls another program adds its line here.
TOOLS='
cc          gcc,libc6-dev  build  needed  linking, and compiling the bundled SQLite
musl-gcc    musl-tools     build  wanted  a static binary, which starts several times faster
valgrind    valgrind       test   wanted  counting instructions (bin/counts.sh)
strace      strace         test   wanted  counting system calls (bin/counts.sh)
age         age            test   needed  opening what this program has encrypted
sqlite3     sqlite3        test   needed  looking at database files from outside
script      bsdutils       test   needed  a terminal for the commands that look at one
shellcheck  shellcheck     test   wanted  checking these scripts
zsh         zsh            test   wanted  trying the completions for it
fish        fish           test   wanted  trying the completions for it
groff       groff-base     test   wanted  reading the manual pages
'

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Prints the lines of TOOLS whose command is missing, of `all` or of one stage.
missing_tools() {
    local line command stage
    while read -r line; do
        read -r command _ stage _ <<<"$line"
        case $1 in all | "$stage") have "$command" || printf '%s\n' "$line" ;; esac
    done < <(grep . <<<"$TOOLS")
}

# Prints the packages of such lines, in one line.
packages_of() { awk '{ gsub(",", " ", $2); printf "%s%s", (NR > 1 ? " " : ""), $2 }' <<<"$1"; }

apt_install() {
    local options=(-y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=30)
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update || say 'apt-get could not reach all of its sources'
    # shellcheck disable=SC2086 # a list of packages
    apt-get "${options[@]}" install $1
}

# Installs what is missing where that is possible, says what is still missing, and fails if it is needed. Takes what
# `missing_tools` takes.
provide_tools() {
    local missing
    missing=$(missing_tools "$1")
    if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && have apt-get; then
        apt_install "$(packages_of "$missing")" >&2 </dev/null || say 'apt-get did not install all of it'
        missing=$(missing_tools "$1")
    fi
    [ -n "$missing" ] || return 0
    say 'Missing:'
    awk '{ printf "  %-11s", $1; for (i = 4; i <= NF; i++) printf " %s", $i; print "" }' <<<"$missing" >&2
    say "On Debian, as root: apt-get install $(packages_of "$missing")"
    awk '$4 == "needed" { exit 1 }' <<<"$missing" || die 'cannot go on without what is needed'
}
