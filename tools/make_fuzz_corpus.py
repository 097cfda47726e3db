#!/usr/bin/env python3
"""Write the seed files of fuzz/fuzz_hdf5.c: small HDF5 files, one structure or a few in each.

    python tools/make_fuzz_corpus.py [fuzz/corpus/hdf5]

Needs h5py, hdf5plugin and h5repack. The files are in the repository; run this again only to change them.
"""
import os
import subprocess
import sys
import tempfile

import h5py
import hdf5plugin
import numpy as np

TIMES = {"track_times": False}


def cells(n, dtype="<i2"):
    return (np.arange(n) * 37 + 5).astype(dtype)


def create(folder, name, libver, **kw):
    return h5py.File(os.path.join(folder, name), "w", libver=libver, **kw)


def old(folder):
    with create(folder, "old_groups", "earliest") as h:
        h.create_dataset("g/a", data=cells(6), **TIMES)
        h.create_dataset("chunked", data=cells(12).reshape(3, 4), chunks=(2, 2), maxshape=(None, 4), **TIMES)
        h["soft"] = h5py.SoftLink("/g/a")
        h["g"].attrs["n"] = 3
    with create(folder, "old_filters", "earliest") as h:
        d = h.create_dataset("x", (9,), "<i4", chunks=(3,), compression="gzip", shuffle=True, fletcher32=True,
                             fillvalue=7, **TIMES)
        d[:3] = cells(3)
        d.id.write_direct_chunk((3,), cells(3, "<i4").tobytes(), filter_mask=7)
    with create(folder, "user_block", "earliest", userblock_size=512) as h:
        h.create_dataset("x", data=cells(4, ">f4"), **TIMES)


def strings(folder):
    with create(folder, "strings", ("v108", "v110")) as h:
        h.create_dataset("vlen", data=np.array(["a", "", "bcd"], dtype=object), dtype=h5py.string_dtype(), **TIMES)
        h.create_dataset("fixed", data=np.array([b"ab", b"c"]), **TIMES)
        h.create_dataset("chars", data=np.frombuffer(b"hi\0you", "S1").reshape(2, 3), chunks=(1, 3), **TIMES)
        h.create_dataset("flags", data=np.array([True, False]), **TIMES)
        h.create_dataset("waves", data=np.array([1 + 2j, 3j]), **TIMES)
        h.attrs["list"] = np.array(["p", "qr"], dtype=object)


def dense(folder):
    with create(folder, "dense", ("v108", "v108"), track_order=True) as h:
        for k in range(10):
            h.create_dataset(f"d{k}", data=np.int8(k), track_order=True, **TIMES)
        for k in range(10):
            h["d3"].attrs[f"a{k}"] = k
        h["outside"] = h5py.ExternalLink("f.h5", "/x")


def scales(folder):
    with create(folder, "scales", ("v108", "v110"), track_order=True) as h:
        for name, n in (("x", 2), ("y", 3)):
            h.create_dataset(name, data=cells(n, "<f4"), **TIMES)
            h[name].make_scale(name)
            h[name].attrs["_Netcdf4Dimid"] = np.int32(n)
        h.create_dataset("t", (0,), "<f4", chunks=(1,), maxshape=(None,), **TIMES)
        h["t"].make_scale("This is a netCDF dimension but not a netCDF variable.         0")
        h["t"].attrs["_Netcdf4Dimid"] = np.int32(0)
        d = h.create_dataset("v", data=cells(6).reshape(1, 2, 3), maxshape=(None, 2, 3), chunks=(1, 2, 3), **TIMES)
        for i, s in enumerate(("t", "x", "y")):
            d.dims[i].attach_scale(h[s])
        d.attrs["_Netcdf4Coordinates"] = np.array([0, 2, 3], "i4")


def indexes(folder):
    for name, shape, chunk, kw in (
            ("single", (3,), (3,), {"compression": "gzip"}),
            ("fixed", (7,), (2,), {"compression": "gzip"}),
            ("paged", (2100,), (1,), {}),
            ("extensible", (90,), (1,), {"maxshape": (None,)}),
            ("tree", (4, 4), (2, 2), {"maxshape": (None, None), "compression": "gzip"})):
        with create(folder, f"index_{name}", ("v110", "v110")) as h:
            d = h.create_dataset("x", shape, "u1", chunks=chunk, **kw, **TIMES)
            d[...] = cells(int(np.prod(shape)), "u1").reshape(shape)
    with create(folder, "index_implicit", ("v110", "v110")) as h:
        p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        p.set_chunk((2,))
        p.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        p.set_obj_track_times(False)
        h5py.h5d.create(h.id, b"x", h5py.h5t.STD_I16LE, h5py.h5s.create_simple((5,)), p)


