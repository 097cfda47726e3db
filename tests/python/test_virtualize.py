"""References that chunkmill writes, opened by xarray, fsspec and VirtualiZarr, and read by chunkmill itself;
and the cases that other tools get wrong: each right, or refused naming file and variable."""

import json
import os
import warnings

import numpy as np
import pytest

warnings.simplefilter("ignore")
netCDF4 = pytest.importorskip("netCDF4")
h5py = pytest.importorskip("h5py")

LAT, LON = 6, 10


def cells(first, steps, dtype="f4"):
    """Position-dependent: no two cells of a cube alike."""
    return (first * LAT * LON + np.arange(steps * LAT * LON)).reshape(steps, LAT, LON).astype(dtype)


def write(path, first, steps=2, chunk=(1, 3, 5), units="days since 2001-01-01", shift=0, fmt="NETCDF4",
          scale=None, dtype="f4", fill=None, zlib=True, complevel=3, shuffle=True, endian="native",
          contiguous=False, steps_chunk=None):
    with netCDF4.Dataset(path, "w", format=fmt) as nc:
        nc.title = 'a "title"'
        nc.createDimension("time", None if not contiguous else steps)
        nc.createDimension("lat", LAT)
        nc.createDimension("lon", LON)
        more = {"chunksizes": (steps_chunk,)} if steps_chunk else {}
        time = nc.createVariable("time", "f8", ("time",), **more)
        time.units = units
        time[:] = first + shift + np.arange(steps)
        lat = nc.createVariable("lat", "f4", ("lat",))
        lat[:] = np.arange(LAT) * 1.5 - 3
        nc.createVariable("grid", "f8", ("lat", "lon"))[:] = np.arange(LAT * LON).reshape(LAT, LON) / 7
        more = {}
        if fmt == "NETCDF4":
            more = dict(endian=endian)
            if contiguous:
                more["contiguous"] = True
            else:
                more.update(zlib=zlib, complevel=complevel, shuffle=shuffle, chunksizes=chunk)
        v = nc.createVariable("v", dtype, ("time", "lat", "lon"), fill_value=fill, **more)
        v.set_auto_maskandscale(False)
        if scale:
            v.scale_factor, v.add_offset = scale
        v[:] = cells(first, steps, dtype)
    return str(path)


@pytest.fixture()
def four(tmp_path):
    return [write(tmp_path / f"f{i}.nc", 2 * i) for i in range(4)]


def raw(path, kind):
    xarray = pytest.importorskip("xarray")
    utils = pytest.importorskip("kerchunk.utils")
    return xarray.open_dataset(utils.refs_as_store(str(path)), engine="zarr", decode_cf=False, chunks=None,
                               consolidated=False, zarr_format=2)


