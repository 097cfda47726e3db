"""Random HDF5 files of everything that libhdf5 can be asked for: make(rng, path).

Format versions, user blocks, widths of offsets and lengths, paged files; groups with and without order, many links,
some of them removed again; numbers of both byte orders and of odd widths, enums, bools, complex numbers, strings,
sequences, opaque, records, array types, references; contiguous, compact, chunked, external, virtual; filters in any
order, optional or not, chunks written past them; fill values, times of allocation; dimension scales; attributes of
all that. Then the file is opened again, datasets shrink and grow, cells and attributes change.

libhdf5 itself refuses some of it, and hangs now and then when a dataset shrinks: who calls sets an alarm.
"""
import itertools
import os
import zlib

import h5py
import numpy as np
from h5py import h5d, h5f, h5p, h5s, h5t, h5z

LIBVERS = [("earliest", "v108"), ("earliest", "v108"), ("v108", "v108"), ("v108", "v110"), ("earliest", "latest"),
           ("v108", "v112"), ("latest", "latest"), ("latest", "latest")]
LV = {"earliest": h5f.LIBVER_EARLIEST, "v108": h5f.LIBVER_V18, "v110": h5f.LIBVER_V110, "v112": h5f.LIBVER_V112, "latest": h5f.LIBVER_LATEST}


def odd_int(rng):
    size = rng.choice([1, 2, 4, 8])
    t = rng.choice([h5t.STD_I8LE, h5t.STD_U8LE]).copy()
    t.set_size(size)
    bits = size * 8
    prec = rng.randint(1, bits)
    off = rng.randint(0, bits - prec)
    t.set_offset(0)
    t.set_precision(prec)
    t.set_offset(off)
    if size > 1:
        t.set_order(rng.choice([h5t.ORDER_LE, h5t.ORDER_BE]))
    t.set_pad(h5t.PAD_ZERO, h5t.PAD_ZERO) if hasattr(t, "set_pad") else None
    return t


# libhdf5 2.0 reads its own references of 4 bytes wrong: files with such offsets have none.
WITHOUT = {"references": False}


def scalar_type(rng, depth=0):
    k = rng.choice("iiiiuuffffbecsovSVabOxx" if depth == 0 else "iufbecsovab")
    end = rng.choice("<<<>")
    if k == "i":
        return np.dtype(end + rng.choice(["i1", "i2", "i4", "i8"]))
    if k == "u":
        return np.dtype(end + rng.choice(["u1", "u2", "u4", "u8"]))
    if k == "f":
        return np.dtype(end + rng.choice(["f2", "f4", "f8"]))
    if k == "b":
        return np.dtype("?")
    if k == "c":
        return np.dtype(end + rng.choice(["c8", "c16"]))
    if k == "e":
        return h5py.enum_dtype({f"n{i}": i * 3 - (0 if rng.random() < .5 else 4) for i in range(rng.randint(1, 5))}, basetype=end + rng.choice(["i1", "i2", "i4", "i8"]))
    if k == "s":
        return h5py.string_dtype(rng.choice(["ascii", "utf-8"]), rng.choice([1, 2, 5, 9]))
    if k == "o":
        return np.dtype(f"V{rng.randint(1, 9)}")
    if k == "v":
        return np.dtype(end + "i4")
    if k == "S":
        return h5py.string_dtype(rng.choice(["ascii", "utf-8"]))
    if k == "V":
        return h5py.vlen_dtype(np.dtype(end + rng.choice(["i1", "u2", "f4", "i8"])))
    if k == "a":
        return np.dtype((scalar_fixed(rng), tuple(rng.randint(1, 3) for _ in range(rng.randint(1, 2)))))
    if k == "O":
        return np.dtype("i4") if WITHOUT["references"] else rng.choice([h5py.ref_dtype, h5py.regionref_dtype])
    if k == "x":
        n = rng.randint(1, 4)
        if depth > 1:
            return np.dtype("i2")
        names = [f"m{i}" for i in range(n)]
        fmts = [scalar_type(rng, depth + 1) for _ in range(n)]
        if rng.random() < .5:
            return np.dtype(list(zip(names, fmts)))
        offs, at = [], 0
        for f in fmts:
            at += rng.randint(0, 3)
            offs.append(at)
            at += f.itemsize
        return np.dtype({"names": names, "formats": fmts, "offsets": offs, "itemsize": at + rng.randint(0, 5)})


