#!/bin/sh
# tools/make_venv.sh DIR: a Python environment with what tests/requirements.txt pins. Does nothing
# when DIR holds exactly that already.
set -eu
dir=$1
root=$(cd "$(dirname "$0")/.." && pwd)
pins=$root/tests/requirements.txt

if [ -x "$dir/bin/python" ] && cmp -s "$pins" "$dir/installed.txt" && "$dir/bin/python" -c '' 2>/dev/null; then
    exit 0
fi
for p in ${PYTHON:-python3 /usr/bin/python3 python3.13 python3.12 python3.11}; do
    if "$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "making $dir with $("$p" --version)"
        rm -rf "$dir"
        mkdir -p "$(dirname "$dir")"
        "$p" -m venv "$dir"
        "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r "$pins" || {
            echo "cannot install the Python packages of tests/requirements.txt (network?);" \
                "make check PYTHON_TESTS=no does without them" >&2
            exit 1
        }
        cp "$pins" "$dir/installed.txt"
        exit 0
    fi
done
echo "no Python 3.11 or later with venv: apt-get install python3 python3-venv" >&2
exit 1
