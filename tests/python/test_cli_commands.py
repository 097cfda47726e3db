"""The commands on data: against netCDF4, zarr and numpy as oracles."""

import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from cli_program import COMMANDS, ROOT, demo, environment, fails, here, ok, program, run, tas

netCDF4 = pytest.importorskip("netCDF4")
zarr = pytest.importorskip("zarr")

YEARS = ["tas_2001.nc", "tas_2002.nc"]
CHUNKS = "time=365,lat=12,lon=24"


def info(*args, **more):
    return json.loads(ok("info", "--json", *args, **more).stdout)


def variables(tree):
    return {v["name"]: v for v in tree["root"]["variables"]}


def values(*args, **more):
    return json.loads(ok("values", "--json", *args, **more).stdout)


@pytest.fixture(scope="module")
def cube(demo, tmp_path_factory):
    """Both years joined. Read-only."""
    where = tmp_path_factory.mktemp("cube") / "tas.zarr"
    ok("rechunk", demo / "tas_2001.nc", demo / "tas_2002.nc", where,
       "--chunks", CHUNKS)
    return where


# info


def test_info_json(demo):
    tree = info("tas_2001.nc", cwd=demo)
    assert tree["uri"].endswith("tas_2001.nc")
    assert tree["format"].startswith("NetCDF-4")
    root = tree["root"]
    assert root["path"] == "/" and root["groups"] == []
    assert {"name": "time", "length": 365, "unlimited": True} in root["dimensions"]
    assert root["attributes"]["title"]["value"] == 'near-surface "air"\ttemperature'
    v = variables(tree)["tas"]
    assert v["dtype"] == "int16" and v["problem"] is None
    assert v["dimensions"] == ["time", "lat", "lon"] and v["shape"] == [365, 36, 72]
    assert v["chunks"] == [10, 36, 72] and v["shards"] is None
    assert v["chunks_total"] == v["chunks_present"] == 37
    assert 0 < v["stored_bytes"] < 365 * 36 * 72 * 2
    assert v["fill_value"] == -32768 and v["coordinate"] is None
    assert v["attributes"]["scale_factor"]["type"] == "float32"
    assert np.float32(v["attributes"]["scale_factor"]["value"]) == np.float32(0.01)


def test_info_of_long_text(tmp_path):
    """The ends of a coordinate of strings are cut, but never inside an escape or a character."""
    texts = ["\x01" * 60, "é" * 200, "a" + "🌍" * 70, '"\\' * 40, "x" * 72, "\x01" * 20 + "é" * 20, "north", ""]
    for i, text in enumerate(texts):
        group = zarr.open_group(tmp_path / str(i), mode="w")
        group.create_array("name", shape=(2,), chunks=(2,), dtype=str, dimension_names=["name"])[:] = \
            np.array([text, "b"], dtype=object)
        shown = variables(info(tmp_path / str(i)))["name"]["coordinate"]
        assert shown["problem"] is None and shown["last"] == "b"
        assert text.startswith(shown["first"]) and len(shown["first"].encode()) >= min(12, len(text)), text
        ok("info", tmp_path / str(i))


def test_info_coordinates(demo):
    v = variables(info("tas_2002.nc", cwd=demo))
    assert v["lat"]["coordinate"] == {
        "first": -87.5, "last": 87.5, "step": 5.0, "regular": True,
        "first_time": None, "last_time": None, "problem": None,
    }
    t = v["time"]["coordinate"]
    assert t["first_time"] == "2002-01-01T12:00:00" and t["last_time"] == "2002-12-31T12:00:00"
    assert t["step"] == 1.0 and t["regular"] is True
    text = ok("info", "tas_2002.nc", cwd=demo).stdout
    assert "2002-01-01T12:00:00 to 2002-12-31T12:00:00, step 1 day" in text
    assert "-87.5 to 87.5, step 5\n" in text


def test_info_irregular_and_odd(tmp_path):
    with netCDF4.Dataset(tmp_path / "odd.nc", "w") as nc:
        nc.createDimension("x", 4)
        nc.createDimension("station", 2)
        nc.createDimension("none", 0)
        x = nc.createVariable("x", "f4", ("x",))
        x[:] = [0.1, 0.2, 0.4, 0.5]
        s = nc.createVariable("station", str, ("station",))
        s[0], s[1] = "Säntis", 'a "b"\n'
        nc.createVariable("none", "i4", ("none",))
        g = nc.createGroup("deep").createGroup("down")
        g.createVariable("bell", "i1", ("x",))
        nc.escape = "\u001b[2J\u009b red \x7f"
        nc.numbers = np.arange(100, dtype="u2")
    text = ok("info", "odd.nc", cwd=tmp_path).stdout
    assert "\033" not in text and "\x7f" not in text and "\x9b" not in text
    assert "irregular" in text and "group /deep/down" in text and "100 in all" in text
    assert "100 in all" not in ok("info", "-v", "odd.nc", cwd=tmp_path).stdout
    v = variables(info("odd.nc", cwd=tmp_path))
    assert v["x"]["coordinate"]["regular"] is False and v["x"]["coordinate"]["step"] is None
    assert v["station"]["coordinate"]["first"] == "Säntis"
    assert v["station"]["coordinate"]["last"] == 'a "b"\n'
    assert v["none"]["coordinate"]["first"] is None and v["none"]["shape"] == [0]
    tree = info("--group", "/deep", "odd.nc", cwd=tmp_path)
    assert tree["root"]["groups"][0]["variables"][0]["path"] == "/deep/down/bell"
    assert "no group '/depe'" in fails(2, "info", "--group", "/depe", "odd.nc", cwd=tmp_path)
    only = info("--vars", "x", "odd.nc", cwd=tmp_path)
    assert list(variables(only)) == ["x"]
    line = fails(2, "info", "--vars", "statoin", "odd.nc", cwd=tmp_path)
    assert "did you mean station?" in line


