"""virtualize --materialize: what references cannot say is rewritten beside them, chunk by chunk, and nothing else.
Values are those of the files, by chunkmill, xarray with the kerchunk engine and VirtualiZarr's kerchunk parser."""

import glob
import json
import os
import re
import subprocess
import warnings

import numpy as np
import pytest
from test_virtualize import FORMS, big, raw

warnings.simplefilter("ignore")
h5py = pytest.importorskip("h5py")

CELLS = 400 * 400


def want(steps, dtype="f4"):
    return np.arange(steps * CELLS).reshape(steps, 400, 400).astype(dtype)


def by_virtualizarr(path):
    pytest.importorskip("virtualizarr", reason="no VirtualiZarr")
    import xarray
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import LocalStore
    from virtualizarr.parsers import KerchunkJSONParser

    registry = ObjectStoreRegistry({"file://": LocalStore()})
    store = KerchunkJSONParser()(url=f"file://{path}", registry=registry)
    return xarray.open_zarr(store, consolidated=False, zarr_format=3, decode_cf=False, chunks=None)


def materialized(files, tmp_path, ok, values, rewritten, *says, more=()):
    """Both forms are right, and exactly so many chunks of /v were rewritten."""
    for form in FORMS:
        cube, beside = tmp_path / form, tmp_path / f"{form}.d"
        done = ok("virtualize", *files, cube, "--materialize", beside, *more)
        for text in says:
            assert text in done.err, done.err
        found = re.search(r"/v: (\d+) of (\d+) chunks rewritten", done.err)
        assert (int(found[1]) if found else 0) == rewritten, done.err
        assert len(list(beside.glob("*.chunks")) if beside.exists() else []) == (rewritten > 0)
        ok("diff", *files, cube)
        ok("verify", cube)
        assert np.array_equal(raw(cube, form).v.values, values)
    assert np.array_equal(raw(tmp_path / "cube.json", "json").v.values, values)


def test_partial_chunk_in_the_middle(tmp_path, ok):
    # 0-1 2|3 4-5 ... the grid of 2 steps: chunk 1 has a step of each file, the second file's are shifted
    files = [big(tmp_path / f"p{i}.h5", 3 * i, steps=3, chunks=(2, 400, 400)) for i in range(2)]
    materialized(files, tmp_path, ok, want(6), 2, "p0.h5", "partial chunk in the middle")


def test_only_what_is_shifted(tmp_path, ok):
    # 4 + 4 + 3 + 5 + 4 steps in chunks of 2: the fourth file is shifted, the fifth is on the grid again
    files, first = [], 0
    for i, n in enumerate((4, 4, 3, 5, 4)):
        files.append(big(tmp_path / f"s{i}.h5", first, steps=n, chunks=(2, 400, 400), compression="gzip"))
        first += n
    materialized(files, tmp_path, ok, want(20), 3)
    refs = json.loads((tmp_path / "cube.json").read_text())["refs"]
    assert [k for k in refs if k.startswith("v/") and "chunks" in refs[k][0]] == [f"v/{i}.0.0" for i in (5, 6, 7)]


def test_filter_mask(tmp_path, ok):
    path = str(tmp_path / "m.h5")
    with h5py.File(path, "w") as h:
        d = h.create_dataset("v", (4, 400, 400), "<f4", chunks=(1, 400, 400), compression="gzip")
        d[:] = want(4)
        d.id.write_direct_chunk((2, 0, 0), np.full((400, 400), 7, "<f4").tobytes(), filter_mask=1)
    values = want(4)
    values[2] = 7
    materialized([path], tmp_path, ok, values, 1, "filter mask")


@pytest.mark.parametrize("other", [dict(chunks=(2, 200, 400)), dict(chunks=(2, 400, 400), compression="gzip"),
                                   dict(chunks=(2, 400, 400), dtype=">f4"), dict()])
def test_one_file_is_another(tmp_path, ok, other):
    files = [big(tmp_path / f"o{i}.h5", 4 * i, **(other if i == 1 else dict(chunks=(2, 400, 400))))
             for i in range(4)]
    materialized(files, tmp_path, ok, want(16), 2, "o1.h5")


def test_the_first_file_is_another(tmp_path, ok):
    """Most files decide, not the first."""
    files = [big(tmp_path / f"o{i}.h5", 4 * i, chunks=(1 if i == 0 else 2, 400, 400)) for i in range(4)]
    materialized(files, tmp_path, ok, want(16), 2)


def test_contiguous_among_chunked(tmp_path, ok):
    files = [big(tmp_path / f"c{i}.h5", 4 * i, **(dict(chunks=(1, 400, 400), compression="gzip") if i == 2 else {}))
             for i in range(4)]
    materialized(files, tmp_path, ok, want(16), 1)


