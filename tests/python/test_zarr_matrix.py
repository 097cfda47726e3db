#!/usr/bin/env python3
"""Every codec with every type, in both byte orders, in both versions of Zarr, read and written.

    python test_zarr_matrix.py [--dump build/debug/tests/cm_dump] [--program build/debug/chunkmill]

Read: zarr-python and tensorstore write one small array for each combination that they know, and
cm_dump must see the cells that they see. Written: chunkmill copies all these arrays, each with the
codecs it has, and one array of each type with each --codec; zarr-python, tensorstore and (version 2)
numcodecs must see the same cells. What was equal is recorded for docs/support.md.

A codec is one line in ROWS. No input is random. Exit status 77 when nothing could be tested.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")
try:
    import numcodecs
    import numpy as np
    import tensorstore
    import zarr
except ImportError as why:
    print(f"1..0 # SKIP {why}")
    sys.exit(77)

import support
from tally import FAILED, check, count, fnv1a
from zarr_cells import cells_bytes, dump

SHAPE, CHUNK, SHARD, INNER = (5, 4), (3, 4), (4, 4), (2, 2)
NUMBERS = [t for t in support.NUMBERS]
TEXT = ["string", "U", "S"]
SAMPLE = ["bool", "int16", "float64", "string"]  # where nothing is recorded


def codec(name, **configuration):
    """A codec of version 3. "size" stands for the bytes of a cell."""
    return {"name": name, "configuration": configuration}


ZSTD = codec("zstd", level=3, checksum=False)
ZLIB = codec("numcodecs.zlib", level=4)
SHUFFLE = codec("numcodecs.shuffle", elementsize="size")
FLETCHER32 = codec("numcodecs.fletcher32")
CRC32C = {"name": "crc32c"}


class Row:
    """Codecs after the byte order, in the order of encoding; whether axes are swapped before; shards
    with the index at "end" or "start", or "nested", which are not written. option: what --codec
    calls it."""

    def __init__(self, *codecs, option=None, transpose=False, shards=None):
        self.codecs, self.option, self.transpose, self.shards = codecs, option, transpose, shards

    def list3(self, dtype, order, size):
        codecs = [with_size(c, size) for c in self.codecs]
        cells = codec("vlen-utf8") if dtype == "string" else codec("bytes", endian=order) \
            if order else {"name": "bytes"}
        first = [codec("transpose", order=[1, 0])] if self.transpose else []
        whole = [*first, cells, *codecs]
        if self.shards == "nested":
            whole = [shards((1, 2), whole, "end")]
        if self.shards:
            whole = [shards(INNER, whole, "start" if self.shards == "start" else "end")]
        return whole

    def list2(self, size):
        """(filters, compressor), or None where version 2 cannot say it."""
        if self.shards:
            return None
        configs = []
        for c in self.codecs:
            c = with_size(c, size)
            more = dict(c.get("configuration", {}))
            if c["name"] == "blosc":
                more.pop("typesize")
                more["shuffle"] = ["noshuffle", "shuffle", "bitshuffle"].index(more["shuffle"])
            configs.append({"id": c["name"].removeprefix("numcodecs."), **more})
        last = configs[-1]["id"] if configs else None
        if last in ("shuffle", "fletcher32", "crc32c", "crc32", "adler32", "jenkins_lookup3", None):
            return configs, None
        return configs[:-1], configs[-1]


def shards(shape, codecs, index):
    return codec("sharding_indexed", chunk_shape=shape, codecs=codecs, index_location=index,
                 index_codecs=[codec("bytes", endian="little"), CRC32C])


def with_size(c, size):
    more = {k: size if v == "size" else v for k, v in c.get("configuration", {}).items()}
    return {**c, "configuration": more} if more else c


ROWS = [
    Row(option="none"),
    Row(ZSTD, option="zstd:3"),
    Row(codec("zstd", level=1, checksum=True)),
    Row(codec("gzip", level=4), option="gzip:4"),
    Row(ZLIB, option="zlib:4"),
    Row(codec("numcodecs.lz4", acceleration=1), option="lz4"),
    *[Row(codec("blosc", cname=name, clevel=5, shuffle=shuffle, typesize="size", blocksize=0),
          option=f"blosc:{name}:5:{shuffle}")
      for name in ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
      for shuffle in ("noshuffle", "shuffle", "bitshuffle")],
    Row(CRC32C),
    Row(codec("numcodecs.bz2", level=1)),
    Row(codec("numcodecs.lzma", format=1, check=-1, preset=1, filters=None)),
    Row(codec("numcodecs.crc32", location="start")),
    Row(codec("numcodecs.adler32", location="end")),
    Row(codec("numcodecs.jenkins_lookup3", initval=7, prefix=None)),
    Row(FLETCHER32),
    Row(SHUFFLE),
    Row(SHUFFLE, ZLIB),
    Row(SHUFFLE, ZLIB, FLETCHER32),
    Row(transpose=True),
    Row(ZSTD, CRC32C, transpose=True),
    Row(shards="end"),
    Row(shards="start"),
    Row(ZSTD, shards="end"),
    Row(codec("gzip", level=1), CRC32C, shards="end"),
    Row(ZSTD, shards="end", transpose=True),
    Row(ZSTD, shards="nested"),
]


def numpy_type(dtype, order):
    """What numpy calls it; None: variable-length strings."""
    if dtype == "string":
        return None
    if dtype in ("U", "S"):
        return np.dtype({"U": "U5", "S": "S6"}[dtype]).newbyteorder("<" if order != "big" else ">")
    return np.dtype(dtype).newbyteorder(">" if order == "big" else "<")


def cells(dtype, order="little"):
    """No two alike where the type has that many, with the ends of the type and what is odd in it."""
    n = SHAPE[0] * SHAPE[1]
    i = np.arange(n)
    if dtype in TEXT:
        words = ["", "é", "日本", "a b"] + [f"w{k * k}" for k in range(4, n)]
        if dtype == "string":
            words[7] = "long " * 14
            return np.array(words, dtype=object).reshape(SHAPE)
        words = [w[:5] for w in words] if dtype == "U" else [w.encode() for w in words]
        return np.array(words, numpy_type(dtype, order)).reshape(SHAPE)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        out = i * i % 3 == 0
    elif kind.kind in "iu":
        out = (i.astype("u8") * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(3)).astype(kind)
        out[[3, 11]] = np.iinfo(kind).min, np.iinfo(kind).max
    else:
        real = np.dtype({8: "f4", 16: "f8"}.get(kind.itemsize)) if kind.kind == "c" else kind
        parts = [(i * 1.75 + 3 * k - 11).astype(real) for k in range(2)]
        for part in parts:
            bits = part.view(f"u{real.itemsize}")
            part[[2, 5, 7]] = -0.0, np.inf, -np.inf
            part[9] = np.nextafter(real.type(0), real.type(1))
            part[13] = np.nan
            bits[13] |= 5  # a NaN that is not the usual one
        out = parts[0]
        if kind.kind == "c":
            out = np.empty(n, kind)
            out.real, out.imag = parts[0], parts[1][::-1]
    return out.astype(numpy_type(dtype, order)).reshape(SHAPE)


def combinations(types):
    for r, row in enumerate(ROWS):
        for dtype in types:
            for order in ("",) if dtype in support.ORDERLESS else ("little", "big"):
                yield row, dtype, order, f"r{r:02d}_{dtype}_{order or 'any'}"


def zarr_store(folder, form, arrays):
    """A store with what arrays yields: (name, type, byte order, what create_array wants). In memory
    first: a fifth of the time. Gives {name: cells as zarr-python has them}."""
    files, held = {}, {}
    memory = zarr.storage.MemoryStore(store_dict=files)
    group = zarr.create_group(memory, zarr_format=form)
    for name, dtype, order, more in arrays:
        data = cells(dtype, order)
        try:
            a = group.create_array(name, shape=SHAPE, dtype=data.dtype if dtype != "string" else str,
                                   **more)
            if name.split("_")[0] != "never":
                a[...] = data
            held[name] = np.asarray(a[...])
        except Exception as why:  # zarr-python does not do it: no oracle, no row
            for key in [k for k in files if k.startswith(name + "/")]:
                del files[key]
            print(f"# zarr-python: {name}: {str(why)[:150]}")
    for key, content in files.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(content.to_bytes())
    return held


def arrays3(types):
    for row, dtype, order, name in combinations(types):
        size = 1 if dtype in TEXT else np.dtype(dtype).itemsize
        chain = row.list3(dtype, order, size)
        at = next(i for i, c in enumerate(chain)
                  if c["name"] in ("bytes", "vlen-utf8", "sharding_indexed"))
        yield name, dtype, order, {"chunks": SHARD if row.shards else CHUNK, "filters": chain[:at],
                                   "serializer": chain[at], "compressors": chain[at + 1:]}


def arrays2(types):
    for row, dtype, order, name in combinations(types):
        size = 1 if dtype in TEXT else np.dtype(dtype).itemsize
        lists = row.list2(size)
        if lists is None:
            continue
        filters = [numcodecs.get_codec(dict(c)) for c in lists[0]]
        if dtype == "string":
            filters.insert(0, numcodecs.VLenUTF8())
        yield name, dtype, order, {
            "chunks": CHUNK, "order": "F" if row.transpose else "C", "filters": filters,
            "compressors": numcodecs.get_codec(dict(lists[1])) if lists[1] else None}


def ts_open(path, driver, **more):
    return tensorstore.open({"driver": driver, "kvstore": {"driver": "file", "path": f"{path}/"},
                             **more}).result()


def tensorstore_arrays(folder, form, types):
    """The same arrays by tensorstore, in the group `folder`; it has fewer codecs and types."""
    held = {}
    arrays = arrays3(types) if form == 3 else arrays2(types)
    for name, dtype, order, more in arrays:
        data = cells(dtype, order)
        if form == 3:
            metadata = {"shape": SHAPE, "data_type": dtype, "codecs": [
                *more["filters"], more["serializer"], *more["compressors"]],
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": more["chunks"]}}}
        else:
            compressor = more["compressors"] and more["compressors"].get_config()
            if compressor and not compressor.get("checksum", True):
                del compressor["checksum"]  # a member that tensorstore does not know
            metadata = {"shape": SHAPE, "chunks": more["chunks"], "dtype": data.dtype.str,
                        "order": more["order"], "compressor": compressor,
                        "filters": [f.get_config() for f in more["filters"]] or None}
        try:
            store = ts_open(folder / name, "zarr3" if form == 3 else "zarr", create=True,
                            metadata=metadata)
            store.write(data).result()
            held[name] = np.asarray(store.read().result())
        except ValueError:  # not a codec or type of tensorstore
            shutil.rmtree(folder / name, ignore_errors=True)
    group = {"zarr_format": form, **({"node_type": "group"} if form == 3 else {})}
    (folder / ("zarr.json" if form == 3 else ".zgroup")).write_text(json.dumps(group))
    return held


def compare_read(tool, folder, held, oracle):
    got = {line["path"][1:]: line for line in dump(tool, folder) or [] if "path" in line}
    check(set(got) == set(held), f"{folder.name}: {set(got) ^ set(held)}")
    for name, want in held.items():
        line = got.get(name, {})
        if check(line.get("fnv1a") == fnv1a(cells_bytes(want)),
                 f"{oracle} {folder.name}/{name}: {line.get('problem')} {line.get('first')}"):
            support.zarr_array(folder / name, "read", oracle)
            document = support.zarr_document(folder / name)
            if document["zarr_format"] == 2 and oracle == "zarr-python" and check(
                    cells_bytes(by_numcodecs(folder / name, document)) == cells_bytes(want),
                    f"numcodecs by hand: {name}"):
                support.zarr_array(folder / name, "read", "numcodecs")


def by_numcodecs(path, document):
    """The cells of a version 2 array, put together by hand."""
    out = np.empty(SHAPE, object if document["dtype"] == "|O" else document["dtype"])
    for y in range(0, SHAPE[0], document["chunks"][0]):
        for x in range(0, SHAPE[1], document["chunks"][1]):
            data = (path / f"{y // document['chunks'][0]}.{x // document['chunks'][1]}").read_bytes()
            for c in [document["compressor"], *reversed(document["filters"] or [])]:
                data = numcodecs.get_codec(dict(c)).decode(data) if c else data
            if out.dtype != object:
                data = np.frombuffer(data, out.dtype)
            box = out[y:y + document["chunks"][0], x:x + document["chunks"][1]]
            box[...] = np.reshape(data, document["chunks"],
                                  order=document["order"])[:box.shape[0], :box.shape[1]]
    return out


def by_tensorstore(path, document):
    store = ts_open(path, "zarr3" if document["zarr_format"] == 3 else "zarr")
    return np.asarray(store.read().result())


def in_memory(folder):
    """A store as zarr-python reads it fast, without the consolidated metadata of a huge group."""
    from zarr.core.buffer import default_buffer_prototype
    make = default_buffer_prototype().buffer.from_bytes
    files = {p.relative_to(folder).as_posix(): make(p.read_bytes())
             for p in folder.rglob("*") if p.is_file()}
    return zarr.storage.MemoryStore(store_dict=files)


def compare_written(folder, wanted):
    """Does everybody see in chunkmill's store what there is to see?"""
    store = in_memory(folder)
    for name, want in wanted.items():
        path = folder / name
        document = support.zarr_document(path)
        where = f"{folder.name}/{name} {support.zarr_feature(document)}"
        seen = {"zarr-python": np.asarray(zarr.open_array(store, path=name, mode="r")[...])}
        try:
            seen["tensorstore"] = by_tensorstore(path, document)
        except ValueError:  # not a codec or type of tensorstore
            pass
        if document["zarr_format"] == 2:
            seen["numcodecs"] = by_numcodecs(path, document)
        for oracle, data in seen.items():
            if check(cells_bytes(data) == cells_bytes(want), f"{oracle} reads {where}: {data}"):
                support.zarr_array(path, "write", oracle)


