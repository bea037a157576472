#!/usr/bin/env bash
# Has everything happen at a time for so many minutes, and fails where anything is lost, done twice or grows: see
# benches/src/soak. What it printed is kept in benches/runs.
#
#   bin/soak.sh                        an hour
#   bin/soak.sh 2                      two minutes
#   PRONTODB=target/debug/prontodb bin/soak.sh 2    tries another binary, and keeps nothing

exec "$(dirname "${BASH_SOURCE[0]}")/bench.sh" soak "${1:-60}"