def types(folder):
    with create(folder, "types", ("v108", "v110")) as h:
        h["named"] = np.dtype("<i4")
        h.create_dataset("x", (2,), dtype=h["named"], **TIMES)
        h.create_dataset("pair", (1,), np.dtype([("a", "i4"), ("b", "f8", (2,))]), **TIMES)
        h.create_dataset("ragged", (1,), h5py.vlen_dtype("i2"), **TIMES)
        h.create_dataset("enum", (1,), h5py.enum_dtype({"A": 1, "B": 2}), **TIMES)
        h.create_dataset("null", data=h5py.Empty("f4"), **TIMES)
        h["x"].attrs["ref"] = h["x"].ref


POINT = np.dtype({"names": ["x", "on"], "formats": [">i2", "?"], "offsets": [1, 5], "itemsize": 8})
RECORD = np.dtype([("n", "<i4"), ("at", POINT, (2,)), ("word", "S3"), ("raw", "V2")])


def records(folder):
    """Compounds with gaps, in compounds, arrays and attributes; opaque cells; sequences."""
    a = np.zeros(5, RECORD)
    for i in range(5):
        a[i] = (i * 37 + 5, [(i, i % 2), (-i, 1)], b"ab", np.void(b"xy"))
    with create(folder, "records", ("v108", "v110")) as h:
        h.create_dataset("gaps", data=a, chunks=(2,), fillvalue=a[3], **TIMES)
        h.create_dataset("packed", data=np.array([(1, 2.5), (3, 4.5)], [("i", "<i4"), ("f", "<f8")]), **TIMES)
        h.create_dataset("opaque", data=np.array([b"abc", b"de"], "V3"), **TIMES)
        d = h.create_dataset("lists", (3,), h5py.vlen_dtype("<i2"), chunks=(2,), **TIMES)
        d[0] = cells(4)
        d = h.create_dataset("points", (2,), h5py.vlen_dtype(POINT), **TIMES)
        d[1] = a["at"][2]
        h.attrs["record"] = a[1]
        h.attrs.create("words", np.array([(b"a", "bc")], [("f", "S2"), ("v", h5py.string_dtype())]))
        h.attrs["blob"] = np.void(b"\x01\x02")
        h.attrs.create("square", cells(4).reshape(1, 2, 2), dtype=np.dtype(("<i2", (2, 2))))


def references(folder):
    with create(folder, "references", "earliest") as h:
        x = h.create_dataset("g/x", data=cells(20).reshape(4, 5), **TIMES)
        h["named"] = np.dtype("<i4")
        some = [x.ref, h["g"].ref, h["named"].ref, h5py.Reference(), h.ref]
        d = h.create_dataset("objects", (5,), h5py.ref_dtype, **TIMES)
        for i, r in enumerate(some):
            d[i] = r
        some = [x.regionref[1:3, 2:4], x.regionref[::2, 1], x.regionref[np.arange(20).reshape(4, 5) % 7 == 0], x.regionref[...]]
        d = h.create_dataset("regions", (5,), h5py.regionref_dtype, chunks=(2,), **TIMES)
        for i, r in enumerate(some):
            d[i] = r
        h.attrs["to"] = x.ref
        x.attrs["parts"] = np.array(some[:2], h5py.regionref_dtype)


def links_out(folder):
    """To the file itself, which the fuzzer calls f, and to one that is not there."""
    with create(folder, "links_out", ("v108", "v110")) as h:
        h.create_dataset("g/x", data=cells(4), **TIMES)
        for name, file, path in (("x", "f", "/g/x"), ("g2", "./f", "g"), ("loop", "f", "/loop"), ("root", "f", "/"),
                                 ("gone", "other.h5", "/x"), ("up", "../f", "/")):
            h[name] = h5py.ExternalLink(file, path)
        h["g/up"] = h5py.ExternalLink("f", "/")
        h["soft"] = h5py.SoftLink("x")


def refused(folder):
    with create(folder, "refused", ("v108", "v110")) as h:
        h.create_dataset("words", (1,), np.dtype([("n", "<i4"), ("word", h5py.string_dtype())]), **TIMES)
        h.create_dataset("refs", (1,), np.dtype([("in", [("to", h5py.ref_dtype)])]), **TIMES)
        t = h5py.h5t.vlen_create(h5py.h5t.vlen_create(h5py.h5t.STD_I32LE))
        p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        p.set_obj_track_times(False)
        h5py.h5d.create(h.id, b"lists", t, h5py.h5s.create_simple((1,)), p)