def test_names_cannot_command_the_terminal(tmp_path):
    name = "x\u001b[31m"
    group = zarr.open_group(tmp_path / "n.zarr", mode="w", zarr_format=3)
    group.create_array("a", shape=(2,), dtype="i4", dimension_names=[name])[:] = 1
    text = ok("info", "n.zarr", cwd=tmp_path).stdout
    assert "\033" not in text and "x\\u001b[31m=2" in text
    assert variables(info("n.zarr", cwd=tmp_path))["a"]["dimensions"] == [name]


def test_info_chunk_list(cube, demo):
    rows = [l.split("\t") for l in ok("info", "--chunk-list", "tas", cube).stdout.splitlines()]
    assert rows[0] == ["# chunk", "offset", "nbytes", "filter_mask", "key"]
    assert len(rows) - 1 == 2 * 3 * 3
    for chunk, offset, nbytes, mask, key in rows[1:]:
        assert key == "tas/c/" + chunk.replace(",", "/")
        assert (cube / key).stat().st_size == int(nbytes) and offset == "0"
    lines = ok("info", "--chunk-list", "tas", "--json", "tas_2001.nc", cwd=demo).stdout
    objects = [json.loads(l) for l in lines.splitlines()]
    assert [o["chunk"] for o in objects] == [[i, 0, 0] for i in range(37)]
    size = os.path.getsize(demo / "tas_2001.nc")
    assert all(0 < o["offset"] < o["offset"] + o["nbytes"] <= size for o in objects)
    assert "no variable 'tsa'" in fails(2, "info", "--chunk-list", "tsa", cube)


def test_info_counts_missing_chunks(tmp_path):
    a = zarr.create_array(tmp_path / "s.zarr", name="a", shape=(100, 100), chunks=(1, 1), dtype="i2")
    a[7, 9] = 5
    v = variables(info("s.zarr", cwd=tmp_path))["a"]
    assert v["chunks_total"] == 10000 and v["chunks_present"] is None
    v = variables(info("s.zarr", "--chunks", cwd=tmp_path))["a"]
    assert v["chunks_present"] == 1 and v["stored_bytes"] > 0
    assert "1 of 10000 chunks" in ok("info", "--chunks", "s.zarr", cwd=tmp_path).stdout


def test_info_shows_what_cannot_be_read(unreadable):
    text = ok("info", unreadable).stdout
    assert "cannot be read: " in text
    v = variables(info(unreadable))
    assert v["good"]["problem"] is None and v["good"]["shape"] == [3]
    problem = v["bad"]["problem"]
    assert problem["code"] == "CM_EUNSUP" and problem["message"] and "dtype" not in v["bad"]


@pytest.fixture()
def unreadable(tmp_path):
    """A Zarr group with an array whose codec nobody has."""
    group = zarr.open_group(tmp_path / "u.zarr", mode="w", zarr_format=3)
    group.create_array("good", shape=(3,), dtype="i4")[:] = [7, 8, 9]
    group.create_array("bad", shape=(3,), dtype="i4")[:] = [1, 2, 3]
    path = tmp_path / "u.zarr" / "bad" / "zarr.json"
    meta = json.loads(path.read_text())
    meta["codecs"].append({"name": "no-such-codec", "configuration": {}})
    path.write_text(json.dumps(meta))
    return tmp_path / "u.zarr"


def test_info_of_every_file(corpus):
    """Other projects' files, odd ones among them: an ordinary status, whole JSON, no raw controls."""
    files = [p for p in sorted(corpus.rglob("*")) if p.is_file() and p.suffix != ".md"]
    statuses = {}
    for path in files:
        done = run("info", path)
        assert done.returncode in (0, 3, 5), (path, done.returncode, done.stderr)
        assert "\033" not in done.stdout and "runtime error" not in done.stderr, path
        tree = json.loads(run("info", "--json", path).stdout)
        assert ("error" in tree) == (done.returncode != 0), path
        statuses[done.returncode] = statuses.get(done.returncode, 0) + 1
    assert statuses.get(0, 0) > 100, statuses


# values


