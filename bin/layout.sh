#!/usr/bin/env bash
# Lists the functions that common commands run, in crates/cli/layout.ld, so that the linker lays them side by side: see
# docs/design/0029-hot-code-is-listed.md. To be run again when `bin/counts.sh` finds more page faults, with a new compiler, and
# before a release. Needs valgrind, and builds the program.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

have valgrind || die "no valgrind (Debian: valgrind)"
layout=crates/cli/layout.ld
scratch=$(mktemp -d)
# Cargo does not see that the list, or what is stripped, has changed.
trap 'rm -rf "$scratch"; touch crates/cli/src/main.rs' EXIT

# The release build with its names, and otherwise the same: functions that are alike are one, under a name that any other option of the
# build would change.
unstripped() {
    printf '#!/bin/sh\nexec "$@" -C strip=none\n' >"$scratch/rustc"
    chmod +x "$scratch/rustc"
    touch crates/cli/src/main.rs
    cp "$(RUSTC_WRAPPER=$scratch/rustc bin/build.sh)" "$scratch/prontodb"
    echo "$scratch/prontodb"
}

binary=$(unstripped)
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

# What most calls are: reads and writes of one entry, however the database is found and wherever the log stands.
for place in "" "-d $HOME/file.db" "--cursor notes"; do
    # shellcheck disable=SC2086 # two words
    {
        sets "$binary" $place
        trace reads $place get notes.shop.item7
        trace reads $place exists notes.shop.item9
        trace writes $place set notes.shop.item8 changed
        trace writes $place set notes.shop.another new
    }
done
sets trace writes

# What others do.
trace others del notes.shop.key80
trace others incr notes.shop.counter
trace others incr notes.shop.counter
trace others set notes.shop.key82 changed --if-version 1
trace others set notes.shop.first new --if-absent
trace others keys notes.shop.key7
trace others scan notes.shop.key7
trace others ls notes.shop
trace others get notes.shop.key81 --json
"$binary" create-cache notes.pages timeout=60 >/dev/null
trace others set notes.pages.key value
trace others get notes.pages.key
trace others lock acquire notes.shop.lock --ttl 60
trace others queue push notes.jobs item

# Which functions the traces of a group name. Recursive calls have a number behind the name.
functions() { sed -nE "s/^c?fn=\([0-9]+\) ([^(0].*)/\1/p" "$scratch/$1".* | sed "s/'[0-9]*\$//" | LC_ALL=C sort -u; }

# Names as patterns of sections. What differs between builds of the same sources matches anything: hashes of crates, references to what
# stands further in front in the name, which shift with these, and numbers of copies.
patterns() {
    sed -E 's/Cs[0-9A-Za-z]+_/Cs*_/g; s/B[0-9A-Za-z]*_/B*_/g; s/\.(llvm|constprop|isra|part)\..*/.\1.*/' |
        sed 's/^/    *(.text./; s/$/)/; s/\$/?/g' | LC_ALL=C sort -u
}

{
    sed '/BEGIN LIST/q' "$layout"
    : >"$scratch/listed"
    for group in reads writes others; do
        functions "$group" | patterns | LC_ALL=C comm -13 "$scratch/listed" - >"$scratch/more"
        cat "$scratch/more"
        LC_ALL=C sort -o "$scratch/listed" "$scratch/listed" "$scratch/more"
    done
    sed -n '/END LIST/,$p' "$layout"
} >"$scratch/layout"
cp "$scratch/layout" "$layout"
say "layout.sh: $(grep -c '' "$scratch/listed") functions; bin/counts.sh counts page faults"
