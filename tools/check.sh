#!/bin/sh
# Everything that must hold: builds with and without sanitizers, warnings as errors; runs every test
# plainly and under the address and undefined behaviour sanitizers, and those of threads under the
# thread sanitizer. Called by `make check`. Its last lines are ctest's.
#
#     JOBS           how many at once
#     PYTHON_TESTS   no: leave out the tests that compare with zarr-python, xarray, h5py... (they need
#                    the network once, to fill build/venv)
#     CM_TEST_DATA   folder of other projects' test files; tests that want it are skipped without
set -eu
cd "$(dirname "$0")/.."
jobs=${JOBS:-2}

# The tests make and remove many small files, which in memory takes a fifth of the time that a busy
# disk needs. They use half a gigabyte of it at a time.
room() { # room FOLDER: its free GB, and those of memory, the smaller number
    { df -Pk "$1" | awk 'NR == 2 { print $4 }'; awk '/^MemAvailable/ { print $2 }' /proc/meminfo; } |
        sort -n | awk 'NR == 1 { print int($1 / 1e6) }'
}
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && [ "$(room /dev/shm)" -ge 8 ]; then
    TMPDIR=$(mktemp -d /dev/shm/chunkmill-check-XXXXXX)
    chmod 755 "$TMPDIR" # a test runs the program as another user
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
    trap 'exit 130' INT TERM
fi

tools/deps.sh --need check 2>/dev/null || tools/deps.sh
python=
if [ "${PYTHON_TESTS:-yes}" != no ]; then
    tools/make_venv.sh build/venv
    python=$PWD/build/venv/bin/python
fi
for preset in release asan; do
    cmake --preset $preset -DCM_WERROR=ON -DCM_PYTHON="$python"
    cmake --build build/$preset -j "$jobs" -- -k 0
done
# Under the thread sanitizer only what runs on several threads: the rest takes ten times as long there.
# py_scan and py_survey open many files at once.
threaded="test_base test_compose test_dataset test_diff test_hdf5 test_index_memory test_join test_open
    test_references test_save_grid test_store test_store_local test_store_zip test_survey test_verify
    test_zarr_read"
cmake --preset tsan -DCM_WERROR=ON -DCM_PYTHON="$python"
cmake --build build/tsan -j "$jobs" --target chunkmill cm_dump $threaded -- -k 0
echo "== tests of build/tsan"
ctest --test-dir build/tsan -j "$jobs" --output-on-failure --no-tests=error \
    -R "^($(echo $threaded py_scan py_survey | tr ' ' '|'))$"
test_all() {
    echo "== tests of build/$1"
    ctest --test-dir "build/$1" -j "$jobs" --output-on-failure --no-tests=error
}
test_all release
# What of other people's files cannot be read, with the reasons (tests/hdf5_refused.txt).
sed -n 's/^# refused/refused:/p' build/release/Testing/Temporary/LastTest.log
test_all asan
