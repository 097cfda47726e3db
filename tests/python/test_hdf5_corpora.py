#!/usr/bin/env python3
"""Every HDF5 file of the corpora: what h5py reads, read by tests/cm_dump, and what is refused.

    python test_hdf5_corpora.py [--dump PROGRAM, else $CM_DUMP] [--only PART OF A PATH] [--write]

CM_TEST_DATA names the folder of the corpora. Compared are, with h5py: every dataset, also behind
soft and external links, its shape, type, every cell, its attributes, and the place, size and filter
mask of every chunk; with netCDF4-python, for .nc files, names and order of everything.

A variable (or an attribute's value) that h5py reads and we do not is refused: each is printed with
the reason, and each must be in tests/hdf5_refused.txt. That list may only shrink: one that is on it
and is read by now is a failure as well, until --write has taken it off.
"""
import argparse
import collections
import glob
import json
import os
import re
import sys

import test_hdf5_oracle as oracle  # leaves with 77 without h5py
from tally import FAILED, check, count, fnv1a

import h5py
import numpy as np

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "hdf5_refused.txt")
PATTERNS = ["hdf5-jhdf/*", "hdf5-pyfive/*", "kerchunk/*.nc", "kerchunk/*.h5", "kerchunk/*.hdf5",
            "netcdf4-python/*", "xarray-data/*.nc"]
# Too large to be read whole: 100 GB and 2^31 cells that were never written.
ENORMOUS = ["tiny_huge_1d_over_maxint.hdf5", "100B_max_dimension_size.hdf5"]
# libhdf5 1.10 reads it and 2.0 does not.
NEWER_LIBHDF5_FAILS = ["hdf5-jhdf/var-length-strings-reused.hdf5:/a0"]
# Scales under several names: netCDF-C takes the last name, we take the first.
OTHER_DIMENSIONS = ["air_linked.nc"]
RESERVED = {"CLASS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST", "_Codecs", "_Format", "_IsNetcdf4",
            "_NCProperties", "_Netcdf4Coordinates", "_Netcdf4Dimid", "_SuperblockVersion",
            "_nc3_strict", "_ARRAY_DIMENSIONS"}

Seen = collections.namedtuple("Seen", "variables attributes refused chunks")
SEEN = Seen(set(), set(), {}, collections.Counter())


# ---- what h5py reads --------------------------------------------------------------------------

def datasets(h):
    """Path -> dataset, each group once, soft and external links to datasets followed."""
    found = {}

    def walk(g, path, seen):
        for name in g:
            link = g.get(name, getlink=True)
            try:
                o = g[name]
            except Exception:  # a dangling link, an object that libhdf5 cannot open
                continue
            if isinstance(o, h5py.Dataset):
                found[f"{path}/{name}"] = o
            elif isinstance(o, h5py.Group) and isinstance(link, h5py.HardLink):
                addr = h5py.h5o.get_info(o.id).addr
                if addr not in seen:
                    seen.add(addr)
                    walk(o, f"{path}/{name}", seen)
    walk(h, "", {h5py.h5o.get_info(h.id).addr})
    return found


# ---- comparing --------------------------------------------------------------------------------

def refuse(key, reason):
    SEEN.refused[key] = re.sub(r"\s+", " ", reason)


def compare_variable(key, path, where, d, mine):
    """One dataset; mine: cm_dump's line, or None."""
    try:
        want = oracle.cells_of(d) if os.path.basename(path) not in ENORMOUS else b""
    except Exception as why:
        if mine is not None and "fnv1a" in mine and key not in NEWER_LIBHDF5_FAILS:
            check(False, f"{key}: libhdf5 says {why}, we read it")
        return
    SEEN.variables.add(key)
    if mine is None:
        refuse(key, "is not listed")
        return
    if "problem" in mine:
        check(mine["problem"]["code"] in ("CM_EUNSUP", "CM_ELIMIT"), f"{key}: {mine['problem']}")
        refuse(key, mine["problem"]["message"])
        return
    if not check("error" not in mine, f"{key}: {mine.get('error')}"):
        return
    if not check(want is not None, f"{key}: {d.dtype} was read as {mine['dtype']}"):
        return
    char = d.shape is not None and oracle.is_char(d) and mine["shape"] == list(d.shape[:-1])
    shape = list(d.shape or (0,)) if d.shape != () else []
    shape += d.dtype.subdtype[1] if d.dtype.subdtype else ()
    longer = len(mine["shape"]) == len(shape) and all(a >= b for a, b in zip(mine["shape"], shape))
    if not check(mine["shape"] == shape or char or (longer and path.endswith(".nc")),
                 f"{key}: shape {mine['shape']}, want {shape}"):
        return
    if os.path.basename(path) in ENORMOUS or (mine["shape"] != shape and not char):
        return
    if len(want) <= 20000:
        check(fnv1a(want) == mine["fnv1a"], f"{key} {d.dtype} {d.shape}: cells: {mine['first']}")
    else:
        raw = oracle.dump(path, "--format", "hdf5", "--raw", where).stdout
        check(raw == want, f"{key} {d.dtype} {d.shape}: cells differ (raw)")