def rechunk(program, *args):
    done = subprocess.run([program, "rechunk", "--quiet", *map(str, args)], capture_output=True,
                          text=True)
    return check(done.returncode == 0, f"rechunk {args}: {done.stderr.strip()[:500]}")


def kept(program, folder, stores):
    """Copies with the codecs that each array has. Small arrays would become one chunk, so each
    array's chunks are named."""
    for form, held in stores.items():
        target, args = folder / f"kept{form}", ["--zarr", form]
        nested = [n for n in held if ROWS[int(n[1:3])].shards == "nested"]
        held = {n: data for n, data in held.items() if n not in nested}
        for name in held:
            sharded = ROWS[int(name[1:3])].shards
            args += ["--chunks", f"{name}:{'2,2' if sharded else '3,4'}"]
            args += ["--shards", f"{name}:4,4"] if sharded else []
        args += ["--skip", ",".join(nested)] if nested else []
        if rechunk(program, folder / f"zarr{form}", target, *args):
            compare_written(target, held)


def chosen(program, folder, types):
    """One array of each type, written with each codec that has a name on the command line."""
    source = folder / "types"
    arrays = ((t, t, "" if t in support.ORDERLESS else "little", {"chunks": CHUNK}) for t in types)
    held = zarr_store(source, 3, arrays)
    for row in ROWS:
        for form in (2, 3):
            if row.option:
                target = folder / f"{row.option.replace(':', '_')}.{form}"
                if rechunk(program, source, target, "--zarr", form, "--codec", row.option):
                    compare_written(target, held)
    target = folder / "sharded"
    if rechunk(program, source, target, "--chunks", "2,2", "--shards", "4,4", *(
            x for t in types for x in ("--chunks", f"{t}:2,2", "--shards", f"{t}:4,4"))):
        compare_written(target, held)


