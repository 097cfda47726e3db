#!/usr/bin/env python3
"""Every layout and filter of HDF5 and NetCDF-4 with every type, in both byte orders.

    python test_hdf5_matrix.py [--dump build/debug/tests/cm_dump]

HDF5 files are written and judged by h5py, NetCDF-4 files by netCDF4-python; both through
test_hdf5_oracle.py's comparison, which records for docs/support.md. A filter is one line in FILTERS.
No input is random. Exit status 77 when the libraries are missing.
"""
import argparse
import os
import sys
import tempfile

import support
import test_hdf5_oracle as oracle  # leaves with 77 without h5py
from tally import FAILED, check, count, fnv1a

import h5py
import numpy as np

try:
    import hdf5plugin
    import netCDF4
except ImportError as why:
    print(f"1..0 # SKIP {why}")
    sys.exit(77)

SHAPE, CHUNK = (36, 20), (24, 20)  # so much that every codec makes it smaller: else it is left out
TYPES = [*oracle.NUMBERS, "S1", "S7"]

# What h5py's create_dataset wants.
FILTERS = [
    *oracle.PIPELINES,
    {"compression": hdf5plugin.Zstd(clevel=3)},
    {"compression": hdf5plugin.Zstd(clevel=3), "shuffle": True, "fletcher32": True},
    *[{"compression": hdf5plugin.Blosc(name, 5, shuffle)}
      for name in ("blosclz", "lz4", "lz4hc", "zlib", "zstd") for shuffle in (0, 1, 2)],
    {"compression": "lzf"},
    {"compression": "lzf", "shuffle": True, "fletcher32": True},
    {"compression": hdf5plugin.LZ4()},
    {"compression": hdf5plugin.BZip2()},
    *[{"compression": hdf5plugin.Bitshuffle(cname=name)} for name in ("none", "lz4", "zstd")],
]

# Of those, what is not for cells of variable length.
ONLY_FIXED = (hdf5plugin.Blosc, hdf5plugin.LZ4, hdf5plugin.Bitshuffle)


def cells(dtype):
    """7 values, again and again, which begin elsewhere in every row."""
    if dtype == "S1":
        return np.resize(np.array([b"%c" % (97 + k) for k in range(7)], "S1"), SHAPE)
    return np.resize(oracle.values((7,), dtype), SHAPE).astype(dtype)


def put(group, name, dtype, **more):
    """dtype None: variable-length strings."""
    if dtype is None:
        words = np.array([f"{'é' * (k % 5)}{k}" for k in range(7)], object)
        return group.create_dataset(name, data=np.resize(words, SHAPE), dtype=h5py.string_dtype(),
                                    **more)
    return group.create_dataset(name, data=cells(dtype), **more)


def hdf5(tmp):
    """One file for the oldest and one for the newest of HDF5's formats."""
    for libver in ("earliest", "latest"):
        path = f"{tmp}/matrix_{libver}.h5"
        made = 0
        with h5py.File(path, "w", libver=libver) as h:
            for dtype in [*TYPES, None]:
                g = h.create_group(oracle.label(dtype or "vlen"))
                put(g, "contiguous", dtype)
                compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                compact.set_layout(h5py.h5d.COMPACT)
                put(g, "compact", dtype, dcpl=compact)
                for i, more in enumerate(FILTERS):
                    # of variable length: not suitable, says libhdf5, and the blosc plugin crashes
                    if dtype or not ("fletcher32" in more or isinstance(
                            more.get("compression"), ONLY_FIXED)):
                        put(g, f"filters{i}", dtype, chunks=CHUNK, **more)
                made += len(g)
        got = oracle.compare_cells(path)
        check(len([r for r in got if "fnv1a" in r]) == made, f"{path}: a dataset is missing")


# ---- NetCDF-4 ---------------------------------------------------------------------------------

# What netCDF4's createVariable wants.
STORAGE = [
    {"contiguous": True},
    {"chunksizes": CHUNK},
    {"chunksizes": CHUNK, "compression": "zlib", "shuffle": False},
    {"chunksizes": CHUNK, "compression": "zlib"},
    {"chunksizes": CHUNK, "compression": "zlib", "fletcher32": True},
    {"chunksizes": CHUNK, "compression": "zstd", "shuffle": False},
    {"chunksizes": CHUNK, "compression": "blosc_lz4", "shuffle": False, "blosc_shuffle": 1},
    {"chunksizes": CHUNK, "compression": "blosc_zstd", "shuffle": False, "blosc_shuffle": 2},
]
NUMBERS4 = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]


def write_netcdf4(path):
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("y", SHAPE[0])
        nc.createDimension("x", SHAPE[1])
        nc.createDimension("len", SHAPE[1])
        nc.createDimension("time", None)
        for i, more in enumerate(STORAGE):
            for t in NUMBERS4:
                for order in ("little", "big") if t[1] != "1" else ("native",):
                    v = nc.createVariable(f"s{i}_{t}_{order}", t, ("y", "x"), endian=order, **more)
                    v[...] = cells(t)
            nc.createVariable(f"s{i}_char", "S1", ("y", "len"), **more)[...] = cells("S1")
            if "compression" not in more:
                words = nc.createVariable(f"s{i}_words", str, ("y", "x"), **more)
                words[...] = np.array([f"wörd {k}" for k in range(words.size)], object).reshape(SHAPE)
        for t in NUMBERS4:  # longer than what was written: the rest is fill
            v = nc.createVariable(f"record_{t}", t, ("time", "x"), fill_value=7)
            v[:3] = oracle.values((3, SHAPE[1]), t)
        nc.createVariable("longest", "i1", ("time",))[:6] = np.arange(6)


def netcdf4(tmp):
    path = f"{tmp}/matrix.nc"
    write_netcdf4(path)
    p, got = oracle.rows(path)
    oracle.compare_netcdf(path, got)
    lines = {r["path"][1:]: r for r in got if "path" in r}
    with netCDF4.Dataset(path) as nc, h5py.File(path) as h:
        nc.set_auto_mask(False)
        nc.set_auto_chartostring(False)
        for name, v in nc.variables.items():
            a = np.asarray(v[...])
            if a.dtype.kind == "S":  # the last axis is the string
                want = oracle.string_bytes(row.tobytes() for row in a)
            elif a.dtype.kind == "O":
                want = oracle.string_bytes(a.ravel().tolist())
            else:
                want = a.astype(a.dtype.newbyteorder("<")).tobytes()
            if check(fnv1a(want) == lines.get(name, {}).get("fnv1a"),
                     f"{path}: {name}: {lines.get(name)}, want {a}"):
                if name.startswith("record"):
                    support.listed("netcdf4-other", "variables shorter than their unlimited "
                                   "dimension: the rest is fill", "netCDF4")
                support.matrix("netcdf4-read", support.hdf5_feature(h[name].id.get_create_plist()),
                               *support.hdf5_type(h[name]), "netCDF4")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dump", default=os.environ.get("CM_DUMP", "build/debug/tests/cm_dump"))
    options = parser.parse_args()
    oracle.DUMP = os.path.abspath(options.dump)
    for number, part in enumerate((hdf5, netcdf4), 1):
        before = len(FAILED)
        with tempfile.TemporaryDirectory() as tmp, support.recording():
            part(tmp)
        print(f"{'ok' if len(FAILED) == before else 'not ok'} {number} - {part.__name__}")
    print(f"1..2\n# {count()} comparisons, {len(FAILED)} failed")
    return bool(FAILED)


if __name__ == "__main__":
    sys.exit(main())