def test_values_are_exact(tmp_path):
    rng = np.random.default_rng(5)
    group = zarr.open_group(tmp_path / "v.zarr", mode="w", zarr_format=3)
    arrays = {}
    for dtype in ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]:
        bits = rng.integers(0, 256, size=(3, 4, 5 * np.dtype(dtype).itemsize), dtype="u1")
        arrays[dtype] = bits.view(dtype)
    arrays["bool"] = rng.integers(0, 2, size=(6, 2)).astype(bool)
    arrays["scalar"] = np.array(2.5)
    arrays["line"] = np.array([0.1, -0.0, np.nan, np.inf, -np.inf, 1e300])
    arrays["empty"] = np.zeros((2, 0), dtype="f4")
    for name, a in arrays.items():
        z = group.create_array(name, shape=a.shape, dtype=a.dtype, chunks=(2,) * a.ndim)
        z[...] = a
    for name, a in arrays.items():
        got = np.array(values("v.zarr", name, cwd=tmp_path), dtype=a.dtype).reshape(a.shape)
        if a.dtype.kind == "f":
            assert np.array_equal(np.isnan(got), np.isnan(a))
            a, got = np.where(np.isnan(a), 0, a), np.where(np.isnan(a), 0, got)
            assert np.array_equal(np.signbit(got), np.signbit(a))
        assert np.array_equal(got, a), name


def test_values_text(tmp_path):
    group = zarr.open_group(tmp_path / "v.zarr", mode="w", zarr_format=3)
    a = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype("f4") / 8
    group.create_array("a", shape=a.shape, dtype="f4", chunks=(1, 2, 3))[...] = a
    group.create_array("line", shape=(3,), dtype="i4")[:] = [5, -6, 7]
    group.create_array("z", shape=(2,), dtype="c8")[:] = [1 - 2j, np.nan]
    text = ok("values", "v.zarr", "a", cwd=tmp_path).stdout
    lines = text.splitlines()
    assert [l for l in lines if l.startswith("#")] == ["# [0, :, :]", "# [1, :, :]"]
    assert np.array_equal(np.loadtxt(lines, delimiter=",").reshape(a.shape), a)
    assert ok("values", "v.zarr", "line", cwd=tmp_path).stdout == "5\n-6\n7\n"
    assert ok("values", "v.zarr", "z", cwd=tmp_path).stdout.startswith("1.0-2.0j\n")
    assert "did you mean line?" in fails(2, "values", "v.zarr", "lien", cwd=tmp_path)


def test_values_select(demo):
    want = tas(2001)[3:5, 7:8, -4:]
    got = values("tas_2001.nc", "tas", "--isel", "time=3:5,lat=7", "--isel", "lon=-4:", cwd=demo)
    assert np.array_equal(got, want)
    got = values("tas_2001.nc", "tas", "--sel", "time=2001-02-01/2001-02-02,lat=0:10", cwd=demo)
    assert np.array_equal(got, tas(2001)[31:33, 18:20])
    got = values("tas_2001.nc", "tas", "--unpack", "float64", "--isel=time=0", cwd=demo)
    want = tas(2001)[:1] * np.float64(np.float32(0.01)) + 280
    assert np.allclose(got, want, rtol=0, atol=1e-12)
    line = fails(2, "values", "tas_2001.nc", "tas", "--isel", "tmie=0", cwd=demo)
    assert "tmie" in line and "time" in line


def test_values_in_small_blocks(demo):
    """The buffer of 8 MB / 4 is less than the variable: several blocks, the same text."""
    small = ok("values", "tas_2001.nc", "tas", "--max-mem", "64MB", cwd=demo).stdout
    cells = [int(c) for l in small.splitlines() if l[0] != "#" for c in l.split(",")]
    assert np.array_equal(np.array(cells).reshape(365, 36, 72), tas(2001))


def test_values_closed_reader(demo):
    done = subprocess.run(
        ["sh", "-c", '"$0" values tas_2001.nc tas | head -2; true', program()],
        cwd=demo, capture_output=True, text=True,
    )
    assert done.stdout.splitlines()[0] == "# [0, :, :]" and done.stderr == ""


def test_values_unreadable(unreadable):
    line = fails(3, "values", unreadable, "bad")
    assert "no-such-codec" in line and "bad" in line


# rechunk, diff, verify


def test_rechunk_joins(cube):
    z = zarr.open_group(cube, mode="r")
    a = z["tas"]
    assert a.shape == (730, 36, 72) and a.chunks == (365, 12, 24) and a.dtype == np.dtype("i2")
    assert np.array_equal(a[:365], tas(2001)) and np.array_equal(a[365:], tas(2002))
    assert z["time"][:].tolist() == [51 * 365 + i + 0.5 for i in range(730)]
    assert z.attrs["Conventions"] == "CF-1.8" and a.attrs["units"] == "K"


def test_rechunk_says_what_it_did(here):
    done = ok("rechunk", "tas_2001.nc", "one.zarr", "--max-mem", "1GB", "--threads", 1, cwd=here)
    assert done.stdout == ""
    first, *_, last = done.stderr.splitlines()
    assert first == "chunkmill: memory at most 1.00 GB (--max-mem), 1 thread"
    assert last.startswith("chunkmill: one.zarr: read ") and last.endswith(" of 1.00 GB")
    done = ok("rechunk", "tas_2001.nc", "two.zarr", "--quiet", cwd=here)
    assert done.stdout == "" and done.stderr == ""


