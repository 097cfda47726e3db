"""Random sets of odd files against xarray: each file opened by itself by xarray, side by side in the order of time,
is what the joined cube must be: as a copy, and as references (JSON, Parquet, with and without rewritten chunks)
read back by chunkmill and by xarray's kerchunk engine. Or the set is refused, naming a file or a variable; and what
differs in nothing that matters must not be refused."""

import pathlib
import warnings

import numpy as np
import pytest

warnings.simplefilter("ignore")
netCDF4 = pytest.importorskip("netCDF4")
h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
xarray = pytest.importorskip("xarray")
utils = pytest.importorskip("kerchunk.utils")

SETS = 8
FORMATS = ["nc4", "nc4", "nc4", "nc4", "NETCDF3_CLASSIC", "NETCDF3_64BIT_DATA", "zarr2", "zarr3"]
# what may differ in one file of a set; those that make values mean something else must be refused
STORAGE = ["chunk", "codec", "endian", "steps", "units", "mask", "hole", "contiguous", "comment"]
MEANING = ["fill", "scale", "calendar", "missing", "dtype", "y", "extra", "attribute"]


def common(rng):
    form = rng.choice(FORMATS)
    big = rng.random() < 0.6
    ny, nx = (rng.randint(90, 130), rng.randint(150, 200)) if big else (rng.randint(1, 5), rng.randint(2, 7))
    steps = rng.randint(4, 7) if big else rng.randint(1, 5)
    kinds = ["f4", "f8", "i2", "i4"] + (["u1", "i8", "u2"] if form != "NETCDF3_CLASSIC" else [])
    o = dict(form=form, big=big, ny=ny, nx=nx, steps=steps, dtype=rng.choice(kinds), endian="native", skip=None,
             chunk=(rng.randint(1, steps), rng.choice([ny, (ny + 1) // 2]), rng.choice([nx, (nx + 2) // 3])),
             codec=rng.choice([{}, {"zlib": True}, {"zlib": True, "shuffle": False}, {"zlib": True, "fletcher32": True}]),
             units="days since 2001-01-01", calendar=rng.choice([None, "standard", "noleap"]), time=rng.choice(["f8", "i4"]),
             scale=rng.choice([None, None, (0.5, 3.0)]), fill=rng.choice([None, 7]), y=0, extra=False, mask=False, hole=False,
             contiguous=rng.random() < 0.15, text=rng.random() < 0.4 and form == "nc4",  # xarray cannot read texts of Zarr with a fill value
             scalar=rng.random() < 0.5, bounds=rng.random() < 0.3, flat=rng.random() < 0.3, attribute="K", comment="c", unlimited=True,
             compact=form == "nc4" and rng.random() < 0.3)
    if o["contiguous"]:
        o["unlimited"] = False
    o["grows"] = o["compact"] and o["contiguous"]  # not where the dimension is unlimited in some of the files
    if form == "zarr3":
        o["fill"] = None  # xarray has its own way of storing it
    return o


def change(rng, o, what):
    o = dict(o)
    steps = o["steps"]
    if what == "chunk":
        o["chunk"] = (rng.randint(1, steps), o["chunk"][1], rng.choice([o["nx"], 1 + o["nx"] // 2]))
    elif what == "codec":
        o["codec"] = rng.choice([{}, {"zlib": True}, {"zlib": True, "complevel": 1}, {"zlib": True, "shuffle": False}])
    elif what == "endian":
        o["endian"] = "big"
    elif what == "steps":
        o["steps"] = rng.randint(1, steps + 2)
        o["chunk"] = (min(o["chunk"][0], o["steps"]), *o["chunk"][1:])
    elif what == "units":
        o["units"] = "hours since 2000-12-31"
    elif what == "fill":
        o["fill"] = 9
    elif what == "scale":
        o["scale"] = (0.25, 3.0)
    elif what == "calendar":
        o["calendar"] = "360_day"
    elif what == "missing":
        o["skip"] = rng.choice(["v", "s"])
    elif what == "dtype":
        o["dtype"] = "f8" if o["dtype"] != "f8" else "f4"
    elif what == "y":
        o["y"] = 1
    elif what == "contiguous":
        o["contiguous"], o["unlimited"] = True, False
    elif what == "attribute":
        o["attribute"] = "degC"
    elif what == "comment":
        o["comment"] = "another"
    else:
        o[what] = True
    return o


def values(o, first):
    shape = (o["steps"], o["ny"], o["nx"])
    n = int(np.prod(shape))
    v = (first * o["ny"] * o["nx"] + np.arange(n)) * 7919 % 120 if o["dtype"] in ("u1",) else \
        (first * o["ny"] * o["nx"] + np.arange(n)) % 30011
    return v.reshape(shape).astype(o["dtype"])


def variables(o, first):
    """name -> (dimensions, values, attributes)"""
    t = first + np.arange(o["steps"])
    if o["units"].startswith("hours"):
        t = (t + 1) * 24 if o["calendar"] in (None, "standard", "noleap") else t
    time = {"units": o["units"], **({"calendar": o["calendar"]} if o["calendar"] else {})}
    all = {"time": (("time",), t.astype(o["time"]), time)}
    all["y"] = (("y",), np.arange(o["ny"], dtype="f8") * 2 + o["y"], {})
    attrs = {"units": o["attribute"], "comment": o["comment"]}
    if o["scale"] and np.dtype(o["dtype"]).kind in "iu":
        attrs.update(scale_factor=o["scale"][0], add_offset=o["scale"][1])
    all["v"] = (("time", "y", "x"), values(o, first), attrs)
    all["s"] = (("y", "x"), np.arange(o["ny"] * o["nx"], dtype="f4").reshape(o["ny"], o["nx"]) / 3, {})
    if o["bounds"]:
        all["time"][2]["bounds"] = "time_bnds"
        t = all["time"][1]
        step = t.dtype.type(24 if o["units"].startswith("hours") else 1)
        all["time_bnds"] = (("time", "two"), np.stack([t, t + step], 1), {})
    if o["flat"]:
        all["w"] = (("time",), np.arange(first, first + o["steps"], dtype="i4") * 3, {})
    if o["scalar"]:
        all["height"] = ((), np.float64(2.5), {"units": "m"})
    if o["text"]:
        all["name"] = (("time",), np.array([f"step {first + i} ü" * (i % 3) for i in range(o["steps"])], dtype=object), {})
    if o["extra"]:
        all["more"] = (("y", "z"), np.ones((o["ny"], 2), "f4"), {})
    if o["skip"]:
        del all[o["skip"]]
    return all


def add_compact(path, o, first):
    """In the headers of the file: one variable that stays, and one that grows, where the dimension is not unlimited."""
    with h5py.File(path, "r+") as f:
        for name, scale, cells in (("small", "y", np.arange(o["ny"], dtype="<i4") * 3),
                                   ("grows", "time", np.arange(first, first + o["steps"], dtype="<i2") * 5)):
            if scale == "time" and not o["grows"]:
                continue
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.COMPACT)
            d = h5py.Dataset(h5py.h5d.create(f.id, name.encode(), h5py.h5t.py_create(cells.dtype),
                                             h5py.h5s.create_simple(cells.shape), plist))
            d[:] = cells
            d.dims[0].attach_scale(f[scale])


def write_netcdf(path, o, first):
    nc4 = o["form"] == "nc4"
    with netCDF4.Dataset(path, "w", format="NETCDF4" if nc4 else o["form"]) as nc:
        for name, n in (("time", None if o["unlimited"] else o["steps"]), ("y", o["ny"]), ("x", o["nx"]), ("two", 2), ("z", 2)):
            nc.createDimension(name, n)
        for name, (dims, data, attrs) in variables(o, first).items():
            more = {}
            if nc4 and name == "v":
                more = dict(endian=o["endian"])
                more.update(contiguous=True) if o["contiguous"] else more.update(o["codec"], chunksizes=o["chunk"])
            if name == "v" and o["fill"] is not None:
                more["fill_value"] = np.array(o["fill"], data.dtype)
            v = nc.createVariable(name, str if data.dtype == object else data.dtype, dims, **more)
            v.set_auto_maskandscale(False)
            v.setncatts(attrs)
            if name == "v" and o["hole"] and not o["contiguous"] and nc4:
                if o["steps"] > o["chunk"][0]:
                    v[o["chunk"][0]:] = data[o["chunk"][0]:]
                elif o["unlimited"]:
                    v[o["steps"] - 1, o["ny"] - 1, o["nx"] - 1] = data[-1, -1, -1]
            else:
                v[...] = data
    if o["compact"]:
        add_compact(path, o, first)
    if nc4 and o["mask"] and not o["contiguous"] and o["codec"] and o["skip"] != "v":
        with h5py.File(path, "r+") as f:
            d = f["v"]
            chunk = np.zeros(o["chunk"], d.dtype)
            part = values(o, first)[tuple(slice(0, c) for c in o["chunk"])]
            chunk[tuple(slice(0, n) for n in part.shape)] = part
            if d.id.get_chunk_info_by_coord((0, 0, 0)).size != chunk.nbytes:  # else libhdf5 keeps the old mask
                d.id.write_direct_chunk((0, 0, 0), chunk.tobytes(), filter_mask=7)
    return str(path)


def write_zarr(path, o, first):
    v3 = o["form"] == "zarr3"
    g = zarr.open_group(str(path), mode="w", zarr_format=3 if v3 else 2)
    for name, (dims, data, attrs) in variables(o, first).items():
        data = np.asarray(data)
        more = dict(dimension_names=dims) if v3 else {}
        chunks = data.shape
        if name == "v":
            chunks = o["chunk"]
            if not v3:
                more["fill_value"] = o["fill"]
            if o["codec"]:
                more["compressors"] = zarr.codecs.GzipCodec(level=o["codec"].get("complevel", 5)) if v3 else \
                    __import__("numcodecs").GZip(o["codec"].get("complevel", 5))
            else:
                more["compressors"] = None
        elif not v3:
            more["fill_value"] = None if data.dtype != object else ""
        if data.dtype == object:
            a = g.create_array(name, shape=data.shape, chunks=chunks, dtype=str, **more)
        else:
            dtype = data.dtype.newbyteorder(">") if name == "v" and o["endian"] == "big" and not v3 else data.dtype
            a = g.create_array(name, shape=data.shape, chunks=chunks or (), dtype=dtype, **more)
        a.attrs.update({**attrs, **({} if v3 else {"_ARRAY_DIMENSIONS": list(dims)})})
        if name == "v" and o["hole"]:
            a[o["chunk"][0]:] = data[o["chunk"][0]:]
        else:
            a[...] = data
    return str(path)


def make(rng, folder):
    base = common(rng)
    n = rng.randint(2, 4)
    each = [dict(base) for _ in range(n)]
    changes = []
    for what in rng.sample(STORAGE, rng.randint(0, 3)) + (rng.sample(MEANING, 1) if rng.random() < 0.25 else []):
        i = rng.randrange(n)
        each[i] = change(rng, each[i], what)
        changes.append((what, i))
    files, first = [], 0
    for i, o in enumerate(each):
        if o["form"].startswith("zarr"):
            files.append(write_zarr(folder / f"f{i}.zarr", o, first))
        else:
            files.append(write_netcdf(folder / f"f{i}.nc", o, first))
        first += o["steps"]
    if rng.random() < 0.3:
        rng.shuffle(files)
    if base["form"] != "nc4":
        changes = [c for c in changes if c[0] not in ("mask",)]
    return files, changes, base, each


def decoded(store, **more):
    coder = xarray.coders.CFDatetimeCoder(use_cftime=True)
    return xarray.open_dataset(store, decode_times=coder, chunks=None, decode_timedelta=False, **more).load()


def by_itself(path):
    more = dict(engine="zarr", consolidated=False) if path.endswith(".zarr") else dict(engine="netcdf4")
    return decoded(path, **more)


def expected(files):
    """What the cube must be: name -> (dimensions, values); the order of time."""
    opened = sorted((by_itself(f) for f in files), key=lambda ds: ds["time"].values[0])
    first, out = opened[0], {}
    for name, v in first.variables.items():
        parts = [ds.variables[name] for ds in opened]
        if "time" in v.dims:
            out[name] = (v.dims, np.concatenate([p.values for p in parts], axis=v.dims.index("time")))
        else:
            out[name] = (v.dims, v.values)
    return out


def same(got, want, where):
    assert set(got.variables) == set(want), (where, set(got.variables) ^ set(want))
    for name, (dims, cells) in want.items():
        v = got.variables[name]
        assert v.dims == dims and v.shape == cells.shape, (where, name, v.dims, v.shape, dims, cells.shape)
        if cells.dtype.kind == "f":
            assert np.array_equal(v.values.astype("f8"), cells.astype("f8"), equal_nan=True), (where, name)
        else:
            assert np.array_equal(v.values, cells), (where, name, v.values.ravel()[:5], cells.ravel()[:5])


def refused(done, files, want, where):
    """By name: a file or a variable of the set."""
    assert done.code in (2, 3, 4, 6), (where, done)
    names = [pathlib.Path(f).name for f in files]
    assert any(n in done.err for n in names) or any(f"/{v}" in done.err or f'"{v}"' in done.err for v in want), (where, done)


def check(files, changes, folder, run, tally):
    meaning = [c for c in changes if c[0] in MEANING]
    copy = folder / "copy.zarr"
    done = run("rechunk", *files, copy, "--concat", "time", "-q")
    tally["sets"] += 1
    if done.code:
        names = by_itself(files[0]).variables
        refused(done, files, names, "rechunk")
        assert meaning, ("refused, but nothing means something else", changes, done.err)
        tally["refused"] += 1
        for form in ("no.json", "no.parq"):
            refused(run("virtualize", *files, folder / form, "--concat", "time", "-q"), files, names, form)
        return
    want = expected(files)
    same(decoded(str(copy), engine="zarr", consolidated=False), want, "copy")
    for form in ("cube.json", "cube.parq"):
        for more in ([], ["--materialize", folder / "m"]):
            cube, back = folder / form, folder / "back.zarr"
            done = run("virtualize", *files, cube, "--concat", "time", "-q", "--overwrite", "--record-size", "7", *more)
            if done.code:
                assert not more, ("refused with --materialize", form, done.err)
                refused(done, files, want, form)
                tally["not as references"] += 1
                continue
            tally["references"] += 1
            got = decoded(utils.refs_as_store(str(cube)), engine="zarr", consolidated=False, zarr_format=2)
            same(got, want, (form, more, "xarray"))
            back_done = run("rechunk", cube, back, "--overwrite", "-q")
            assert back_done.code == 0, back_done.err
            same(decoded(str(back), engine="zarr", consolidated=False), want, (form, more, "chunkmill"))
            same(decoded(str(copy), engine="zarr", consolidated=False), want, "copy")


def test_random_sets(run, rng, seed, tmp_path):
    tally = dict.fromkeys(("sets", "refused", "references", "not as references"), 0)
    for i in range(SETS):
        folder = tmp_path / f"s{i}"
        folder.mkdir()
        files, changes, base, each = make(rng, folder)
        try:
            check(files, changes, folder, run, tally)
        except BaseException:
            print(f"seed {seed}, set {i}: {[pathlib.Path(f).name for f in files]} {changes}\n{base}")
            raise
    print(tally)
    assert tally["references"] >= SETS
