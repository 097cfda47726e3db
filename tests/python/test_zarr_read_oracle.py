#!/usr/bin/env python3
"""Zarr stores written by zarr-python, xarray and tensorstore, read by chunkmill's tests/cm_dump.

    python test_zarr_read_oracle.py [--dump build/debug/tests/cm_dump]

Every array's cells are compared by a hash over all of them (missing chunks included), and dimension
names, chunks, shards and attributes by value. Cell values depend on the position. Needs numpy and
zarr 3; xarray and tensorstore parts are left out, loudly, when those are missing. Exit status 77
when nothing could be tested.
"""
import argparse
import contextlib
import itertools
import json
import math
import os
import pathlib
import random
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")
try:
    import numpy as np
    import numcodecs
    import zarr
    from zarr.codecs import (BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec,
                             TransposeCodec, ZstdCodec)
except ImportError as why:
    print(f"1..0 # SKIP {why}")
    sys.exit(77)

from seeds import choose_seed
import support
from tally import FAILED, check, count, fnv1a
from zarr_cells import cells_bytes, dump


def same(a, b):
    """Deep equality in which NaN equals NaN."""
    if isinstance(a, (list, tuple)) or isinstance(b, (list, tuple)):
        return (isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b)
                and all(same(x, y) for x, y in zip(a, b)))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, float) and isinstance(b, (float, int)) and math.isnan(a):
        return math.isnan(b)
    return type(a) is type(b) and a == b or (not isinstance(a, bool) and not isinstance(b, bool)
                                             and a == b)


DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "float32", "float64", "complex64", "complex128", "str", "U5", "S6"]
TEXT = ("str", "U5", "S6")