def test_rechunk_json(here):
    done = ok("rechunk", "tas_2001.nc", "one.zarr", "--json", "-q", cwd=here)
    report = json.loads(done.stdout)
    assert report["target"] == "one.zarr" and report["dry_run"] is False
    assert report["bytes_written"] > 0 and report["objects_written"] > 0
    assert report["bytes_read"] >= 365 * 36 * 72 * 2
    assert 0 < report["peak_memory"] and report["warnings"] == []
    assert {v["path"] for v in report["plan"]["variables"]} == {"/tas", "/time", "/lat", "/lon"}


def test_dry_run_writes_nothing(here):
    before = sorted(os.listdir(here))
    done = ok("rechunk", "tas_2001.nc", "plan.zarr", "--dry-run", "--chunks", CHUNKS, cwd=here)
    assert "/tas" in done.stdout and "365x12x24" in done.stdout and "peak memory" in done.stdout
    done = ok("rechunk", "tas_2001.nc", "plan.zarr", "--dry-run", "--json", cwd=here)
    report = json.loads(done.stdout)
    assert report["dry_run"] is True and report["plan"]["tasks"] > 0
    assert sorted(os.listdir(here)) == before


@pytest.mark.parametrize("mode", ["sweep", "reread", "spill"])
def test_modes_agree(here, cube, mode):
    ok("rechunk", "tas_2001.nc", "tas_2002.nc", "m.zarr", "--mode", mode, "--chunks", CHUNKS,
       cwd=here)
    done = ok("diff", cube, "m.zarr", "--attributes", cwd=here)
    assert done.stdout.startswith("equal: 4 variables, ")
    assert sorted(os.listdir(here)) == ["m.zarr", *YEARS]


def test_options_reach_the_store(here):
    ok("rechunk", "tas_2001.nc", "o.zarr", "--chunks", "time=30,lat=-1", "--shards", "time=120",
       "--codec", "gzip:1", "--codec", "tas=zstd:3", "--sel", "lat=-30:30", "--unpack", "float32",
       "--vars", "tas", cwd=here)
    v = variables(info("o.zarr", cwd=here))
    assert v["tas"]["shape"] == [365, 12, 72] and v["tas"]["dtype"] == "float32"
    assert v["tas"]["chunks"] == [30, 12, 72] and v["tas"]["shards"] == [120, 12, 72]
    assert "zstd" in v["tas"]["codecs"] and "gzip" in v["lat"]["codecs"]
    ok("rechunk", "tas_2001.nc", "two.zarr", "--zarr", "2", "--codec", "none", cwd=here)
    assert (here / "two.zarr" / ".zgroup").exists()
    ok("diff", "tas_2001.nc", "two.zarr", cwd=here)


def test_sources_from_standard_input(here, cube):
    names = "tas_2002.nc\n\ntas_2001.nc\n"
    ok("rechunk", "--files-from", "-", "l.zarr", "--chunks", CHUNKS, cwd=here, stdin=names)
    ok("diff", cube, "l.zarr", cwd=here)


def test_joined_selection(here):
    ok("rechunk", "tas_2001.nc", "tas_2002.nc", "s.zarr", "--isel", "time=360:370", cwd=here)
    want = np.concatenate([tas(2001)[360:], tas(2002)[:5]])
    assert np.array_equal(zarr.open_group(here / "s.zarr", mode="r")["tas"][:], want)
    ok("diff", "tas_2001.nc", "tas_2002.nc", "s.zarr", "--isel", "time=360:370", cwd=here)
    assert run("diff", "tas_2001.nc", "tas_2002.nc", "s.zarr", cwd=here).returncode == 4


def test_forgotten_target(here):
    size = (here / "tas_2002.nc").stat().st_size
    line = fails(2, "rechunk", "tas_2001.nc", "tas_2002.nc", cwd=here)
    assert "was DST forgotten?" in line and "NetCDF-4" in line
    line = fails(2, "rechunk", "tas_2001.nc", "tas_2002.nc", "--overwrite", cwd=here)
    assert "was DST forgotten?" in line
    assert (here / "tas_2002.nc").stat().st_size == size


@pytest.mark.parametrize("name", ["new.nc", "new.H5", "new.zarr.zip/", "lat=10", "lat=-1"])
def test_target_that_was_not_meant(here, name):
    line = fails(2, "rechunk", "tas_2001.nc", name, cwd=here)
    assert "Zarr" in line and "--chunks time=365,lat=10" in line or ".zarr" in line
    assert sorted(os.listdir(here)) == YEARS


def test_a_word_too_many(here):
    line = fails(5, "rechunk", "tas_2001.nc", "new.zarr", "--chunks", "time=30", "lat10", cwd=here)
    assert "new.zarr: cannot open" in line and "all names but the last, lat10, are sources" in line
    line = fails(5, "rechunk", "tas_2001.nc", "no/new.zarr", cwd=here)
    assert "no: there is no such directory (make it first" in line


