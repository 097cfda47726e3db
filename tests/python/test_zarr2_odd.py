"""Zarr version 2 as it is found: written by zarr-python 2, by netCDF-C, by hand, with what the specification leaves
open.

zarr-python 2 has no place beside the pinned 3: it is looked for where the benchmarks have it, in $CM_PEERS/z2, and
without it those tests skip.
"""

import json
import os
import pathlib
import shutil
import subprocess
import warnings

import numpy as np
import pytest
import support
from cli_program import fails, ok, run

warnings.simplefilter("ignore")
zarr = pytest.importorskip("zarr")

D = np.arange(35, dtype="i4").reshape(5, 7)
NAMES = ["a b", "100%", "é", "x=1", "tab\tname", "plus+", "a:b", "#h", "q?", "[1]", '"quo"', "o'k", "-dash", "~t", "c", "0.0",
         "a,b", "日本", "..x", "x.."]


def by_hand(path, name, lengths, chunk, chunk_bytes, root=None, attributes=None, **members):
    """chunk_bytes: {key: bytes}. Members that are ... are left out."""
    meta = {"zarr_format": 2, "shape": lengths, "chunks": chunk, "dtype": "<i4", "compressor": None, "fill_value": 0,
            "order": "C", "filters": None, **members}
    folder = path / name
    folder.mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / ".zarray").write_text(json.dumps({k: v for k, v in meta.items() if v is not ...}))
    if root:
        (path / ".zattrs").write_text(json.dumps(root))
    if attributes:
        (folder / ".zattrs").write_text(json.dumps(attributes))
    for key, data in chunk_bytes.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)


def values(path, name):
    return np.array(json.loads(ok("values", "--json", path, name).stdout))


def listed(what, judge="zarr-python"):
    with support.recording():
        support.listed("zarr-other", f"version 2: {what}", judge)


QUARTERS = {(i, j): np.ascontiguousarray(D[2 * i : 2 * i + 2, 3 * j : 3 * j + 3]) for i in range(2) for j in range(2)}


@pytest.mark.parametrize("separator", [..., ".", "/"])
@pytest.mark.parametrize("stored", [".", "/"])
def test_keys(tmp_path, separator, stored):
    """Without the member the chunks that are there decide; with it they do not."""
    chunks = {f"{i}{stored}{j}": c.tobytes() for (i, j), c in QUARTERS.items()}
    by_hand(tmp_path / "s.zarr", "a", [4, 6], [2, 3], chunks, dimension_separator=separator)
    found = separator is ... or separator == stored
    got = values(tmp_path / "s.zarr", "a") if found else None
    if found:
        assert np.array_equal(got, D[:4, :6])
        ok("rechunk", tmp_path / "s.zarr", tmp_path / "o.zarr")
        assert np.array_equal(zarr.open_group(tmp_path / "o.zarr", mode="r")["a"][...], D[:4, :6])


def test_keys_of_arrays_without_chunks(tmp_path):
    by_hand(tmp_path / "s.zarr", "a", [4, 6], [2, 3], {}, fill_value=9, dimension_separator=...)
    assert np.all(values(tmp_path / "s.zarr", "a") == 9)
    by_hand(tmp_path / "t.zarr", "a", [6], [3], {"0": D[0, :3].tobytes()}, dimension_separator=...)
    assert values(tmp_path / "t.zarr", "a").tolist() == [0, 1, 2, 0, 0, 0]


@pytest.mark.parametrize("missing", ["compressor", "filters", "order", "fill_value", "dtype", "chunks", "shape"])
def test_missing_members(tmp_path, missing):
    by_hand(tmp_path / "s.zarr", "a", [4, 6], [4, 6], {"0.0": D[:4, :6].tobytes()}, **{missing: ...})
    if missing in ("compressor", "filters"):
        assert np.array_equal(values(tmp_path / "s.zarr", "a"), zarr.open_group(tmp_path / "s.zarr", mode="r")["a"][...])
        listed(f'"{missing}" missing')
    else:
        assert f'"{missing}" is missing' in fails(3, "values", tmp_path / "s.zarr", "a")


def test_names(tmp_path):
    """Also through consolidated metadata, and copied."""
    for name in NAMES:
        by_hand(tmp_path / "s.zarr", name, [5, 7], [5, 7], {"0.0": D.tobytes()})
    tree = json.loads(ok("info", "--json", tmp_path / "s.zarr").stdout)
    assert sorted(v["name"] for v in tree["root"]["variables"]) == sorted(NAMES)
    ok("rechunk", tmp_path / "s.zarr", tmp_path / "o.zarr", "--zarr", "2")
    g = zarr.open_group(tmp_path / "o.zarr", mode="r", zarr_format=2)
    for name in NAMES:
        assert np.array_equal(g[name][...], D), name
    ok("diff", tmp_path / "s.zarr", tmp_path / "o.zarr")
    listed("names with odd characters")


