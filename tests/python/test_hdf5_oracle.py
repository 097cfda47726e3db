#!/usr/bin/env python3
"""HDF5 and netCDF-4 files written by h5py, netCDF4-python and h5netcdf, read by tests/cm_dump.

    python test_hdf5_oracle.py [--dump PROGRAM, else $CM_DUMP] [--only NAME]

Cells are compared with h5py's, byte for byte, missing chunks included; names, lengths and order of
dimensions, variables and attributes with netCDF4-python's. A variable is either equal or refused by
name, and which ones may be refused is part of each test. Exit status 77 when the libraries are missing.
"""
import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")
try:
    import h5py
    import numpy as np
except ImportError as why:
    print(f"1..0 # SKIP {why}")
    sys.exit(77)

import support
from h5_cells import (cells_of, fixed_bytes, in_order, in_rows, is_char, is_only_dimension, json_cell, plain,  # noqa: F401
                      reference_text, same, string_bytes)
from tally import FAILED, check, count, fnv1a

try:  # before netCDF4, which brings filters of its own
    import hdf5plugin
except ImportError:
    hdf5plugin = None
try:
    import netCDF4
except ImportError:
    netCDF4 = None
try:
    import h5netcdf
except ImportError:
    h5netcdf = None

DUMP = None


def dump(path, *options):
    return subprocess.run([DUMP, *options, path], capture_output=True, timeout=120)


def rows(path):
    p = dump(path, "--format", "hdf5")
    out = [json.loads(line) for line in p.stdout.decode().splitlines() if line.startswith("{")]
    return p, out


# ---- what h5py sees -----------------------------------------------------------------------------

def datasets(h):
    found = {}

    def walk(g, path, seen):
        for name in g:
            link = g.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                continue
            try:
                o = g[name]
            except Exception:
                continue
            where = f"{path}/{name}"
            if isinstance(o, h5py.Dataset):
                found[where] = o
            elif isinstance(o, h5py.Group):
                addr = h5py.h5o.get_info(o.id).addr
                if addr not in seen:
                    seen.add(addr)
                    walk(o, where, seen)
    walk(h, "", {h5py.h5o.get_info(h.id).addr})
    return found


def compare_cells(path, may_refuse=(), must_refuse=None, shorter=()):
    """Every dataset's cells; refusals only of names in may_refuse ("*": any). Returns cm_dump's rows."""
    p, got = rows(path)
    name = os.path.basename(path)
    if not check(got, f"{name}: {p.stderr.decode()[:300]}"):
        return []
    mine = {r["path"]: r for r in got if "path" in r}
    refused = {k: r["problem"] for k, r in mine.items() if "problem" in r}
    try:
        h = h5py.File(path, "r")
    except Exception as why:
        print(f"# {name}: h5py does not open it: {why}")
        return got
    with h:
        for where, d in datasets(h).items():
            if is_only_dimension(d):
                head, _, tail = where.rpartition("/")
                check(f"{head}/_nc4_non_coord_{tail}" in h or where not in mine, f"{name}:{where}: is only a dimension")
                continue
            key = where.replace("_nc4_non_coord_", "")
            if not check(key in mine, f"{name}:{where} is missing"):
                continue
            r = mine[key]
            if key in refused:
                check("*" in may_refuse or key in may_refuse, f"{name}:{where} refused: {refused[key]}")
                check(refused[key]["code"] == "CM_EUNSUP", f"{name}:{where}: {refused[key]}")
                continue
            if key in shorter:
                continue
            try:
                want = cells_of(d)
            except Exception as why:  # libhdf5 cannot read it (a plugin is missing, it is damaged)
                want = why
            if want is None:
                check(False, f"{name}:{where}: {d.dtype} was read as {r.get('dtype')}")
            elif isinstance(want, Exception):
                check("error" in r, f"{name}:{where}: libhdf5 says {want}, we read it")
            elif "error" in r:
                check(False, f"{name}:{where}: {r['error']}")
            else:
                equal = (fnv1a(want) == r["fnv1a"] if len(want) <= 20000 else
                         dump(path, "--format", "hdf5", "--raw", key).stdout == want)
                if check(equal, f"{name}:{where} {d.dtype} {d.shape}: cells differ: {r['first']}"):
                    support.hdf5_dataset(h, d)
    if must_refuse is not None:
        for key, text in must_refuse.items():
            if check(key in refused and text in refused[key]["message"], f"{name}:{key}: {refused.get(key)}, want {text}"):
                support.refused("HDF5", key[1:].replace("_", " "), refused[key]["message"])
    return got


# ---- what netCDF4-python sees -------------------------------------------------------------------

def compare_attributes(where, nc, mine):
    names = [a for a in nc.ncattrs()]
    if isinstance(getattr(nc, "datatype", None), netCDF4.EnumType):  # as CF has an enum's names
        mine = {a: mine[a] for a in mine if a in names or a not in ("flag_values", "flag_meanings")}
    check(names == list(mine), f"{where}: attributes {list(mine)}, want {names}")
    for a in names:
        if a not in mine:
            continue
        try:
            v = nc.getncattr(a)
        except Exception:
            continue
        want, got = plain(v), in_rows(mine[a]["value"])
        if mine[a]["dtype"].startswith("complex"):
            continue
        if isinstance(want, str) and "\ufffd" in want:
            continue
        check(same(want, got), f"{where}@{a}: {got!r}, want {want!r}")
        if isinstance(v, (np.ndarray, np.generic)) and v.dtype.kind in "iuf":
            check(mine[a]["dtype"] == v.dtype.name, f"{where}@{a}: {mine[a]['dtype']}, want {v.dtype.name}")


