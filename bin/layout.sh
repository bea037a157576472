#!/usr/bin/env bash
# Lists the functions that common commands run, in crates/cli/layout.ld, so that the linker lays them side by side: see
# docs/design/0029-hot-code-is-listed.md. To be run again when `bin/counts.sh` finds more page faults, with a new compiler, and
# before a release. Needs valgrind, and builds the program once more, with its names.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

have valgrind || die "no valgrind (Debian: valgrind)"
layout=crates/cli/layout.ld
binary=$(CARGO_TARGET_DIR=target/layout CARGO_PROFILE_RELEASE_STRIP=none bin/build.sh)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch/home
mkdir "$HOME"
unset "${!PRONTO@}" "${!XDG_@}"

# Runs a command, and keeps which functions it ran in a file of its own. Those that fail tell of errors, and are not common.
trace() {
    traced=$((${traced:-0} + 1))
    valgrind -q --tool=callgrind --demangle=no --callgrind-out-file="$scratch/$1.$traced" "$binary" "${@:2}" >/dev/null
}

# As many sets as take the log from one copying back to the next, and more.
sets() {
    local number
    for number in $(seq 40); do "$1" "${@:2}" set "notes.shop.item$number" "value $RANDOM"; done
}

{ echo key,value && seq 20000 | sed 's/.*/key&,value &/'; } | "$binary" import notes.shop - --format csv
"$binary" cursor set notes "$HOME/cursor.db" >/dev/null

# What most calls are: a read and a write of one entry, wherever the log stands and however the database is found.
for place in "" "-d $HOME/file.db" "--cursor notes"; do
    # shellcheck disable=SC2086 # two words
    {
        sets "$binary" $place
        trace first $place get notes.shop.item7
        trace first $place set notes.shop.item8 changed
        trace first $place set notes.shop.another new
        trace first $place exists notes.shop.item9
    }
done
sets trace first

# What others do, besides.
trace second del notes.shop.key80
trace second incr notes.shop.counter
trace second incr notes.shop.counter
trace second set notes.shop.key82 changed --if-version 1
trace second set notes.shop.first new --if-absent
trace second keys notes.shop.key7
trace second scan notes.shop.key7
trace second ls notes.shop
trace second get notes.shop.key81 --json
"$binary" create-cache notes.pages timeout=60 >/dev/null
trace second set notes.pages.key value
trace second get notes.pages.key
trace second lock acquire notes.shop.lock --ttl 60
trace second queue push notes.jobs item

# Which functions the traces of a group name. Recursive calls have a number behind the name.
functions() { sed -nE "s/^c?fn=\([0-9]+\) ([^(0].*)/\1/p" "$scratch/$1".* | sed "s/'[0-9]*\$//" | LC_ALL=C sort -u; }

# Names as patterns of sections: what differs between builds of the same sources matches anything.
patterns() {
    sed -E 's/Cs[0-9A-Za-z]+_/Cs*_/g; s/\.(llvm|constprop|isra|part)\..*/.\1.*/; s/^/    *(.text./; s/$/)/; s/\$/?/g'
}

functions first >"$scratch/first"
functions second | LC_ALL=C comm -13 "$scratch/first" - >"$scratch/second"

sed -n '1,/BEGIN LIST/p' "$layout" >"$scratch/layout"
for group in first second; do patterns <"$scratch/$group" | LC_ALL=C sort -u; done >>"$scratch/layout"
sed -n '/END LIST/,$p' "$layout" >>"$scratch/layout"
cp "$scratch/layout" "$layout"
touch crates/cli/src/main.rs # cargo does not see that the list has changed
say "layout.sh: $(grep -c '' "$scratch/first") functions of most calls, $(grep -c '' "$scratch/second") of others; bin/counts.sh counts page faults"
