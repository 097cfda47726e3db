#!/usr/bin/env python3
"""Frames of numcodecs and zarr-python read by chunkmill's codecs, and the other way round.

    python test_codecs_numcodecs.py [--pipe build/debug/tests/cm_codec_pipe]

Every codec that both sides know, over sizes and types, both ways; chains of shuffle, zlib and
fletcher32 against libhdf5 by h5py, with and without a filter mask; and the v3 metadata that chunkmill
writes must be, member by member, what zarr-python writes for the codecs that it defines. Exit status
77 when nothing could be tested.
"""
import argparse
import bz2
import gzip
import json
import lzma
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
    from zarr.codecs import (BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec,
                             ZstdCodec)
    from numcodecs.checksum32 import JenkinsLookup3
    from zarr.codecs import numcodecs as zn
    from zarr.core.buffer import default_buffer_prototype
except ImportError as why:
    print(f"1..0 # SKIP {why}")
    sys.exit(77)

from seeds import choose_seed
from tally import FAILED, check, count


class Pipe:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, op, dialect, dtype, nelem, config, data=b""):
        text = json.dumps(config).encode()
        head = f"{op} {dialect} {dtype} {nelem} {len(text)} {len(data)}\n".encode()
        self.process.stdin.write(head + text + bytes(data))
        self.process.stdin.flush()
        line = self.process.stdout.readline().decode().rstrip("\n")
        if not line.startswith("ok "):
            return line or "the program died"
        return self.process.stdout.read(int(line[3:]))