def scalar_fixed(rng):
    return np.dtype(rng.choice("<>") + rng.choice(["i1", "i2", "u4", "f4", "f8"]))


def random_cells(rng, t, shape, h=None):
    n = int(np.prod(shape, dtype=np.int64))
    if t.subdtype:
        base, sub = t.subdtype
        return random_cells(rng, base, tuple(shape) + tuple(sub), h)
    if h5py.check_string_dtype(t):
        info = h5py.check_string_dtype(t)
        if info.length is None:
            a = np.empty(n, object)
            for i in range(n):
                a[i] = rng.choice(["", "a", "höhe" if info.encoding == "utf-8" else "hoehe", "x" * rng.randint(0, 40), f"s{i}"])
            return a.reshape(shape)
        return np.array([("%x" % rng.randrange(16 ** 9))[:rng.randint(0, info.length)].encode() for _ in range(n)], t).reshape(shape) if n else np.zeros(shape, t)
    if h5py.check_ref_dtype(t):
        a = np.empty(n, object)
        tgt = [h] + [x for x in h.values() if isinstance(x, h5py.Dataset)]
        for i in range(n):
            if h5py.check_ref_dtype(t) is h5py.Reference:
                a[i] = rng.choice(tgt).ref
            else:
                c = [x for x in tgt[1:] if x.ndim and x.size]
                if c:
                    x = rng.choice(c)
                    s = tuple(slice(lo := rng.randrange(m), rng.randint(lo + 1, m), rng.randint(1, 3)) for m in x.shape)
                    a[i] = x.regionref[s]
                else:
                    a[i] = h5py.RegionReference()
        return a.reshape(shape)
    if h5py.check_vlen_dtype(t):
        base = h5py.check_vlen_dtype(t)
        a = np.empty(n, object)
        for i in range(n):
            a[i] = np.frombuffer(rng.randbytes(base.itemsize * (m := rng.choice([0, 1, 2, 5]))), base).copy()
        return a.reshape(shape)
    if t.names:
        a = np.zeros(shape, t)
        for m in t.names:
            a[m] = random_cells(rng, t[m], shape, h)
        return a
    if t.kind == "b":
        return (np.frombuffer(rng.randbytes(n), "u1") & 1).astype("?").reshape(shape)
    if h5py.check_enum_dtype(t):
        v = list(h5py.check_enum_dtype(t).values())
        return np.array([rng.choice(v) for _ in range(n)], t).reshape(shape)
    if rng.random() < .3 and t.kind in "iufc":
        with np.errstate(all="ignore"):
            return (np.arange(n) * rng.randint(1, 9) % 120).astype(t).reshape(shape)
    return np.frombuffer(rng.randbytes(n * t.itemsize), t).reshape(shape).copy()


def fill_for(rng, t):
    if t.kind in "iuf" and not t.names and not t.subdtype and not h5py.check_enum_dtype(t):
        return np.frombuffer(rng.randbytes(t.itemsize), t)[0]
    if t.kind == "c":
        return t.type(complex(rng.random(), 3))
    if h5py.check_string_dtype(t):
        i = h5py.check_string_dtype(t)
        if i.length:
            return np.array(b"fi"[:i.length], t)[()]
        return None
    return None


def shape_for(rng):
    nd = rng.choice([0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 8])
    big = {0: 1, 1: 60, 2: 14, 3: 7, 4: 4, 5: 3, 8: 2}[nd]
    s = [rng.randint(1, big) for _ in range(nd)]
    if nd and rng.random() < .06:
        s[rng.randrange(nd)] = 0
    return tuple(s)