FORMS = ["cube.json", "cube.parq"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("inline", [[], ["--no-inline"], ["--inline", "1MB"]])
def test_xarray_opens_it(four, tmp_path, ok, form, inline):
    cube = tmp_path / form
    ok("virtualize", *four, cube, "--concat", "time", "--record-size", "5", *inline)
    ok("diff", *four, cube)
    ok("verify", cube)
    got = raw(cube, form)
    assert np.array_equal(got.v.values, cells(0, 8))
    assert np.array_equal(got.time.values, np.arange(8.0))
    assert np.array_equal(got.lat.values, (np.arange(LAT) * 1.5 - 3).astype("f4"))
    assert np.array_equal(got.grid.values, np.arange(LAT * LON).reshape(LAT, LON) / 7)
    assert got.attrs["title"] == 'a "title"' and got.time.attrs["units"] == "days since 2001-01-01"


def test_virtualizarr_opens_it(tmp_path, ok):
    pytest.importorskip("virtualizarr", reason="no VirtualiZarr")
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import LocalStore
    from virtualizarr.parsers import KerchunkJSONParser
    import xarray

    files = [write(tmp_path / f"t{i}.nc", 2 * i, steps_chunk=1) for i in range(4)]
    ok("virtualize", *files, tmp_path / "cube.json", "--no-inline")  # it cannot read inlined bytes
    registry = ObjectStoreRegistry({"file://": LocalStore()})
    store = KerchunkJSONParser()(url=f"file://{tmp_path}/cube.json", registry=registry)
    got = xarray.open_zarr(store, consolidated=False, zarr_format=3, decode_cf=False, chunks=None)
    assert np.array_equal(got.v.values, cells(0, 8))


def test_convert_and_append(four, tmp_path, ok):
    ok("virtualize", *four[:2], tmp_path / "a.json")
    ok("virtualize", tmp_path / "a.json", tmp_path / "b.parq")
    ok("diff", *four[:2], tmp_path / "b.parq")
    for cube in "a.json", "b.parq":
        ok("virtualize", four[2], tmp_path / cube, "--append", "time")
        ok("virtualize", four[3], tmp_path / cube, "--append", "time")
        ok("diff", *four, tmp_path / cube)
        assert np.array_equal(raw(tmp_path / cube, cube).v.values, cells(0, 8))


def test_rebase_and_verify(four, tmp_path, ok, run):
    ok("virtualize", *four, tmp_path / "a.json", "--no-inline")
    moved = tmp_path / "moved"
    moved.mkdir()
    for f in four:
        os.rename(f, moved / os.path.basename(f))
    done = run("verify", tmp_path / "a.json")
    assert done.code == 4 and "sources: 4 files, 4 gone or changed" in done.out and "is not there" in done.out
    ok("virtualize", tmp_path / "a.json", tmp_path / "b.json", "--rebase", f"{tmp_path}={moved}", "--no-inline")
    ok("diff", *[moved / os.path.basename(f) for f in four], tmp_path / "b.json")
    write(moved / "f1.nc", 2, complevel=1)
    done = run("verify", tmp_path / "b.json")
    assert done.code == 4 and "when the references were made" in done.out + done.err \
        or "after the references were made" in done.out


@pytest.mark.parametrize("name", ["cube.zarr", "no-ending"])
def test_form_must_be_known(four, tmp_path, run, name):
    assert run("virtualize", four[0], tmp_path / name).code == 2


def test_target_is_kept(four, tmp_path, ok, run):
    for form in FORMS:
        ok("virtualize", four[0], tmp_path / form)
        assert run("virtualize", four[1], tmp_path / form).code == 5
        ok("diff", four[0], tmp_path / form)
        ok("virtualize", four[1], tmp_path / form, "--overwrite")
        ok("diff", four[1], tmp_path / form)


# ---- the cases that go wrong elsewhere ---------------------------------------------------------------------


def right(files, tmp_path, ok, want=None):
    for form in FORMS:
        cube = tmp_path / form
        ok("virtualize", *files, cube)
        ok("diff", *files, cube)
        if want is not None:
            assert np.array_equal(raw(cube, form).v.values, want)


def refused(files, tmp_path, run, *says):
    for form in FORMS:
        done = run("virtualize", *files, tmp_path / form)
        assert done.code == 3, (done.code, done.err)
        for text in says:
            assert text in done.err, done.err
        assert not (tmp_path / form).exists()


def big(path, first, **options):
    """Larger than what is written into the references (1 MiB): 64 MB sparse, chunks never written but one."""
    steps = options.pop("steps", 4)
    with h5py.File(path, "w") as h:
        t = h.create_dataset("time", data=first + np.arange(float(steps)))
        t.attrs["units"] = "days since 2001-01-01"
        t.make_scale("time")
        d = h.create_dataset("v", (steps, 400, 400), options.pop("dtype", "<f4"), **options)
        d.dims[0].attach_scale(t)
        d[:] = (first * 160000 + np.arange(steps * 160000)).reshape(steps, 400, 400)
    return str(path)


def test_partial_chunk_in_the_middle(tmp_path, ok, run):
    files = [big(tmp_path / f"p{i}.h5", 3 * i, steps=3, chunks=(2, 400, 400)) for i in range(2)]
    refused(files, tmp_path, run, "p0.h5", "/v", "partial chunk in the middle")
    last = [big(tmp_path / "q0.h5", 0, steps=4, chunks=(2, 400, 400)),
            big(tmp_path / "q1.h5", 4, steps=3, chunks=(2, 400, 400))]
    right(last, tmp_path, ok, np.arange(7 * 160000, dtype="f4").reshape(7, 400, 400))


def test_small_variables_are_written_whatever_they_are(tmp_path, ok):
    files = [write(tmp_path / f"s{i}.nc", 3 * i, steps=3, chunk=(2, 3, 5)) for i in range(2)]
    right(files, tmp_path, ok, cells(0, 6))


def test_differing_chunks(tmp_path, run):
    files = [big(tmp_path / "c0.h5", 0, chunks=(2, 400, 400)), big(tmp_path / "c1.h5", 4, chunks=(2, 200, 400))]
    refused(files, tmp_path, run, "c1.h5", "/v", "2 x 200 x 400", "2 x 400 x 400")


def test_differing_codecs(tmp_path, run):
    files = [big(tmp_path / "d0.h5", 0, chunks=(2, 400, 400), compression="gzip"),
             big(tmp_path / "d1.h5", 4, chunks=(2, 400, 400), compression="gzip", shuffle=True)]
    refused(files, tmp_path, run, "d1.h5", "/v", "shuffle:4 zlib")


def test_levels_may_differ(tmp_path, ok):
    files = [big(tmp_path / "l0.h5", 0, chunks=(2, 400, 400), compression="gzip", compression_opts=1),
             big(tmp_path / "l1.h5", 4, chunks=(2, 400, 400), compression="gzip", compression_opts=7)]
    right(files, tmp_path, ok, np.arange(8 * 160000, dtype="f4").reshape(8, 400, 400))


def test_differing_byte_order(tmp_path, ok, run):
    files = [big(tmp_path / "e0.h5", 0, chunks=(2, 400, 400), dtype="<f4"),
             big(tmp_path / "e1.h5", 4, chunks=(2, 400, 400), dtype=">f4")]
    refused(files, tmp_path, run, "e1.h5", "/v", "big-endian")
    both = [big(tmp_path / f"b{i}.h5", 4 * i, chunks=(2, 400, 400), dtype=">f4") for i in range(2)]
    right(both, tmp_path, ok, np.arange(8 * 160000, dtype="f4").reshape(8, 400, 400))


@pytest.mark.parametrize("second, says", [((0.5, 11.0), "add_offset"), ((0.25, 10.0), "scale_factor")])
def test_differing_packing(tmp_path, run, second, says):
    files = [write(tmp_path / f"k{i}.nc", 2 * i, dtype="i2", scale=s) for i, s in enumerate([(0.5, 10.0), second])]
    refused(files, tmp_path, run, "k1.nc", "/v", says)


def test_differing_fill_values(tmp_path, run):
    files = [write(tmp_path / f"k{i}.nc", 2 * i, dtype="i2", fill=-1 - i) for i in range(2)]
    refused(files, tmp_path, run, "k1.nc", "/v", "_FillValue")


def test_fill_value_that_no_cell_has(tmp_path, ok, run):
    """A _FillValue outside the type: Zarr v2 cannot hold it and it marks no cell. Left out, and said."""
    files = [tmp_path / "a.nc", tmp_path / "b.nc"]
    for i, path in enumerate(files):
        with h5py.File(path, "w") as h:
            h["time"] = np.arange(2.0) + 2 * i
            h["time"].make_scale("time")
            for name, dtype, void in ("v", "<i2", np.nan), ("w", "<u4", 0.5), ("x", "<i4", -7):
                d = h.create_dataset(name, (2, 9), dtype, data=np.arange(18).reshape(2, 9) + 18 * i)
                d.attrs["_FillValue"] = void
                d.attrs["units"] = "m"
                d.dims[0].attach_scale(h["time"])
    for form in FORMS:
        done = run("virtualize", *files, tmp_path / form, "--concat", "time")
        assert done.code == 0, done.err
        for name, dtype in ("v", "int16"), ("w", "uint32"):
            assert f"/{name}: its _FillValue is no {dtype} value" in done.err
        assert "/x" not in done.err
        ok("diff", *files, tmp_path / form, "--vars", "v,w,x")
        got = raw(tmp_path / form, form)
        for name in "vwx":
            assert np.array_equal(got[name].values, np.arange(36).reshape(4, 9)), name
            assert got[name].attrs["units"] == "m"
    ok("survey", *files)


def test_filter_mask(tmp_path, ok, run):
    path = str(tmp_path / "m.h5")
    with h5py.File(path, "w") as h:
        d = h.create_dataset("v", (4, 400, 400), "<f4", chunks=(1, 400, 400), compression="gzip")
        d[:] = np.arange(640000).reshape(4, 400, 400)
        d.id.write_direct_chunk((2, 0, 0), np.full((400, 400), 7, "<f4").tobytes(), filter_mask=1)
        s = h.create_dataset("s", (4,), "<i4", chunks=(2,), compression="gzip")
        s[:] = [1, 2, 3, 4]
        s.id.write_direct_chunk((2,), np.array([5, 6], "<i4").tobytes(), filter_mask=1)
    refused([path], tmp_path, run, "m.h5", "/v", "filter mask", "chunk (2, 0, 0)")
    for form in FORMS:
        ok("virtualize", path, tmp_path / form, "--vars", "s")
        ok("diff", path, tmp_path / form, "--vars", "s")
        assert raw(tmp_path / form, form).s.values.tolist() == [1, 2, 5, 6]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("block", [0, 512])
def test_compact(tmp_path, ok, libver, block):
    path = str(tmp_path / "compact.h5")
    with h5py.File(path, "w", libver=libver, userblock_size=block) as h:
        h.attrs["before"] = "x" * 700
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((2, LAT, LON))
        d = h5py.h5d.create(h.id, b"v", h5py.h5t.IEEE_F32LE, space, plist)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, cells(0, 2))
        for i in range(20):  # the header goes on elsewhere
            h["v"].attrs[f"a{i}"] = "y" * 50
    right([path], tmp_path, ok, cells(0, 2))
    ok("virtualize", path, tmp_path / "whole.json", "--inline", "1kB")
    refs = json.loads((tmp_path / "whole.json").read_text())["refs"]
    assert refs["v/0.0.0"].startswith("base64:")
    # above --inline: where the bytes are in the header
    ok("virtualize", path, tmp_path / "place.json", "--inline", "100")
    url, offset, length = json.loads((tmp_path / "place.json").read_text())["refs"]["v/0.0.0"]
    assert open(path, "rb").read()[offset:offset + length] == cells(0, 2).tobytes()
    ok("diff", path, tmp_path / "place.json")