def text(v):
    """What JSON has of a string of h5py's; None when it is not UTF-8: then it is no comparison."""
    v = v.encode("utf-8", "surrogateescape") if isinstance(v, str) else bytes(v)
    try:
        return v.replace(b"\0", b"").decode("utf-8")
    except UnicodeDecodeError:
        return None


def attribute_value(h, v, opaque=False):
    """As ours: one value is a scalar, several are a list; of what is no number see oracle.json_cell."""
    if isinstance(v, h5py.Empty):
        return "" if h5py.check_string_dtype(v.dtype) or v.dtype.kind == "S" else []
    if isinstance(v, (str, bytes)):
        return text(v)
    if isinstance(v, h5py.Reference):
        return oracle.reference_text(h, v)
    a = np.asarray(v)
    if opaque or a.dtype.kind not in "biufcOSU" or h5py.check_dtype(vlen=a.dtype) or h5py.check_dtype(ref=a.dtype):
        if isinstance(v, np.ndarray) and a.dtype.kind == "O" and a.ndim == 0:
            a = a.reshape(1)
        return oracle.json_cell(h, a.reshape(-1)[0] if a.size == 1 and a.ndim < 2 else a, a.dtype)
    if a.dtype.kind in "OSU":
        items = a.ravel().tolist()
        if not all(isinstance(x, (str, bytes)) for x in items):
            return oracle.json_cell(h, items[0] if a.size == 1 and a.ndim < 2 else a, a.dtype)
        flat = [text(x) for x in items]
        if a.size == 1 and a.ndim < 2:
            return flat[0]
        return np.array(flat, object).reshape(a.shape).tolist()
    if a.dtype.kind == "c":
        a = np.stack([a.real, a.imag], -1)
        return a.reshape(2).tolist() if a.size == 2 and a.ndim < 3 else a.tolist()
    return a.reshape(-1)[0].item() if a.size == 1 and a.ndim < 2 else a.tolist()


def compare_attributes(h, key, attributes, mine):
    """Every attribute of h5py's; ours may have more: an enum's flag_values and flag_meanings."""
    for name in attributes:
        if name in RESERVED:
            continue
        if not check(name in mine, f"{key}@{name} is missing"):
            continue
        try:
            a, v = attributes.get_id(name), attributes[name]
        except Exception:  # libhdf5 cannot read it
            continue
        base = h5py.check_vlen_dtype(a.dtype)
        if isinstance(base, np.dtype) and base.kind != "O" and isinstance(v, np.ndarray) and v.dtype.kind == "O":
            for i in np.ndindex(v.shape):
                v[i] = oracle.in_order(v[i], base)
        want = attribute_value(h, v, isinstance(a.get_type(), h5py.h5t.TypeOpaqueID))
        SEEN.attributes.add(f"{key}@{name}")
        got = mine[name]
        if got["value"] is None:
            refuse(f"{key}@{name}", "has no value")
        else:
            check(oracle.same(want, got["value"]) or want is None,
                  f"{key}@{name}: {got['value']!r}, want {want!r}")