def values(shape, dtype, salt):
    n = math.prod(shape)
    i = np.arange(n, dtype="u8") * np.uint64(2654435761) + np.uint64(salt * 7919 + 1)
    if dtype == "str":
        words = [("é" * (int(k) % 4)) + f"w{int(k) % 1000}" if k % 5 else "" for k in i]
        return np.array(words, dtype=object).reshape(shape)
    if dtype in ("U5", "S6"):
        words = ["é€😀w"[int(k) % 5:] + str(int(k) % 10) if k % 4 else "" for k in i]
        return np.array([w.encode()[:6].decode(errors="ignore").encode() if dtype == "S6" else w
                         for w in words] or [""], dtype)[:n].reshape(shape)
    if dtype == "bool":
        return (i // 8 % 3 == 0).reshape(shape)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        return i.astype(kind).reshape(shape)
    part = (i % np.uint64(20011)).astype("f8") / 8 - 1000
    if kind.kind == "c":
        return (part + 1j * part[::-1]).astype(kind).reshape(shape)
    out = part.astype(kind)
    if n > 2:
        out[n // 2] = np.nan
        out[1] = -np.inf
    return out.reshape(shape)


def fill_of(dtype, i):
    if dtype == "str":
        return ["", "fill é"][i % 2]
    if dtype == "U5":
        return ["", "füll"][i % 2]
    if dtype == "S6":
        return [b"", "fé".encode()][i % 2]
    if dtype == "bool":
        return bool(i % 2)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        return int(np.iinfo(kind).max) if i % 2 else 0
    if kind.kind == "c":
        return [0j, complex(1.5, float("nan")), complex(float("-inf"), 2)][i % 3]
    return [0.0, float("nan"), float("inf"), -1.25][i % 4]


def fill_array(a, data, whole):
    """Write data; when not whole, only the first half of axis 0 (chunks stay missing). Returns what
    the array holds then."""
    if data.dtype == object:
        data = np.asarray(data, dtype=object)
    if whole or data.ndim == 0 or data.size == 0:
        a[...] = data
    else:
        a[: data.shape[0] // 2] = data[: data.shape[0] // 2]
    return a[...]


SHAPES = [((), ()), ((7,), (3,)), ((5, 6), (2, 4)), ((0, 3), (1, 3)), ((3, 4, 5), (2, 3, 2)),
          ((4,), (100,)), ((6, 2), (6, 2))]


def v3_codecs(rng, dtype, chunk):
    """A random legal codec list, as (filters, serializer, compressors)."""
    nd = len(chunk)
    filters = []
    if nd > 1 and rng.random() < 0.4:
        filters = [TransposeCodec(order=tuple(rng.sample(range(nd), nd)))]
    size = 1 if dtype in TEXT else np.dtype(dtype).itemsize
    choice = rng.choice(["none", "zstd", "gzip", "blosc", "crc", "zstd+crc", "gzip+zstd"])
    blosc = BloscCodec(cname=rng.choice(["lz4", "lz4hc", "zstd", "zlib", "blosclz"]), clevel=5,
                       shuffle=rng.choice(["noshuffle", "shuffle", "bitshuffle"]), typesize=size)
    compressors = {"none": [], "zstd": [ZstdCodec(level=3)], "gzip": [GzipCodec(level=4)],
                   "blosc": [blosc], "crc": [Crc32cCodec()],
                   "zstd+crc": [ZstdCodec(level=1, checksum=True), Crc32cCodec()],
                   "gzip+zstd": [GzipCodec(level=1), ZstdCodec(level=1)]}[choice]
    serializer = "auto"
    if dtype != "str":
        wide = size > 1 or dtype == "U5"
        serializer = BytesCodec(endian=rng.choice(["little", "big"]) if wide else None)
    return filters, serializer, compressors


def make_v3(group, rng):
    want = {}
    n = 0
    for dtype, (shape, chunk) in itertools.product(DTYPES, SHAPES):
        for sharded in ([0, 1, 2, 3] if shape and math.prod(shape) and dtype != "str" else [0]):
            n += 1
            name = f"a{n:04d}"
            filters, serializer, compressors = v3_codecs(rng, dtype, chunk)
            kind, separator = rng.choice([("default", "/"), ("default", "."), ("v2", "."),
                                          ("v2", "/")])
            more = {}
            if sharded:
                # 1: index at the end, 2: at the start, 3: shards in shards
                inner = ShardingCodec(chunk_shape=chunk,
                                      codecs=[*filters, serializer, *compressors],
                                      index_location="start" if sharded == 2 else "end")
                outer = tuple(2 * c for c in chunk)
                if sharded == 3:
                    inner = ShardingCodec(chunk_shape=outer, codecs=[inner])
                    outer = tuple(2 * c for c in outer)
                stored, serializer, filters, compressors = outer, inner, [], []
            else:
                stored = chunk
            if rng.random() < 0.7:
                more["dimension_names"] = [f"d{k}_{s}" for k, s in enumerate(shape)]
            a = group.create_array(
                name, shape=shape, chunks=stored, dtype=str if dtype == "str" else dtype,
                filters=filters or None, serializer=serializer, compressors=compressors or None,
                fill_value=fill_of(dtype, n), chunk_key_encoding={"name": kind,
                                                                  "separator": separator},
                attributes={"n": n, "f": n / 8, "nan": float("nan"), "t": f"é{n}", "l": [n, None]},
                **more)
            held = fill_array(a, values(shape, dtype, n), rng.random() < 0.6)
            want["/" + name] = (held, a, more.get("dimension_names"))
    return want


def make_v2(group, rng):
    want = {}
    compressors = [None, numcodecs.Zlib(3), numcodecs.GZip(2), numcodecs.Zstd(2), numcodecs.LZ4(),
                   numcodecs.Blosc("lz4", 5, numcodecs.Blosc.SHUFFLE),
                   numcodecs.Blosc("zstd", 3, numcodecs.Blosc.BITSHUFFLE)]
    n = 0
    for dtype, (shape, chunk), order in itertools.product(DTYPES, SHAPES, "CF"):
        n += 1
        name = f"b{n:04d}"
        typestr = dtype
        filters = None
        if dtype != "str":
            typestr = rng.choice("<>") + np.dtype(dtype).str[1:] if dtype != "S6" else "|S6"
            if rng.random() < 0.3 and dtype not in TEXT:
                filters = [numcodecs.Shuffle(np.dtype(dtype).itemsize)]
        attributes = {"n": n, "x": [1.5, float("inf")]}
        names = None
        if rng.random() < 0.7:
            names = [f"d{k}_{s}" for k, s in enumerate(shape)]
            attributes["_ARRAY_DIMENSIONS"] = names
        a = group.create_array(
            name, shape=shape, chunks=chunk, dtype=str if dtype == "str" else typestr, order=order,
            filters=filters or "auto" if dtype == "str" else filters,
            compressors=rng.choice(compressors),
            fill_value=None if n % 5 == 0 else fill_of(dtype, n), attributes=attributes,
            chunk_key_encoding={"name": "v2", "separator": rng.choice("./")})
        held = fill_array(a, values(shape, dtype, n), rng.random() < 0.6)
        want["/" + name] = (held, a, names)
    return want


def compare(lines, want, where):
    check(lines is not None, f"{where}: opens")
    got = {line["path"]: line for line in lines or [] if "path" in line}
    check(set(got) == set(want), f"{where}: the same arrays")
    for path, (held, a, names) in want.items():
        line = got.get(path)
        label = f"{where}{path} {a.dtype} {a.shape} {a.metadata.to_dict()}"
        if not line or "problem" in line or "error" in line:
            check(False, f"{line} instead of {label}")
            continue
        held = np.asarray(held)
        check(line["shape"] == list(a.shape), f"shape {line['shape']} of {label}")
        check(line["chunks"] == list(a.chunks), f"chunks {line['chunks']} of {label}")
        shards = list(a.shards) if a.shards is not None else None
        check(line["shards"] == shards, f"shards {line['shards']} of {label}")
        if 0 not in a.shape:
            check(line.get("fnv1a") == fnv1a(cells_bytes(held)),
                  f"cells {line.get('first')} {line.get('last')}, want "
                  f"{held.ravel()[:4]} {held.ravel()[-4:]} of {label}")
        check(line["dims"] == (names or [None] * len(a.shape)), f"dims {line['dims']} of {label}")
        attrs = {k: v["value"] for k, v in line["attrs"].items()}
        attrs.pop("_FillValue", None)
        mine = dict(a.attrs)
        mine.pop("_ARRAY_DIMENSIONS", None)
        check(same(attrs, mine), f"attributes {attrs} of {label}")


def zarr_python(tool, folder, rng):
    for form, make in ((3, make_v3), (2, make_v2)):
        path = folder / f"zp{form}"
        group = zarr.create_group(str(path), zarr_format=form)
        want = make(group, rng)
        compare(dump(tool, path), want, f"zarr-python v{form} listed")
        zarr.consolidate_metadata(str(path))
        compare(dump(tool, path), want, f"zarr-python v{form} consolidated")


def plain(v):
    """An xarray attribute as JSON has it."""
    if isinstance(v, np.ndarray):
        return [plain(x) for x in v]
    if isinstance(v, np.generic):
        v = v.item()
    if isinstance(v, complex):
        return [v.real, v.imag]
    return v


def compare_xarray(tool, path, group, lines, xr):
    prefix = "" if group == "/" else group
    seen = xr.open_zarr(str(path), group=group, decode_cf=False, chunks=None)
    got = {line["path"]: line for line in lines if "path" in line}
    head = [line for line in lines if line.get("group") == group]
    where = f"xarray {path.name}{group}"
    check(len(head) == 1 and same({k: v["value"] for k, v in head[0]["attrs"].items()},
                                  {k: plain(v) for k, v in seen.attrs.items()}),
          f"{where}: group attributes {head}")
    check({d[0]: d[1] for d in head[0]["dimensions"]} == dict(seen.sizes), f"{where}: sizes")
    check({k for k in got if k.rsplit("/", 1)[0] == prefix} ==
          {f"{prefix}/{k}" for k in seen.variables}, f"{where}: variables")
    for name, v in seen.variables.items():
        line = got.get(f"{prefix}/{name}")
        label = f"{where} {name}"
        if not line or "problem" in line or "error" in line:
            check(False, f"{line} instead of {label}")
            continue
        check(line["dims"] == list(v.dims), f"dims {line['dims']} of {label}")
        if v.size and check(line["fnv1a"] == fnv1a(cells_bytes(v.values)),
                            f"cells {line['first']} of {label}"):
            support.zarr_array(path / f"{prefix}/{name}".strip("/"), "read", "xarray")
        attrs = {k: a["value"] for k, a in line["attrs"].items()}
        check(same(attrs, {k: plain(x) for k, x in v.attrs.items()}),
              f"{label}: attributes {attrs} want {v.attrs}")
        if "_FillValue" in attrs:
            check(line["attrs"]["_FillValue"]["dtype"] == line["dtype"],
                  f"{label}: type of _FillValue {line['attrs']['_FillValue']}")


def xarray_stores(tool, folder, rng):
    before = len(FAILED)
    try:
        import xarray as xr
    except ImportError as why:
        print(f"# SKIP xarray: {why}")
        return
    variables = {}
    for i, dtype in enumerate(d for d in DTYPES if d not in TEXT):
        data = values((4, 5), dtype, i)
        attrs = {"units": "K", "scale": np.float32(0.1), "range": np.array([-1, 2], "i2"),
                 "huge": np.uint64(2**64 - 1), "bad": np.nan, "coordinates": "x y"}
        if i % 2 or dtype in ("float32", "int16"):
            fill = fill_of(dtype, 3 + i)
            attrs["_FillValue"] = np.array([fill], dtype)[0] if dtype != "bool" else fill
        variables[f"v_{dtype}"] = (("y", "x"), data, attrs)
    variables["text"] = (("y",), np.array(["a", "", "éé", "long " * 9], dtype=object))
    variables["letters"] = (("y",), np.array(["a", "", "éé", "x y"]))
    variables["bytes"] = (("y",), np.array([b"a", b"", "é".encode(), b"x y"]))
    variables["scalar"] = ((), np.float64(3.5), {"_FillValue": 1e20})
    variables["empty"] = (("none", "x"), np.zeros((0, 5), "i4"))
    ds = xr.Dataset(variables, attrs={"title": "é", "list": [1.5, 2], "nothing": ""})
    sub = ds[["v_int16", "v_float64"]].rename(x="lon")
    for form in (2, 3):
        for consolidated in (True, False):
            path = folder / f"xr{form}{consolidated}"
            ds.to_zarr(str(path), zarr_format=form, consolidated=False)
            sub.to_zarr(str(path), group="sub/deep", mode="a", zarr_format=form, consolidated=False)
            if consolidated:
                zarr.consolidate_metadata(str(path))
            lines = dump(tool, path)
            check(lines is not None, f"xarray v{form}: opens")
            for group in ("/", "/sub/deep"):
                compare_xarray(tool, path, group, lines or [], xr)
            if len(FAILED) == before:
                how = "consolidated" if consolidated else "not consolidated"
                support.listed("zarr-other", f"version {form}: groups, dimensions, attributes, {how}", "xarray")


def tensorstore_stores(tool, folder, rng):
    try:
        import tensorstore as ts
    except ImportError as why:
        print(f"# SKIP tensorstore: {why}")
        return
    for i, dtype in enumerate(d for d in DTYPES if d not in TEXT):
        data = values((9, 10), dtype, i)
        inner = [{"name": "transpose", "configuration": {"order": [1, 0]}},
                 {"name": "bytes", "configuration": {"endian": "big"}},
                 {"name": "zstd", "configuration": {"level": 2}}]
        sharding = {"name": "sharding_indexed", "configuration": {
            "chunk_shape": [2, 4], "codecs": inner, "index_location": ["start", "end"][i % 2],
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}},
                             {"name": "crc32c"}]}}
        codecs = [sharding]
        # The shard of 4 x 8 is one of 8 x 4 then, of two chunks by two, and so is its index.
        turned = json.loads(json.dumps(sharding))
        turned["configuration"]["chunk_shape"] = [4, 1 + i % 2]
        turned["configuration"]["index_codecs"] = [
            *([{"name": "transpose", "configuration": {"order": [[2, 0, 1], [1, 2, 0]][i % 2]}}] if i % 3 else []),
            {"name": "bytes", "configuration": {"endian": ["big", "little"][i % 2]}}]
        specs = {
            "ts3": {"driver": "zarr3", "metadata": {
                "shape": [9, 10], "data_type": dtype, "codecs": codecs,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 8]}},
                "dimension_names": ["y", None]}},
            "ts3turned": {"driver": "zarr3", "metadata": {
                "shape": [9, 10], "data_type": dtype, "codecs": [inner[0], turned],
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 8]}}}},
            "ts2": {"driver": "zarr", "metadata": {
                "shape": [9, 10], "chunks": [4, 3], "dtype": np.dtype(dtype).str, "order": "F",
                "compressor": {"id": "blosc", "cname": "lz4", "shuffle": -1, "clevel": 5},
                "dimension_separator": "/"}},
        }
        for name, spec in specs.items():
            path = folder / f"{name}_{dtype}"
            spec["kvstore"] = {"driver": "file", "path": f"{path}/"}
            store = ts.open({**spec, "create": True}).result()
            store[:7, :].write(data[:7]).result()
            held = store.read().result()
            lines = dump(tool, path)
            line = lines[1] if lines and len(lines) > 1 else {}
            check(line.get("path") == f"/{path.name}" and
                  line.get("fnv1a") == fnv1a(cells_bytes(held)),
                  f"tensorstore {name} {dtype}: {lines}")


def main():
    here = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser()
    parser.add_argument("--dump", default=os.environ.get("CM_DUMP",
                                                         str(here / "build/debug/tests/cm_dump")))
    parser.add_argument("--keep", help="folder for the stores, kept")
    options = parser.parse_args()
    if not os.access(options.dump, os.X_OK):
        print(f"1..0 # SKIP no {options.dump}")
        return 77
    rng = random.Random(choose_seed())
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.keep or temporary)
        for part in (zarr_python, xarray_stores, tensorstore_stores):
            # what xarray writes here is not random
            with support.recording() if part is xarray_stores else contextlib.nullcontext():
                part(options.dump, folder, rng)
    print(f"{'not ' if FAILED else ''}ok 1 - {count()} checks, {len(FAILED)} failed\n1..1")
    return bool(FAILED)


if __name__ == "__main__":
    sys.exit(main())