def filters_for(rng, t, dcpl, chunks, htype=None):
    names = []
    plainnum = t.kind in "iuf" and not t.names and not t.subdtype
    enum = h5py.check_enum_dtype(t) is not None
    for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4])):
        f = rng.choice(["deflate", "shuffle", "fletcher32", "lzf", "szip", "nbit", "so", "deflate", "shuffle"])
        flag = h5z.FLAG_OPTIONAL if rng.random() < .5 else h5z.FLAG_MANDATORY
        if t.kind == "O" and f in ("szip", "so", "nbit"):
            continue
        if f in names and f in ("so", "nbit", "szip"):
            continue
        try:
            if f == "deflate":
                dcpl.set_filter(h5z.FILTER_DEFLATE, flag, (rng.randint(0, 9),))
            elif f == "shuffle":
                dcpl.set_shuffle()
            elif f == "fletcher32":
                dcpl.set_fletcher32()
            elif f == "lzf":
                dcpl.set_filter(32000, h5z.FLAG_OPTIONAL)
            elif f == "szip":
                if names or not plainnum and t.kind not in "iuf":
                    continue
                dcpl.set_szip(rng.choice([h5z.SZIP_EC_OPTION_MASK, h5z.SZIP_NN_OPTION_MASK]), rng.choice([2, 4, 8, 16, 32]))
            elif f == "nbit":
                if names:
                    continue
                dcpl.set_filter(h5z.FILTER_NBIT, h5z.FLAG_OPTIONAL)
            elif f == "so":
                if names or enum:
                    continue
                if t.kind in "iu" and not t.names:
                    dcpl.set_scaleoffset(h5z.SO_INT, rng.choice([h5z.SO_INT_MINBITS_DEFAULT, 0, 3, 9]) if t.itemsize > 1 else 0)
                elif t.kind == "f" and t.itemsize > 2:
                    dcpl.set_scaleoffset(h5z.SO_FLOAT_DSCALE, rng.choice([0, 1, 2, 4, -1]))
                else:
                    continue
        except (ValueError, RuntimeError, OSError) as e:
            continue
        names.append(f)
    return names


def chunk_encode(raw, names, mask, itemsize):
    """Encode by hand where every filter is one we know; None otherwise."""
    for i, f in enumerate(names):
        if mask >> i & 1:
            continue
        if f == "deflate":
            raw = zlib.compress(raw, 1)
        elif f == "shuffle":
            if itemsize > 1:
                k = len(raw) // itemsize
                raw = np.frombuffer(raw[:k * itemsize], "u1").reshape(k, itemsize).T.tobytes() + raw[k * itemsize:]
        else:
            return None
    return raw


def try_attrs(rng, o, h, n=None, big=False):
    for i in range(n if n is not None else rng.choice([0, 0, 1, 2, 3, 12])):
        name = rng.choice(["a", "units", "é", "long name", "x" * 60, "_FillValue", "b"]) + (str(i) if rng.random() < .8 else "")
        try:
            if name in o.attrs:
                if rng.random() < .5:
                    del o.attrs[name]
                    continue
            t = scalar_type(rng)
            shape = rng.choice([(), (), (1,), (3,), (2, 2), (0,)])
            if rng.random() < .05:
                o.attrs.create(name, h5py.Empty(t))
                continue
            if rng.random() < .03:
                shape = (9000,)
                t = np.dtype("f8")
            if name.startswith("_FillValue"):
                t = np.dtype("f4"); shape = (1,)
            v = random_cells(rng, t, shape, h)
            if t.subdtype:
                o.attrs.create(name, v.reshape(shape + t.subdtype[1]), shape=shape, dtype=t)
            else:
                o.attrs.create(name, v, shape=shape, dtype=t)
        except (TypeError, ValueError, RuntimeError, OSError, KeyError) as e:
            pass