def test_small_variables_are_one_chunk(tmp_path):
    with netCDF4.Dataset(tmp_path / "s.nc", "w") as nc:
        nc.createDimension("time", None)
        nc.createDimension("bnds", 2)
        nc.createDimension("x", 2000)
        time = nc.createVariable("time", "f8", ("time",), chunksizes=(1,))
        time.bounds = "time_bnds"
        time[:] = np.arange(300)
        nc.createVariable("time_bnds", "f8", ("time", "bnds"), chunksizes=(1, 2))[:] = np.arange(
            600).reshape(300, 2)
        nc.createVariable("small", "i4", ("time",), chunksizes=(1,))[:] = np.arange(300)
        nc.createVariable("large", "i4", ("time", "x"), chunksizes=(1, 2000))[:] = np.arange(
            600000).reshape(300, 2000)
    for number, more in enumerate([[], ["--chunks", "time=50"], ["--codec", "none"]]):
        done = ok("rechunk", "s.nc", f"{number}.zarr", *more, cwd=tmp_path)
        z = zarr.open_group(tmp_path / f"{number}.zarr", mode="r")
        assert z["time"].chunks == (300,) and z["time_bnds"].chunks == (300, 2)
        assert z["small"].chunks == (300,) and "warning" not in done.stderr
        assert z["large"].chunks == ((50 if number == 1 else 1), 2000)
        ok("diff", "s.nc", f"{number}.zarr", cwd=tmp_path)
    ok("rechunk", "s.nc", "own.zarr", "--chunks", "small:time=7", cwd=tmp_path)
    assert zarr.open_group(tmp_path / "own.zarr", mode="r")["small"].chunks == (7,)
    ok("rechunk", "own.zarr", "sharded.zarr", "--chunks", "small:time=7", "--shards",
       "small:time=14", cwd=tmp_path)
    ok("rechunk", "sharded.zarr", "again.zarr", cwd=tmp_path)
    z = zarr.open_group(tmp_path / "again.zarr", mode="r")["small"]
    assert z.chunks == (300,) and z.shards is None and z[:].tolist() == list(range(300))


@pytest.mark.parametrize(
    "chunks, said",
    [
        ("time:30", "write time=30"),
        ("30,12,24", "by position are for arrays without dimension names"),
        ("=30", "names no dimension"),
        ("", "--chunks is empty"),
        ("lati=30", "did you mean lat?"),
        ("time=0", "no length"),
    ],
)
def test_chunks_that_say_nothing(here, chunks, said):
    assert said in fails(2, "rechunk", "tas_2001.nc", "n.zarr", "--chunks", chunks, cwd=here)
    assert sorted(os.listdir(here)) == YEARS


def test_chunks_by_position(tmp_path):
    group = zarr.open_group(tmp_path / "n.zarr", mode="w", zarr_format=3)
    a = group.create_array("a", shape=(700, 600), dtype="f4")
    a[:] = np.arange(420000, dtype="f4").reshape(700, 600)
    group.create_array("b", shape=(500000,), dtype="f4", chunks=(1000,))
    ok("rechunk", "n.zarr", "p.zarr", "--chunks", "70,60", cwd=tmp_path)
    z = zarr.open_group(tmp_path / "p.zarr", mode="r")
    assert z["a"].chunks == (70, 60) and z["b"].chunks == (1000,)
    ok("diff", "n.zarr", "p.zarr", cwd=tmp_path)
    line = fails(2, "rechunk", "n.zarr", "q.zarr", "--chunks", "7,6,5", cwd=tmp_path)
    assert "there is none of 3 dimensions" in line
    line = fails(2, "rechunk", "n.zarr", "q.zarr", "--chunks", "b:7,6", cwd=tmp_path)
    assert "/b: --chunks: 2 lengths for 1 dimensions" in line
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "phony.h5", "w") as h:
        h["a"] = np.arange(420000, dtype="f4").reshape(700, 600)
    ok("rechunk", "phony.h5", "r.zarr", "--chunks", "70,60", cwd=tmp_path)
    assert zarr.open_group(tmp_path / "r.zarr", mode="r")["a"].chunks == (70, 60)


@pytest.mark.parametrize("version", [2, 3])
def test_fill_value_that_no_cell_has(tmp_path, version):
    """xarray refuses a whole store for one that is not a value of the array's type."""
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)
    for name, dtype, value in [("nan", "i2", "NaN"), ("text", "f4", '"-999"'), ("large", "u1", "256"),
                               ("keep", "i2", "-7.0"), ("keep8", "i8", "9223372036854775807")]:
        z = group.create_array(name, shape=(3,), dtype=dtype, dimension_names=["x"])
        z[:] = [1, 2, 3]
        path = tmp_path / "a.zarr" / name / "zarr.json"
        text = path.read_text()
        assert text.count('"attributes": {}') == 1
        attributes = '"attributes": {"units": "K", "_FillValue": %s, "other": 1}' % value
        path.write_text(text.replace('"attributes": {}', attributes))
    done = ok("rechunk", "a.zarr", "b.zarr", "--zarr", version, cwd=tmp_path)
    for name in ("nan", "text", "large"):
        assert f"warning: /{name}: its _FillValue is no " in done.stderr
    assert done.stderr.count("warning") == 3
    attributes = {n: v["attributes"] for n, v in variables(info("b.zarr", cwd=tmp_path)).items()}
    for name in ("nan", "text", "large"):
        assert list(attributes[name]) == ["units", "other"]
    assert float(attributes["keep"]["_FillValue"]["value"]) == -7
    assert attributes["keep8"]["_FillValue"]["value"] == 2**63 - 1
    xarray = pytest.importorskip("xarray")
    assert xarray.open_zarr(tmp_path / "b.zarr")["nan"].values.tolist() == [1, 2, 3]


