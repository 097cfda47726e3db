#!/bin/sh
# Runs every bench/*.sh and bench/*.py that can be run, in order of name. Each says by itself what it
# measures and what it needs. build/release/chunkmill is in CM_PROGRAM.
set -eu
cd "$(dirname "$0")/.."
CM_PROGRAM=$PWD/build/release/chunkmill
export CM_PROGRAM
ran=0
for f in bench/*.sh bench/*.py; do
    [ -x "$f" ] || continue
    echo "== $f"
    "$f"
    ran=1
done
[ $ran = 1 ] || { echo "there is nothing to run in bench/" >&2; exit 1; }
