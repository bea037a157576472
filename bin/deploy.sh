#!/usr/bin/env bash
# Builds the release binary, installs it as DIR/bin/prontodb, and shows it at work on real input in a throw-away home.
# Fails when any answer is not what it should be.
#
#   bin/deploy.sh [--prefix DIR]     DIR is ~/.local unless given

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { die 'usage: bin/deploy.sh [--prefix DIR]'; }

prefix=''
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) [ $# -ge 2 ] || usage; prefix=$2; shift 2 ;;
    --prefix=*) prefix=${1#*=}; shift ;;
    *) usage ;;
    esac
    [ -n "$prefix" ] || usage
done
[ -n "$prefix" ] || prefix=${HOME:?is not set; give --prefix DIR}/.local
[ "${prefix#/}" != "$prefix" ] || prefix=$called_from/$prefix

title() { printf '\n# %s\n' "$*"; }

# Readers of the old binary keep it, and nobody ever meets half of the new one. Where nobody has a home, what belongs
# there goes with the throw-away one.
install_binary() {
    local installed
    installed=$(HOME=${HOME:-$home} "$1" install --target "$prefix/bin" --force)
    ls -l "$installed"
}

# Runs a command line with nothing around it but the installed binary and the throw-away home.
sealed() { (cd "$home" && env -i HOME="$home" PATH="$prefix/bin:/usr/bin:/bin" LC_ALL=C bash -c "$1" </dev/null); }

# Shows a command line and its answer; the exit code and stdout must be these.
expect() {
    local code=0 output
    printf '$ %s\n' "$3"
    output=$(sealed "$3") || code=$?
    [ -z "$output" ] || printf '%s\n' "$output"
    [ "$code" = 0 ] || printf '(exit code %s)\n' "$code"
    [ "$code" = "$1" ] || die "exit code $code, expected $1"
    [ "$output" = "$2" ] || die "expected this answer: ${2:-(nothing)}"
}

# Prints `name:architecture` of a record of Debian's, which no two of them share.
package_of() { awk '/^Package:/ { name = $2 } /^Architecture:/ { arch = $2 } END { print name ":" arch }' "$1"; }

# Fills a folder with real input, one file for each key: the records of the installed Debian packages, or else the
# files of this repository.
collect_corpus() {
    local record
    mkdir "$home/corpus" "$home/records"
    if [ -s /var/lib/dpkg/status ]; then
        csplit -s -z -n 5 -f "$home/records/" --suppress-matched /var/lib/dpkg/status '/^$/' '{*}'
        for record in "$home"/records/*; do
            mv "$record" "$home/corpus/$(package_of "$record")"
        done
    else
        find bin crates -type f -exec cp {} "$home/corpus/" \;
    fi
}

show_basics() {
    title 'A value, JSON, and what there is'
    expect 0 '' "prontodb set app.config.url 'https://example.org/?q=a b'"
    expect 0 'https://example.org/?q=a b' 'prontodb get app.config.url'
    expect 0 '' "prontodb set app.config.limits --json '{\"requests\": 60, \"burst\": [5, 10]}'"
    expect 0 '{"burst":[5,10],"requests":60}' 'prontodb get app.config.limits --json'
    expect 0 $'limits\nurl' 'prontodb keys app.config'
    expect 0 $'limits={"burst":[5,10],"requests":60}\nurl=https://example.org/?q=a b' 'prontodb scan app.config'
}

show_absence() {
    title 'A key that is not there'
    expect 2 '' 'prontodb get app.config.nothing'
}

show_processes() {
    title 'Eight processes that count together, 25 times each'
    expect 0 200 'for i in {1..8}; do for j in {1..25}; do prontodb incr jobs.done.total; done >/dev/null & done; wait; prontodb get jobs.done.total'
}

show_cache() {
    title 'A cache whose entries live for one second'
    expect 0 '' 'prontodb create-cache web.sessions timeout=1'
    expect 0 '' 'prontodb set web.sessions.token s3cret'
    expect 0 's3cret' 'prontodb get web.sessions.token'
    expect 2 '' 'sleep 1; prontodb get web.sessions.token'
}

show_corpus() {
    title 'Real input, in and out byte by byte'
    collect_corpus
    local count
    count=$(find "$home/corpus" -type f | wc -l)
    printf '%d entries, %d bytes in all, a process for each\n' "$count" "$(cat "$home"/corpus/* | wc -c)"
    expect 0 '' "for f in corpus/*; do prontodb set --ns-delim '|' \"real|files|\${f#*/}\" --file \"\$f\" || exit; done"
    expect 0 "$((count))" "prontodb keys --ns-delim '|' 'real|files' --count"
    expect 0 '' "for f in corpus/*; do prontodb get --ns-delim '|' --raw \"real|files|\${f#*/}\" | cmp - \"\$f\" || exit; done"
    expect 0 '' 'cat corpus/* | prontodb set real.whole.corpus; prontodb get --raw real.whole.corpus | cmp - <(cat corpus/*)'
}

show_bulk() {
    title 'A hundred thousand entries in one stream, and out and in again byte by byte'
    expect 0 '' "seq 100000 | sed 's/.*/key&=value &;/' | PRONTO_SECURITY=false prontodb stream -p bulk -n in 2>/dev/null"
    expect 0 100000 'prontodb keys bulk.in --count'
    expect 0 '' 'prontodb export bulk.in --output in.tsv && prontodb import bulk.out in.tsv 2>/dev/null && prontodb export bulk.out | cmp - in.tsv'
}

show_health() {
    title 'Is all well?'
    local report
    printf '$ prontodb doctor\n'
    report=$(sealed 'prontodb doctor')
    printf '%s\n' "$report"
    grep -q '^state: good$' <<<"$report" || die 'the state of the database is not good'
}

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT

provide_tools build
title 'Build and install'
binary=$(bin/build.sh)
install_binary "$binary"

expect 0 "$("$binary" version)" 'prontodb version'
show_basics
show_absence
show_processes
show_cache
show_corpus
show_bulk
show_health

title 'Installed, and every answer was right'
