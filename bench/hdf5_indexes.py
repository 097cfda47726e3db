#!/usr/bin/env python3
"""How long the chunk indexes of HDF5 take: 1,000,000 chunks in each kind, and `info` of 100,000.

    python bench/hdf5_indexes.py PROGRAM FOLDER

Makes the files in FOLDER (0.3 GB, two minutes), unless they are there. Reading one cell reads the whole index, and
nothing else that takes time; libhdf5 lists the same chunks through h5py's chunk_iter. Best of five, files in the page
cache: seconds of the whole process and its processor time; for libhdf5 of the listing alone.
"""
import os
import resource
import subprocess
import sys
import time
import zlib

import h5py
import numpy as np

KINDS = {  # name: libver, growing axes, allocated early, compressed
    "version 1 B-tree": ("earliest", (2000, 2000), False, False), "implicit": ("v110", (2000, 2000), True, False),
    "fixed array": ("v110", (2000, 2000), False, False), "fixed array, gzip": ("v110", (2000, 2000), False, True),
    "extensible array": ("v110", (None, 2000), False, False), "extensible array, gzip": ("v110", (None, 2000), False, True),
    "version 2 B-tree": ("v110", (None, None), False, False), "version 2 B-tree, gzip": ("v110", (None, None), False, True)}


def make(path, rows, libver, maxshape, early, gzip):
    with h5py.File(path, "w", libver=(libver, libver) if libver != "earliest" else libver) as h:
        p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        p.set_chunk((2, 2))
        if early:
            p.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        if gzip:
            p.set_deflate(1)
        most = tuple(h5py.h5s.UNLIMITED if n is None else min(n, rows if k == 0 else n) for k, n in enumerate(maxshape))
        d = h5py.h5d.create(h.id, b"x", h5py.h5t.STD_I16LE, h5py.h5s.create_simple((rows, 2000), most), p)
        cells = np.arange(4, dtype="<i2").tobytes()
        for i in range(0, 0 if early else rows, 2):
            for j in range(0, 2000, 2):
                d.write_direct_chunk((i, j), zlib.compress(cells, 1) if gzip else cells)


def best(*command):
    times = []
    for _ in range(5):
        begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append((time.monotonic() - begin, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return min(times), min(t[1] for t in times)


def libhdf5(path):
    with h5py.File(path) as h:
        begin = time.process_time()
        n = 0

        def one(_):
            nonlocal n
            n += 1
        h["x"].id.chunk_iter(one)
        return time.process_time() - begin, n


def main():
    program, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    last = "phony_dim_0=1999:2000,phony_dim_1=1999:2000"
    for name, (libver, maxshape, early, gzip) in KINDS.items():
        path = f"{folder}/{name.replace(' ', '_').replace(',', '')}.h5"
        if not os.path.exists(path):
            make(path, 2000, libver, maxshape, early, gzip)
        (wall, _), cpu = best(program, "values", path, "x", "--isel", last)
        print(f"| {name} | {wall:.3f} | {cpu:.3f} | {libhdf5(path)[0]:.2f} |", flush=True)
    for name in ("version 1 B-tree", "fixed array", "version 2 B-tree"):
        path = f"{folder}/info_{name.replace(' ', '_')}.h5"
        if not os.path.exists(path):
            libver, maxshape, early, gzip = KINDS[name]
            make(path, 200, libver, maxshape, early, gzip)
        (wall, _), cpu = best(program, "info", path)
        print(f"info, 100,000 chunks, {name}: {wall:.4f} s, {cpu:.4f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