def test_documents_missing_and_double(tmp_path):
    by_hand(tmp_path / "s.zarr", "g/a", [5, 7], [5, 7], {"0.0": D.tobytes()})
    s = tmp_path / "s.zarr"
    (s / "g" / ".zgroup").write_text('{"zarr_format": 2}')
    metadata = {k: json.loads((s / k).read_text()) for k in [".zgroup", "g/a/.zarray"]}
    (s / ".zmetadata").write_text(json.dumps({"zarr_consolidated_format": 1, "metadata": metadata}))
    for gone in [[], [".zgroup"], ["g/.zgroup"], ["g/a/.zarray"]]:
        shutil.copytree(s, tmp_path / "t.zarr")
        for name in gone:
            (tmp_path / "t.zarr" / name).unlink()
        assert np.array_equal(values(tmp_path / "t.zarr", "g/a"), D), gone
        shutil.rmtree(tmp_path / "t.zarr")
    # version 3 beside version 2, in the same places and in others
    (s / ".zmetadata").unlink()
    three = zarr.open_group(s, mode="a", zarr_format=3)
    three.create_array("b", shape=(3,), chunks=(3,), dtype="i2")[:] = [7, 8, 9]
    done = run("info", "--json", s)
    names = [v["name"] for v in json.loads(done.stdout)["root"]["variables"]]
    assert names == ["b"] and "there is Zarr v2 and Zarr v3 metadata; v3 is read" in done.stderr
    assert "g is Zarr v2 inside a Zarr v3 group and is left out" in done.stderr, done.stderr
    (s / "zarr.json").unlink()
    done = run("info", "--json", s)
    assert "b is Zarr v3 inside a Zarr v2 group and is left out" in done.stderr, done.stderr
    assert np.array_equal(values(s, "g/a"), D)


# netCDF-C


def shuffled(cells):
    return cells.reshape(-1).view("u1").reshape(-1, cells.dtype.itemsize).T.tobytes()


@pytest.mark.parametrize("mark", ["root", "group", "attribute", "zarray", None])
def test_shuffle_of_netcdf(tmp_path, mark):
    """netCDF-C shuffles by the type's size and writes 0."""
    by_hand(tmp_path / "s.zarr", "a", [5, 7], [5, 7], {"0.0": shuffled(D)},
            filters=[{"id": "shuffle", "elementsize": 0}],
            root={"root": {"_NCProperties": "version=2,netcdf=4.10.1"}, "group": {"_nczarr_superblock": {}}}.get(mark),
            attributes={"_nczarr_array": {"dimension_references": ["/y", "/x"]}} if mark == "attribute" else None,
            **({"_NCZARR_ARRAY": {"dimrefs": ["/y", "/x"]}} if mark == "zarray" else {}))
    if mark:
        assert np.array_equal(values(tmp_path / "s.zarr", "a"), D)
        ok("rechunk", tmp_path / "s.zarr", tmp_path / "o.zarr")  # keeps the codecs, with the true size
        assert np.array_equal(zarr.open_group(tmp_path / "o.zarr", mode="r")["a"][...], D)
    else:
        assert 'shuffle of "elementsize" 0' in fails(3, "values", tmp_path / "s.zarr", "a")


@pytest.mark.parametrize("mode", ["nczarr,file", "zarr,file", "xarray,file"])
def test_written_by_netcdf(tmp_path, mode):
    netCDF4 = pytest.importorskip("netCDF4")
    uri = f"file://{tmp_path}/s.zarr#mode={mode}"
    try:
        nc = netCDF4.Dataset(uri, "w")
    except (OSError, RuntimeError) as e:
        pytest.skip(f"this netCDF-C has no NCZarr: {e}")
    rng = np.random.default_rng(5)
    want = {}
    nc.createDimension("t", 5)
    nc.createDimension("x", 4)
    nc.title = "höhe"
    for dtype in ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]:
        for name, more in {"plain": {}, "zlib": {"zlib": True}, "fill": {"fill_value": 7},
                           "noshuffle": {"zlib": True, "shuffle": False}, "big": {"endian": "big"}}.items():
            v = nc.createVariable(f"{dtype}_{name}", dtype, ("t", "x"), chunksizes=(2, 3), **more)
            want[v.name] = rng.integers(0, 100, (5, 4)).astype(dtype)
            v.set_auto_mask(False)
            v[...] = want[v.name]
            v.units = "K"
    g = nc.createGroup("g")
    g.createDimension("y", 3)
    g.createVariable("z", "i2", ("y", "x"))[...] = np.arange(12).reshape(3, 4)
    nc.createVariable("scalar", "i4", ())[...] = 7
    nc.close()
    tree = json.loads(ok("info", "--json", tmp_path / "s.zarr").stdout)
    found = {v["name"]: v for v in tree["root"]["variables"]}
    assert tree["root"]["attributes"] == {"title": {"type": None, "value": "höhe"}}
    for name, cells in want.items():
        assert found[name]["dimensions"] == ["t", "x"], name
        assert found[name]["attributes"]["units"]["value"] == "K"
        assert set(found[name]["attributes"]) <= {"units", "_FillValue"}
        assert np.array_equal(values(tmp_path / "s.zarr", name).astype(cells.dtype), cells), name
    assert values(tmp_path / "s.zarr", "scalar").reshape(-1).tolist() == [7]
    assert np.array_equal(values(tmp_path / "s.zarr", "g/z"), np.arange(12).reshape(3, 4))
    ok("rechunk", tmp_path / "s.zarr", tmp_path / "o.zarr")
    o = zarr.open_group(tmp_path / "o.zarr", mode="r")
    for name, cells in want.items():
        assert np.array_equal(o[name][...], cells), name
    listed(f"written by netCDF-C, mode {mode.split(',')[0]}", "netCDF4")


