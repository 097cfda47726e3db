#!/bin/sh
# tools/check_exports.sh LIB.so LIB.a: every global symbol of both begins with cm_, and the shared
# library shows exactly what the public headers declare as CM_API.
set -u
export LC_ALL=C
so=$1 archive=$2
include=$(cd "$(dirname "$0")/.." && pwd)/include
wrong=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

report() {
    [ -z "$2" ] && return
    wrong=1
    printf '%s\n%s\n' "# $1:" "$(printf '%s\n' "$2" | sed 's/^/#   /')"
}

# What sanitizers and the linker add is theirs.
ours() {
    awk '$2 ~ /^[A-Z]$/ && $2 != "U" {print $3}' | sort -u |
        grep -vE '^(_init|_fini|_edata|_end|__bss_start|__(asan|tsan|ubsan|odr_asan|start|stop)_?.*|_ITM_.*|DW\.ref\..*)$'
}
nm -D --defined-only "$so" | ours >"$scratch/so"
nm --defined-only "$archive" 2>/dev/null | ours >"$scratch/a"
[ -s "$scratch/so" ] && [ -s "$scratch/a" ] || report "nothing was found in" "$so $archive"
report "the archive has names without cm_" "$(grep -v '^cm_' "$scratch/a")"

# Declarations reach over lines: join them, cut at the semicolon.
find "$include" -name '*.h' -exec cat {} + | tr '\n' ' ' | tr ';' '\n' |
    grep -oP '\bCM_API\b(?!.*#define)[^(]*\b\Kcm_\w+(?=\s*\()' | sort -u >"$scratch/api"
report "declared CM_API but not in the shared library" "$(comm -13 "$scratch/so" "$scratch/api")"
report "in the shared library but not declared CM_API" "$(comm -23 "$scratch/so" "$scratch/api")"

[ $wrong = 0 ] && echo "ok 1 - $(wc -l <"$scratch/so") public names" || echo "not ok 1 - exports"
echo 1..1
exit $wrong