def compare_netcdf(path, got, shorter=(), dims=True):
    """Groups, dimensions, variables, attributes in order; cells of the variables in `shorter`."""
    if netCDF4 is None:
        return
    before = len(FAILED)
    name = os.path.basename(path)
    try:
        nc = netCDF4.Dataset(path)
    except Exception as why:
        print(f"# {name}: netCDF4 does not open it: {why}")
        return
    nc.set_auto_mask(False)
    nc.set_auto_scale(False)
    groups, group = {}, None
    for r in got:
        if "group" in r:
            group = r["group"]
            groups[group] = (r, [])
        else:
            groups[r["path"].rpartition("/")[0] or "/"][1].append(r)

    def walk(g):
        where = g.path
        if not check(where in groups, f"{name}: group {where} is missing"):
            return
        row, variables = groups[where]
        chars = {d.dimensions[-1] for d in g.variables.values() if d.dtype == "S1" and d.dimensions}
        want = [[d.name, len(d), d.isunlimited()] for d in g.dimensions.values()]
        kept = [d for d in want if d in row["dimensions"] or d[0] not in chars]
        if dims:
            check(kept == row["dimensions"], f"{name}:{where}: dimensions {row['dimensions']}, want {want}")
        compare_attributes(f"{name}:{where}", g, row["attrs"])
        mine = {r["path"].rpartition("/")[2]: r for r in variables}
        order = [v for v in mine if v in g.variables]
        check(order == list(g.variables), f"{name}:{where}: variables {list(mine)}, want {list(g.variables)}")
        for v, var in g.variables.items():
            if v not in mine:
                continue
            r = mine[v]
            compare_attributes(f"{name}:{where}:{v}", var, r["attrs"])
            if "problem" in r:
                continue
            nd = len(r["dims"])
            if dims:
                check(list(var.dimensions)[:nd] == r["dims"], f"{name}:{v}: {r['dims']}, want {var.dimensions}")
                check(list(var.shape)[:nd] == r["shape"], f"{name}:{v}: {r['shape']}, want {var.shape}")
            if r["path"] in shorter:
                var.set_auto_chartostring(False)
                a = np.asarray(var[...])
                want = string_bytes(a.ravel().tolist()) if a.dtype.kind in "OS" else a.astype(a.dtype.newbyteorder("<")).tobytes()
                check(fnv1a(want) == r["fnv1a"], f"{name}:{v}: extended cells differ: {r['first']} {r['last']}")
        for child in g.groups.values():
            walk(child)
    walk(nc)
    nc.close()
    if dims and len(FAILED) == before:
        support.listed("netcdf4-other", "groups, dimensions, variables, attributes: names, order, values", "netCDF4")


# ---- files --------------------------------------------------------------------------------------

TESTS = {}


def test(fn):
    TESTS[fn.__name__] = fn
    return fn