# zarr-python 2

SCRIPT = r"""
import sys, warnings, pickle
warnings.simplefilter("ignore")
import numpy as np, zarr
from numcodecs import Delta, FixedScaleOffset, Zlib, Shuffle
root, names = sys.argv[1], sys.argv[2:]
d = np.arange(35, dtype="i4").reshape(5, 7)
g = zarr.group(zarr.DirectoryStore(root + "/s.zarr"), overwrite=True)
def add(name, data, **more):
    more = {"chunks": tuple((n + 1) // 2 for n in data.shape), **more}
    g.create_dataset(name, shape=data.shape, dtype=data.dtype, **more)[...] = data
def half(name, dtype, fill, cells):
    g.create_dataset(name, shape=(6,), chunks=(3,), dtype=dtype, fill_value=fill)[:3] = np.array(cells, dtype=dtype)
add("nested", d, dimension_separator="/")
add("none", d, compressor=None)
add("order F", d, order="F")
add("order F, delta", d, order="F", filters=[Delta("i4")], compressor=Zlib(1))
add("order F, filters", d.astype("f8"), order="F", filters=[FixedScaleOffset(0, 1, "f8", "i2"), Delta("i2")], compressor=None)
add("order F, shuffle", d.reshape(5, 7, 1), order="F", filters=[Shuffle(4)], compressor=None)
half("fill null", "i4", None, [1, 2, 3])
g["fill null"][3:] = [4, 5, 6]
pair = [("a", "<i2"), ("b", ">f4")]
half("fill structured", pair, np.array((3, 1.5), dtype=pair)[()], [(1, 2), (3, 4), (5, 6)])
half("fill raw", "V3", np.void(b"abc"), [b"xyz"] * 3)
half("fill S", "S3", b"q", [b"a", b"bb", b"ccc"])
half("fill U", "<U3", "é", ["a", "bb", "ccc"])
half("fill NaN", "f4", float("nan"), [1, 2, 3])
half("fill -inf", ">f8", float("-inf"), [1, 2, 3])
half("fill complex", "c8", 1 + 2j, [1, 2, 3])
half("fill bool", "?", True, [False] * 3)
half("fill datetime", "M8[D]", np.datetime64("2001-01-01"), ["2002-01-01"] * 3)
for name in names:
    add(name, d)
for kind in ("DirectoryStore", "NestedDirectoryStore", "FSStore"):
    more = {"dimension_separator": "/"} if kind == "FSStore" else {}
    h = zarr.group(getattr(zarr.storage, kind)(root + "/" + kind + ".zarr", **more), overwrite=True)
    h.create_dataset("a", data=d, chunks=(2, 3))
zarr.consolidate_metadata(g.store)
pickle.dump({k: v[...] for k, v in g.arrays()}, open(root + "/want.pickle", "wb"))
"""


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    peers = pathlib.Path(os.environ.get("CM_PEERS", pathlib.Path.home() / ".cache/chunkmill-peers"))
    python = peers / "z2/bin/python"
    if not python.exists():
        pytest.skip(f"no zarr-python 2: {python} is not there")
    root = tmp_path_factory.mktemp("old")
    subprocess.run([python, "-c", SCRIPT, root, *[n for n in NAMES if n not in ("..x", "x..")]], check=True)
    return root


def test_zarr_python_2(old):
    import pickle
    want = pickle.loads((old / "want.pickle").read_bytes())
    ok("rechunk", old / "s.zarr", old / "o.zarr", "--zarr", "2")
    o = zarr.open_group(old / "o.zarr", mode="r", zarr_format=2)
    assert set(NAMES) - {"..x", "x.."} <= set(want)
    for name, cells in want.items():
        got = o[name][...]
        if cells.dtype.kind in "SU":
            got = np.array([str(x) for x in got.reshape(-1)], dtype=cells.dtype.str.replace(">", "<")).reshape(cells.shape)
        assert got.shape == cells.shape and got.tobytes() == cells.astype(got.dtype).tobytes(), name
    ok("diff", old / "s.zarr", old / "o.zarr")
    ok("verify", old / "s.zarr")


@pytest.mark.parametrize("kind", ["DirectoryStore", "NestedDirectoryStore", "FSStore"])
@pytest.mark.parametrize("member", [True, False])
def test_stores_of_zarr_python_2(old, tmp_path, kind, member):
    shutil.copytree(old / f"{kind}.zarr", tmp_path / "s.zarr")
    path = tmp_path / "s.zarr" / "a" / ".zarray"
    meta = json.loads(path.read_text())
    if not member:
        meta.pop("dimension_separator", None)
        path.write_text(json.dumps(meta))
    assert np.array_equal(values(tmp_path / "s.zarr", "a"), D)