FILLS = {"b": True, "i": -3, "u": 200, "f": float("nan"), "c": complex(1.5, float("nan"))}
TEXT_FILLS = {"string": "fill é", "U": "füll", "S": "fé".encode()}


def never_written(form, types):
    """Arrays without a chunk: all cells are the fill value."""
    for dtype in types:
        fill = TEXT_FILLS[dtype] if dtype in TEXT else FILLS[np.dtype(dtype).kind]
        for order in ("",) if dtype in support.ORDERLESS else ("little", "big"):
            more = {"filters": [numcodecs.VLenUTF8()]} if dtype == "string" and form == 2 else {}
            if form == 3 and order:
                more = {"serializer": codec("bytes", endian=order)}
            yield f"never_{dtype}_{order}", dtype, order, {"chunks": CHUNK, "fill_value": fill, **more}


def compare_unwritten(tool, folder, form, types):
    held = zarr_store(folder, form, never_written(form, types))
    got = {line["path"][1:]: line for line in dump(tool, folder) or [] if "path" in line}
    check(len(held) == len(got) and len(held) > len(types), f"{folder.name}: {len(held)}, {len(got)}")
    for name, want in held.items():
        if check(got.get(name, {}).get("fnv1a") == fnv1a(cells_bytes(want)),
                 f"{folder.name}/{name}: {got.get(name)}, want {want.flat[0]}"):
            _, _, *kind = support.zarr_feature(support.zarr_document(folder / name))
            support.matrix(f"zarr{form}-read", "chunks never written: the fill value", *kind,
                           "zarr-python")


