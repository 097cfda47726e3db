#!/usr/bin/env python3
"""Random chains of codecs, in both versions of Zarr, between chunkmill and zarr-python.

    python test_zarr_chains.py [--dump build/debug/tests/cm_dump] [--program build/debug/chunkmill] [--chains N]

Random type, byte order, shape, chunks, missing chunks and fill value, and a random list of all codecs that zarr-python
writes: filters, transposes (before shards too), shards in shards with indexes of every kind, compressors, checksums. Some
filters name another type than they are given. What zarr-python reads from what it wrote is what chunkmill must read, or
refuse; and what chunkmill writes of it, with the source's codecs and without, zarr-python must read. An error is always
right here, other cells never are. CM_SEED, see seeds.py. Exit status 77 when nothing could be tested.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")
try:
    import numcodecs
    import numpy as np
    import zarr
except ImportError as why:
    print(f"1..0 # SKIP {why}")
    sys.exit(77)

from seeds import choose_seed
from tally import FAILED, check, count, fnv1a
from zarr_cells import cells_bytes, dump

INTS = [f"{k}{n}" for k in "iu" for n in (1, 2, 4, 8)]
FLOATS = ["f2", "f4", "f8"]
OTHERS = ["b1", "c8", "c16", "U3", "S3", "M8[s]", "m8[ms]"]
SEEN = collections.Counter()


def codec(name, **configuration):
    return {"name": name, **({"configuration": configuration} if configuration else {})}


def cells(rng, dtype, shape):
    """Numbers of which filters keep some and lose others; text that is short enough for its type."""
    dtype, n = np.dtype(dtype), int(np.prod(shape, dtype="i8"))
    i = np.arange(n)
    step = rng.choice([1, 3, 7, 37])
    if dtype.kind in "US":
        words = [str(k * step % 1000) if k % 4 else "" for k in i]
        return np.array(words or [""], dtype.newbyteorder("="))[:n].reshape(shape).astype(dtype)
    if dtype.kind in "mM":
        return (i * step).astype("i8").view(dtype.newbyteorder("=")).reshape(shape).astype(dtype)
    style = rng.choice(["small", "small", "any", "odd"])
    if dtype.kind == "b":
        return (i * step % 5 < 2).reshape(shape)
    if dtype.kind in "iu":
        out = i * step % 101
        if style != "small":
            out = np.random.default_rng(rng.randrange(2**32)).integers(0, 2**63, n)
        out = out.astype(dtype.newbyteorder("="))
        if style == "odd" and n > 2:
            out[0], out[-1] = np.iinfo(out.dtype).min, np.iinfo(out.dtype).max
        return out.reshape(shape).astype(dtype)
    real = i * step % 101 / 8
    if style == "any":
        real = np.random.default_rng(rng.randrange(2**32)).normal(0, 100, n)
    if style == "odd" and n > 3:
        real[[0, 1, 2, 3]] = np.nan, np.inf, -np.inf, -0.0
    out = real.astype(dtype) if dtype.kind == "f" else (real + 1j * real[::-1]).astype(dtype)
    return out.reshape(shape)


def named(rng, dtype, v3):
    """The type that a filter says: mostly the one that it is given."""
    name = np.dtype(dtype).newbyteorder("=" if v3 else dtype[0]).str
    if rng.random() < 0.06:
        name = rng.choice("<>") + rng.choice(INTS[1:4] + INTS[5:] + FLOATS)
    return name


def a_filter(rng, dtype, v3):
    """(configuration in numcodecs' way, the type of what comes out) or None."""
    kind, name = np.dtype(dtype).kind, named(rng, dtype, v3)
    if kind not in "iufb":
        return None
    order = "<" if v3 else rng.choice("<>")
    other = np.dtype(order + rng.choice(INTS if kind != "f" or rng.random() < 0.6 else FLOATS)).str
    what = rng.choice(["delta", "delta", "fixedscaleoffset", "quantize", "bitround", "astype", "packbits"])
    if kind == "b" or what == "packbits":
        return ({"id": "packbits"}, "|u1") if kind == "b" else None
    if what == "delta":
        more = {"astype": other} if rng.random() < 0.4 and kind != "f" else {}
        return {"id": what, "dtype": name, **more}, more.get("astype", dtype)
    if what == "fixedscaleoffset":
        return {"id": what, "dtype": name, "astype": other, "scale": rng.choice([1, 8, 10, 0.5]),
                "offset": rng.choice([0, 1, -5, 2.5])}, other
    if what == "astype":
        return {"id": what, "decode_dtype": name, "encode_dtype": other}, other
    if kind != "f":
        return None
    if what == "quantize":
        stored = np.dtype(order + rng.choice(FLOATS)).str if rng.random() < 0.4 else dtype
        return {"id": what, "dtype": name, "digits": rng.randrange(-1, 5), "astype": stored}, stored
    return ({"id": what, "keepbits": rng.randrange(1, 11)}, dtype) if np.dtype(dtype).itemsize > 1 else None


def filters(rng, dtype, v3):
    out = []
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        one = a_filter(rng, dtype, v3)
        if one:
            out.append(one[0])
            dtype = one[1]
    return out, dtype


def bytes_codecs(rng, size, v3):
    """Any number of those that make bytes of bytes, in numcodecs' way; v3 has names of its own for some."""
    out = []
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        out.append(rng.choice([
            {"id": "zstd", "level": rng.randrange(-3, 9), "checksum": rng.random() < 0.5}, {"id": "gzip", "level": rng.randrange(1, 10)},
            {"id": "blosc", "cname": rng.choice(["lz4", "lz4hc", "zstd", "zlib", "blosclz"]), "clevel": rng.randrange(0, 10),
             "shuffle": rng.randrange(0, 3), "blocksize": rng.choice([0, 0, 64, 1000])},
            {"id": "zlib", "level": rng.randrange(0, 10)}, {"id": "lz4", "acceleration": rng.randrange(1, 9)},
            {"id": "bz2", "level": 1}, {"id": "lzma", "preset": 1}, {"id": "shuffle", "elementsize": rng.choice([size, 2, 3, 4])},
            {"id": "crc32", "location": rng.choice(["start", "end"])}, {"id": "crc32c", "location": rng.choice(["start", "end"])},
            {"id": "adler32", "location": rng.choice(["start", "end"])}, {"id": "fletcher32"},
            {"id": "jenkins_lookup3", "initval": rng.randrange(0, 99)}, *([] if v3 else [{"id": "base64"}])]))
    return out


def in_v3(c):
    more = {k: v for k, v in c.items() if k != "id"}
    if c["id"] == "blosc":
        more = {**more, "shuffle": ["noshuffle", "shuffle", "bitshuffle"][c["shuffle"]], "typesize": 4}
    core = c["id"] in ("zstd", "gzip", "blosc") or (c["id"] == "crc32c" and c["location"] == "end")
    return codec(("" if core else "numcodecs.") + c["id"], **({} if c["id"] == "crc32c" and core else more))


def divided(rng, lengths):
    return [n // rng.choice([d for d in (1, 2, 3, 4) if n % d == 0]) for n in lengths]


def codecs_v3(rng, dtype, chunk, depth=0):
    """A list for a chunk of this shape: transposes turn it for what follows."""
    out, chunk = [], list(chunk)
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        if len(chunk) > 1:
            order = rng.sample(range(len(chunk)), len(chunk))
            out.append(codec("transpose", order=order))
            chunk = [chunk[i] for i in order]
    if chunk and depth < 3 and rng.random() < 0.45 - 0.1 * depth:
        inner = divided(rng, chunk)
        index = [codec("bytes", endian=rng.choice(["little", "big"]))] + ([codec("crc32c")] if rng.random() < 0.6 else [])
        if rng.random() < 0.3:
            index.insert(0, codec("transpose", order=rng.sample(range(len(chunk) + 1), len(chunk) + 1)))
        out.append(codec("sharding_indexed", chunk_shape=inner, codecs=codecs_v3(rng, dtype, inner, depth + 1),
                         index_codecs=index, index_location=rng.choice(["start", "end"])))
        return out + ([in_v3(c) for c in bytes_codecs(rng, 4, True)] if rng.random() < 0.1 else [])
    some, dtype = filters(rng, dtype, True)
    out += [in_v3(c) for c in some]
    size = np.dtype(dtype).itemsize
    # Behind filters zarr-python reads other cells from big-endian bytes than it wrote: test_zarr_array_codecs.py.
    orders = ["little"] if some else ["little", "big"]
    endian = {"endian": rng.choice(orders)} if size > 1 and np.dtype(dtype).kind != "S" else {}
    return out + [codec("bytes", **endian)] + [in_v3(c) for c in bytes_codecs(rng, size, True)]


V3_NAMES = {"b1": "bool", "c8": "complex64", "c16": "complex128"}


def fill_of(rng, dtype):
    kind = np.dtype(dtype).kind
    return rng.choice({"b": [False, True], "i": [0, -1, 7], "u": [0, 7], "f": [0.0, 1.5, "NaN"], "c": [[0.0, 0.0], [1.5, "NaN"]],
                       "U": ["", "ab"], "S": ["", "YWI="], "M": [0, 5], "m": [0, 5]}[kind])


def document3(rng, dtype, shape, chunk):
    t = np.dtype(dtype)
    bare = dtype[1:]
    if t.kind in "US":
        length = t.itemsize
        name = codec("fixed_length_utf32" if t.kind == "U" else "null_terminated_bytes", length_bytes=length)
    elif t.kind in "mM":
        unit, factor = np.datetime_data(t)
        name = codec("numpy.datetime64" if t.kind == "M" else "numpy.timedelta64", unit=unit, scale_factor=factor)
    else:
        name = V3_NAMES.get(bare) or t.name
    return {"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": name, "fill_value": fill_of(rng, dtype),
            "chunk_grid": codec("regular", chunk_shape=chunk), "codecs": codecs_v3(rng, t.newbyteorder("<").str, chunk),
            "chunk_key_encoding": codec(rng.choice(["default", "v2"]), separator=rng.choice("/.")), "attributes": {}}


def document2(rng, dtype, shape, chunk):
    some, last = filters(rng, dtype, False)
    some += bytes_codecs(rng, np.dtype(last).itemsize, False) if rng.random() < 0.4 else []
    compressor = (bytes_codecs(rng, np.dtype(last).itemsize, False) or [None])[0]
    return {"zarr_format": 2, "shape": shape, "chunks": chunk, "dtype": dtype, "order": rng.choice("CF"),
            "fill_value": 0 if np.dtype(dtype).kind == "c" else fill_of(rng, dtype), "compressor": compressor,
            "filters": some or None, "dimension_separator": rng.choice("./")}


def written(rng, store, version):
    """What zarr-python reads of an array that it wrote into store/a; None where it cannot."""
    kind = rng.choice(INTS + FLOATS if rng.random() < 0.8 else OTHERS)
    dtype = np.dtype(rng.choice("<>" if version == 2 else "<") + kind).str
    chunk = [rng.choice([1, 2, 4, 6, 12]) for _ in range(rng.choice([0, 1, 1, 2, 2, 2, 3]))]
    shape = [rng.randrange(1, 3 * n) for n in chunk]
    document = (document2 if version == 2 else document3)(rng, dtype, shape, chunk)
    (store / "a").mkdir(parents=True)
    (store / ("zarr.json" if version == 3 else ".zgroup")).write_text(
        json.dumps({"zarr_format": version, **({"node_type": "group"} if version == 3 else {})}))
    (store / "a" / ("zarr.json" if version == 3 else ".zarray")).write_text(json.dumps(document))
    try:
        a = zarr.open_array(store / "a", mode="r+")
        data = cells(rng, dtype, shape)
        if shape and rng.random() < 0.3:
            a[: shape[0] // 2] = data[: shape[0] // 2]
        else:
            a[...] = data
        return document, np.asarray(zarr.open_array(store / "a", mode="r")[...])
    except Exception as why:
        SEEN["zarr-python cannot: " + type(why).__name__] += 1
        return None


def writable(path):
    """Can zarr-python write an array with this document, and read it again?"""
    try:
        a = zarr.open_array(path, mode="r+")
        for data in (np.ones(a.shape), np.zeros(a.shape)):  # one of them is perhaps the fill value, and no chunk
            a[...] = data.astype(a.dtype)
            zarr.open_array(path, mode="r")[...]
    except Exception:
        return False
    return True


def one(options, rng, store, version):
    got = written(rng, store, version)
    if not got:
        return
    document, held = got
    want = fnv1a(cells_bytes(held))
    codecs = json.dumps(document.get("codecs", [document.get("filters"), document.get("compressor")]))
    told = f"v{version} {document.get('dtype', document.get('data_type'))} {document['shape']} {codecs}"
    line = next((x for x in dump(options.dump, store) or [] if x.get("path") == "/a"), {})
    if "fnv1a" not in line:
        why = line.get("problem") or {"message": "when it is read"}
        SEEN[f"v{version} refused: " + why["message"][:40]] += 1
        return
    SEEN[f"v{version} read"] += 1
    if held.dtype == np.float16 and "delta" in codecs and np.isnan(held).any() and line["fnv1a"] != want:
        SEEN["float16 deltas: another NaN, which is allowed"] += 1
        return
    if not check(line["fnv1a"] == want, f"other cells: {told}"):
        return
    for target in (2, 3):
        for more in (["--codec", "keep"], ["--codec", "zstd"]):
            out = store.parent / f"{store.name}_{target}{more[1]}"
            done = subprocess.run([options.program, "rechunk", store, out, "--zarr", str(target), "--quiet", *more],
                                  capture_output=True, timeout=120)
            check(done.returncode >= 0, f"killed by {-done.returncode}: {told}")
            if done.returncode:
                SEEN[f"not written as v{target} with {more[1]}"] += 1
                continue
            try:
                back = np.asarray(zarr.open_array(out / "a", mode="r")[...])
            except Exception as why:
                check(not writable(out / "a"), f"zarr-python cannot read the copy, v{target} {more[1]}: {why!r}: {told}")
                SEEN["zarr-python cannot use such an array: " + str(why)[:30]] += 1
                continue
            SEEN[f"written as v{target} with {more[1]}"] += 1
            check(fnv1a(cells_bytes(back)) == want, f"other cells in the copy, v{target} {more[1]}: {told}")


def main():
    here = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser()
    parser.add_argument("--dump", default=os.environ.get("CM_DUMP", str(here / "build/debug/tests/cm_dump")))
    parser.add_argument("--program", default=os.environ.get("CM_PROGRAM"))
    parser.add_argument("--chains", type=int, default=120)
    options = parser.parse_args()
    options.program = options.program or str(pathlib.Path(options.dump).resolve().parents[1] / "chunkmill")
    if not os.access(options.dump, os.X_OK) or not os.access(options.program, os.X_OK):
        print(f"1..0 # SKIP no {options.dump} or no {options.program}")
        return 77
    rng = random.Random(choose_seed())
    with tempfile.TemporaryDirectory() as folder:
        for i in range(options.chains):
            one(options, rng, pathlib.Path(folder) / f"s{i}", 2 + i % 2)
    for what, n in sorted(SEEN.items()):
        print(f"# {n} {what}")
    check(SEEN["v2 read"] > options.chains // 8 and SEEN["v3 read"] > options.chains // 8, "too few chains were compared")
    print(f"{'not ' if FAILED else ''}ok 1 - {count()} checks, {len(FAILED)} failed\n1..1")
    return bool(FAILED)


if __name__ == "__main__":
    sys.exit(main())
