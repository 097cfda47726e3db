#!/bin/sh
# tools/fuzz.sh SECONDS [THING...]: fuzzes each fuzz/fuzz_THING.c with libFuzzer for that long. New
# inputs are kept in build/fuzz/corpus/THING, findings in build/fuzz/findings. Stops at the first finding.
set -eu
cd "$(dirname "$0")/.."
seconds=$1
shift
command -v clang >/dev/null || { echo "make fuzz needs clang: apt-get install clang" >&2; exit 1; }
tools/deps.sh --need build
cmake --preset fuzz
cmake --build build/fuzz -j "${JOBS:-2}" --target cm_fuzz
[ $# -gt 0 ] || set -- $(ls fuzz/fuzz_*.c | sed 's,fuzz/fuzz_\(.*\)\.c,\1,')
mkdir -p build/fuzz/findings
for thing in "$@"; do
    echo "== $thing, $seconds s"
    mkdir -p "build/fuzz/corpus/$thing"
    dictionary=
    [ -f "fuzz/$thing.dict" ] && dictionary="-dict=fuzz/$thing.dict"
    build/fuzz/fuzz_"$thing" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 $dictionary \
        -artifact_prefix="build/fuzz/findings/$thing-" "build/fuzz/corpus/$thing" "fuzz/corpus/$thing"
done