def test_external_and_virtual_data(tmp_path, ok, run):
    path = tmp_path / "ext.h5"
    (tmp_path / "raw.bin").write_bytes(cells(0, 2).tobytes())
    with h5py.File(path, "w") as h:
        h.create_dataset("v", (2, LAT, LON), "<f4", external=[("raw.bin", 0, h5py.h5f.UNLIMITED)])
    for form in FORMS:
        ok("virtualize", path, tmp_path / form, "--inline", "100", "--overwrite")
        ok("diff", path, tmp_path / form)
        assert np.array_equal(raw(tmp_path / form, form).v.values, cells(0, 2))
    big(tmp_path / "inner.h5", 0)
    layout = h5py.VirtualLayout((4, 400, 400), "<f4")
    layout[:] = h5py.VirtualSource("inner.h5", "v", (4, 400, 400))
    with h5py.File(tmp_path / "vds.h5", "w") as h:
        h.create_virtual_dataset("v", layout)
    for form in FORMS:
        done = run("virtualize", tmp_path / "vds.h5", tmp_path / form, "--overwrite")
        if done.code:
            assert done.code == 3 and "/v" in done.err
            ok("virtualize", tmp_path / "vds.h5", tmp_path / form, "--overwrite", "--materialize", tmp_path / "d")
        ok("diff", tmp_path / "vds.h5", tmp_path / form)
        assert np.array_equal(raw(tmp_path / form, form).v.values,
                              np.arange(4 * 160000, dtype="f4").reshape(4, 400, 400))


def test_user_block(tmp_path, ok):
    path = tmp_path / "user.h5"
    with h5py.File(path, "w", userblock_size=1024) as h:
        h.create_dataset("v", data=cells(0, 2), chunks=(1, 3, 5), compression="gzip")
        h.create_dataset("plain", data=cells(3, 2))
    right([path], tmp_path, ok, cells(0, 2))