def make(rng, path, log=None):
    log = log if log is not None else []
    WITHOUT["references"] = False
    lv = rng.choice(LIBVERS)
    fcpl = h5p.create(h5p.FILE_CREATE)
    ub = rng.choice([0, 0, 0, 512, 1024, 4096])
    paged = rng.random() < .3 and not ub
    if ub:
        fcpl.set_userblock(ub)
    if rng.random() < .25:
        s = rng.choice([(4, 4), (8, 4), (4, 8)])
        fcpl.set_sizes(*s)
        if s[0] == 4:
            WITHOUT["references"] = True
        log.append(f"sizes {s}")
    if rng.random() < .3:
        fcpl.set_link_creation_order(h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED)
    if paged and lv[1] in ("v110", "v112", "latest"):
        try:
            fcpl.set_file_space_strategy(rng.choice([h5f.FSPACE_STRATEGY_PAGE, h5f.FSPACE_STRATEGY_FSM_AGGR, h5f.FSPACE_STRATEGY_NONE]), bool(rng.random() < .5), 1)
            fcpl.set_file_space_page_size(rng.choice([512, 4096]))
        except Exception as e:
            log.append(repr(e))
    fapl = h5p.create(h5p.FILE_ACCESS)
    fapl.set_libver_bounds(LV[lv[0]], LV[lv[1]])
    fapl.set_fclose_degree(h5f.CLOSE_STRONG)
    log.append(f"lv {lv} ub {ub}")
    fid = h5f.create(os.fsencode(str(path)), h5f.ACC_TRUNC, fcpl, fapl)
    h = h5py.File(fid)
    folder = os.path.dirname(str(path))
    with h:
        groups = [h]
        for i in range(rng.choice([0, 0, 1, 3])):
            g = rng.choice(groups).create_group(f"g{i}", track_order=rng.random() < .5)
            groups.append(g)
        dsets = []
        if rng.random() < .3:
            t = scalar_type(rng)
            try:
                h["committed"] = t
            except Exception:
                pass
        for i in range(rng.randint(1, 7)):
            g = rng.choice(groups)
            try:
                d = make_dataset(rng, h, g, f"d{i}", folder, log)
            except (NotImplementedError,) as e:
                log.append(f"d{i}: {e!r}")
                continue
            if d is not None:
                dsets.append(d)
                try_attrs(rng, d, h)
        for g in groups:
            try_attrs(rng, g, h)
        # links
        for i in range(rng.choice([0, 0, 2])):
            g = rng.choice(groups)
            if dsets:
                d = rng.choice(dsets)
                k = rng.choice(["soft", "dangling", "self"])
                n = f"l{i}"
                if k == "soft":
                    g[n] = h5py.SoftLink(d.name)
                elif k == "dangling":
                    g[n] = h5py.SoftLink("/nothing/here")
                else:
                    g[n] = h5py.SoftLink("/" )
        if rng.random() < .15:
            g = rng.choice(groups)
            for i in range(rng.choice([9, 40, 300])):
                g.create_dataset(f"many{i}", data=np.int16(i))
            for i in range(0, 300, rng.choice([2, 3, 7])):
                if f"many{i}" in g and rng.random() < .6:
                    del g[f"many{i}"]
        scales(rng, h, groups, dsets, log)
        names = [d.name for d in dsets]
    # sessions of change
    for _ in range(rng.choice([0, 0, 1, 2])):
        with h5py.File(path, "r+", libver=rng.choice([lv, ("earliest", "latest"), "latest"])) as h:
            for n in names:
                if n in h and rng.random() < .5:
                    change(rng, h, h[n], log)
    return log


def scales(rng, h, groups, dsets, log):
    if rng.random() < .5:
        return
    sc = []
    for d in dsets:
        for ax, n in enumerate(d.shape or ()):
            r = rng.random()
            if r < .4:
                have = [s for s in sc if s.shape[0] == n or rng.random() < .05]
                if have and rng.random() < .6:
                    s = rng.choice(have)
                else:
                    g = rng.choice(groups)
                    name = f"dim{len(sc)}"
                    s = g.create_dataset(name, data=np.arange(n, dtype="f8"))
                    s.make_scale(rng.choice(["", name, "long name", "This is a netCDF dimension but not a netCDF variable.%10d" % n]))
                    sc.append(s)
                try:
                    d.dims[ax].attach_scale(s)
                    if rng.random() < .1 and have:
                        d.dims[ax].attach_scale(rng.choice(have))
                except Exception as e:
                    log.append(f"scale {e!r}")
                if rng.random() < .1:
                    d.dims[ax].label = "lab"
    # delete one of the scales
    if sc and rng.random() < .1:
        s = rng.choice(sc)
        del h[s.name]


def change(rng, h, d, log):
    try:
        for _ in range(rng.randint(1, 4)):
            r = rng.random()
            if r < .5 and d.chunks and d.maxshape != d.shape:
                new = tuple(rng.randint(0 if rng.random() < .2 else 1, m if m is not None and m < 10**6 else s + rng.randint(0, 9)) for s, m in zip(d.shape, d.maxshape))
                log.append(f"{d.name} resize {new}")
                d.resize(new)
            elif r < .8 and d.size:
                s = tuple(slice(lo := rng.randrange(m), rng.randint(lo + 1, m)) for m in d.shape)
                log.append(f"{d.name} write {s}")
                put(rng, h, d, s)
            else:
                try_attrs(rng, d, h)
                for k in list(d.attrs):
                    if rng.random() < .2 and k not in ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME"):
                        del d.attrs[k]
    except (TypeError, ValueError, OSError, RuntimeError) as e:
        log.append(f"{d.name} change {e!r}")