def cells(rng, dtype, n, kind):
    i = np.arange(n, dtype="i8")
    if kind == "noise":
        return np.frombuffer(rng.randbytes(n * np.dtype(dtype).itemsize), dtype)
    if kind == "smooth":
        return (1000 * np.sin(i / 50)).astype(dtype)
    return (i // 7 % 91).astype(dtype)


def v2_codecs(rng, itemsize):
    yield numcodecs.Zstd(level=rng.choice([-3, 0, 1, 5, 12]), checksum=rng.random() < 0.5)
    yield numcodecs.GZip(level=rng.randrange(10))
    yield numcodecs.Zlib(level=rng.randrange(10))
    yield numcodecs.LZ4(acceleration=rng.choice([1, 7]))
    yield numcodecs.Shuffle(elementsize=itemsize)
    yield numcodecs.Fletcher32()
    yield numcodecs.registry.get_codec({"id": "crc32c"})
    yield numcodecs.registry.get_codec({"id": "crc32c", "location": "start"})
    for cname in ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"):
        if cname in numcodecs.blosc.list_compressors():
            yield numcodecs.Blosc(cname=cname, clevel=rng.randrange(10),
                                  shuffle=rng.choice([-1, 0, 1, 2]),
                                  blocksize=rng.choice([0, 0, 3000]))
    yield numcodecs.BZ2(level=rng.randint(1, 9))
    yield numcodecs.LZMA(format=rng.choice([1, 1, 2]), preset=rng.choice([None, 0, 1, 6]))
    yield numcodecs.LZMA(check=rng.choice([0, 1, 4, 10]), preset=0)
    for checksum in (numcodecs.CRC32, numcodecs.Adler32):
        yield checksum(location=rng.choice([None, "start", "end"]))
    yield JenkinsLookup3(initval=rng.choice([0, 1, 2 ** 32 - 1]))


CHECKSUMS = ("fletcher32", "crc32c", "crc32", "adler32", "jenkins_lookup3")


def config_of(codec):
    config = codec.get_config()
    if codec.codec_id in ("crc32c", "crc32", "adler32"):  # numcodecs leaves the location out
        config["location"] = codec.location
    return config


def test_v2(pipe, rng):
    for name in ("uint8", "int16", "float32", "float64", "complex128"):
        for n in (1, 3, 16, 100, 4099, 70001):
            for kind in ("noise", "smooth", "steps"):
                data = cells(rng, name, n, kind)
                raw = data.tobytes()
                for codec in v2_codecs(rng, data.itemsize):
                    what = f"{config_of(codec)} {name} {n} {kind}"
                    as_filter = codec.codec_id in ("shuffle", *CHECKSUMS)
                    config = {"filters": [config_of(codec)] if as_filter else None,
                              "compressor": None if as_filter else config_of(codec)}
                    theirs = bytes(codec.encode(data))
                    check(pipe.ask("decode", "v2", name, n, config, theirs) == raw,
                          f"chunkmill reads {what}")
                    ours = pipe.ask("encode", "v2", name, n, config, raw)
                    if isinstance(ours, str):
                        check(False, f"{what}: {ours}")
                        continue
                    check(bytes(np.asarray(codec.decode(ours)).tobytes()) == raw,
                          f"numcodecs reads {what}")
                    if as_filter:
                        check(ours == theirs, f"same bytes: {what}")


def test_streams(pipe, rng):
    """Frames that other writers make: no content size, several members."""
    data = cells(rng, "int32", 50000, "steps")
    raw = data.tobytes()
    members = gzip.compress(raw[:70000]) + gzip.compress(b"") + gzip.compress(raw[70000:])
    config = {"filters": None, "compressor": {"id": "gzip", "level": 1}}
    check(pipe.ask("decode", "v2", "int32", 50000, config, members) == raw, "gzip of three members")
    config = {"filters": None, "compressor": {"id": "zstd", "level": 1}}
    encode = numcodecs.Zstd(level=1).encode
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    frames = bytes(encode(raw[:70000])) + skippable + bytes(encode(raw[70000:]))
    check(pipe.ask("decode", "v2", "int32", 50000, config, frames) == raw, "zstd of two frames")
    for name, module in (("bz2", bz2), ("lzma", lzma)):
        config = {"filters": None, "compressor": {"id": name}}
        whole = module.compress(raw)
        two = module.compress(raw[:70000]) + module.compress(raw[70000:])
        for what, data in (("one stream", whole), ("two streams", two)):
            check(pipe.ask("decode", "v2", "int32", 50000, config, data) == raw, f"{name}: {what}")
        longer = module.compress(raw + b"more")
        for what, data in (("cut", whole[:-1]), ("junk", whole + b"junk"), ("long", longer),
                           ("short", module.compress(raw[:-1])),
                           ("flipped", whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])):
            got = pipe.ask("decode", "v2", "int32", 50000, config, data)
            check(isinstance(got, str) and got.startswith("CM_EDATA"), f"{name} {what}: {got[:60]}")
    config = {"filters": None, "compressor": {"id": "zstd", "level": 1}}
    for junk in (b"\0", b"junk", bytes(9)):
        got = pipe.ask("decode", "v2", "int32", 50000, config, frames + junk)
        check(isinstance(got, str) and got.startswith("CM_EDATA"), f"zstd and {junk}: {got[:60]}")