def odd_filters(folder):
    with create(folder, "odd_filters", "earliest") as h:
        a = cells(40) % 30
        h.create_dataset("lzf", data=a, chunks=(40,), compression="lzf", **TIMES)
        h.create_dataset("szip", data=a, chunks=(20,), compression="szip", **TIMES)
        h.create_dataset("scale", data=a, chunks=(20,), scaleoffset=0, fillvalue=3, **TIMES)
        h.create_dataset("digits", data=a.astype("f4"), chunks=(20,), scaleoffset=1, **TIMES)
        h.create_dataset("shuffled", data=a, chunks=(40,), compression=hdf5plugin.Bitshuffle(cname="lz4"), **TIMES)
        h.create_dataset("blocks", data=a, chunks=(40,), compression=hdf5plugin.LZ4(nbytes=32), **TIMES)
        p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        p.set_chunk((5,))
        p.set_filter(h5py.h5z.FILTER_NBIT, 0)
        p.set_obj_track_times(False)
        t = h5py.h5t.STD_I32BE.copy()
        t.set_precision(19)
        t.set_offset(4)
        d = h5py.h5d.create(h.id, b"bits", t, h5py.h5s.create_simple((9,)), p)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, cells(9, "<i4"))
        h.create_dataset("array", (3,), np.dtype(("<i2", (2, 2))), chunks=(2,), **TIMES)[0] = cells(4).reshape(2, 2)


def elsewhere(folder):
    """Cells that are other datasets' or other files'."""
    for name, libver in (("virtual", ("v110", "v110")), ("virtual_2", "latest")):
        with create(folder, name, libver) as h:
            h.create_dataset("a", data=cells(12).reshape(3, 4), chunks=(2, 3), **TIMES)
            layout = h5py.VirtualLayout((2, 3, 4), "<i2")
            layout[0] = h5py.VirtualSource(".", "a", (3, 4))
            layout[1, 1:3, ::2] = h5py.VirtualSource(".", "a", (3, 4))[0:2, 1:3]
            h.create_virtual_dataset("v", layout, fillvalue=9)
            layout = h5py.VirtualLayout((3, 3, 4), "<i2")
            layout[0:2] = h5py.VirtualSource(".", "v", (2, 3, 4))
            layout[2] = h5py.VirtualSource("nowhere.h5", "a", (3, 4))
            h.create_virtual_dataset("w", layout)
    unlimited = h5py.h5s.UNLIMITED
    with create(folder, "growing", ("v110", "v110")) as h:
        h.create_dataset("rows", data=cells(12).reshape(6, 2), chunks=(2, 2), maxshape=(None, 2), **TIMES)
        for k in range(2):
            h.create_dataset(f"part{k}", data=cells(4).reshape(2, 2), **TIMES)

        def rows(start, stride, count, block, n=8):
            space = h5py.h5s.create_simple((n, 2), (unlimited, 2))
            space.select_hyperslab((start, 0), (count, 1), (stride, 1), (block, 2))
            return space
        for name, to, source, of in (("same", rows(0, 1, unlimited, 1), b"rows", rows(1, 1, unlimited, 1)),
                                     ("apart", rows(1, 5, unlimited, 3), b"rows", rows(0, 2, unlimited, 1)),
                                     ("counted", rows(0, 3, unlimited, 2), b"part%b", h5py.h5s.create_simple((2, 2)))):
            p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            p.set_obj_track_times(False)
            p.set_virtual(to, b".", source, of)
            h5py.h5d.create(h.id, name.encode(), h5py.h5t.STD_I16LE, h5py.h5s.create_simple((0, 2), (unlimited, 2)), p)
    with create(folder, "external", "earliest") as h:
        h.create_dataset("x", (2, 3), "<i2", external=[("a.raw", 4, 6), ("b/c.raw", 0, h5py.h5f.UNLIMITED)], **TIMES)
    with tempfile.TemporaryDirectory() as tmp:
        with create(tmp, "plain", ("v108", "v110")) as h:
            for k in range(3):
                h.create_dataset(f"x{k}", data=cells(4), chunks=(2,), fillvalue=3, **TIMES).attrs["a"] = "the same"
        subprocess.run(["h5repack", "-s", "8", f"{tmp}/plain", os.path.join(folder, "shared_messages")], check=True)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "fuzz/corpus/hdf5"
    os.makedirs(folder, exist_ok=True)
    for make in (old, strings, dense, scales, indexes, types, records, references, links_out, refused, odd_filters, elsewhere):
        make(folder)
    for name in sorted(os.listdir(folder)):
        print(f"{os.path.getsize(os.path.join(folder, name)):7d} {name}")


if __name__ == "__main__":
    main()