def put(rng, h, d, s):
    t = d.dtype
    shape = tuple(x.stop - x.start for x in s)
    v = random_cells(rng, t, shape, h)
    if t.subdtype:
        d[s] = v
    else:
        d[s] = v if shape else v[()] if v.dtype.kind != "O" else v.item()


def make_dataset(rng, h, g, name, folder, log):
    t = scalar_type(rng)
    shape = shape_for(rng)
    htype = h5t.py_create(t, logical=True)
    odd = False
    if rng.random() < .1:
        htype = odd_int(rng)
        t = np.dtype({1: "i1", 2: "i2", 4: "i4", 8: "i8"}[htype.get_size()])
        odd = True
    if "committed" in h and rng.random() < .4 and isinstance(h["committed"], h5py.Datatype):
        htype = h["committed"].id
        t = h["committed"].dtype
    if rng.random() < .03:
        g.create_dataset(name, data=h5py.Empty(t if t.kind != "O" else "f4"))
        return None
    kind = rng.choice(["chunk"] * 7 + ["compact", "contiguous", "contiguous", "external", "virtual"]) if shape else rng.choice(["compact", "contiguous"])
    dcpl = h5p.create(h5p.DATASET_CREATE)
    maxshape = shape
    names, chunks = [], None
    if kind == "chunk":
        chunks = tuple(rng.randint(1, max(1, n) + (2 if rng.random() < .2 else 0)) for n in shape)
        nunl = rng.choice([0, 0, 1, 1, 2, len(shape)])
        ms = list(shape)
        for ax in range(len(shape)):
            r = rng.random()
            ms[ax] = None if r < .4 else max(shape[ax], chunks[ax]) + rng.randint(0, 9) if r < .6 else max(shape[ax], 0)
        maxshape = tuple(ms)
        chunks = tuple(min(c, m) if m else c for c, m in zip(chunks, maxshape))
        dcpl.set_chunk(chunks)
        names = filters_for(rng, t, dcpl, chunks)
        if hasattr(h5d, "CHUNK_DONT_FILTER_PARTIAL_CHUNKS") and rng.random() < .2:
            try:
                dcpl.set_chunk_opts(h5d.CHUNK_DONT_FILTER_PARTIAL_CHUNKS)
            except Exception:
                pass
    elif kind == "compact":
        dcpl.set_layout(h5d.COMPACT)
        if int(np.prod(shape)) * t.itemsize > 60000:
            kind = "contiguous"
            dcpl.set_layout(h5d.CONTIGUOUS)
    elif kind == "contiguous":
        dcpl.set_layout(h5d.CONTIGUOUS)
    elif kind == "external":
        if t.kind == "O" or (t.names and t.hasobject):
            kind = "contiguous"
        else:
            total = int(np.prod(shape)) * htype.get_size()
            left, k = total, 0
            parts = rng.randint(1, 3)
            for k in range(parts):
                n = left if k == parts - 1 else rng.randint(0, left)
                if k == parts - 1:
                    n = max(n, 1) + rng.randint(0, 5)
                if not n:
                    continue
                f = f"{os.path.basename(h.filename)}.{name}.{k}.raw"
                off = rng.randint(0, 50)
                if rng.random() < .9:
                    with open(os.path.join(folder, f), "wb") as x:
                        x.write(rng.randbytes(off + n))
                dcpl.set_external(f.encode(), off, n)
                left = max(0, left - n)
    if kind == "virtual":
        return make_virtual(rng, h, g, name, t, shape, folder, log)
    alloc = rng.choice([None, h5d.ALLOC_TIME_EARLY, h5d.ALLOC_TIME_LATE, h5d.ALLOC_TIME_INCR])
    if alloc is not None and not (kind == "compact") and not (kind == "external"):
        dcpl.set_alloc_time(alloc)
    ft = rng.choice([None, None, h5d.FILL_TIME_ALLOC, h5d.FILL_TIME_IFSET])
    if ft is not None:
        dcpl.set_fill_time(ft)
    if rng.random() < .5 and not odd:
        f = fill_for(rng, t)
        if f is not None:
            try:
                dcpl.set_fill_value(np.asarray(f))
            except Exception as e:
                pass
    dcpl.set_obj_track_times(rng.random() < .5)
    if rng.random() < .3:
        dcpl.set_attr_creation_order(h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED)
    if rng.random() < .3:
        dcpl.set_attr_phase_change(rng.choice([0, 4]), 0)
    space = h5s.create_simple(shape, tuple(h5s.UNLIMITED if m is None else m for m in maxshape)) if shape else h5s.create(h5s.SCALAR)
    log.append(f"{g.name}/{name} {t} odd={odd} {shape} max {maxshape} {kind} chunks {chunks} {names} alloc {alloc} fill {ft}")
    try:
        did = h5d.create(g.id, name.encode(), htype, space, dcpl=dcpl)
    except (ValueError, RuntimeError, OSError, TypeError) as e:
        log.append(f"   create: {e!r}")
        return None
    d = h5py.Dataset(did)
    size = int(np.prod(shape))
    if not size or rng.random() < .1:
        return d
    try:
        if kind != "chunk":
            put(rng, h, d, tuple(slice(0, n) for n in shape))
        else:
            n = len(list(itertools.islice(d.iter_chunks(), 3000)))
            dens = rng.choice([1, 1, .5, .1])
            for s in itertools.islice(d.iter_chunks(), 3000):
                if rng.random() < dens:
                    put(rng, h, d, s)
                if names and rng.random() < .2 and set(names) <= {"deflate", "shuffle"} and t.kind != "O" and not t.hasobject:
                    mask = rng.randrange(1 << len(names))
                    raw = random_cells(rng, t, chunks, h)
                    raw = np.ascontiguousarray(raw).tobytes()
                    enc = chunk_encode(raw, names, mask, htype.get_size())
                    d.id.write_direct_chunk(tuple(x.start for x in s), enc, filter_mask=mask)
            if rng.random() < .5:
                change(rng, h, d, log)
    except (ValueError, RuntimeError, OSError, TypeError) as e:
        log.append(f"   put: {e!r}")
    return d