def compare_chunks(key, path, d, got):
    """Place, size and filter mask of every chunk against Dataset.id.get_chunk_info."""
    if d.shape is None or d.chunks is None or 0 in d.shape or d.file.filename != path:
        return
    space = d.id.get_space()
    theirs = [d.id.get_chunk_info(i, space) for i in range(d.id.get_num_chunks(space))]
    want = sorted([tuple(o // c for o, c in zip(t.chunk_offset, d.chunks)), t.byte_offset, t.size, t.filter_mask]
                  for t in theirs)
    nd = len(got[0][0]) if got else d.ndim  # one less for char arrays
    want = [[list(w[0][:nd]), *w[1:]] for w in want]
    check(want == got, f"{key}: chunks: {[g for g in got if g not in want][:3]}, want {want[:3]}")
    SEEN.chunks["chunks"] += len(want)


def compare_file(path):
    short = "/".join(path.split("/")[-2:])
    options = ["--no-values"] if os.path.basename(path) in ENORMOUS else ["--chunk-list"]
    p = oracle.dump(path, "--format", "hdf5", *options)
    lines = [json.loads(x) for x in p.stdout.decode().splitlines() if x.startswith("{")]
    if not check(lines, f"{short}: {p.stderr.decode()[:300]}"):
        return
    mine = {r["path"]: r for r in lines if "path" in r}
    groups = {r["group"]: r for r in lines if "group" in r}
    try:
        h = h5py.File(path, "r")
    except OSError as why:
        print(f"# {short}: libhdf5 does not open it: {why}")
        return
    with h:
        for where, d in datasets(h).items():
            if oracle.is_only_dimension(d):
                continue
            ours = where.replace("_nc4_non_coord_", "")
            key = f"{short}:{ours}"
            r = mine.get(ours)
            compare_variable(key, path, ours, d, r)
            if r is not None:
                compare_attributes(h, key, d.attrs, r["attrs"])
            if r is not None and "chunk_list" in r:
                compare_chunks(key, path, d, r["chunk_list"])
        for where, r in groups.items():
            compare_attributes(h, f"{short}:{where}", h[where].attrs, r["attrs"])
    if path.endswith(".nc"):
        oracle.compare_netcdf(path, lines, dims=os.path.basename(path) not in OTHER_DIMENSIONS)


# ---- the list ---------------------------------------------------------------------------------

HEAD = """# What h5py reads in the corpora of CM_TEST_DATA and chunkmill does not: FILE:VARIABLE, or
# FILE:OBJECT@ATTRIBUTE for a value. tests/python/test_hdf5_corpora.py compares, and fails for
# whatever is refused and not here, and for what is here and read. This list may only shrink.
"""


def kept_list():
    with open(LIST, encoding="utf-8") as f:
        return {line.split("\t")[0] for line in f if line.strip() and not line.startswith("#")}


def compare_list(write):
    first = not os.path.exists(LIST)
    old = set() if first else kept_list()
    for key, reason in sorted(SEEN.refused.items()):
        check(first or key in old, f"{key} is refused and not on the list: {reason}")
    if write and (first or set(SEEN.refused) <= old):
        with open(LIST, "w", encoding="utf-8") as f:
            f.write(HEAD)
            f.writelines(f"{key}\t{reason}\n" for key, reason in sorted(SEEN.refused.items()))
        return
    for key in sorted(old - set(SEEN.refused)):
        check(False, f"{key} is on the list of what is refused, and is read: take it off (--write)")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--dump", default=os.environ.get("CM_DUMP", "build/debug/tests/cm_dump"))
    ap.add_argument("--only")
    ap.add_argument("--write", action="store_true")
    options = ap.parse_args()
    top = os.environ.get("CM_TEST_DATA")
    if not top:
        print("1..0 # SKIP CM_TEST_DATA is not set: no corpora to compare with")
        return 77
    oracle.DUMP = os.path.abspath(options.dump)
    n = 0
    for path in sorted(p for pattern in PATTERNS for p in glob.glob(f"{top}/{pattern}")):
        with open(path, "rb") as f:
            if f.read(3) == b"CDF" or (options.only and options.only not in path):
                continue
        before = len(FAILED)
        compare_file(path)
        n += 1
        print(f"{'ok' if len(FAILED) == before else 'not ok'} {n} - {os.path.basename(path)}")
    variables = [k for k in SEEN.refused if "@" not in k]
    for reason, keys in sorted(collections.Counter(SEEN.refused.values()).items(), key=lambda x: -x[1]):
        print(f"# refused {keys:4} {reason}")
    for key, reason in sorted(SEEN.refused.items()):
        print(f"# refused {key}: {reason}")
    total = len(SEEN.variables)
    print(f"# {total - len(variables)} of {total} variables that h5py reads are read "
          f"({100 * (total - len(variables)) / max(total, 1):.2f} %), "
          f"{len(SEEN.refused) - len(variables)} of {len(SEEN.attributes)} attributes have no value, "
          f"{SEEN.chunks['chunks']} chunks are where libhdf5 says")
    if not options.only:
        before = len(FAILED)
        compare_list(options.write)
        check(total and len(variables) <= 0.05 * total, f"{len(variables)} of {total} are refused")
        n += 1
        print(f"{'ok' if len(FAILED) == before else 'not ok'} {n} - the list of what is refused")
    print(f"1..{n}\n# {count()} comparisons, {len(FAILED)} failed")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