def key_encodings(tool, folder):
    want = cells("int16")
    for form, name, separator in ((3, "default", "/"), (3, "default", "."), (3, "v2", "."),
                                  (3, "v2", "/"), (2, "v2", "."), (2, "v2", "/")):
        path = folder / f"keys{form}{name}{ord(separator)}"
        a = zarr.create_array(str(path), shape=SHAPE, chunks=(2, 2), dtype="int16",
                              zarr_format=form,
                              chunk_key_encoding={"name": name, "separator": separator})
        a[...] = want
        kind = f"chunk keys `{name}`" if form == 3 else "chunk keys"
        if check(dump(tool, path)[1].get("fnv1a") == fnv1a(cells_bytes(want)), f"{path.name}"):
            support.listed("zarr-other", f"version {form}: {kind} with `{separator}`", "zarr-python")


# What must be refused by name: a type or codec, and how zarr-python makes an array of it.
# (version, what, words of the error, type, what create_array wants). When one is read one day, it
# moves to ROWS or to the types.
def refusals():
    yield 3, "shards compressed as a whole", "shard", "f4", {
        "chunks": (4,), "serializer": shards((2,), [codec("bytes", endian="little")], "end"),
        "compressors": [ZSTD]}
    yield 3, "other chunk grids", "grid", "f4", {"edit": {"chunk_grid": {
        "name": "hexagonal", "configuration": {"chunk_shape": [2]}}}}
    yield 3, "storage transformers", "transformer", "f4", {"edit": {
        "storage_transformers": [codec("nothing")]}}
    for name in ("pickle",):
        yield 2, f"objects by {name}", name, str, {"filters": [{"id": name}]}