def make_virtual(rng, h, g, name, t, shape, folder, log):
    if t.kind == "O" or t.subdtype or t.hasobject or t.names or h5py.check_enum_dtype(t):
        t = np.dtype(rng.choice("<>") + rng.choice(["i2", "f4", "i8"]))
    st = t
    if 0 in shape:
        shape = tuple(max(1, n) for n in shape)
    try:
        layout = h5py.VirtualLayout(shape, t)
        n = shape[0]
        k = rng.randint(1, min(3, n))
        cuts = sorted(rng.sample(range(1, n), k - 1)) if k > 1 else []
        bounds = [0] + cuts + [n]
        for i, (lo, hi) in enumerate(zip(bounds, bounds[1:])):
            if rng.random() < .15:
                continue
            where = rng.choice(["same", "other", "missing"]) if rng.random() < .7 else "other"
            sshape = (hi - lo + rng.randint(0, 2),) + shape[1:]
            sel = tuple([slice(o := rng.randint(0, sshape[0] - (hi - lo)), o + hi - lo)] + [slice(0, m) for m in shape[1:]])
            a = random_cells(rng, st, sshape)
            if t != st and t.kind in "iu":
                a = (np.arange(a.size) % 100).astype(st).reshape(sshape)
            if where == "same":
                h.create_dataset(f"{name}_src{i}", data=a)
                vs = h5py.VirtualSource(".", f"/{name}_src{i}", sshape, st)
            else:
                f = f"{os.path.basename(h.filename)}.{name}.{i}.h5"
                if where == "other":
                    with h5py.File(os.path.join(folder, f), "w") as x:
                        x.create_dataset("s", data=a, chunks=rng.random() < .5 or None)
                vs = h5py.VirtualSource(f, "s", sshape, st)
            layout[tuple([slice(lo, hi)] + [slice(None)] * (len(shape) - 1))] = vs[sel]
        log.append(f"{g.name}/{name} virtual {t} from {st} {shape} {bounds}")
        fv = random_cells(rng, t, ()) [()] if rng.random() < .5 else None
        return g.create_virtual_dataset(name, layout, fillvalue=fv)
    except (ValueError, RuntimeError, OSError, TypeError) as e:
        log.append(f"   virtual: {e!r}")
        return None