def values(shape, dtype, salt=0):
    n = int(np.prod(shape, dtype=np.int64))
    t = np.dtype(dtype)
    i = np.arange(n, dtype=np.int64) + salt
    if t.kind == "b":
        a = (i * 7 // 3) % 2 == 0
    elif t.kind == "c":
        a = (i * 1.5 - 3) + 1j * (i * 0.25)
    elif t.kind == "f":
        a = i * 0.75 - 11
    elif t.kind == "S":
        a = np.array([b"s%d" % (k * k) if k % 3 else b"" for k in i])
    else:
        a = i * 2654435761 + 13
        a = a.astype(f"u{t.itemsize}") if t.kind == "u" else a.astype(f"i{t.itemsize}")
    return a.astype(t).reshape(shape)


NUMBERS = ["i1", "u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8", "<u8",
           ">u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "<c8", ">c8", "<c16", ">c16", "?"]
LIBVERS = ["earliest", "v108", "v110", "latest"]
PIPELINES = [{}, {"compression": "gzip", "compression_opts": 1}, {"shuffle": True}, {"fletcher32": True},
             {"compression": "gzip", "shuffle": True, "fletcher32": True},
             {"compression": "gzip", "compression_opts": 9, "shuffle": True}]


def label(t):
    return t.replace("<", "le_").replace(">", "be_").replace("?", "bool")


@test
def types_and_layouts(tmp):
    for libver in LIBVERS:
        path = f"{tmp}/types_{libver}.h5"
        with h5py.File(path, "w", libver=libver) as h:
            for t in NUMBERS + ["S1", "S7"]:
                g = h.create_group(label(t))
                g.create_dataset("scalar", data=values((), t, 5))
                g.create_dataset("contiguous", data=values((5, 3), t))
                g.create_dataset("chunked", data=values((7, 5), t), chunks=(3, 2))
                g.create_dataset("gzip", data=values((9, 4, 3), t), chunks=(4, 4, 2), compression="gzip")
                g.create_dataset("empty", shape=(0, 4), dtype=t)
                g.create_dataset("unlimited", data=values((6, 2), t), chunks=(4, 2), maxshape=(None, 2))
                plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                plist.set_layout(h5py.h5d.COMPACT)
                a = values((3, 2), t)
                d = h5py.h5d.create(g.id, b"compact", h5py.h5t.py_create(a.dtype, logical=True),
                                    h5py.h5s.create_simple(a.shape), plist)
                d.write(h5py.h5s.ALL, h5py.h5s.ALL, a)
        got = compare_cells(path, may_refuse=["/S1/chunked", "/S1/gzip"])
        check(len([r for r in got if "path" in r]) == 7 * (len(NUMBERS) + 2), f"{path}: a dataset is missing")


@test
def filters(tmp):
    for libver in LIBVERS:
        path = f"{tmp}/filters_{libver}.h5"
        with h5py.File(path, "w", libver=libver) as h:
            for i, p in enumerate(PIPELINES):
                for t in ["<i2", ">f8", "u1", "S5", "<c16"]:
                    h.create_dataset(f"p{i}_{label(t)}", data=values((23, 17), t, i), chunks=(5, 4), **p)
                    d = h.create_dataset(f"q{i}_{label(t)}", shape=(23, 17), dtype=t, chunks=(5, 4),
                                         maxshape=(None, None), **p)
                    d[3:8, 5:6] = values((5, 1), t, i)
                h.create_dataset(f"wide{i}", data=values((40, 30, 20), "<i4"), chunks=(7, 30, 6), **p)
        compare_cells(path)


@test
def masks(tmp):
    import zlib
    path = f"{tmp}/masks.h5"
    with h5py.File(path, "w") as h:
        d = h.create_dataset("x", shape=(8, 4), dtype="<i4", chunks=(2, 4), shuffle=True, compression="gzip")
        for k in range(4):
            a = values((2, 4), "<i4", 10 * k)
            shuffled = np.ascontiguousarray(a.reshape(-1).view("u1").reshape(-1, 4).T).tobytes()
            raw = {0: zlib.compress(shuffled), 1: zlib.compress(a.tobytes()), 2: shuffled, 3: a.tobytes()}[k]
            d.id.write_direct_chunk((2 * k, 0), raw, filter_mask=k)
        # a filter that is not known, but optional and skipped by every chunk: readable
        if hdf5plugin:
            d = h.create_dataset("skipped", shape=(6,), dtype="<i4", chunks=(3,), shuffle=True, fletcher32=True,
                                 compression=hdf5plugin.Blosc2())
            for k in range(2):
                a = values((3,), "<i4", 7 * k)
                d.id.write_direct_chunk((3 * k,), a.tobytes(), filter_mask=7)
            d = h.create_dataset("unknown", shape=(6,), dtype="<i4", chunks=(3,), compression=hdf5plugin.Blosc2())
            d[3:] = [4, 4, 4]
            d.id.write_direct_chunk((0,), values((3,), "<i4").tobytes(), filter_mask=1)
        d = h.create_dataset("mixed", shape=(6,), dtype="<i4", chunks=(3,), compression="lzf")
        d[3:] = [4, 4, 4]
        d.id.write_direct_chunk((0,), values((3,), "<i4").tobytes(), filter_mask=1)
    want = {"/unknown": "filter 32026 (blosc2)"} if hdf5plugin else {}
    compare_cells(path, may_refuse=want, must_refuse=want)


@test
def fill_values(tmp):
    for libver in LIBVERS:
        path = f"{tmp}/fill_{libver}.h5"
        with h5py.File(path, "w", libver=libver) as h:
            for t in NUMBERS + ["S4"]:
                fill = {"b": True, "c": 2 + 3j, "S": b"ab"}.get(np.dtype(t).kind, 7)
                h.create_dataset(f"chunked_{label(t)}", shape=(5, 6), dtype=t, chunks=(2, 4), fillvalue=fill)[2:4, 4:] = 1 if np.dtype(t).kind != "S" else b"zz"
                h.create_dataset(f"never_{label(t)}", shape=(5, 6), dtype=t, fillvalue=fill)
                h.create_dataset(f"default_{label(t)}", shape=(5, 6), dtype=t)
                h.create_dataset(f"nochunk_{label(t)}", shape=(5, 6), dtype=t, chunks=(5, 3))
            h.create_dataset("vlen", shape=(4,), dtype=h5py.string_dtype(), fillvalue="filler", chunks=(2,))[:2] = ["a", "bc"]
            h.create_dataset("vlen_none", shape=(4,), dtype=h5py.string_dtype())
            for when, alloc in ((h5py.h5d.FILL_TIME_NEVER, h5py.h5d.ALLOC_TIME_LATE), (h5py.h5d.FILL_TIME_ALLOC, h5py.h5d.ALLOC_TIME_EARLY)):
                p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                p.set_fill_time(when)
                p.set_alloc_time(alloc)
                p.set_chunk((2,))
                d = h5py.h5d.create(h.id, b"time%d" % when, h5py.h5t.STD_I32BE, h5py.h5s.create_simple((4,)), p)
                d.write(h5py.h5s.ALL, h5py.h5s.ALL, values((4,), "i4"))
        # libhdf5 itself cannot read a string fill value from a file opened read-only
        got = {r["path"]: r for r in compare_cells(path, shorter=["/vlen"]) if "path" in r}
        check(got["/vlen"]["first"] == ["a", "bc", "filler", "filler"], f"{path}: {got['/vlen']}")


@test
def strings(tmp):
    for libver in LIBVERS:
        path = f"{tmp}/strings_{libver}.h5"
        with h5py.File(path, "w", libver=libver) as h:
            words = np.array(["", "å", "abc", "日本語 text", "x" * 300, "tail "], dtype=object)
            h["vlen"] = words
            h.create_dataset("vlen_chunked", data=np.array([f"{'w' * (k % 50)}{k}" for k in range(3000)], dtype=object),
                             dtype=h5py.string_dtype(), chunks=(70,), compression="gzip", shuffle=True)
            h.create_dataset("vlen_big", data=np.array(["y" * 70000, "z"], dtype=object), dtype=h5py.string_dtype("ascii"))
            h.create_dataset("vlen_2d", data=words.reshape(2, 3), dtype=h5py.string_dtype())
            h.create_dataset("vlen_scalar", data="one", dtype=h5py.string_dtype())
            t = h5py.string_dtype("utf-8", 12)
            h.create_dataset("utf8_fixed", shape=(3,), dtype=t)[...] = np.array(["é".encode(), b"ab", b""], t)
            for pad in (h5py.h5t.STR_NULLTERM, h5py.h5t.STR_NULLPAD, h5py.h5t.STR_SPACEPAD):
                t = h5py.h5t.C_S1.copy()
                t.set_size(6)
                t.set_strpad(pad)
                d = h5py.h5d.create(h.id, b"pad%d" % pad, t, h5py.h5s.create_simple((4,)))
                raw = np.frombuffer(b"ab\0c\0\0" b"abc   " b"abcdef" b"\0\0\0\0\0\0", dtype="S6")
                d.write(h5py.h5s.ALL, h5py.h5s.ALL, raw, mtype=t)
            h.create_dataset("chars", data=np.frombuffer(b"hello\0wor\0\0\0", "S1").reshape(2, 6), chunks=(1, 6))
            h.create_dataset("chars_wide", data=np.frombuffer(b"hello\0wor\0\0\0", "S1").reshape(2, 6), chunks=(2, 9), maxshape=(None, None), compression="gzip")
            h.create_dataset("chars_split", data=np.frombuffer(b"hello\0wor\0\0\0", "S1").reshape(2, 6), chunks=(2, 3))
            h.create_dataset("char_1d", data=np.frombuffer(b"hello", "S1"))
        compare_cells(path, may_refuse=["/chars_split"], must_refuse={"/chars_split": "char array"})


@test
def file_shapes(tmp):
    """User blocks, widths of offsets and lengths, superblock versions."""
    for block in (0, 512, 4096):
        for libver in ("earliest", "latest"):
            path = f"{tmp}/block_{block}_{libver}.h5"
            with h5py.File(path, "w", userblock_size=block, libver=libver) as h:
                h["a"] = values((9, 5), "<i4")
                h.create_dataset("g/b", data=values((9, 5), ">f4"), chunks=(2, 5), compression="gzip")
                h["s"] = np.array(["u", "vw"], dtype=object)
            compare_cells(path)
    for off in (2, 4, 8):
        for length in (2, 4, 8):
            path = f"{tmp}/sizes_{off}_{length}.h5"
            fcpl = h5py.h5p.create(h5py.h5p.FILE_CREATE)
            fcpl.set_sizes(off, length)
            with h5py.File(h5py.h5f.create(path.encode(), fcpl=fcpl)) as h:
                for k in range(5):  # more are a fractal heap, which libhdf5 itself cannot read with 2-byte lengths
                    h.create_dataset(f"d{k}", data=values((4, 3), "<i2", k), chunks=(3, 2))
                h["s"] = np.array(["u", "vw"], dtype=object)
                h.attrs["title"] = "widths"
            compare_cells(path)
    path = f"{tmp}/prepended.h5"
    with h5py.File(f"{tmp}/plain.h5", "w") as h:
        h.create_dataset("x", data=values((20,), "<i4"), chunks=(6,))
    with open(path, "wb") as out, open(f"{tmp}/plain.h5", "rb") as src:
        out.write(b"\x01" * 1024 + src.read())
    compare_cells(path)
    with open(path, "rb") as src, open(f"{tmp}/cut.h5", "wb") as out:
        out.write(src.read()[:-200])
    p, got = rows(f"{tmp}/cut.h5")
    check(not got and b"truncated" in p.stderr, f"cut.h5: {p.stderr}")


@test
def links(tmp):
    for libver in LIBVERS:
        path = f"{tmp}/links_{libver}.h5"
        with h5py.File(path, "w", libver=libver) as h:
            h["g/x"] = values((3,), "<i4")
            h["hard"] = h["g/x"]
            h["soft"] = h5py.SoftLink("/g/x")
            h["g/relative"] = h5py.SoftLink("x")
            h["g/twice"] = h5py.SoftLink("/soft")
            h["loop1"] = h5py.SoftLink("/loop2")
            h["loop2"] = h5py.SoftLink("/loop1")
            h["dangling"] = h5py.SoftLink("/nowhere/x")
            h["outside"] = h5py.ExternalLink("other.h5", "/y")
            h["g/up"] = h["/"]
            h["to_group"] = h5py.SoftLink("/g")
            h["type"] = np.dtype("<i4")
            d = h.create_dataset("committed", (3,), dtype=h["type"])
            d[...] = [1, 2, 3]
        refused = {"/loop1": "soft link", "/loop2": "soft link", "/dangling": "/nowhere/x", "/outside": "external link"}
        got = compare_cells(path, may_refuse=refused, must_refuse=refused)
        by = {r["path"]: r for r in got if "path" in r}
        want = fnv1a(values((3,), "<i4").tobytes())
        for name in ("/hard", "/soft", "/g/relative", "/g/twice"):
            check(by.get(name, {}).get("fnv1a") == want, f"links {libver}: {name}")
        check([r["group"] for r in got if "group" in r] == ["/", "/g"], "links: a group is listed twice")


@test
def many(tmp):
    """Dense links and attributes, deep version 2 B-trees, large old groups, deep groups."""
    for libver, track in (("earliest", False), ("v108", False), ("v108", True), ("latest", True)):
        path = f"{tmp}/many_{libver}_{track}.h5"
        with h5py.File(path, "w", libver=libver, track_order=track) as h:
            n = 30000 if track and libver == "v108" else 700
            g = h.create_group("wide", track_order=track)
            for k in range(n):
                g[f"link_with_a_long_name_{k:06d}"] = h5py.SoftLink(f"/x{k}")
            a = h.create_dataset("x", data=values((3,), "i4"), track_order=track)
            for k in range(600 if libver != "earliest" else 40):
                a.attrs[f"attr{k}"] = k * 1.5 if k % 2 else "v" * (k % 90)
            if libver != "earliest":
                a.attrs["huge"] = np.arange(20000)
            g = h
            for k in range(60):
                g = g.create_group(f"level{k}")
            g["deep"] = values((2,), "<u2")
        got = compare_cells(path, may_refuse=["*"])
        check(sum("problem" in r for r in got) == n, f"{path}: {sum('problem' in r for r in got)} links")
        x = next((r for r in got if r.get("path") == "/x"), None)
        with h5py.File(path, "r") as h:
            for k, v in h["x"].attrs.items():
                check(same(plain(v), x["attrs"].get(k, {}).get("value")), f"{path}@{k}")
        if libver != "earliest":
            names = [r["path"].split("/")[-1] for r in got if r.get("path", "").startswith("/wide")]
            check(names == sorted(names), f"{path}: links out of order")


@test
def attributes(tmp):
    for libver in LIBVERS:
        path = f"{tmp}/attributes_{libver}.h5"
        with h5py.File(path, "w", libver=libver) as h:
            x = h.create_dataset("x", data=[1, 2])
            for t in NUMBERS:
                x.attrs[f"one_{label(t)}"] = values((1,), t, 3)
                x.attrs[f"scalar_{label(t)}"] = values((), t, 4)
                x.attrs[f"three_{label(t)}"] = values((3,), t)
            x.attrs["words"] = np.array(["a", "bé", ""], dtype=object)
            x.attrs["word"] = "único"
            x.attrs["fixed"] = np.bytes_(b"fixed")
            x.attrs["fixeds"] = np.array([b"ab", b"c"])
            x.attrs["empty"] = h5py.Empty("f4")
            x.attrs["empty_text"] = h5py.Empty(h5py.string_dtype())
            x.attrs["none"] = np.zeros(0, "i2")
            x.attrs["matrix"] = np.arange(6, dtype="i2").reshape(2, 3)
            x.attrs["latin1"] = np.bytes_("caf\u00e9".encode("latin-1"))
            x.attrs["compound"] = np.array((1, 2.0), dtype=[("a", "i4"), ("b", "f8")])
            x.attrs["reference"] = h["x"].ref
        p, got = rows(path)
        mine = next(r for r in got if r.get("path") == "/x")["attrs"]
        with h5py.File(path, "r") as h:
            names = list(h["x"].attrs)
            check(sorted(names) == sorted(mine), f"{path}: attributes {sorted(set(names) ^ set(mine))}")
            for t in NUMBERS:
                for k in ("one", "scalar", "three"):
                    v = np.asarray(h["x"].attrs[f"{k}_{label(t)}"])
                    want = [[c.real, c.imag] for c in v.ravel().tolist()] if v.dtype.kind == "c" else v.ravel().tolist()
                    want = want if k == "three" else want[0]
                    check(same(want, mine[f"{k}_{label(t)}"]["value"]), f"{path}: {k} {t}: {mine[f'{k}_{label(t)}']} want {want}")
                    check(mine[f"{k}_{label(t)}"]["dtype"] == v.dtype.name, f"{path}: dtype of {k} {t}")
        for k, want in {"words": ["a", "bé", ""], "word": "único", "fixed": "fixed", "fixeds": ["ab", "c"], "empty": [],
                        "empty_text": "", "none": [], "matrix": [[0, 1, 2], [3, 4, 5]], "latin1": "café",
                        "compound": {"a": 1, "b": 2.0}, "reference": "/x"}.items():
            check(mine[k]["value"] == want, f"{path}: {k} is {mine[k]}, want {want}")
        check(b"latin1" in p.stderr, f"{path}: no warning about latin1")


@test
def refused(tmp):
    path = f"{tmp}/refused.h5"
    want = {}
    with h5py.File(path, "w") as h:
        h.create_dataset("wide float", data=np.zeros(2, "g"))
        want["/wide float"] = "float that is not IEEE"
        h.create_dataset("external", (4,), "i4", external=[("../raw.bin", 0, 16)])
        want["/external"] = "not below its own folder"
        h.create_dataset("missing", (4,), "i4", external=[("missing.bin", 0, 16)])
        want["/missing"] = "missing.bin, which is not there"
        h["fine"] = values((3,), "i4")
    compare_cells(path, may_refuse=want, must_refuse=want)


@test
def scales(tmp):
    """Dimension scales of h5py, axes without them, lengths that disagree."""
    path = f"{tmp}/scales.h5"
    with h5py.File(path, "w", track_order=True) as h:
        h["lat"] = values((4,), "f4")
        h["lon"] = values((5,), "f4")
        h["lat"].make_scale("latitude")
        h["lon"].make_scale()
        h["t"] = values((4, 5), "i2")
        h["t"].dims[0].attach_scale(h["lat"])
        h["t"].dims[1].attach_scale(h["lon"])
        h["u"] = values((4, 5, 4), "i2")
        h["p"] = values((6, 6), "i2")
        h["g/q"] = values((6, 4), "i2")
        h["g/r"] = values((4, 6, 9), "i2")
        h["g/r"].dims[0].attach_scale(h["lat"])
    got = compare_cells(path)
    by = {r["path"]: r for r in got if "path" in r}
    check(by["/t"]["dims"] == ["lat", "lon"], f"scales: {by['/t']['dims']}")
    check(by["/g/r"]["dims"][0] == "lat", f"scales: {by['/g/r']['dims']}")
    path2 = f"{tmp}/plain_phony.h5"
    with h5py.File(path2, "w") as h:
        h["a"] = values((4, 5), "i2")
        h["b"] = values((5, 4, 5), "i2")
        h.create_dataset("c", data=values((4, 5), "i2"), maxshape=(None, 5), chunks=(4, 5))
        h["g/a"] = values((4, 4), "i2")
        h["g/h/a"] = values((4, 3), "i2")
        h["z/a"] = values((7,), "i2")
        h["scalar"] = 3
    compare_netcdf(path2, compare_cells(path2))


def write_netcdf(path, fmt="NETCDF4"):
    with netCDF4.Dataset(path, "w", format=fmt) as nc:
        nc.setncattr("title", "a file")
        nc.setncattr("numbers", np.arange(4, dtype="i4" if "CLASSIC" in fmt else "i8"))
        nc.setncattr("nothing", "")
        nc.createDimension("time", None)
        nc.createDimension("y", 4)
        nc.createDimension("x", 6)
        nc.createDimension("unused", 11)
        nc.createDimension("strlen", 8)
        nc.createVariable("time", "f8", ("time",)).units = "days since 2000-01-01"
        v = nc.createVariable("tas", "f4", ("time", "y", "x"), zlib=True, shuffle=True, fletcher32=True,
                              chunksizes=(2, 4, 6), fill_value=-999.0)
        v.setncatts({f"att{k}": f"value {k}" for k in range(12)})
        nc.createVariable("x", "i2", ("x",), endian="big")[:] = values((6,), "i2")
        nc.createVariable("y", "f4", ("y",))[:] = values((4,), "f4")
        nc.createVariable("lat", "f8", ("y", "x"), contiguous=True)[:] = values((4, 6), "f8")
        v[0:5] = values((5, 4, 6), "f4")
        v[7] = values((4, 6), "f4", 4)
        nc.variables["time"][:] = np.arange(8)
        c = nc.createVariable("names", "S1", ("y", "strlen"))
        c[:] = netCDF4.stringtochar(np.array(["one", "two", "three", "fourfour"], "S8"))
        nc.createVariable("flag", "S1", ("time",))[:3] = np.array(["a", "b", "c"], "S1")
        nc.createVariable("mark", "S1", ("y", "x"))[:] = np.array(list("ab cdefgh\0ijklmnopqrstu  "[:24]), "S1").reshape(4, 6)
        nc.createVariable("scalar", "i4", ())[...] = 77
        nc.createVariable("packed", "i2", ("time", "y"), zlib=True)[:3] = values((3, 4), "i2")
        nc.createVariable("late", "i2", ("time", "x"))
        nc.createVariable("nofill", "f4", ("y",), fill_value=False)[:] = values((4,), "f4")
        if "CLASSIC" not in fmt:
            s = nc.createVariable("words", str, ("y",))
            for k in range(4):
                s[k] = "wörd" * k
            nc.createVariable("short_words", str, ("time",))[:2] = np.array(["ab", "c"], dtype=object)
            nc.createDimension("other", None)
            nc.createVariable("two", "u8", ("time", "other"))[:2, :3] = values((2, 3), "u8")
            nc.createVariable("wide", "i1", ("other",))[:9] = values((9,), "i1")
            nc.setncattr_string("one_string", "só")
            nc.setncattr("strings", ["a", "bc", ""])
            g = nc.createGroup("forecast")
            g.createDimension("x", 3)
            g.createVariable("x", "f4", ("x",))[:] = [3, 2, 1]
            g.createVariable("v", "i8", ("time", "x"))[:2] = values((2, 3), "i8")
            gg = g.createGroup("member")
            gg.createVariable("w", "u2", ("y", "x"))[:] = values((4, 3), "u2")
            gg.createVariable("only", "u2", ("unused",))[:] = values((11,), "u2")
            gg.comment = "nested"


# "two" is shorter along two axes: netCDF-C puts its cells in wrong places then, so it has its own test.
SHORTER = ["/flag", "/packed", "/late", "/wide", "/short_words", "/forecast/v"]


@test
def netcdf_files(tmp):
    if netCDF4 is None:
        print("# netCDF4 is missing: netcdf_files is left out")
        return
    for fmt in ("NETCDF4", "NETCDF4_CLASSIC"):
        path = f"{tmp}/{fmt}.nc"
        write_netcdf(path, fmt)
        got = compare_cells(path, shorter=SHORTER + ["/two"])
        compare_netcdf(path, got, shorter=SHORTER)
        if fmt == "NETCDF4":
            two = np.full((8, 9), 18446744073709551614, "<u8")
            two[:2, :3] = values((2, 3), "u8")
            mine = next(r for r in got if r.get("path") == "/two")
            check(mine["shape"] == [8, 9] and mine["fnv1a"] == fnv1a(two.tobytes()), f"{path}: two: {mine}")
    # a variable called like a dimension, not its coordinate; a multi-dimensional coordinate
    path = f"{tmp}/odd_names.nc"
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("a", 3)
        nc.createDimension("b", 2)
        nc.createDimension("c", None)
        nc.createVariable("b", "i4", ("a",))[:] = [1, 2, 3]
        nc.createVariable("a", "i4", ("a", "b"))[:] = values((3, 2), "i4")
        nc.createVariable("c", "f4", ("c", "a"))[:4] = values((4, 3), "f4")
        nc.createVariable("d", "f4", ("b", "a", "c"))[:] = values((2, 3, 4), "f4")
        nc.createVariable("e", "f4", ("a", "a"))[:] = values((3, 3), "f4")
    compare_netcdf(path, compare_cells(path))
    # many small variables, renamed and redefined
    path = f"{tmp}/renamed.nc"
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("n", 5)
        for k in range(60):
            nc.createVariable(f"v{59 - k}", "i4", ("n",))[:] = values((5,), "i4", k)
        nc.createVariable("n", "i4", ("n",))[:] = values((5,), "i4")
    with netCDF4.Dataset(path, "a") as nc:
        nc.renameVariable("v7", "renamed")
        nc.renameDimension("n", "m")
        nc.createVariable("last", "i4", ("m",))[:] = 3
    compare_netcdf(path, compare_cells(path))
    path = f"{tmp}/user_types.nc"
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("n", 3)
        ct = nc.createCompoundType(np.dtype([("a", "i4"), ("b", "f8")]), "pair")
        vt = nc.createVLType(np.int32, "ragged")
        et = nc.createEnumType(np.int8, "cloud", {"clear": 0, "cloudy": 1})
        nc.createVariable("compound", ct, ("n",))[:] = np.array([(1, 2.5), (3, 4.5), (5, -6.5)], [("a", "i4"), ("b", "f8")])
        nc.createVariable("vlen", vt, ("n",))[1] = np.arange(7, dtype="i4")
        nc.createVariable("enum", et, ("n",), fill_value=0)[:] = [0, 1, 0]
        nc.createVariable("fine", "f4", ("n",))[:] = [1, 2, 3]
    got = compare_cells(path)
    compare_netcdf(path, got)
    attrs = next(r["attrs"] for r in got if r.get("path") == "/enum")
    check(attrs["flag_values"]["value"] == [0, 1] and attrs["flag_values"]["dtype"] == "int8"
          and attrs["flag_meanings"]["value"] == "clear cloudy", f"{path}: {attrs}")


@test
def h5netcdf_files(tmp):
    if h5netcdf is None:
        print("# h5netcdf is missing: h5netcdf_files is left out")
        return
    path = f"{tmp}/h5netcdf.nc"
    with h5netcdf.File(path, "w") as f:
        f.dimensions = {"x": 5, "t": None, "plain": 3}
        f.create_variable("x", ("x",), float)[:] = np.arange(5)
        f.resize_dimension("t", 4)
        f.create_variable("v", ("t", "x"), "i2", fillvalue=-1)[2:3, :] = 8
        f.create_variable("/grp/w", ("x", "plain"), "f4", chunks=(2, 2), compression="gzip")[:] = values((5, 3), "f4")
        f.attrs["a"] = "b"
        f.variables["v"].attrs["units"] = "K"
        f.create_variable("s", ("plain",), h5py.string_dtype())[:] = np.array(["p", "q", ""], dtype=object)
    compare_netcdf(path, compare_cells(path))


@test
def chunk_counts(tmp):
    """B-trees of several levels, sparse tables, axes that grew and shrank."""
    for libver in LIBVERS:
        path = f"{tmp}/chunks_{libver}.h5"
        with h5py.File(path, "w", libver=libver) as h:
            h.create_dataset("line", data=values((9000,), "<i2"), chunks=(2,))
            h.create_dataset("square", data=values((120, 90), "<i2"), chunks=(3, 2), compression="gzip")
            d = h.create_dataset("sparse", shape=(1500, 2000), dtype="i1", chunks=(10, 10), maxshape=(None, None))
            d[5, 1999] = 3
            d = h.create_dataset("shrunk", data=values((50, 10), "<i4"), chunks=(4, 10), maxshape=(None, 10), fillvalue=5)
            d.resize((13, 10))
            d.resize((21, 10))
            d = h.create_dataset("grown", data=values((1, 3), "<i4"), chunks=(1, 2), maxshape=(None, None))
            for k in range(2, 60):
                d.resize((k, 3 + k // 9))
                d[k - 1] = k
            d = h.create_dataset("inner", shape=(3, 0, 4), dtype="f4", chunks=(1, 2, 4), maxshape=(3, None, 4))
            d.resize((3, 7, 4))
            d[...] = values((3, 7, 4), "f4")
            h.create_dataset("one", data=values((4, 4), "<i4"), chunks=(4, 4), compression="gzip")
            h.create_dataset("one_plain", data=values((4, 4), "<i4"), chunks=(4, 4))
            h.create_dataset("larger", data=values((4, 4), "<i4"), chunks=(8, 8), maxshape=(16, 16), compression="gzip")
            p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            p.set_chunk((3, 5))
            p.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            d = h5py.h5d.create(h.id, b"implicit", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((10, 12)), p)
            d.write(h5py.h5s.ALL, h5py.h5s.ALL, values((10, 12), "<i4"))
            h.create_dataset("paged", data=values((5000,), "<i4"), chunks=(3,))
            d = h.create_dataset("paged_sparse", shape=(9000,), dtype="<i4", chunks=(3,), compression="gzip", fillvalue=9)
            d[6000:6005] = 1
            d = h.create_dataset("extensible", data=values((7000,), "<i4"), chunks=(2,), maxshape=(None,), compression="gzip")
            d = h.create_dataset("extensible_sparse", shape=(90000, 4), dtype="<i4", chunks=(2, 2), maxshape=(None, 4))
            d[80000:80003] = 4
            d[7] = 2
            # data blocks of two pages of 1024 from element 131,060 on, of four from 393,204 on
            d = h.create_dataset("extensible_paged", shape=(900000,), dtype="<i4", chunks=(1,), maxshape=(None,))
            for k in [*range(130000, 300000, 1531), *range(390000, 900000, 7919)]:
                d[k] = k
        compare_cells(path)
        p = dump(path, "--format", "hdf5", "--no-values")
        check(p.returncode == 0, f"{path}: {p.stderr}")


@test
def chunks_of_one_byte(tmp):
    """Without an index, chunks may be smaller than an entry of one."""
    path = f"{tmp}/tiny.h5"
    with h5py.File(path, "w", libver="latest") as h:
        p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        p.set_chunk((1,))
        p.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        d = h5py.h5d.create(h.id, b"implicit", h5py.h5t.STD_I8LE, h5py.h5s.create_simple((20000,)), p)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, (np.arange(20000) % 113).astype("i1"))
    compare_cells(path)


@test
def plugin_filters(tmp):
    if hdf5plugin is None:
        print("# SKIP plugin_filters: hdf5plugin is missing")
        return
    path = f"{tmp}/plugins.h5"
    noise = np.random.default_rng(1).random((40, 40))
    with h5py.File(path, "w") as h:
        a = values((100, 50), "<i4") % 991
        h.create_dataset("zstd", data=a, chunks=(30, 50), compression=hdf5plugin.Zstd(clevel=5))
        h.create_dataset("zstd_shuffle", data=a, chunks=(30, 20), shuffle=True, fletcher32=True, compression=hdf5plugin.Zstd(clevel=19))
        h.create_dataset("noise_zstd", data=noise, chunks=(9, 9), compression=hdf5plugin.Zstd())
        h.create_dataset("noise_blosc", data=noise, chunks=(9, 9), compression=hdf5plugin.Blosc("lz4", 9, 1))
        for c in ("blosclz", "lz4", "lz4hc", "zlib", "zstd"):
            for shuffle in (0, 1, 2):
                h.create_dataset(f"blosc_{c}_{shuffle}", data=a, chunks=(33, 7), compression=hdf5plugin.Blosc(c, 5, shuffle))
        h.create_dataset("lz4", data=a, chunks=(33, 7), compression=hdf5plugin.LZ4())
    compare_cells(path)


def main():
    global DUMP
    ap = argparse.ArgumentParser()
    ap.add_argument("--dump", default=os.environ.get("CM_DUMP", "build/debug/tests/cm_dump"))
    ap.add_argument("--only")
    args = ap.parse_args()
    DUMP = os.path.abspath(args.dump)
    n = 0
    for name, fn in TESTS.items():
        if args.only and args.only != name:
            continue
        before = len(FAILED)
        with tempfile.TemporaryDirectory() as tmp, contextlib.ExitStack() as stack:
            if name != "corpora":  # which not everybody has
                stack.enter_context(support.recording())
            fn(tmp)
        n += 1
        print(f"{'ok' if len(FAILED) == before else 'not ok'} {n} - {name}", flush=True)
    print(f"1..{n}\n# {count()} comparisons, {len(FAILED)} failed")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
