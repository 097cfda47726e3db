"""Random files of every format through `rechunk`, again and again.

A source is made by netCDF4, h5py or zarr with random types, values (all bit patterns), fill values,
chunks, codecs and attributes; `rechunk` writes it with random options, and its result with other
random options; zarr-python, tensorstore and xarray must see the same bits and the same attributes
as the library that made the source; `diff` and `verify` must agree. The cases are the first CASES
from a seed that is always the same; CM_SEED gives another one (seeds.py), CM_RANDOM_SECONDS goes on
with more of them until that time is over.
"""
import base64
import json
import os
import pathlib
import random
import re
import shutil
import time
import warnings

import pytest

np = pytest.importorskip("numpy")
xr = pytest.importorskip("xarray")
zarr = pytest.importorskip("zarr")
h5py = pytest.importorskip("h5py")
netCDF4 = pytest.importorskip("netCDF4")
try:
    import tensorstore
except ImportError:
    tensorstore = None

warnings.simplefilter("ignore")
SECONDS = float(os.environ.get("CM_RANDOM_SECONDS", 0))
CASES = 25
LENGTHS = [1, 2, 3, 4, 5, 7, 8, 13, 16, 31]
WORDS = ["", "a", "tas", "é", "漢字かな", "x" * 300, "quote\" and \\ back", "tab\tnew\nline", "🌍", "K m-1"]


# values

def fill_of(rng, t):
    """A value for _FillValue, of every kind there is."""
    t = np.dtype(t)
    if t.kind in "iu":
        i = np.iinfo(t)
        return t.type(rng.choice([i.min, i.max, 0, 1, i.max - 1, rng.randint(int(i.min), int(i.max))]))
    n = t.itemsize
    if rng.random() < 0.3:
        return np.frombuffer(rng.randbytes(n), t)[0]
    return t.type(rng.choice([np.nan, -np.nan, np.inf, -np.inf, -0.0, 0.0, 1e20, -999.9, 0.1, 9.969209968386869e36]))


def cells(rng, t, shape, fill=None):
    """Any bits at all, with runs and whole regions of fill, of zero, and of a ramp."""
    t = np.dtype(t)
    n = int(np.prod(shape, dtype=int))
    if t.kind == "O":
        out = np.empty(n, object)
        out[:] = [rng.choice(WORDS) + (str(i) if rng.random() < 0.5 else "") for i in range(n)]
        return out.reshape(shape)
    if t.kind == "b":
        return (np.frombuffer(rng.randbytes(n), "u1") & 1).astype("?").reshape(shape)
    a = np.frombuffer(rng.randbytes(n * t.itemsize), t).reshape(shape).copy()
    if rng.random() < 0.4 and t.kind in "iuf":
        a[...] = (np.arange(n) * 37 % 101).astype(t).reshape(shape)
    for _ in range(rng.randint(0, 2)):
        where = tuple(slice(rng.randint(0, s), None) for s in shape)
        a[where] = fill if fill is not None and rng.random() < 0.7 else t.type(0)
    return a


def text_attribute(rng):
    return rng.choice([w for w in WORDS if w])


def attributes(rng, classic=False):
    out = {}
    for _ in range(rng.randint(0, 4)):
        name = rng.choice(["units", "long_name", "comment", "valid_range", "números", "a b", "x.y", "_private"])
        kind = rng.choice("tinfv")
        types = ["i1", "i2", "i4"] + ([] if classic else ["u1", "u2", "u4", "i8", "u8"])
        if kind == "t" or name == "units":
            out[name] = text_attribute(rng)
        elif kind == "i":
            t = np.dtype(rng.choice(types))
            out[name] = t.type(rng.choice([np.iinfo(t).max, np.iinfo(t).min, 3]))
        elif kind == "n":
            out[name] = np.array([rng.randint(0, 100) for _ in range(rng.randint(2, 4))], rng.choice(types))
        elif kind == "f":
            out[name] = np.dtype(rng.choice(["f4", "f8"])).type(rng.choice([0.1, 1e20, -0.0, np.nan, np.inf, 1 / 3]))
        else:
            out[name] = np.array([rng.uniform(-1, 1), 0.1, 1e-300], "f8")
    return out