def plugin_codecs():
    try:
        import hdf5plugin
    except ImportError:
        return {}
    return {"lz4": hdf5plugin.LZ4(), "bitshuffle": hdf5plugin.Bitshuffle()}


@pytest.mark.parametrize("name", ["lz4", "bitshuffle", "lzf", "szip", "scaleoffset"])
def test_codecs_that_others_lack(tmp_path, ok, run, name):
    options = {"lzf": dict(compression="lzf"), "szip": dict(compression="szip"),
               "scaleoffset": dict(scaleoffset=0, dtype="<i4"), **plugin_codecs()}.get(name)
    if options is None:
        pytest.skip("no hdf5plugin")
    dtype = options.get("dtype", "<f4")
    try:
        path = big(tmp_path / "x.h5", 0, chunks=(1, 400, 400), **dict(options))
    except (ValueError, OSError) as why:
        pytest.skip(f"libhdf5 has no {name}: {why}")
    materialized([path], tmp_path, ok, want(4, dtype), 4)


def test_nbit(tmp_path, ok):
    path = str(tmp_path / "nbit.h5")
    with h5py.File(path, "w") as h:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((1, 400, 400))
        try:
            plist.set_nbit()
        except AttributeError:
            plist.set_filter(5, 0, ())
        d = h5py.h5d.create(h.id, b"v", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((4, 400, 400)), plist)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, want(4, "<i4"))
    materialized([path], tmp_path, ok, want(4, "i4"), 4, "nbit")


def test_never_written(tmp_path, ok):
    """A hundred chunks that were never written are written once."""
    with h5py.File(tmp_path / "n.h5", "w") as h:
        d = h.create_dataset("v", (110, 100, 101), "<f4", chunks=(1, 100, 100), fillvalue=-9)
        d[3] = 1.5
        d.attrs["_FillValue"] = np.float32(-8)
    values = np.full((110, 100, 101), -9, "f4")
    values[3] = 1.5
    materialized([tmp_path / "n.h5"], tmp_path, ok, values, 218, "never written")
    for form in FORMS:
        [path] = glob.glob(f"{tmp_path}/{form}.d/*")
        assert os.path.getsize(path) == 40000


def test_whole_variables(tmp_path, ok):
    """Text and records' cells that are changed on reading: all of it, in the new array's own chunks."""
    words = np.array([f"word {i} ümlaut {'x' * (i % 50)}" for i in range(150_000)], dtype=object)
    with h5py.File(tmp_path / "t.h5", "w") as h:
        h.create_dataset("v", data=words, dtype=h5py.string_dtype(), chunks=(40_000,))
    materialized([tmp_path / "t.h5"], tmp_path, ok, words, 4)


def test_subset_inside_a_chunk(tmp_path, ok):
    path = big(tmp_path / "sub.h5", 0, steps=8, chunks=(2, 200, 400))
    for form in FORMS:
        ok("virtualize", path, tmp_path / form, "--isel", "time=1:7", "--materialize", tmp_path / "d")
        assert np.array_equal(raw(tmp_path / form, form).v.values, want(8)[1:7])


def test_little_memory(tmp_path, ok, chunkmill):
    """Chunks of 1.3 MB, one by one where no more fit."""
    files = [big(tmp_path / f"p{i}.h5", 5 * i, steps=5, chunks=(2, 400, 400), compression="gzip") for i in range(6)]
    # by a shell, since a process begins with the peak of the one that it is forked from
    done = subprocess.run(["sh", "-c", '"$@"; exit $?', "sh", chunkmill, "virtualize", *files, tmp_path / "cube.json",
                           "--materialize", tmp_path / "d", "--max-mem", "48MB", "--json"],
                          capture_output=True, check=True)
    if "asan" not in chunkmill and "tsan" not in chunkmill:
        assert json.loads(done.stdout)["peak_memory"] < 48e6
    ok("diff", *files, tmp_path / "cube.json")


def test_virtualizarr_opens_it(tmp_path, ok):
    files = [big(tmp_path / f"p{i}.h5", 3 * i, steps=3, chunks=(2, 400, 400), compression="gzip") for i in range(2)]
    ok("virtualize", *files, tmp_path / "cube.json", "--materialize", tmp_path / "d", "--no-inline")
    assert np.array_equal(by_virtualizarr(tmp_path / "cube.json").v.values, want(6))