def test_existing_target(here):
    ok("rechunk", "tas_2001.nc", "x.zarr", cwd=here)
    assert "--overwrite" in fails(5, "rechunk", "tas_2002.nc", "x.zarr", cwd=here)
    assert "--overwrite" in fails(5, "rechunk", "tas_2002.nc", "x.zarr", "--dry-run", cwd=here)
    ok("diff", "tas_2001.nc", "x.zarr", cwd=here)
    ok("rechunk", "tas_2002.nc", "x.zarr", "--overwrite", cwd=here)
    ok("diff", "tas_2002.nc", "x.zarr", cwd=here)
    assert sorted(os.listdir(here)) == [*YEARS, "x.zarr"]


def test_unreadable_must_be_skipped_by_name(unreadable, tmp_path):
    line = fails(3, "rechunk", unreadable, tmp_path / "o.zarr")
    assert "/bad: cannot be read: " in line and "(--skip bad leaves it out" in line
    assert "cannot be read" in fails(3, "values", unreadable, "bad")
    line = fails(3, "verify", unreadable)  # which has no --skip
    assert "cannot be read" in line and "--skip" not in line
    assert not (tmp_path / "o.zarr").exists()
    ok("rechunk", unreadable, tmp_path / "o.zarr", "--skip", "bad")
    assert zarr.open_group(tmp_path / "o.zarr", mode="r")["good"][:].tolist() == [7, 8, 9]
    ok("diff", unreadable, tmp_path / "o.zarr", "--skip", "bad")


def test_unjoinable(here):
    with netCDF4.Dataset(here / "other.nc", "w") as nc:
        nc.createDimension("time", 2)
        nc.createVariable("time", "f8", ("time",))[:] = [1, 2]
    line = fails(3, "rechunk", "tas_2001.nc", "other.nc", "o.zarr", cwd=here)
    assert "other.nc" in line
    assert sorted(os.listdir(here)) == ["other.nc", *YEARS]


def test_info_of_variables_shorter_than_their_dimension(tmp_path):
    """In netCDF-4 the rest is fill; the chunks are those that there are."""
    netCDF4 = pytest.importorskip("netCDF4")
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as nc:
        nc.createDimension("time", None)
        nc.createDimension("x", 6)
        v = nc.createVariable("short", "f4", ("time", "x"), chunksizes=(2, 6), zlib=True)
        v[:3] = np.arange(18).reshape(3, 6)
        nc.createVariable("long", "i2", ("time", "x"), chunksizes=(4, 3))[:10] = 1
    lines = ok("info", "--chunks", "a.nc", cwd=tmp_path).stdout.splitlines()
    short = next(l for i, l in enumerate(lines) if "short(" in lines[i - 1])
    assert "chunks 2 x 6, shuffle:4 zlib:4, 2 of 5 chunks, " in short
    assert "chunks 4 x 3, uncompressed, 6 of 6 chunks, 144 B" in "\n".join(lines)
    listed = ok("info", "--chunk-list", "short", "a.nc", cwd=tmp_path).stdout.splitlines()
    assert [l.split("\t")[0] for l in listed] == ["# chunk", "0,0", "1,0"]
    ok("rechunk", "a.nc", "a.zarr", "--codec", "keep", cwd=tmp_path)
    assert "shuffle:4 zlib:4" in ok("info", "a.zarr", "--vars", "short", cwd=tmp_path).stdout
    ok("diff", "a.nc", "a.zarr", cwd=tmp_path)


def test_codecs_that_cannot_be_kept(tmp_path):
    """What HDF5 has and Zarr has no word for is decoded only."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f.create_dataset("v", data=np.arange(6000).reshape(60, 100), chunks=(30, 100), compression="lzf")
    for chunks in ("v:60,100", "v:7,100"):
        said = fails(3, "rechunk", "a.h5", "a.zarr", "--codec", "keep", "--chunks", chunks, cwd=tmp_path)
        assert "/v: the codec lzf can be read, but not be written (choose another --codec)" in said
    ok("rechunk", "a.h5", "a.zarr", cwd=tmp_path)


@pytest.mark.parametrize("version", [2, 3])
def test_lone_arrays_stay_lone(tmp_path, version):
    """A store that is an array becomes a store that is an array; its name is only the folder's."""
    for k in range(2):
        a = zarr.create_array(
            tmp_path / f"part{k}", shape=(6, 10), chunks=(2, 5), dtype="i4", zarr_format=version,
            **({"dimension_names": ["y", "x"]} if version == 3 else
               {"attributes": {"_ARRAY_DIMENSIONS": ["y", "x"]}}),
        )
        a[...] = np.arange(60).reshape(6, 10) + 1000 * k
        a.attrs["units"] = "K"
    ok("rechunk", "part0", "copy", "--zarr", 5 - version, cwd=tmp_path)
    assert "equal: 1 variable, 60 cells" in ok("diff", "part0", "copy", cwd=tmp_path).stdout
    copy = zarr.open_array(tmp_path / "copy", mode="r")
    assert (copy[...] == np.arange(60).reshape(6, 10)).all() and copy.attrs["units"] == "K"
    ok("rechunk", "part0", "part1", "joined", "--concat", "y", cwd=tmp_path)
    ok("diff", "part0", "part1", "joined", "--concat", "y", cwd=tmp_path)
    joined = zarr.open_array(tmp_path / "joined", mode="r")
    assert joined.shape == (12, 10) and joined[6, 3] == 1003
    ok("rechunk", "part1", "cut", "--isel", "x=2:4", cwd=tmp_path)
    assert zarr.open_array(tmp_path / "cut", mode="r")[5, 1] == 1053
    ok("rechunk", "part1", "copy", "--overwrite", cwd=tmp_path)
    assert run("diff", "part0", "copy", cwd=tmp_path).returncode == 4


