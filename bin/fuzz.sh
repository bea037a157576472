#!/usr/bin/env bash
# Feeds every target of fuzz/ for some time, one after the other: from the seeds that are kept in fuzz/seeds, and from what earlier runs
# have found (fuzz/corpus, which is not kept). Ends at the first input that breaks a target, and says where it lies; make a test of it.
#
#   bin/fuzz.sh [SECONDS] [TARGET...]    60 seconds for each target unless told otherwise

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

seconds=${1:-60}
case $seconds in '' | *[!0-9]*) die "$seconds is no number of seconds" ;; esac
shift || true
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    for source in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$source" .rs)"); done
fi
# The sanitizers are for nightly compilers; this one is told to pass for such a one.
export RUSTC_BOOTSTRAP=1
for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target"
    printf '== %s\n' "$target"
    log=fuzz/corpus/$target.log
    if ! cargo fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=400 -print_final_stats=1 >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        die "$target has broken; its input lies in fuzz/artifacts/$target"
    fi
    sed -n 's/^stat::number_of_executed_units: */inputs: /p' "$log"
done
