#!/bin/sh
# Installs what building and testing need, or says what is missing.
#
#     tools/deps.sh                 install (apt-get, as root or with sudo) whatever is missing
#     tools/deps.sh --need build    only look, for building; exit status 1 and advice when short
#     tools/deps.sh --need demo     only look, for building and the demo
#     tools/deps.sh --need check    only look, for building and testing
#
# What counts is whether a thing works, not which package it came from: on systems without apt the
# same looks tell what to get. With all there it takes a tenth of a second and changes nothing.
set -eu

have() { command -v "$1" >/dev/null 2>&1; }

header() { # header file: can the compiler find it?
    echo "#include <$1>" | ${CC:-cc} -E -x c - >/dev/null 2>&1
}

module() { # as CMake will ask
    pkg-config --exists "$1" 2>/dev/null
}

cmake_is_new() {
    have cmake && cmake --version | awk 'NR==1 {split($3, v, "."); exit !(v[1] > 3 || (v[1] == 3 && v[2] >= 25))}'
}

python_is_whole() { # 3.11 or later, that can make virtual environments
    for p in ${PYTHON:-python3 /usr/bin/python3 python3.13 python3.12 python3.11}; do
        "$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return 0
    done
    return 1
}

python_has_pip() { # or can get one
    for p in ${PYTHON:-python3 /usr/bin/python3}; do
        "$p" -c 'import pip' 2>/dev/null || "$p" -c 'import venv, ensurepip' 2>/dev/null && return 0
    done
    return 1
}

missing=
want() { # want PACKAGE COMMAND...: PACKAGE is missing unless COMMAND succeeds
    package=$1
    shift
    "$@" || missing="$missing $package"
}

look() {
    missing=
    want gcc have "${CC:-cc}"
    want libc6-dev header stdio.h
    want make have make
    want cmake cmake_is_new
    want ninja-build have ninja
    want pkg-config have pkg-config
    want libzstd-dev module libzstd
    want liblz4-dev module liblz4
    want libdeflate-dev module libdeflate
    want zlib1g-dev module zlib
    want libbz2-dev header bzlib.h
    want liblzma-dev module liblzma
    want libblosc-dev header blosc.h
    want libaec-dev header libaec.h
    if [ "$1" = demo ]; then
        want python3-venv python_has_pip
    fi
    if [ "$1" = check ]; then
        want g++ have c++
        want binutils have nm
        want python3 python_is_whole
        want python3-venv python_is_whole
        want hdf5-tools have h5repack
        want netcdf-bin have ncgen
        want zip have zip
        want unzip have unzip
    fi
}

say_missing() {
    echo "missing:$missing" >&2
    if have apt-get; then
        echo "get them:   sudo apt-get install$missing      (or: make deps, as root)" >&2
    else
        echo "these are Debian's package names; cmake has to be 3.25 or later, python3 3.11 or later" >&2
    fi
}

if [ "${1:-}" = --need ]; then
    look "$2"
    [ -z "$missing" ] && exit 0
    say_missing
    exit 1
fi

look check
if [ -z "$missing" ]; then
    echo "everything is there"
    exit 0
fi
if ! have apt-get; then
    say_missing
    exit 1
fi
root=
if [ "$(id -u)" != 0 ]; then
    if have sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        root=sudo
    else
        say_missing
        exit 1
    fi
fi
install() { # without recommendations: hundreds of megabytes that nothing here uses
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}
echo "installing:$missing"
# A fresh image has no package lists, an old one has lists of packages that are gone.
if ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || ! install; then
    $root apt-get update -q
    install
fi
look check
if [ -n "$missing" ]; then
    echo "installed, but still not found:$missing" >&2
    exit 1
fi
echo "everything is there"
