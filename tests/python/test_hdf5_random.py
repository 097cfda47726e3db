#!/usr/bin/env python3
"""Random HDF5 files (h5_random.py) read by tests/cm_dump: every cell and attribute as h5py has them.

    python test_hdf5_random.py [--dump PROGRAM, else $CM_DUMP] [--cases N] [--log]

The seed is always the same; CM_SEED gives another one (seeds.py), --cases more of them. Case n of seed s is case 0 of
seed s + n; --log prints what its file has. Comparison is that of test_hdf5_corpora.py.
"""
import argparse
import os
import random
import signal
import sys
import tempfile

os.environ["HDF5_EXTFILE_PREFIX"] = "${ORIGIN}"  # libhdf5 looks in the working directory, we beside the file

import test_hdf5_oracle as oracle  # leaves with 77 without h5py
import test_hdf5_corpora as corpora
import h5_random
from h5_cells import in_order
from seeds import choose_seed
from tally import FAILED, check, count

import h5py
import numpy as np

# What we refuse and libhdf5 reads, and what it refuses of its own files; nothing else may differ.
MAY_REFUSE = ["ends inside a row", "fill value is not UTF-8", "virtual dataset of", "cells of HDF5 H5T_ARRAY",
              "chunks hold parts of strings"]
MAY_DIFFER = ["filter returned failure",  # a shuffle without its parameter, which libhdf5 wrote itself
              "Undefined reference pointer", "a bool has the value", "is not UTF-8"]
plain_check, compare_attributes, reference_text = check, corpora.compare_attributes, oracle.reference_text


def lenient_check(good, what):
    return plain_check(good or any(text in what for text in MAY_DIFFER), what) and good


class Attributes:
    """h5py takes the bytes of big-endian sequences for native ones; json_cell swaps those in arrays of one cell or of
    several axes."""

    def __init__(self, real):
        self.real, self.get_id = real, real.get_id

    def __iter__(self):
        return iter(self.real)

    def __getitem__(self, name):
        a, v = self.get_id(name), self.real[name]
        base = h5py.check_vlen_dtype(a.dtype)
        if not isinstance(base, np.dtype) or base.kind == "O" or len(a.shape) > 1 or not isinstance(v, np.ndarray):
            return v
        if a.shape == ():
            return in_order(v, base)
        for i, x in enumerate(v if len(v) > 1 else []):
            v[i] = in_order(x, base)
        return v


def compare_chunks(key, path, d, got):
    """One by one: libhdf5 2.0 numbers those of some extensible arrays wrong, and those are left out."""
    if d.shape is None or not d.chunks or 0 in d.shape or d.file.filename != path:
        return
    if d.maxshape.count(None) == 1 and d.maxshape[0] is not None:
        return
    want = []
    for part in d.iter_chunks():
        c = d.id.get_chunk_info_by_coord(tuple(x.start for x in part))
        if c.byte_offset is not None:
            want.append([[x.start // n for x, n in zip(part, d.chunks)], c.byte_offset, c.size, c.filter_mask])
    nd = len(got[0][0]) - len(d.dtype.subdtype[1] if d.dtype.subdtype else ()) if got else d.ndim
    check([[g[0][:nd], *g[1:]] for g in got] == [[w[0][:nd], *w[1:]] for w in want], f"{key}: chunks {got[:2]}, want {want[:2]}")


def one(value):
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def adapt():
    same = oracle.same
    oracle.same = lambda a, b: same(a, b) or same(one(a), one(b))
    oracle.in_order = lambda a, base: a  # json_cell has done it
    corpora.check = oracle.check = lenient_check
    corpora.compare_chunks = compare_chunks
    corpora.compare_attributes = lambda h, key, a, mine: compare_attributes(h, key, Attributes(a), mine)


def made(seed, folder, log):
    """In a process of its own: libhdf5 hangs now and then, and some of what is asked for it refuses."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            lines = []
            h5_random.make(random.Random(seed), f"{folder}/in.h5", lines)
            if log:
                print("\n".join(lines), flush=True)
        except (OSError, ValueError, RuntimeError, KeyError, OverflowError, AttributeError) as why:
            print(f"# libhdf5: {why}", flush=True)
            os._exit(1)
        except BaseException as why:
            print(f"# FAILED: seed {seed}: {why!r}", flush=True)
            os._exit(2)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    check(status in (0, 1, -signal.SIGALRM), f"seed {seed}: making the file ended with {status}")
    return status == 0


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--dump", default=os.environ.get("CM_DUMP", "build/debug/tests/cm_dump"))
    ap.add_argument("--cases", type=int, default=25)
    ap.add_argument("--log", action="store_true")
    options = ap.parse_args()
    oracle.DUMP = os.path.abspath(options.dump)
    adapt()
    first, compared = choose_seed(), 0
    for seed in range(first, first + options.cases):
        before = len(FAILED)
        with tempfile.TemporaryDirectory() as folder:
            if not made(seed, folder, options.log):
                continue
            compared += 1
            try:
                corpora.compare_file(f"{folder}/in.h5")
            except KeyError as why:  # the cells of one that may differ
                if str(why) != "'fnv1a'":
                    raise
            except (RuntimeError, AttributeError) as why:  # a reference that h5py cannot follow
                print(f"# h5py: {why}")
        for key, reason in corpora.SEEN.refused.items():
            check(any(text in reason for text in MAY_REFUSE), f"{key}: {reason}")
        corpora.SEEN.refused.clear()
        if len(FAILED) > before:
            print(f"# CM_SEED={seed}")
    check(compared > options.cases // 2, f"{compared} of {options.cases} files could be made")
    print(f"1..1\n{'not ok' if FAILED else 'ok'} 1 - {compared} files, {len(corpora.SEEN.variables)} variables, {count()} comparisons")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