def test_chunks_that_change_nothing_are_told(here):
    told = "--chunks lat=9 changes nothing: variables this small become one chunk (--chunks "
    done = ok("rechunk", "tas_2001.nc", "a.zarr", "--vars", "lat", "--chunks", "lat=9", cwd=here)
    assert told + "lat:lat=9 decides for one)" in done.stderr
    done = ok("rechunk", "tas_2001.nc", "b.zarr", "--chunks", "lat=9", cwd=here)  # tas has it
    assert "changes nothing" not in done.stderr
    done = ok("rechunk", "tas_2001.nc", "c.zarr", "--vars", "lat", "--chunks", "lat:lat=9", cwd=here)
    assert "changes nothing" not in done.stderr and "chunks 9" in ok("info", "c.zarr", cwd=here).stdout
    zarr.create_array(here / "lone", shape=(6, 10), chunks=(2, 5), dtype="i4")[...] = 1
    done = ok("rechunk", "lone", "d", "--chunks", "3,10", cwd=here)
    assert "--chunks 3,10 changes nothing" in done.stderr and "lone:3,10 decides" in done.stderr


def test_diff_prints_float32_as_values_does(tmp_path):
    for name, value in (("a", 0.1), ("b", np.nan)):
        z = zarr.create_array(tmp_path / name, name="v", shape=(1,), dtype="f4")
        z[:] = value
    done = run("diff", "a", "b", cwd=tmp_path)
    assert done.returncode == 4 and "    [0]: 0.1 | NaN\n" in done.stdout


def test_diff_finds(here, cube):
    ok("rechunk", "tas_2001.nc", "d.zarr", "--chunks", CHUNKS, cwd=here)
    a = zarr.open_group(here / "d.zarr", mode="r+")["tas"]
    a[3, 4, 5] += 7
    a[200, 0, 71] -= 9
    done = run("diff", "tas_2001.nc", "d.zarr", cwd=here)
    assert done.returncode == 4
    want = tas(2001)
    lines = done.stdout.splitlines()
    assert lines[0] == f"/tas: 2 of {want.size} cells differ, largest difference 9.0"
    assert lines[1] == f"    [3, 4, 5]: {want[3, 4, 5]} | {want[3, 4, 5] + 7}"
    assert lines[2] == f"    [200, 0, 71]: {want[200, 0, 71]} | {want[200, 0, 71] - 9}"
    assert lines[3] == "differ: 1 of 4 variables, 0 attributes"
    done = run("diff", "tas_2001.nc", "d.zarr", "--json", cwd=here)
    assert done.returncode == 4 and json.loads(done.stdout)["equal"] is False
    ok("diff", "tas_2001.nc", "d.zarr", "--vars", "lat,lon", cwd=here)
    done = run("diff", "tas_2001.nc", cube, cwd=here)
    assert done.returncode == 4 and "/tas: " in done.stdout


def test_diff_tolerance(tmp_path):
    for name, offset in (("a.zarr", 0), ("b.zarr", 1e-3)):
        group = zarr.open_group(tmp_path / name, mode="w", zarr_format=3)
        group.create_array("v", shape=(9,), dtype="f8")[:] = np.arange(9) + offset
    assert run("diff", "a.zarr", "b.zarr", cwd=tmp_path).returncode == 4
    assert run("diff", "a.zarr", "b.zarr", "--atol", "1e-4", cwd=tmp_path).returncode == 4
    ok("diff", "a.zarr", "b.zarr", "--atol", "0.0011", cwd=tmp_path)


def test_verify(here):
    ok("rechunk", "tas_2001.nc", "v.zarr", "--chunks", "time=100,lat=12,lon=24", cwd=here)
    assert "ok: 4 arrays" in ok("verify", "v.zarr", "--strict", cwd=here).stdout
    gone = here / "v.zarr" / "tas" / "c" / "1" / "2" / "0"
    gone.unlink()
    assert "    missing: tas/c/1/2/0\n" in ok("verify", "v.zarr", cwd=here).stdout
    for level in ("presence", "decode"):
        done = run("verify", "v.zarr", "--strict", "--level", level, cwd=here)
        assert done.returncode == 4 and "not ok: " in done.stdout
    torn = here / "v.zarr" / "tas" / "c" / "0" / "1" / "1"
    torn.write_bytes(torn.read_bytes()[:50])
    ok("verify", "v.zarr", "--level", "presence", cwd=here)
    done = run("verify", "v.zarr", cwd=here)
    assert done.returncode == 4 and "    bad: tas/c/0/1/1: " in done.stdout
    report = json.loads(run("verify", "v.zarr", "--json", cwd=here).stdout)
    tas_report = [a for a in report["arrays"] if a["path"] == "/tas"][0]
    assert (report["ok"], tas_report["bad"], tas_report["missing"]) == (False, 1, 1)


