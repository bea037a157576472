#!/usr/bin/env bash
# Builds the release binary, the benchmarks and the bare floor in C, runs a benchmark, and keeps what it printed in
# benches/runs.
#
#   bin/bench.sh                  all benchmarks; takes some minutes
#   bin/bench.sh oneshot          one of them: oneshot, flat, contention, listing, bulk, lifecycle, fleet, watch
#   bin/bench.sh retries          100,000 operations under ids, with kills; takes some minutes, and is not among all
#   bin/bench.sh soak 60          everything at a time for so many minutes, as bin/soak.sh does
#   bin/bench.sh counts           what bin/counts.sh runs
#   bin/bench.sh scoreboard       the same work by others that anyone can install; takes about an hour, and is not among all
#   bin/bench.sh oneshot --quick  everything smaller, to see that it works; the numbers mean little, and are not kept
#
# PRONTODB=path tries another binary than the release one, and keeps nothing.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

name=${1:-all}
quick=${2:-}
minutes=60
if [ "$name" = soak ]; then
    minutes=${2:-60} quick=''
    [[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "$minutes is not a number of minutes"
fi
case $name in oneshot | flat | contention | listing | bulk | lifecycle | fleet | watch | retries | soak | counts | scoreboard | all) ;; *) die "no benchmark $name" ;; esac
case $quick in '' | --quick) ;; *) die "unknown argument $quick" ;; esac

# Prints the path of the benchmarks' program. What it takes itself matters to nobody who only counts, and the tests
# have built the parts of the other one.
build_benches() {
    local profile=release
    [ "$name" != counts ] && [ -z "${PRONTODB:-}" ] || profile=dev
    cargo build --profile "$profile" --package prontodb-benches --message-format=json-render-diagnostics |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
}