def test_v3_metadata(pipe, rng):
    def compare(codecs, dtype, array_dtype):
        array = zarr.create_array({}, shape=(24,), chunks=(24,), dtype=array_dtype,
                                  filters=codecs.get("filters", ()),
                                  serializer=codecs.get("serializer", "auto"),
                                  compressors=codecs.get("compressors", ()))
        document = array.metadata.to_buffer_dict(default_buffer_prototype())["zarr.json"]
        want = json.loads(document.to_bytes())["codecs"]
        got = pipe.ask("describe", "v3", dtype, 24, want)
        if isinstance(got, str):
            check(False, f"{want}: {got}")
            return
        check(json.dumps(json.loads(got)) == json.dumps(want), f"{got.decode()} instead of {want}")

    for dtype in ("int8", "uint16", "float32", "complex128", "bool"):
        compare({}, dtype, dtype)
        compare({"compressors": [ZstdCodec(level=3)]}, dtype, dtype)
        compare({"compressors": [ZstdCodec(level=0, checksum=True), Crc32cCodec()]}, dtype, dtype)
        compare({"compressors": [GzipCodec(level=1)]}, dtype, dtype)
        compare({"compressors": [BloscCodec()]}, dtype, dtype)
        compare({"compressors": [BloscCodec(cname="lz4", clevel=9, shuffle="noshuffle",
                                            typesize=4, blocksize=777)]}, dtype, dtype)
        inner = [BytesCodec(), ZstdCodec(level=5)]
        compare({"serializer": ShardingCodec(chunk_shape=(8,), codecs=inner)}, dtype, dtype)
        compare({"serializer": ShardingCodec(chunk_shape=(8,), codecs=inner,
                                             index_location="start")}, dtype, dtype)
        compare({"compressors": [zn.Shuffle(elementsize=4), zn.Zlib(level=4), zn.Fletcher32()]},
                dtype, dtype)
        compare({"compressors": [zn.LZ4(acceleration=3)]}, dtype, dtype)
    compare({"serializer": BytesCodec(endian="big")}, "int32", "int32")
    compare({"compressors": [ZstdCodec()]}, "string", str)


def test_hdf5(pipe, rng):
    try:
        import h5py
    except ImportError as why:
        print(f"# SKIP hdf5: {why}")
        return
    names = {1: "zlib", 2: "shuffle", 3: "fletcher32"}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.h5")
        written = {}
        with h5py.File(path, "w") as f:
            for name in ("int16", "float32", "float64"):
                for n in (5, 1000, 33333):
                    data = cells(rng, name, n, "smooth")
                    f.create_dataset(f"{name}_{n}", data=data, chunks=(n,), shuffle=True,
                                     compression="gzip", compression_opts=4, fletcher32=True)
        with h5py.File(path, "r+") as f:
            for key, d in f.items():
                name, n = key.split("_")
                data = cells(rng, name, int(n), "smooth")
                config = {"filters": [], "compressor": None}
                plist = d.id.get_create_plist()
                for i in range(plist.get_nfilters()):
                    code, _, values, _ = plist.get_filter(i)
                    one = {"id": names[code]}
                    if code == 1:
                        one["level"] = values[0]
                    if code == 2:
                        one["elementsize"] = data.itemsize
                    config["filters"].append(one)
                mask, chunk = d.id.read_direct_chunk((0,))
                check(mask == 0 and len(config["filters"]) == 3, "three filters, no mask")
                check(pipe.ask("decode", "v2", name, int(n), config, chunk) == data.tobytes(),
                      f"chunkmill reads HDF5 {config} {key}")
                other = data[::-1].copy()
                ours = pipe.ask("encode", "v2", name, int(n), config, other.tobytes())
                d.id.write_direct_chunk((0,), ours, 0)
                written[key] = other
        with h5py.File(path) as f:  # another handle: nothing comes from libhdf5's cache
            for key, other in written.items():
                check((f[key][:] == other).all(), f"libhdf5 reads {key}")


def main():
    here = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser()
    parser.add_argument("--pipe", default=os.environ.get(
        "CM_CODEC_PIPE", here / "build/debug/tests/cm_codec_pipe"))
    args = parser.parse_args()
    print(f"# zarr {zarr.__version__}, numcodecs {numcodecs.__version__}")
    rng = random.Random(choose_seed())
    pipe = Pipe(str(args.pipe))
    for number, test in enumerate((test_v2, test_streams, test_v3_metadata, test_hdf5), 1):
        before = len(FAILED)
        test(pipe, rng)
        print(f"{'ok' if len(FAILED) == before else 'not ok'} {number} - {test.__name__}")
    print(f"# {count()} checks\n1..4")
    return bool(FAILED)


if __name__ == "__main__":
    sys.exit(main())