# signals, and the examples


SLOW = ["rechunk", "big.zarr", "out.zarr", "--chunks", "6000,2,2", "--threads", "1",
        "--max-mem", "100MB", "--codec", "blosc:zstd:9:shuffle"]


@pytest.fixture()
def big(tmp_path):
    """600 MB of which little is stored: work for several seconds."""
    a = zarr.create_array(tmp_path / "big.zarr", name="a", shape=(6000, 500, 50), chunks=(4, 500, 50),
                          dtype="f4", compressors=None, fill_value=1.5)
    a[:4] = np.arange(100000, dtype="f4").reshape(4, 500, 50)


def on_a_terminal(words, cwd, seconds):
    """What a program says on its terminal until it is interrupted, and its exit status."""
    path = program()
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.chdir(cwd)
            os.execve(path, [path, *words], environment(TERM="xterm"))
        finally:
            os._exit(127)
    said, until = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            if select.select([terminal], [], [], 0.1)[0]:
                said += os.read(terminal, 65536)
        os.write(terminal, b"\x03")  # Ctrl-C, by way of the terminal
        while True:
            said += os.read(terminal, 65536)
    except OSError:  # the other end is closed
        pass
    return said.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_progress_line(big, tmp_path):
    said, status = on_a_terminal(SLOW, tmp_path, 1.5)
    assert status == 130
    drawn = re.findall(r"\r([^\r\n]*)\033\[K", said)
    assert any(re.search(r"% +\S.* of \S+ .B +\S+ .?B/s .* left", line) for line in drawn), said
    assert all(len(line) < 80 for line in drawn)
    assert re.search(r"\r\033\[K\033\[1;31mchunkmill:\033\[0m .*interrupted", said), said
    said, status = on_a_terminal([*SLOW, "--no-progress", "--color=never"], tmp_path, 1.0)
    assert status == 130 and "\033" not in said and "% " not in said
    assert sorted(os.listdir(tmp_path)) == ["big.zarr"]


@pytest.mark.parametrize("words", [["survey"], ["scan", "--out", "all.tables"]], ids=["survey", "scan"])
def test_progress_line_of_many_files(demo, tmp_path, words):
    """Files are counted, and Ctrl-C leaves nothing behind."""
    (tmp_path / "files").mkdir()
    shutil.copy(demo / "tas_2001.nc", tmp_path / "files" / "0.nc")
    for i in range(1, 20000):
        os.link(tmp_path / "files" / "0.nc", tmp_path / "files" / f"{i}.nc")
    (tmp_path / "list").write_text("".join(f"files/{i}.nc\n" for i in range(20000)))
    said, status = on_a_terminal([*words, "--files-from", "list", "--threads", "1"], tmp_path, 0.9)
    assert status == 130 and "interrupted" in said, said
    drawn = re.findall(r"\r([^\r\n]*)\033\[K", said)
    assert any(re.search(words[0] + r" +\d+%  \d+ of 20000 files  \d+/s  .* left  memory", line) for line in drawn), said
    assert sorted(os.listdir(tmp_path)) == ["files", "list"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_save_leaves_nothing(big, tmp_path, number):
    """Stopped once it has begun to write."""
    child = subprocess.Popen(
        [program(), *SLOW], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )
    until = time.monotonic() + 20
    while len(os.listdir(tmp_path)) == 1 and child.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)
    assert child.poll() is None, "the save was over before it could be interrupted"
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 128 + number, err
    assert out == "" and "interrupted" in err.splitlines()[-1]
    assert sorted(os.listdir(tmp_path)) == ["big.zarr"]


def examples():
    for command in COMMANDS:
        text = ok(command, "--help").stdout.split("\nExamples\n")[1]
        yield from (l.strip() for l in text.splitlines() if not l.startswith("  #"))


def test_examples_work_when_pasted(tmp_path):
    """With the files that make demo makes, in order: later ones may use what earlier ones made."""
    here, bin = tmp_path / "demo", tmp_path / "bin"
    here.mkdir()
    subprocess.run([sys.executable, ROOT / "tools/make_tas.py", here], check=True)
    path = os.pathsep.join([str(bin), os.environ["PATH"]])
    bin.mkdir()
    (bin / "chunkmill").symlink_to(os.path.abspath(program()))
    lines = list(examples())
    assert len(lines) >= 12 and all("chunkmill " in l for l in lines)
    for line in lines:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line], cwd=here, env=environment(PATH=path),
            capture_output=True, text=True,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert "error" not in done.stderr
    assert shlex.split(lines[0])[0] == "chunkmill"