# Prints the folder of the bundled SQLite.
find_sqlite() {
    local manifest
    manifest=$(cargo metadata --locked --format-version 1 | grep -o '"[^"]*/libsqlite3-sys-[^"]*/Cargo.toml"' | head -n 1)
    echo "$(dirname "${manifest//\"/}")/sqlite3"
}

# Compiles the floor with the product's SQLite, flags and linkage, so that it differs in everything else only.
build_floor() {
    local sqlite flags source
    sqlite=$(find_sqlite)
    for source in benches/floor/floor.c .cargo/config.toml "$sqlite/sqlite3.c"; do
        [ "$floor" -nt "$source" ] || rm -f "$floor"
    done
    [ ! -x "$floor" ] || return 0
    mapfile -t flags < <(sed -n 's/^LIBSQLITE3_FLAGS = "\(.*\)"$/\1/p' .cargo/config.toml | tr ' ' '\n' | sed 's/^[^-]/-D&/')
    "${compiler[@]}" -Os -s "${flags[@]}" -I "$sqlite" benches/floor/floor.c "$sqlite/sqlite3.c" -o "$floor"
}

# What a reader needs to judge the numbers; nothing that names the machine.
describe() {
    echo "benchmark: $name"
    echo "commit: $(git describe --always --dirty 2>/dev/null || echo none)"
    echo "kernel: $(uname -srm)"
    echo "processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
    echo "file system: $(stat -f -c %T "$scratch")"
    echo "load before: $(cut -d ' ' -f 1-3 /proc/loadavg)"
    echo "rust: $(rustc --version)"
    echo "prontodb: $("$prontodb" --version), linked by ${compiler[*]}"
    echo "sqlite3: $(sqlite3 --version 2>/dev/null | cut -d ' ' -f 1,2)"
}

describe_end() {
    printf '\nload after: %s\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
}

# What the scoreboard compares with: command, Debian package. It leaves out what is not there.
RIVALS='
sqlite3       sqlite3
redis-server  redis-server
redis-cli     redis-tools
etcd          etcd-server
etcdctl       etcd-client
node          nodejs
npm           npm
time          time
'

# Installs what can be had: from Debian as root, from PyPI and npm into target/scoreboard. Servers that Debian's packages
# may start are left alone; the scoreboard starts its own.
install_rivals() {
    local board=$1 command package packages=''
    while read -r command package; do
        [ -n "$(type -P "$command")" ] || packages+=" $package"
    done < <(grep . <<<"$RIVALS")
    python3 -c 'import ensurepip' 2>/dev/null || packages+=' python3-venv'
    if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && have apt-get; then
        apt_install "$packages" >&2 </dev/null || say 'apt-get did not install all of it'
    elif [ -n "$packages" ]; then
        say "bench.sh: left out for want of packages; on Debian, as root: apt-get install$packages"
    fi
    if ! { python3 -m venv "$board/venv" && "$board/venv/bin/pip" install -q sqlite-utils diskcache >&2; }; then
        say 'bench.sh: PyPI did not give all of it'
    fi
    ! have npm || npm install --prefix "$board/npm" --no-fund --no-audit --silent @modelcontextprotocol/server-memory >&2 ||
        say 'bench.sh: npm did not give all of it'
}

# Keeps what a benchmark prints.
kept=benches/runs/$(date -u +%F)-$name.txt
keep() {
    mkdir -p benches/runs
    { describe && "$@" && describe_end; } | tee "$kept"
}

# A copy, which lies in memory as a program does that was just installed: one starts up to a quarter slower where its pages have come there
# one by one (docs/performance.md).
copy() {
    [ ! -x "$1" ] || { mkdir -p "$scratch/bin" && cp "$1" "$scratch/bin/" && echo "$scratch/bin/${1##*/}"; }
}

# Measures with the environment of Python that has been installed, if there is one.
run_scoreboard() {
    local board=target/scoreboard python=python3
    have python3 || die 'no python3, which the scoreboard is written in'
    mkdir -p "$board"
    install_rivals "$board"
    [ ! -x "$board/venv/bin/python" ] || python=$board/venv/bin/python
    scratch=$(mktemp -d "$PWD/$board/bench.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    run=(env -i PATH="$PATH" HOME="$scratch" PYTHONDONTWRITEBYTECODE=1
        "$python" benches/scoreboard "$(copy "$prontodb")" "$board/npm" "$scratch")
    if [ -n "$quick" ]; then
        "${run[@]}" --quick
    else
        keep "${run[@]}"
        say "bench.sh: python3 benches/scoreboard --write-docs $kept puts the figures into the documentation"
    fi
}

prontodb=$(if [ -n "${PRONTODB:-}" ]; then cd "$called_from" && realpath "$PRONTODB"; else bin/build.sh; fi)
case $prontodb in *-linux-musl/*) compiler=(musl-gcc -static) ;; *) compiler=(cc) ;; esac
if [ "$name" = scoreboard ]; then
    run_scoreboard
    exit
fi
benches=$(build_benches)
scratch=$(mktemp -d "$(dirname "$benches")/bench.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
floor=$(dirname "$benches")/floor-${compiler[0]}
sqlite3=$(command -v sqlite3 || true)
if [ "$name" != counts ]; then
    [ -n "$sqlite3" ] || die 'no sqlite3 to compare with (Debian: sqlite3)'
    [ "$name" = soak ] || build_floor
fi

# Nothing of the user's surroundings reaches the programs.
run=(env -i PATH="$PATH" HOME="$scratch" "$benches" "$name" "$(copy "$prontodb")" "$(copy "$floor")" "$(copy "$sqlite3")" "$scratch")
[ "$name" != soak ] || run+=("$minutes")
if [ -n "${PRONTODB:-}" ] && [ -z "$quick" ]; then
    describe && "${run[@]}" && describe_end
elif [ -n "$quick" ]; then
    "${run[@]}" --quick
elif [ "$name" = counts ]; then
    "${run[@]}"
else
    keep "${run[@]}"
fi