def pick_shape(rng, dims):
    names = rng.sample(sorted(dims), min(len(dims), rng.choice([0, 1, 1, 2, 2, 3, 4])))
    return names, [dims[d] for d in names]


def pick_chunks(rng, shape):
    return [rng.choice([1, max(1, n // 2), max(1, n), rng.randint(1, max(1, n))]) for n in shape]


# sources: each returns its tree {path: (dims, array)}; arrays are what must be read

def joins(v, groups):
    """Is the last dimension of a char variable nothing but the length of strings?"""
    d = v.get_dims()[-1]
    users = [(u, i, e.name) for g in groups for u in g.variables.values() for i, e in enumerate(u.get_dims())
             if (e.group().path, e.name) == (d.group().path, d.name)]
    return d.name not in d.group().variables and not (d.isunlimited() and v.group().data_model[:7] == "NETCDF3") and \
        all(u.dtype == "S1" and i == u.ndim - 1 for u, i, _ in users)


def netcdf_source(rng, path):
    form = rng.choice(["NETCDF4"] * 4 + ["NETCDF4_CLASSIC", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET",
                                         "NETCDF3_64BIT_DATA"])
    classic = form in ("NETCDF4_CLASSIC", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET")
    four = form.startswith("NETCDF4")
    types = ["i1", "i2", "i4", "f4", "f8"] + ([] if classic else ["u1", "u2", "u4", "i8", "u8"])
    with netCDF4.Dataset(path, "w", format=form) as nc:
        nc.set_fill_on()
        nc.setncatts(attributes(rng, classic or not four))
        groups = [nc]
        if form == "NETCDF4" and rng.random() < 0.5:
            groups.append(nc.createGroup("g"))
            groups.append(groups[-1].createGroup("h i"))
        dims = {}
        for i in range(rng.randint(1, 5)):
            name, n = "dims_xyzt"[i] + rng.choice(["", "_é", " b"] if four else [""]), rng.choice(LENGTHS)
            unlimited = (i == 0 or (form == "NETCDF4" and rng.random() < 0.3)) and rng.random() < 0.6
            rng.choice(groups[:1] if i < 3 else groups[:2]).createDimension(name, None if unlimited else n)
            dims[name] = (n, unlimited)
        for k in range(rng.randint(1, 6)):
            g = rng.choice(groups)
            seen = {d: dims[d] for d in dims if d in g.dimensions or any(d in p.dimensions for p in groups[:groups.index(g)])}
            if g is groups[0]:
                seen = {d: dims[d] for d in g.dimensions}
            names = rng.sample(sorted(seen), rng.randint(0, min(4, len(seen))))
            if not four:  # the record dimension comes first, and there is one
                names.sort(key=lambda d: not dims[d][1])
            t = rng.choice(types + (["S1"] if rng.random() < 0.3 else []) + ([str] if form == "NETCDF4" else []))
            # netCDF-C reads a variable that is short along a later axis as if its rows had the full length, and
            # leaves cells unset of one that is short along one of two unlimited axes
            several = sum(bool(dims[d][1]) for d in names) > 1
            shape = [dims[d][0] if not dims[d][1] or i or t is str or several or rng.random() < 0.6 else rng.randint(0, dims[d][0])
                     for i, d in enumerate(names)]
            more, fill = {}, None
            if t not in (str, "S1"):
                fill = fill_of(rng, t) if rng.random() < 0.6 else None
                if four:
                    more["endian"] = rng.choice(["native", "big", "little"])
            if four and names:
                if rng.random() < 0.8:
                    more["chunksizes"] = pick_chunks(rng, [dims[d][0] for d in names])
                if t is not str and rng.random() < 0.6:
                    more.update(compression=rng.choice(["zlib", "zlib", "zstd"]), shuffle=rng.random() < 0.5,
                                fletcher32=rng.random() < 0.3)
            if fill is not None:
                more["fill_value"] = fill
            try:
                v = g.createVariable(f"v{k}" if rng.random() < 0.8 or not names else names[0], t, names, **more)
            except RuntimeError:
                continue
            v.set_auto_maskandscale(False)
            if hasattr(v, "set_auto_chartostring"):
                v.set_auto_chartostring(False)
            v.setncatts({k: a for k, a in attributes(rng, classic or not four).items()})
            if t == "S1":
                data = np.frombuffer(bytes(rng.choice(b"abc xyz\0") for _ in range(int(np.prod(shape)))), "S1").reshape(shape)
            else:
                data = cells(rng, object if t is str else t, shape, fill)
                if four and names and t is not str and rng.random() < 0.3:
                    v.scale_factor, v.add_offset = 0.1, np.float64(3)
            if data.size and (rng.random() < 0.9 or t is str or several):
                v[tuple(slice(0, n) for n in shape)] = data
    tree = {}
    with netCDF4.Dataset(path) as nc:
        nc.set_auto_maskandscale(False)
        walk = [("", nc)]
        for where, g in walk:
            walk += [(f"{where}/{n}", s) for n, s in g.groups.items()]
        for where, g in walk:
            for name, v in g.variables.items():
                v.set_auto_maskandscale(False)
                v.set_auto_chartostring(False)
                a = np.asarray(v[...])
                for i in range(len(a) if a.ndim > 1 and v.dtype is not str else 0):
                    a[i] = v[i]  # netCDF-C leaves memory as it was beyond the end of a short variable, but not in rows
                dims = list(v.dimensions)
                if a.dtype == "S1" and a.ndim and joins(v, [s for _, s in walk]):
                    n = a.shape[-1]
                    a = np.ascontiguousarray(a).view(f"S{n}")[..., 0] if n and a.size else np.zeros(a.shape[:-1], "S1")
                    a = np.array([x.decode("latin1") for x in a.ravel()], object).reshape(a.shape)
                    dims.pop()
                elif a.dtype == "S1":
                    a = np.array([x.decode("latin1") for x in a.ravel()], object).reshape(a.shape)
                a = a.astype(a.dtype.newbyteorder("="))
                tree[f"{where}/{name}"] = (dims, a)
    return tree


def hdf5_source(rng, path):
    tree = {}
    with h5py.File(path, "w", libver=rng.choice(["earliest", "latest", ("v108", "v110")]),
                   track_order=rng.random() < 0.5) as h:
        for k in range(rng.randint(1, 5)):
            t = np.dtype(rng.choice(["i1", "<i2", ">i2", ">i4", "<u4", ">u8", "<u8", ">f4", "<f8", ">f8", "<f2", "?", "<c8", ">c16"]))
            shape = [rng.choice(LENGTHS + [0]) for _ in range(rng.choice([0, 1, 2, 2, 3, 4]))]
            if np.prod(shape, dtype=int) > 20000:
                shape = shape[:2]
            plain = t.newbyteorder("=")
            fill = fill_of(rng, plain) if plain.kind in "iuf" and rng.random() < 0.5 else None
            more, masked = {}, False
            if fill is not None:
                more["fillvalue"] = fill
            if shape and rng.random() < 0.8:
                more["chunks"] = tuple(pick_chunks(rng, shape))
                if rng.random() < 0.4 or 0 in shape:
                    more["maxshape"] = tuple(rng.choice([None, max(n, 1) * 2]) if n else None for n in shape)
                if rng.random() < 0.6:
                    more.update(compression=rng.choice(["gzip", None, "lzf"]), shuffle=rng.random() < 0.5, fletcher32=rng.random() < 0.3)
                    if more["compression"] == "lzf":
                        more["compression"] = None
                    masked = rng.random() < 0.3
            name = rng.choice(["v", "a/b", "a/c d", "é"]) + str(k)
            d = h.create_dataset(name, tuple(shape), t, **more)
            data = cells(rng, plain, shape, fill)
            if data.size == 0 or rng.random() < 0.1:
                pass
            elif "chunks" in more:  # some chunks only, some without their filters
                for s in list(d.iter_chunks()):
                    if rng.random() < 0.85:
                        d[s] = data[s]
                        if masked and rng.random() < 0.5:
                            at = tuple(x.start for x in s)
                            whole = np.zeros(more["chunks"], t)
                            part = data[s].astype(t)
                            whole[tuple(slice(0, n) for n in part.shape)] = part
                            d.id.write_direct_chunk(at, whole.tobytes(), filter_mask=0xffffffff)
            else:
                d[...] = data
            for key, value in attributes(rng).items():
                d.attrs[key] = value
    with h5py.File(path) as h:
        def visit(name, d):
            if isinstance(d, h5py.Dataset):
                a = np.asarray(d[()])
                tree["/" + name] = (None, a.astype(a.dtype.newbyteorder("=")))
        h.visititems(visit)
    return tree


def zarr_codecs(rng, form, t, shape, chunks):
    from zarr import codecs as c
    more = {}
    if form == 2:
        more["order"] = rng.choice("CF")
        import numcodecs as n
        more["compressors"] = rng.choice([None, n.Blosc(rng.choice(["lz4", "zstd", "zlib"]), 3, rng.choice([0, 1, 2])),
                                          n.Zstd(1), n.GZip(1), n.Zlib(1), n.LZ4()])
        more["filters"] = [n.Shuffle(t.itemsize)] if t.kind in "iuf" and rng.random() < 0.2 else None
        if t.kind == "O":
            more.update(filters="auto", order="C")
        return more
    if t.kind == "O":
        more["compressors"] = rng.choice([None, c.ZstdCodec(), c.GzipCodec()])
        return more
    more["compressors"] = rng.choice([None, c.ZstdCodec(level=1, checksum=rng.random() < 0.5), c.GzipCodec(level=1), c.Crc32cCodec(),
                                      c.BloscCodec(typesize=t.itemsize, cname=rng.choice(["lz4", "zstd", "blosclz", "lz4hc"]),
                                                   shuffle=rng.choice(["shuffle", "bitshuffle", "noshuffle"]))])
    if t.itemsize > 1:
        more["serializer"] = c.BytesCodec(endian=rng.choice(["little", "big"]))
    if len(shape) > 1 and rng.random() < 0.3:
        more["filters"] = [c.TransposeCodec(order=tuple(rng.sample(range(len(shape)), len(shape))))]
    if shape and rng.random() < 0.4 and all(shape):
        more["shards"] = tuple(k * rng.randint(1, 3) for k in chunks)
    return more


def zarr_source(rng, path):
    form = rng.choice([2, 3, 3])
    root = zarr.open_group(str(path), mode="w", zarr_format=form)
    root.attrs.update({"title": "é", "n": 2**64 - 1, "deep": {"a": [1, None, {"b": -0.0}]}})
    groups = [root] + ([root.create_group("g")] if rng.random() < 0.5 else [])
    dims = {f"d{i}": rng.choice(LENGTHS + [0] * (rng.random() < 0.2)) for i in range(rng.randint(1, 5))}
    tree = {}
    for k in range(rng.randint(1, 5)):
        t = np.dtype(rng.choice(["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "?", "c8", "c16", "O"]))
        if form == 2 and t.kind in "iufc" and rng.random() < 0.3:
            t = t.newbyteorder(">")
        plain = t.newbyteorder("=")
        names, shape = pick_shape(rng, dims)
        chunks = pick_chunks(rng, shape)
        more = zarr_codecs(rng, form, t, shape, chunks)
        fill = fill_of(rng, plain) if t.kind in "iuf" else None
        if fill is not None and t.kind == "f" and form == 2 and np.isnan(fill):
            fill = plain.type(np.nan)
        g = rng.choice(groups)
        where = "/" + (g.path + "/" if g.path else "") + f"v{k}"
        if form == 3:
            more["dimension_names"] = names
        else:
            more["chunk_key_encoding"] = {"name": "v2", "separator": rng.choice("./")}
        z = g.create_array(f"v{k}", shape=tuple(shape), chunks=tuple(chunks), dtype=str if t.kind == "O" else t, fill_value=fill, **more)
        if form == 2:
            z.attrs["_ARRAY_DIMENSIONS"] = names
        z.attrs.update({"units": "K", "list": [1, 0.1, "é"], "big": 2**63, "null": None})
        if t.kind == "c":
            data = cells(rng, f"f{t.itemsize // 2}", list(shape) + [2], None).view(plain)[..., 0]
        else:
            data = cells(rng, plain, shape, fill)
        if data.size and rng.random() < 0.9:
            if shape and rng.random() < 0.4:
                s = tuple(slice(0, rng.randint(1, n)) for n in shape)
                z[s] = data[s]
            else:
                z[...] = data
        z = zarr.open_array(str(path) + where, mode="r")  # its fill value is now what JSON says
        tree[where] = (names, np.asarray(z[...]).astype(object if t.kind == "O" else plain))
    if rng.random() < 0.5:
        zarr.consolidate_metadata(str(path))
    return tree


# comparison

def bits(a):
    a = np.asarray(a)
    if a.dtype.kind in "OUTS":
        return [x if isinstance(x, str) else bytes(x).decode("latin1") for x in a.astype(object).ravel().tolist()]
    return np.ascontiguousarray(a).astype(a.dtype.newbyteorder("=")).tobytes()


def first_difference(got, want):
    g, w = np.asarray(got), np.asarray(want)
    if g.dtype.kind in "OUT" or g.dtype != w.dtype or g.shape != w.shape:
        return f"{g.dtype}{g.shape} for {w.dtype}{w.shape}: {g.ravel()[:8]} for {w.ravel()[:8]}"
    n = g.dtype.itemsize
    gb, wb = (np.frombuffer(bits(x), f"V{n}") for x in (g, w))
    bad = [i for i in range(g.size) if gb[i] != wb[i]]
    i = bad[0]
    return f"{len(bad)} of {g.size} cells, first {np.unravel_index(i, g.shape)}: {gb[i].tobytes().hex()} for {wb[i].tobytes().hex()}"


def compare(store, tree, what):
    root = zarr.open_group(str(store), mode="r")
    found = {"/" + p: z for p, z in root.members(max_depth=None) if isinstance(z, zarr.Array)}
    assert set(found) == set(tree), f"{what}: {set(found) ^ set(tree)}"
    for path, (dims, want) in tree.items():
        z = found[path]
        got = np.asarray(z[...])
        label = f"{what}: {path}"
        assert got.shape == want.shape, f"{label}: {got.shape} for {want.shape}"
        if want.dtype.kind != "O":
            assert got.dtype.newbyteorder("=") == want.dtype, f"{label}: {got.dtype} for {want.dtype}"
        assert bits(got) == bits(want), f"{label}: {first_difference(got, want)}"
        if dims is not None:
            names = z.metadata.dimension_names if z.metadata.zarr_format == 3 else z.attrs["_ARRAY_DIMENSIONS"]
            assert list(names or []) == list(dims), f"{label}: {names} for {dims}"
        if tensorstore and want.dtype.kind in "iufb" and want.size:
            driver = "zarr3" if z.metadata.zarr_format == 3 else "zarr"
            kvstore = {"driver": "file", "path": str(store) + path}
            try:
                ts = tensorstore.open({"driver": driver, "kvstore": kvstore}).result()
            except ValueError as why:  # a source's own codecs, kept
                if "members: \"checksum\"" in str(why) or "filters are not" in str(why):  # the source's
                    continue
                odd = any(token in (store / path[1:] / "zarr.json").read_text() for token in ("NaN", "Infinity")) \
                    if "Invalid JSON" in str(why) else "not registered" in str(why) or "--codec keep" in what
                assert odd, f"{label}: {why}"
                continue
            assert bits(ts.read().result()) == bits(want), f"{label}: tensorstore reads other values"


def plain_json(v):
    """Attribute values as JSON says them."""
    if isinstance(v, dict):
        return {k: plain_json(x) for k, x in v.items()}
    if isinstance(v, (list, tuple, np.ndarray)):
        return [plain_json(x) for x in (v.tolist() if isinstance(v, np.ndarray) else v)]
    v = v.item() if isinstance(v, np.generic) else v
    if isinstance(v, bytes):
        v = v.decode()
    if isinstance(v, float):
        return ("nan" if v != v else np.float64(v).tobytes().hex())
    return v


def compare_zarr_attributes(store, source, what):
    a, b = zarr.open_group(str(store), mode="r"), zarr.open_group(str(source), mode="r")
    assert plain_json(dict(a.attrs)) == plain_json(dict(b.attrs)), what
    for path, z in b.members(max_depth=None):
        want, got = dict(z.attrs), dict(a[path].attrs)
        for d in want, got:
            d.pop("_ARRAY_DIMENSIONS", None), d.pop("_FillValue", None)
        assert plain_json(got) == plain_json(want), f"{what}: {path}: {got} for {want}"


def compare_netcdf_attributes(store, source, tree, what):
    for group in {path.rpartition("/")[0] or "/" for path in tree}:
        with netCDF4.Dataset(source) as nc, \
             xr.open_zarr(str(store), group=group, decode_cf=False, chunks=None) as mine:
            g = nc[group] if group != "/" else nc
            want = {k: g.getncattr(k) for k in g.ncattrs()}
            assert same_attributes(mine.attrs, want), f"{what}: {group}: {mine.attrs} for {want}"
            for name, v in g.variables.items():
                want = {k: v.getncattr(k) for k in v.ncattrs()}
                got = dict(mine[name].attrs)
                if v.dtype in (str, np.dtype("S1")):
                    want.pop("_FillValue", None), got.pop("_FillValue", None)
                assert same_attributes(got, want), f"{what}: {group}/{name}: {got} for {want}"


def same_attributes(got, want):
    if set(got) != set(want):
        return False
    for k in want:
        g, w = np.asarray(got[k]), np.asarray(want[k])
        if w.dtype.kind in "iu":
            good = [int(x) for x in g.ravel()] == [int(x) for x in w.ravel()]
        elif w.dtype.kind == "f":
            with np.errstate(all="ignore"):
                g = g.ravel().astype(w.dtype)  # JSON has one NaN
                good = bits(g[~np.isnan(g)]) == bits(w[~np.isnan(w)]) and (np.isnan(g) == np.isnan(w)).all()
        else:
            good = g.tolist() == w.tolist()
        if not good:
            return False
    return True


# options

def options(rng, tree, zarr_form):
    out = ["--zarr", str(zarr_form), "--threads", str(rng.randint(1, 6)), "--quiet"]
    for path, (dims, a) in tree.items():
        if not a.ndim or rng.random() < 0.3 or ":" in path or "," in path:
            continue
        chunks = pick_chunks(rng, a.shape)
        out += ["--chunks", f"{path}:" + ",".join(map(str, chunks))]
        if zarr_form == 3 and rng.random() < 0.4:
            out += ["--shards", f"{path}:" + ",".join(str(c * rng.randint(1, 4)) for c in chunks)]
    codec = rng.choice([None, None, "blosc:zstd:5:shuffle", "blosc:lz4:1:bitshuffle", "zstd:1", "gzip:1", "none", "keep"])
    if codec:
        out += ["--codec", codec]
    if rng.random() < 0.4:
        out += ["--mode", rng.choice(["sweep", "reread", "spill"])]
    if rng.random() < 0.5:
        out += ["--empty-chunks", rng.choice(["write", "skip"])]
    if rng.random() < 0.5:
        out += ["--max-mem", rng.choice(["64MB", "100MB", "1GB"])]
    return out


# what Zarr v2 or a format cannot say, or a codec cannot do; nothing else may be refused
MAY_REFUSE = ["--zarr 3", "write Zarr v3", "Zarr v2", "another codec", "whose chunks hold parts of strings", "is not readable by others"]


def rechunk(run, rng, sources, target, tree, zarr_form, what):
    args = options(rng, tree, zarr_form)
    done = run("rechunk", *sources, target, *args)
    enough = re.search(r"at least (--max-mem) (\w+)\)", done.err)
    if done.code == 6 and enough:  # netCDF's own chunks of 16 MB are too large for 64 MB; the advice must hold
        args += enough.groups()
        done = run("rechunk", *sources, target, *args)
    line = f"{what}: rechunk {' '.join(map(str, [*sources, target, *args]))}"
    if done.code == 3 and any(why in done.err for why in MAY_REFUSE):
        assert not os.path.exists(target), line
        return None, line
    assert done.code == 0, f"{line}: status {done.code}\n{done.err}"
    return target, line


def keep(folder, why):
    where = os.environ.get("CM_KEEP")
    if where:
        shutil.copytree(folder, pathlib.Path(where) / f"{why}", dirs_exist_ok=True)


@pytest.mark.parametrize("kind", ["netcdf", "hdf5", "zarr"])
def test_random(kind, run, seed, tmp_path):
    make = {"netcdf": netcdf_source, "hdf5": hdf5_source, "zarr": zarr_source}[kind]
    end, n, refused, wrong = time.monotonic() + SECONDS, 0, 0, []
    while time.monotonic() < end if SECONDS else n < CASES:
        one = seed + n
        n += 1
        rng = random.Random(f"{kind}{one}")
        folder = tmp_path / "case"
        folder.mkdir()
        source = folder / ("source" + {"netcdf": ".nc", "hdf5": ".h5", "zarr": ".zarr"}[kind])
        tree = make(rng, source)
        what = f"CM_SEED={one} {kind}"
        try:
            refused += not check(run, rng, kind, source, tree, folder, what)
        except Exception as why:
            keep(folder, f"{kind}-{one}")
            wrong.append(f"{what}: {type(why).__name__}: {why}"[:1500])
            if len(wrong) >= int(os.environ.get("CM_RANDOM_FAILURES", 1)):
                break
        shutil.rmtree(folder)
    print(f"{kind}: {n} cases, {refused} refused")
    assert not wrong, "\n\n".join(wrong)
    assert refused < n / 2, f"{refused} of {n} cases were refused"


def check(run, rng, kind, source, tree, folder, what):
    first, line = rechunk(run, rng, [source], folder / "first", tree, rng.choice([2, 3, 3]), what)
    if not first:
        return False
    compare(first, tree, line)
    if kind == "zarr":
        compare_zarr_attributes(first, source, line)
    elif kind == "netcdf":
        compare_netcdf_attributes(first, source, tree, line)
    same = run("diff", source, first, "--quiet")
    assert same.code == 0, f"{line}: diff says {same.code} {same.out} {same.err}"
    sound = run("verify", first, "--quiet")
    assert sound.code == 0, f"{line}: verify says {sound.code} {sound.out} {sound.err}"
    second, line = rechunk(run, rng, [first], folder / "second", tree, rng.choice([2, 3, 3]), what)
    if second:
        compare(second, tree, line)
    return True