def test_never_written_chunks(tmp_path, ok, run):
    def make(name, fill, attribute):
        with h5py.File(tmp_path / name, "w") as h:
            d = h.create_dataset("v", (4, 400, 400), "<f4", chunks=(1, 400, 400), fillvalue=fill)
            d[0] = 1.5
            if attribute is not None:
                d.attrs["_FillValue"] = np.float32(attribute)
        return str(tmp_path / name)

    refused([make("none.h5", -9, None)], tmp_path, run, "none.h5", "/v", "never written")
    refused([make("other.h5", -9, -8)], tmp_path, run, "other.h5", "/v", "never written")
    right([make("ok.h5", -9, -9)], tmp_path, ok)


@pytest.mark.parametrize("fmt", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
@pytest.mark.parametrize("contiguous", [False, True])
def test_netcdf3(tmp_path, ok, fmt, contiguous):
    files = [write(tmp_path / f"n{i}.nc", 2 * i, fmt=fmt, contiguous=contiguous) for i in range(3)]
    right(files, tmp_path, ok, cells(0, 6))


def test_contiguous_is_cut(tmp_path, ok):
    files = [big(tmp_path / f"w{i}.h5", 12 * i, steps=12) for i in range(2)]
    right(files, tmp_path, ok, np.arange(24 * 160000, dtype="f4").reshape(24, 400, 400))
    refs = json.loads((tmp_path / "cube.json").read_text())["refs"]
    assert json.loads(refs["v/.zarray"])["chunks"] == [6, 400, 400]


def test_contiguous_parts(tmp_path, ok, run):
    """Large rows are cut along the next axis, and so is a part of each row, as long as pieces are not tiny."""
    with h5py.File(tmp_path / "w.h5", "w") as h:
        data = np.arange(3 * 1500 * 1000, dtype="f4").reshape(3, 1500, 1000)
        h["v"] = data
    for form in FORMS:
        ok("virtualize", tmp_path / "w.h5", tmp_path / form)
        ok("diff", tmp_path / "w.h5", tmp_path / form)
        assert np.array_equal(raw(tmp_path / form, form).v.values, data)
    refs = json.loads((tmp_path / "cube.json").read_text())["refs"]
    assert json.loads(refs["v/.zarray"])["chunks"] == [1, 750, 1000]
    files = [big(tmp_path / f"p{i}.h5", 4 * i) for i in range(2)]
    for f in files:
        with h5py.File(f, "a") as h:
            for name, axis in ("y", 1), ("x", 2):
                h[name] = np.arange(400.0)
                h[name].make_scale(name)
                h["v"].dims[axis].attach_scale(h[name])
    want = np.arange(8 * 160000, dtype="f4").reshape(8, 400, 400)
    for part, cut in ("y=10:310", np.s_[:, 10:310]), ("y=10:311,time=1:7", np.s_[1:7, 10:311]):
        for form in FORMS:
            ok("virtualize", *files, tmp_path / form, "--isel", part, "--overwrite")
            assert np.array_equal(raw(tmp_path / form, form).v.values, want[cut])
    done = run("virtualize", *files, tmp_path / "no.json", "--isel", "x=1:300")
    assert done.code == 3 and "a part of each row" in done.err


def test_wrong_order(tmp_path, ok):
    files = [write(tmp_path / f"o{i}.nc", 2 * i) for i in (2, 0, 1)]
    right(files, tmp_path, ok, cells(0, 6))


def test_other_reference_date(tmp_path, ok):
    files = [write(tmp_path / "r0.nc", 0), write(tmp_path / "r1.nc", 2, units="days since 2001-01-03", shift=-2)]
    right(files, tmp_path, ok, cells(0, 4))
    got = raw(tmp_path / "cube.json", "json")
    assert got.time.values.tolist() == [0, 1, 2, 3] and got.time.attrs["units"] == "days since 2001-01-01"


def test_subset(tmp_path, ok, run):
    path = big(tmp_path / "sub.h5", 0, steps=8, chunks=(2, 200, 400))
    ok("virtualize", path, tmp_path / "part.json", "--isel", "time=2:7")
    got = raw(tmp_path / "part.json", "json").v.values
    assert np.array_equal(got, np.arange(8 * 160000, dtype="f4").reshape(8, 400, 400)[2:7])
    done = run("virtualize", path, tmp_path / "bad.json", "--isel", "time=1:7")
    assert done.code == 3 and "begins inside a chunk" in done.err


def test_zarr_sources(four, tmp_path, ok, run):
    ok("rechunk", *four, tmp_path / "z.zarr", "--zarr", "2", "--chunks", "time=3", "--codec", "zstd:3")
    right([tmp_path / "z.zarr"], tmp_path, ok, cells(0, 8))
    sources = json.loads((tmp_path / "cube.json").read_text())["sources"]
    stat = os.stat(tmp_path / "z.zarr/v/.zarray")
    assert sources[f"file://{tmp_path}/z.zarr/v/.zarray"] == [stat.st_size, stat.st_mtime_ns]
    for form in FORMS:
        ok("verify", tmp_path / form)
    ok("rechunk", *four, tmp_path / "z.zarr", "--zarr", "2", "--chunks", "time=3", "--codec", "zlib:3", "--overwrite")
    for form in FORMS:
        done = run("verify", tmp_path / form)
        assert done.code == 4 and "z.zarr/v/.zarray" in done.out, done.out


def test_codecs_that_others_lack(tmp_path, ok, run):
    plugin = pytest.importorskip("hdf5plugin")
    path = big(tmp_path / "lz4.h5", 0, chunks=(2, 400, 400), **plugin.LZ4())
    done = run("virtualize", path, tmp_path / "x.json")
    assert done.code == 3 and "/v" in done.err and "lz4" in done.err.lower()
    for name, options in ("zstd", plugin.Zstd()), ("blosc", plugin.Blosc()):
        try:
            path = big(tmp_path / f"{name}.h5", 0, chunks=(2, 400, 400), **options)
        except ValueError as why:  # the plugin does not load into this libhdf5
            print(f"# SKIP {name}: {why}")
            continue
        ok("virtualize", path, tmp_path / f"{name}.json")
        assert np.array_equal(raw(tmp_path / f"{name}.json", "json").v.values,
                              np.arange(4 * 160000, dtype="f4").reshape(4, 400, 400))


def test_fletcher32_and_groups(tmp_path, ok):
    with h5py.File(tmp_path / "g.h5", "w") as h:
        h.attrs["top"] = 1
        h.create_dataset("a/b/v", data=cells(5, 2), chunks=(1, 6, 5), compression="gzip", fletcher32=True)
        h.create_dataset("a/scalar", data=np.int32(42))
        h.create_dataset("text", data=["one", "zwei", "tre"], dtype=h5py.string_dtype())
        h["a"].attrs["deep"] = "x"
    for form in FORMS:
        ok("virtualize", tmp_path / "g.h5", tmp_path / form)
        ok("diff", tmp_path / "g.h5", tmp_path / form)


def test_netcdf3_records_in_another_order(tmp_path, ok):
    """The places of two variables' records exchanged in the header: each variable has its own."""
    path = tmp_path / "r.nc"
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as nc:
        nc.createDimension("time", None)
        nc.createDimension("x", 4)
        for name, first in ("aa", 0), ("bb", 1000):
            nc.createVariable(name, "i4", ("time", "x"))[:] = first + np.arange(20).reshape(5, 4)
    data = path.read_bytes()
    at = sorted(data.index(b"".join((i + k).to_bytes(4, "big") for k in range(4))) for i in (0, 1000))
    assert at[1] - at[0] == 16
    old = [a.to_bytes(4, "big") for a in at]
    where = [data.index(o) for o in old]
    changed = bytearray(data)
    for k in range(2):
        changed[where[k]:where[k] + 4] = old[1 - k]
    path.write_bytes(changed)
    for form in FORMS:
        ok("virtualize", path, tmp_path / form, "--no-inline")
        ok("diff", path, tmp_path / form)
        got = raw(tmp_path / form, form)
        assert np.array_equal(got.aa.values, 1000 + np.arange(20).reshape(5, 4))
        assert np.array_equal(got.bb.values, np.arange(20).reshape(5, 4))


def test_a_variable_that_cannot_be_read(tmp_path, ok, run):
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w") as h:
        h["v"] = cells(0, 2)
        h.create_dataset("odd", data=cells(0, 1)[0], chunks=(3, 5), compression="gzip")
    data = path.read_bytes()
    at = data.index(b"deflate") - 8  # the filter's id
    assert data[at:at + 2] == b"\x01\x00"
    path.write_bytes(data[:at] + b"\x39\x30" + data[at + 2:])
    for form in FORMS:
        done = run("virtualize", path, tmp_path / form)
        assert done.code == 3 and "odd.h5" in done.err and "/odd" in done.err and not (tmp_path / form).exists()
        ok("virtualize", path, tmp_path / form, "--skip", "odd")
        assert np.array_equal(raw(tmp_path / form, form).v.values, cells(0, 2))


# Each row of the table in docs/commands/virtualize.md, and what proves it.
PROOF = {
    "a file that ends inside a chunk and is not the last": "test_partial_chunk_in_the_middle",
    "files that differ in chunk shape, codec or byte order":
        "test_differing_chunks test_differing_codecs test_differing_byte_order test_levels_may_differ",
    "differing scale_factor, add_offset, _FillValue": "test_differing_packing test_differing_fill_values",
    "chunks with a filter mask": "test_filter_mask",
    "compact data": "test_compact",
    "external or HDF5-virtual data": "test_external_and_virtual_data",
    "a user block": "test_user_block test_compact",
    "big-endian data": "test_differing_byte_order",
    "chunks never written, with a fill value that is not _FillValue": "test_never_written_chunks",
    "CDF-5": "test_netcdf3",
    "records of NetCDF-3": "test_netcdf3_records_in_another_order",
    "files in the wrong order": "test_wrong_order",
    "a time axis with another reference date": "test_other_reference_date",
    "codecs that only HDF5 has": "test_codecs_that_others_lack",
    "a variable that cannot be read": "test_a_variable_that_cannot_be_read",
}


def test_every_row_of_the_table_is_proved():
    import pathlib

    page = (pathlib.Path(__file__).resolve().parents[2] / "docs/commands/virtualize.md").read_text()
    table = page[page.index("| case | elsewhere | here |"):].splitlines()[2:]
    rows = [line.split("|")[1].strip().split(" (")[0] for line in table if line.startswith("|")]
    assert sorted(rows) == sorted(PROOF)
    assert all(callable(globals()[name]) for names in PROOF.values() for name in names.split())


def same_by_others(path, run):
    """Small numeric arrays by fsspec and zarr-python against what chunkmill reads: how many, how many not readable."""
    zarr = pytest.importorskip("zarr")
    utils = pytest.importorskip("kerchunk.utils")
    same = odd = 0
    store = utils.refs_as_store(str(path))
    for key, text in json.loads(path.read_text())["refs"].items():
        meta = json.loads(text) if key.endswith("/.zarray") else {"dtype": "|O", "shape": []}
        name = key.removesuffix("/.zarray")
        if not isinstance(meta["dtype"], str) or meta["dtype"][1] not in "iufb" or np.prod(meta["shape"]) > 20000 \
                or same + odd == 8:  # of a file: enough
            continue
        try:
            theirs = zarr.open_array(store, path=name, mode="r", zarr_format=2)[...]
        except Exception as why:  # what zarr-python cannot read is not about the references
            print(f"# {path}: {name}: {type(why).__name__}: {why}")
            odd += 1
            continue
        ours = run("values", path, "/" + name, "--json")
        assert ours.code == 0, (path, name, ours.err)
        ours = np.array(json.loads(ours.out), dtype=theirs.dtype).reshape(theirs.shape)
        assert np.array_equal(ours, theirs, equal_nan=theirs.dtype.kind == "f"), (path, name)
        same += 1
    return same, odd


def test_corpus(corpus, tmp_path, run):
    """Every file of other projects that opens: virtualized, rewritten where it must be, and equal to the file, by
    chunkmill and by fsspec with zarr-python; or refused in one line."""
    tally = dict.fromkeys(("virtualized", "with --materialize", "refused", "arrays by others", "not readable by others"), 0)
    for path in sorted(corpus.rglob("*")):
        if path.suffix not in (".nc", ".h5", ".hdf5", ".nc4", ".he5", ".cdf") or path.stat().st_size > 30_000_000:
            continue
        cube = tmp_path / "c.json"
        made = run("virtualize", path, cube, "--overwrite")
        what = "virtualized"
        if made.code == 3:
            made = run("virtualize", path, cube, "--overwrite", "--materialize", tmp_path / "d")
            what = "with --materialize"
        if made.code:
            assert made.code in (3, 6) and len(made.err.strip().splitlines()) >= 1, (path, made)
            print(f"# refused: {made.err.strip()}")
            tally["refused"] += 1
            continue
        differs = run("diff", path, cube)
        assert differs.code == 0, (path, differs.out, differs.err)
        tally[what] += 1
        same, odd = same_by_others(cube, run)
        tally["arrays by others"] += same
        tally["not readable by others"] += odd
    print("#", tally)
    assert tally["virtualized"] > 50 and tally["arrays by others"] > 200, tally


# ---- appending to Parquet: only what is new is written ------------------------------------------------------


def inodes(cube):
    return {str(p.relative_to(cube)): p.stat().st_ino for p in cube.rglob("*.parq")}


def test_append_writes_what_is_new(tmp_path, ok):
    """v has 4 chunks a step: 8 a file, 3 in a Parquet file; grid and lat stay."""
    files = [write(tmp_path / f"a{i}.nc", 2 * i) for i in range(5)]
    cube = tmp_path / "cube.parq"
    ok("virtualize", *files[:2], cube, "--record-size", "3", "--no-inline")
    before = inodes(cube)
    report = json.loads(ok("virtualize", *files[2:4], cube, "--append", "time", "--no-inline", "--json").out)
    after = inodes(cube)
    kept = {k for k in before if after.get(k) == before[k]}
    assert kept == {f"v/refs.{k}.parq" for k in range(5)} | {"lat/refs.0.parq", "grid/refs.0.parq"}
    assert report["kept"] == len(kept)
    assert len(after) - len(before) == 5  # 32 chunks now
    ok("diff", *files[:4], cube)
    ok("verify", cube)
    assert np.array_equal(raw(cube, "parq").v.values, cells(0, 8))
    meta = json.loads((cube / ".zmetadata").read_text())
    assert meta["record_size"] == 3 and len(meta["sources"]) == 4
    # before the first: everything moves
    report = json.loads(ok("virtualize", write(tmp_path / "z.nc", -2), cube, "--append", "time", "--json").out)
    assert report["kept"] == 0
    ok("diff", tmp_path / "z.nc", *files[:4], cube)
    # another size of records
    ok("virtualize", files[4], cube, "--append", "time", "--record-size", "5")
    ok("diff", tmp_path / "z.nc", *files, cube)
    assert json.loads((cube / ".zmetadata").read_text())["record_size"] == 5


def test_append_to_a_cube_of_kerchunk(tmp_path, ok):
    """References that fsspec wrote: its files stay too, also those that it left out."""
    kerchunk_hdf = pytest.importorskip("kerchunk.hdf")
    df = pytest.importorskip("kerchunk.df")
    files = [write(tmp_path / f"k{i}.nc", 4 * i, steps=4, steps_chunk=4) for i in range(2)]
    with open(files[0], "rb") as f:
        refs = kerchunk_hdf.SingleHdf5ToZarr(f, files[0], inline_threshold=0).translate()
    cube = tmp_path / "cube.parq"
    df.refs_to_dataframe(refs, str(cube), record_size=4)
    before = inodes(cube)
    ok("virtualize", files[1], cube, "--append", "time")
    after = inodes(cube)
    assert all(after[f"v/refs.{k}.parq"] == before[f"v/refs.{k}.parq"] for k in range(4))
    ok("diff", *files, cube)
    assert np.array_equal(raw(cube, "parq").v.values, cells(0, 8))


def test_append_killed(tmp_path, ok, chunkmill):
    """Killed at any moment, the cube is the old or the new one."""
    import signal
    import subprocess
    import time

    files = [write(tmp_path / f"a{i}.nc", 40 * i, steps=40) for i in range(3)]
    cube = tmp_path / "cube.parq"
    old = 0
    for i in range(12):
        ok("virtualize", *files[:2], cube, "--record-size", "3", "--overwrite", "--no-inline")
        begun = time.monotonic()
        if i == 0:
            ok("virtualize", files[2], cube, "--append", "time", "--no-inline")
            took = time.monotonic() - begun
            continue
        process = subprocess.Popen([chunkmill, "virtualize", files[2], str(cube), "--append", "time", "--no-inline"],
                                   stderr=subprocess.DEVNULL)
        time.sleep(took * i / 11)
        process.send_signal(signal.SIGKILL)
        process.wait()
        steps = json.loads((cube / ".zmetadata").read_text())["metadata"]["v/.zarray"]["shape"][0]
        assert steps in (80, 120)
        old += steps == 80
        ok("diff", *files[:steps // 40], cube)
    assert old
    # what the killed ones left goes with the next
    ok("virtualize", files[2], cube, "--overwrite")
    assert [p.name for p in tmp_path.iterdir() if "cm-tmp" in p.name] == []


@pytest.mark.parametrize("form", FORMS)
def test_append_through_a_link(tmp_path, ok, form):
    """What the link points to is replaced; the link stays."""
    files = [write(tmp_path / f"a{i}.nc", 2 * i) for i in range(3)]
    (tmp_path / "real").mkdir()
    cube, link = tmp_path / "real" / form, tmp_path / form
    ok("virtualize", files[0], cube, "--record-size", "3")
    link.symlink_to(cube)
    done = ok("virtualize", files[1], link, "--append", "time")
    assert "8 references added" in done.err and "written again" in done.err
    assert ("files of references kept" in done.err) == form.endswith("parq"), done.err
    assert link.is_symlink() and not cube.is_symlink()
    ok("diff", *files[:2], cube)
    ok("virtualize", files[2], link, "--overwrite")
    assert link.is_symlink()
    ok("diff", files[2], cube)
    ok("diff", files[2], link)
    assert os.listdir(tmp_path / "real") == [form]


def test_overwrite_keeps_strangers(tmp_path, ok, run):
    """Only references, and stores of which every file at the top is theirs, are replaced."""
    files = [write(tmp_path / f"a{i}.nc", 2 * i) for i in range(2)]
    cube, other = tmp_path / "cube.parq", tmp_path / "other.parq"
    ok("virtualize", files[0], cube)
    (cube / "notes.txt").write_text("mine")
    for args in ([files[1], cube, "--overwrite"], [files[1], cube, "--append", "time"],
                 [files[1], cube, "--overwrite", "--dry-run"]):
        done = run("virtualize", *args)
        assert done.code == 5 and "notes.txt" in done.err and "move that away" in done.err, done
    done = run("rechunk", files[1], cube, "--overwrite")
    assert done.code == 5 and "notes.txt" in done.err, done
    ok("diff", files[0], cube)
    other.mkdir()
    (other / "a").write_text("mine")
    done = run("virtualize", files[1], other, "--overwrite")
    assert done.code == 5 and "not a Zarr store" in done.err and (other / "a").exists(), done
    (cube / "notes.txt").unlink()
    ok("virtualize", files[1], cube, "--overwrite")
    ok("diff", files[1], cube)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("more", [[], ["--no-inline"], ["--inline", "20", "--record-size", "3"]])
def test_dry_run(tmp_path, ok, run, form, more):
    """It says what then is written, and writes nothing."""
    files = [write(tmp_path / f"a{i}.nc", 2 * i) for i in range(4)]
    cube = tmp_path / form
    numbers = ("references", "new", "inlined", "inlined_bytes", "rewritten", "kept")

    def both(*args):
        before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
        text = ok("virtualize", *args, "--dry-run").out
        plan = ok("virtualize", *args, "--dry-run", "--json").json()
        assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
        made = ok("virtualize", *args, "--json").json()
        assert plan["dry_run"] and not made["dry_run"]
        for a, b in zip([plan["plan"], *plan["plan"]["variables"]], [made["plan"], *made["plan"]["variables"]]):
            assert {n: a[n] for n in numbers} == {n: b[n] for n in numbers}
        assert plan["plan"]["files"] == made["plan"]["files"] == made["sources"]
        assert f"references     {made['references']}\n" in text
        return made

    made = both(*files[:2], cube, "--concat", "time", *more)
    assert made["references"] == made["new"] == 19 and made["kept"] == 0
    made = both(*files[2:], cube, "--append", "time", *more)
    assert made["new"] == 16 and made["references"] >= 17
    assert made["kept"] == 0 if form.endswith("json") else made["kept"] > 0
    ok("diff", *files, cube)
    done = run("virtualize", files[0], cube, "--dry-run")
    assert done.code == 5 and "--overwrite" in done.err


@pytest.mark.parametrize("form", FORMS)
def test_a_small_store_with_chunks_that_are_not_there(tmp_path, ok, form):
    """They read as 5, which is no _FillValue: the variable is written into the references, as survey says."""
    zarr = pytest.importorskip("zarr")
    a = zarr.open_group(str(tmp_path / "z.zarr"), mode="w").create_array(
        "v", shape=(6, 10), chunks=(2, 10), dtype="i4", fill_value=5, dimension_names=("time", "x"))
    a[:2] = np.arange(20).reshape(2, 10)
    want = np.full((6, 10), 5)
    want[:2] = np.arange(20).reshape(2, 10)
    assert ok("survey", tmp_path / "z.zarr", "--json").json()["virtualizable"]
    ok("virtualize", tmp_path / "z.zarr", tmp_path / form)
    ok("diff", tmp_path / "z.zarr", tmp_path / form)
    assert np.array_equal(raw(tmp_path / form, form).v.values, want)


def test_dry_run_refuses(tmp_path, run):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as h:
        d = h.create_dataset("a", (4, 400, 400), "<f4", chunks=(1, 400, 400), compression="gzip")
        d[:] = np.arange(640000).reshape(4, 400, 400)
        d.id.write_direct_chunk((2, 0, 0), np.full((400, 400), 7, "<f4").tobytes(), filter_mask=1)
    for form in FORMS:
        done = run("virtualize", path, tmp_path / form, "--dry-run")
        assert done.code == 3 and "filter mask" in done.err and "/a" in done.err
        done = run("virtualize", path, tmp_path / form, "--dry-run", "--json", "--materialize", tmp_path / "d")
        plan = done.json()["plan"]
        assert plan["rewritten"] == 1 and plan["rewritten_bytes"] == 640000 and plan["references"] == 4
    assert os.listdir(tmp_path) == ["m.h5"]


# ---- what joins are made of besides files side by side ------------------------------------------------------


@pytest.mark.parametrize("options", [dict(chunks=(1, 200, 400), compression="gzip"), dict(), dict(chunks=(2, 400, 400))])
def test_filled_steps(tmp_path, ok, run, options):
    """Steps that no file has are references that are not there; inside a chunk they are rewritten."""
    files = [big(tmp_path / f"g{i}.h5", first, **options) for i, first in enumerate((0, 4, 11))]
    for f in files:
        with h5py.File(f, "a") as h:
            h["v"].attrs["_FillValue"] = np.float32(-1)
    want = np.full((15, 400, 400), -1, "f4")
    for first in 0, 4, 11:
        want[first:first + 4] = np.arange(first * 160000, (first + 4) * 160000).reshape(4, 400, 400)
    whole = options.get("chunks", (1,))[0] == 1
    for form in FORMS:
        command = ["virtualize", *files, tmp_path / form, "--concat", "time", "--gaps", "fill"]
        if not whole:
            assert run(*command).code == 3
            command += ["--materialize", tmp_path / "d"]
        ok(*command)
        ok("diff", *files, tmp_path / form, "--concat", "time", "--gaps", "fill")
        assert np.array_equal(raw(tmp_path / form, form).v.values, want)
    refs = json.loads((tmp_path / "cube.json").read_text())["refs"]
    if whole:
        assert [k for k in refs if k.startswith("v/") and "chunks" in refs[k][0]] == []


@pytest.mark.parametrize("options", [dict(chunks=(1, 200, 400), compression="gzip"), dict(), dict(dtype=">f4"),
                                     dict(chunks=(3, 400, 400), compression="gzip", shuffle=True)])
def test_stacked(tmp_path, ok, options):
    """Members of an ensemble along a new dimension: nothing is copied; one more is appended."""
    files = [big(tmp_path / f"r{i}.h5", 0, **dict(options)) for i in range(4)]
    for i, f in enumerate(files):
        with h5py.File(f, "a") as h:
            h["v"][0, 0, 0] = 7 + i
    want = np.stack([np.arange(4 * 160000).reshape(4, 400, 400).astype("f4")] * 4)
    want[:, 0, 0, 0] = 7 + np.arange(4)
    for form in FORMS:
        ok("virtualize", *files[:3], tmp_path / form, "--stack", "member", "--no-inline")
        ok("diff", *files[:3], tmp_path / form, "--stack", "member")
        assert np.array_equal(raw(tmp_path / form, form).v.values, want[:3])
        ok("virtualize", *files, tmp_path / f"part-{form}", "--stack", "member", "--isel", "member=1:3,time=0:3")
        assert np.array_equal(raw(tmp_path / f"part-{form}", form).v.values, want[1:3, :3])
    refs = json.loads((tmp_path / "cube.json").read_text())["refs"]
    assert all(refs[k][0].endswith(".h5") for k in refs if k.startswith("v/") and "." in k.split("/")[1] and
               not k.split("/")[1].startswith("."))


def test_stacked_netcdf3_and_zarr(tmp_path, ok):
    """Rows of records that are not neighbours; whole objects; one of another make."""
    files = [write(tmp_path / f"n{i}.nc", 0, fmt="NETCDF3_CLASSIC", contiguous=c) for i, c in enumerate((False, False))]
    for form in FORMS:
        ok("virtualize", *files, tmp_path / form, "--stack", "member", "--no-inline")
        ok("diff", *files, tmp_path / form, "--stack", "member")
        assert np.array_equal(raw(tmp_path / form, form).v.values, np.stack([cells(0, 2)] * 2))
    sources = [big(tmp_path / f"z{i}.h5", 0, chunks=(2, 400, 400)) for i in range(2)]
    ok("rechunk", sources[0], tmp_path / "z0.zarr", "--zarr", "2", "--codec", "none", "--chunks", "time=2")
    mixed = [tmp_path / "z0.zarr", sources[1]]
    for form in FORMS:
        ok("virtualize", *mixed, tmp_path / form, "--stack", "member", "--no-inline", "--overwrite", "--materialize", tmp_path / "d")
        ok("diff", *mixed, tmp_path / form, "--stack", "member")


@pytest.mark.parametrize("more", [["--overwrite"], ["--append", "time"]])
def test_data_are_never_replaced(run, tmp_path, more):
    """DST forgotten: the last file of a list is data, whatever --overwrite says."""
    a, b = write(tmp_path / "a.nc", 0), write(tmp_path / "b.nc", 2)
    before = open(b, "rb").read()
    done = run("virtualize", a, b, "--references", "json", *more)
    assert done.code == 5 and "no file of references" in done.err and "DST" in done.err
    assert open(b, "rb").read() == before


def test_no_records_are_not_missing(run, tmp_path):
    """netCDF-C's files without records end before the begin of the second record variable."""
    with netCDF4.Dataset(tmp_path / "z.nc", "w", format="NETCDF3_CLASSIC") as nc:
        nc.createDimension("time", None)
        nc.createVariable("time", "f8", ("time",))
        nc.createVariable("v", "f8", ("time",))
    done = run("virtualize", tmp_path / "z.nc", tmp_path / "z.json")
    assert done.code == 0 and "truncated" not in done.err