def compare_refusals(tool, folder):
    for form, what, words, dtype, more in refusals():
        path = folder / f"refused{form}_{what.replace(' ', '_')}"
        edit = more.pop("edit", None)
        try:
            if form == 2:
                more = {k: ([numcodecs.get_codec(dict(c)) for c in v] if isinstance(v, list)
                            else numcodecs.get_codec(dict(v))) for k, v in more.items()}
            more = {"chunks": (2,), **more}
            zarr.create_array(str(path), shape=(3,), dtype=dtype, zarr_format=form, **more)
            if edit:
                document = {**support.zarr_document(path), **edit}
                (path / "zarr.json").write_text(json.dumps(document))
        except Exception as why:
            print(f"# zarr-python: version {form}, {what}: {str(why)[:150]}")
            continue
        line = (dump(tool, path) or [{}, {}])[-1]
        problem = line.get("problem", {})
        if check(problem.get("code") == "CM_EUNSUP" and words in problem["message"],
                 f"version {form}, {what}: {line}"):
            support.refused(f"Zarr version {form}", what, problem["message"].removeprefix(".zarray: "))


def main():
    here = pathlib.Path(__file__).resolve().parents[2] / "build/debug"
    parser = argparse.ArgumentParser()
    parser.add_argument("--dump", default=os.environ.get("CM_DUMP", str(here / "tests/cm_dump")))
    parser.add_argument("--program", default=os.environ.get("CM_PROGRAM", str(here / "chunkmill")))
    parser.add_argument("--keep", help="folder for the stores, kept")
    options = parser.parse_args()
    if not os.access(options.dump, os.X_OK) or not os.access(options.program, os.X_OK):
        print(f"1..0 # SKIP no {options.dump} or {options.program}")
        return 77
    types = NUMBERS + TEXT if support.wanted() else SAMPLE
    with tempfile.TemporaryDirectory() as temporary, support.recording():
        folder = pathlib.Path(options.keep or temporary)
        stores = {}
        for form, arrays in ((3, arrays3), (2, arrays2)):
            stores[form] = zarr_store(folder / f"zarr{form}", form, arrays(types))
            compare_read(options.dump, folder / f"zarr{form}", stores[form], "zarr-python")
            compare_read(options.dump, folder / f"ts{form}",
                         tensorstore_arrays(folder / f"ts{form}", form, types), "tensorstore")
            compare_unwritten(options.dump, folder / f"never{form}", form, types)
        key_encodings(options.dump, folder)
        compare_refusals(options.dump, folder)
        kept(options.program, folder, stores)
        chosen(options.program, folder, types)
    print(f"{'not ' if FAILED else ''}ok 1 - {count()} checks, {len(FAILED)} failed\n1..1")
    return bool(FAILED)


if __name__ == "__main__":
    sys.exit(main())