@pytest.mark.parametrize("form", FORMS)
def test_again(tmp_path, ok, run, form):
    files = [big(tmp_path / f"p{i}.h5", 3 * i, steps=3, chunks=(2, 400, 400)) for i in range(2)]
    cube, beside = tmp_path / form, tmp_path / "d"
    ok("virtualize", *files, cube, "--materialize", beside)
    first = os.listdir(beside)
    again = run("virtualize", *files, cube, "--materialize", beside)
    assert again.code == 5 and "--overwrite" in again.err and os.listdir(beside) == first
    ok("diff", *files, cube)
    # another target's files in the same directory stay
    ok("virtualize", *files, tmp_path / f"other-{form}", "--materialize", beside)
    both = set(os.listdir(beside))
    ok("virtualize", *files, cube, "--materialize", beside, "--overwrite")
    last = set(os.listdir(beside))
    assert len(last) == 2 and both & last == both - set(first)
    ok("diff", *files, cube)
    ok("diff", *files, tmp_path / f"other-{form}")
    ok("verify", cube)


@pytest.mark.parametrize("form", FORMS)
def test_append_keeps_what_was_rewritten(tmp_path, ok, form):
    files = [big(tmp_path / f"p{i}.h5", 3 * i, steps=3, chunks=(2, 400, 400)) for i in range(3)]
    cube, beside = tmp_path / form, tmp_path / "d"
    ok("virtualize", *files[:2], cube, "--materialize", beside)
    ok("virtualize", files[2], cube, "--append", "time", "--materialize", beside)
    ok("diff", *files, cube)
    assert np.array_equal(raw(cube, form).v.values, want(9))


def test_small_ones_are_written_into_the_references(tmp_path, ok):
    """Chunks that are small once they are encoded: no file for them, and none at all when there are no others."""
    path = str(tmp_path / "s.h5")
    with h5py.File(path, "w") as h:
        d = h.create_dataset("v", (6, 400, 400), "<f4", chunks=(1, 400, 400), compression="gzip", shuffle=True)
        values = np.zeros((6, 400, 400), "f4")
        values[3:] = want(3)
        d[:] = values
        d.id.write_direct_chunk((1, 0, 0), values[1].tobytes(), filter_mask=3)
        d.id.write_direct_chunk((4, 0, 0), values[4].tobytes(), filter_mask=3)
    for form in FORMS:
        for limit, inlined, nfiles in (["1kB", 3, 1], ["10MB", 6, 0], ["1", 0, 1]):
            cube, beside = tmp_path / form, tmp_path / f"{form}{limit}"
            made = ok("virtualize", path, cube, "--materialize", beside, "--inline", limit, "--overwrite", "--json").json()
            assert made["rewritten"] == 2 and made["inlined"] == inlined and len(os.listdir(beside)) == nfiles, made
            ok("diff", path, cube)
            ok("verify", cube)
            assert np.array_equal(raw(cube, form).v.values, values)


def test_failure_leaves_nothing(tmp_path, ok, run):
    """The second variable's file is damaged: the first one's rewritten chunks go."""
    path = str(tmp_path / "m.h5")
    with h5py.File(path, "w") as h:
        for name in "a", "b":
            d = h.create_dataset(name, (4, 400, 400), "<f4", chunks=(1, 400, 400), compression="gzip", shuffle=True)
            d[:] = want(4)
            d.id.write_direct_chunk((2, 0, 0), np.full((400, 400), 7, "<f4").tobytes(), filter_mask=3)
        d.id.write_direct_chunk((3, 0, 0), b"no deflate stream", filter_mask=1)
    for form in FORMS:
        done = run("virtualize", path, tmp_path / form, "--materialize", tmp_path / "d")
        assert done.code == 3 and "/b" in done.err, done.err
        assert not (tmp_path / form).exists() and not os.listdir(tmp_path / "d")


def test_a_directory_in_the_target(tmp_path, run):
    path = big(tmp_path / "a.h5", 0, chunks=(2, 400, 400))
    done = run("virtualize", path, tmp_path / "cube.parq", "--materialize", tmp_path / "cube.parq" / "d")
    assert done.code == 2 and "lies in the target" in done.err


def test_packing_stays_refused(tmp_path, run):
    import netCDF4

    for i in range(2):
        with netCDF4.Dataset(tmp_path / f"k{i}.nc", "w") as nc:
            nc.createDimension("time", None)
            nc.createDimension("x", 1000)
            nc.createVariable("time", "f8", ("time",))[:] = [i]
            v = nc.createVariable("v", "i2", ("time", "x"))
            v.set_auto_maskandscale(False)
            v.scale_factor = 0.5 + i
            v[:] = 7
    done = run("virtualize", tmp_path / "k0.nc", tmp_path / "k1.nc", tmp_path / "c.json", "--concat", "time",
               "--materialize", tmp_path / "d")
    assert done.code == 3 and "scale_factor" in done.err
