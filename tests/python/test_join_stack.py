"""Files stacked along a new dimension, and coordinates out of file names and attributes, against xarray's
concat along an index of the same values."""

import datetime
import json
import random
import string
import warnings

import numpy as np
import pytest
from cli_program import fails, ok
from seeds import choose_seed

warnings.simplefilter("ignore")
netCDF4 = pytest.importorskip("netCDF4")
xr = pytest.importorskip("xarray")

NT, NX = 4, 3


def write(path, mark, time=True, scalar=None, attrs=None, extra=None, steps=NT, dtype="f4", values=None,
          chunk=None, bounds=True, calendar="standard", height=2.0):
    with netCDF4.Dataset(path, "w") as nc:
        nc.setncatts(attrs or {})
        if time:
            nc.createDimension("time", steps)
            t = nc.createVariable("time", "f8", ("time",))
            t.units, t.calendar = "days since 2000-01-01", calendar
            t[:] = np.arange(steps)
            if bounds:
                nc.createDimension("bnds", 2)
                t.bounds = "time_bnds"
                nc.createVariable("time_bnds", "f8", ("time", "bnds"))[:] = np.arange(steps)[:, None] + [0, 1]
        nc.createDimension("x", NX)
        nc.createVariable("x", "f4", ("x",))[:] = np.arange(NX) * 0.5
        nc.createVariable("height", "f8", ())[...] = height
        if scalar is not None:
            v = nc.createVariable("member", "i4", ())
            v[...], v.long_name = scalar, "which run"
        dims = ("time", "x") if time else ("x",)
        shape = (steps, NX) if time else (NX,)
        if extra is not None:
            nc.createVariable("area", "f8", dims)[:] = np.arange(np.prod(shape)).reshape(shape) + extra
        more = {"chunksizes": tuple(chunk), "zlib": True} if chunk else {}
        v = nc.createVariable("v", dtype, dims, **more)
        v.coordinates = "height area" if extra is not None else "height"
        v[:] = (mark * 1000 + np.arange(np.prod(shape)).reshape(shape)).astype(dtype)
    return path


def zarr_of(tmp_path, *args):
    out = tmp_path / "out.zarr"
    done = ok("rechunk", *args, out, "--overwrite")
    return xr.open_dataset(out, engine="zarr", chunks=None, decode_times=False).load(), done.stderr


def raw(path):
    return xr.open_dataset(path, decode_times=False).load()


def concat(paths, name, values, coords=None):
    return xr.concat([raw(p).drop_vars(name, errors="ignore") for p in paths], xr.DataArray(values, dims=name, name=name),
                     data_vars="all", coords="different", compat="equals", join="exact")


def same(have, want, *names):
    for name in names:
        assert have[name].dims == want[name].dims, name
        assert have[name].dtype == want[name].dtype, name
        np.testing.assert_array_equal(have[name].values, want[name].values, err_msg=name)


def test_stacked_and_counted(tmp_path):
    paths = [write(tmp_path / f"{c}.nc", i, extra=i == 2, chunk=[i + 1, 2]) for i, c in enumerate("bca")]
    have, said = zarr_of(tmp_path, *paths, "--stack", "member")
    want = concat(paths, "member", np.arange(3))
    same(have, want, "v", "member", "time", "x", "area")
    assert have["v"].dims == ("member", "time", "x") and have["time_bnds"].dims == ("time", "bnds")
    assert have["area"].dims == ("member", "time", "x") and have["height"].dims == ()
    assert "stacked along member: area, v; the same in all: time, time_bnds, x, height" in said
    report = json.loads(ok("info", *paths, "--stack", "member", "--json").stdout)["join"]
    assert sorted(report["stacked"]) == ["/area", "/v"]
    assert sorted(report["shared"]) == ["/height", "/time", "/time_bnds", "/x"]
    assert report["order"] == "coordinate" and report["steps"] == 3
    # an auxiliary coordinate that differs is stacked, a dimension's must not differ
    write(paths[1], 1, height=10.0, extra=0)
    write(paths[2], 2, extra=0)
    have, said = zarr_of(tmp_path, *paths, "--stack", "member")
    assert have["height"].dims == ("member",) and list(have["height"]) == [2, 10, 2]
    assert have["area"].dims == ("time", "x")
    with netCDF4.Dataset(paths[2], "a") as nc:
        nc["x"][1] = 7
    line = fails(3, "rechunk", *paths, tmp_path / "no.zarr", "--stack", "member")
    assert "a.nc: /x: the values differ from those in" in line and "--static first" in line
    have, said = zarr_of(tmp_path, *paths, "--stack", "member", "--static", "first")
    assert list(have["x"]) == [0, 0.5, 1]
    line = fails(3, "rechunk", *paths, tmp_path / "no.zarr", "--stack", "time")
    assert "it has the dimension time already (--concat time" in line
    # part of it
    have, said = zarr_of(tmp_path, *paths, "--stack", "member", "--static", "first", "--isel", "member=1:3,time=2:")
    assert have["v"].shape == (2, 2, 3)
    np.testing.assert_array_equal(have["v"][:, 0, 0], [1006, 2006])


def test_scalars(tmp_path):
    paths = [write(tmp_path / f"f{i}.nc", i, scalar=s) for i, s in enumerate([30, 10, 20])]
    have, said = zarr_of(tmp_path, *paths, "--stack", "member")
    want = concat([paths[1], paths[2], paths[0]], "member", np.array([10, 20, 30], "i4"))
    same(have, want, "v", "member", "time")
    assert have["member"].attrs["long_name"] == "which run"
    have, said = zarr_of(tmp_path, *paths, "--stack", "member", "--order", "given")
    assert list(have["member"]) == [30, 10, 20] and "not sorted" in said
    # their place is taken
    have, said = zarr_of(tmp_path, *paths, "--coord", "member=values:7,5,6")
    same(have, concat([paths[1], paths[2], paths[0]], "member", [5, 6, 7]), "v", "member")


def test_names(tmp_path):
    runs = [10, 2, 1]
    paths = [write(tmp_path / f"tas_r{r}i1p1_2001.nc", r) for r in runs]
    have, said = zarr_of(tmp_path, *paths, "--coord", r"member=name:r(\d+)i")
    same(have, concat(paths[::-1], "member", [1, 2, 10]), "v", "member", "time")
    have, said = zarr_of(tmp_path, *paths, "--coord", r"member=name:_(r[0-9]+i1p1)_")
    want = concat(paths, "member", ["r10i1p1", "r2i1p1", "r1i1p1"])
    assert list(have["member"].values) == list(want["member"].values)
    same(have, want, "v")
    assert "warning" not in said
    for pattern, what in [(r"name:([0-9]+)", "finds several values in 'tas_r10i1p1_2001.nc'"),
                          ("name:q(.)", "finds nothing in 'tas_r10i1p1_2001.nc'"),
                          ("name:(r)(1)", "has 2 groups"), ("name:(r", "is no regular expression"),
                          ("nome:r", "values come from date, name, attr or values"),
                          ("name", "does not say where")]:
        line = fails(2, "rechunk", *paths, tmp_path / "no.zarr", "--coord", "member=" + pattern)
        assert what in line and "tas_r10i1p1_2001.nc" in line, line
    line = fails(3, "rechunk", *paths, tmp_path / "no.zarr", "--coord", r"member=name:tas(_)r")
    assert "member is '_', as in" in line
    line = fails(2, "rechunk", *paths, tmp_path / "no.zarr", "--coord", "time=values:1,2,3", "--stack", "member")
    assert "the sources are joined along member" in line
    line = fails(2, "rechunk", *paths, tmp_path / "no.zarr", "--coord", "member=values:1,2")
    assert "2 values for 3 sources" in line
    # the same twice, where numbers order
    line = fails(3, "rechunk", *paths, tmp_path / "no.zarr", "--coord", "member=name:i([0-9])p")
    assert "/member: the coordinate value 1 is also in" in line


def test_dates(tmp_path):
    days = [datetime.date(2001, 3, 1), datetime.date(2001, 2, 27), datetime.date(2001, 2, 28)]
    paths = [write(tmp_path / f"tas_{d:%Y%m%d}_v2.nc", i, time=False) for i, d in enumerate(days)]
    have, said = zarr_of(tmp_path, *paths, "--coord", "time=date:%Y%m%d")
    epoch = datetime.date(1970, 1, 1)
    want = concat([paths[1], paths[2], paths[0]], "time", sorted((d - epoch).days for d in days))
    same(have, want, "v", "time", "x")
    assert have["time"].attrs["units"] == "days since 1970-01-01"
    assert have["time"].attrs["calendar"] == "standard"
    decoded = xr.open_dataset(tmp_path / "out.zarr", engine="zarr", chunks=None)["time"].values
    np.testing.assert_array_equal(decoded.astype("M8[D]"), np.array(sorted(days), "M8[D]"))
    # in another calendar the same dates have other numbers, and 29 February is missing or not
    more = [*paths, write(tmp_path / "tas_20010226.nc", 7, time=False)]
    have, said = zarr_of(tmp_path, *more, "--coord", "time=date:%Y%m%d", "--calendar", "360_day", "--gaps", "fill")
    times = xr.open_dataset(tmp_path / "out.zarr", engine="zarr", chunks=None)["time"]
    assert [f"{t.item():%m-%d}" for t in times] == ["02-26", "02-27", "02-28", "02-29", "02-30", "03-01"]
    assert np.isnan(have["v"][3:5]).all() and list(have["v"][5]) == [0, 1, 2]
    line = fails(2, "rechunk", *paths, tmp_path / "no.zarr", "--coord", "time=date:%Y%m%d", "--calendar", "lunar")
    assert "'lunar' is no calendar" in line
    # hours, fractions, days of the year, months by name
    for form, pattern in [("x_%Y-%m-%dT%H%M", "%Y-%m-%dT%H%M"), ("%j.%Y-%H%M%S.%f", "%j.%Y-%H%M%S.%f"),
                          ("%d%b%y-%H.%M", "%d%b%y-%H.%M"), ("a-%Y-19990101T%m%d%H%M", "%Y-*T%m%d%H%M")]:
        stamps = [datetime.datetime(2004, 12, 31, 6, 30), datetime.datetime(2003, 1, 2, 18, 0)]
        there = [write(tmp_path / (t.strftime(form) + ".nc"), i, time=False) for i, t in enumerate(stamps)]
        have, said = zarr_of(tmp_path, *there, "--coord", "time=date:" + pattern)
        assert have["time"].attrs["units"] == "minutes since 1970-01-01"
        decoded = xr.open_dataset(tmp_path / "out.zarr", engine="zarr", chunks=None)["time"].values
        np.testing.assert_array_equal(decoded, np.array(sorted(stamps), "M8[ns]"))
        same(have, concat(there[::-1], "time", have["time"].values), "v")


def test_dates_that_are_none(tmp_path):
    def refused(name, pattern, what, *more):
        path = write(tmp_path / name, 1, time=False)
        line = fails(2, "rechunk", path, tmp_path / "no.zarr", "--coord", "time=date:" + pattern, *more)
        assert what in line and name in line, line
    refused("tas_20010230.nc", "%Y%m%d", "finds no date of the calendar in")
    refused("tas_20010101-20011231.nc", "%Y%m%d", "finds several dates in")
    refused("tas_120010101.nc", "%Y%m%d", "finds no date in")
    refused("tas_20010101.nc", "%Y%m%d%H", "finds no date in")
    refused("tas_20010101.nc", "%Y%q", "%q in '%Y%q' is not understood")
    refused("tas_0101.nc", "%m%d", "has no year")
    path = write(tmp_path / "tas_20010101-20011231.nc", 1, time=False)
    have, said = zarr_of(tmp_path, path, "--coord", "time=date:_%Y%m%d-")
    assert list(have["time"]) == [11323]
    line = fails(2, "rechunk", path, tmp_path / "no.zarr", "--calendar", "noleap")
    assert "--calendar is that of the dates of --coord" in line


def test_a_dimension_that_is_there(tmp_path):
    paths = [write(tmp_path / f"d{d}.nc", d, steps=1, bounds=False, calendar="noleap") for d in (20010105, 20010104)]
    have, said = zarr_of(tmp_path, *paths, "--coord", "time=date:%Y%m%d")
    assert have["time"].attrs["calendar"] == "noleap"  # that of the variable which is replaced
    assert list(np.diff(have["time"])) == [1]
    want = xr.concat([raw(paths[1]), raw(paths[0])], "time", data_vars="minimal", coords="minimal",
                     compat="override")
    np.testing.assert_array_equal(have["v"], want["v"])
    bounded = [write(tmp_path / f"b{d}.nc", d, steps=1) for d in (20010105, 20010104)]
    line = fails(3, "rechunk", *bounded, tmp_path / "no.zarr", "--coord", "time=date:%Y%m%d")
    assert "/time_bnds: these bounds belong to the values of time that --coord replaces" in line
    assert "--skip time_bnds" in line
    have, said = zarr_of(tmp_path, *bounded, "--coord", "time=date:%Y%m%d", "--skip", "time_bnds")
    assert have.sizes["time"] == 2
    long = [write(tmp_path / f"l{d}.nc", d, bounds=False) for d in (20010105, 20010101)]
    line = fails(3, "rechunk", *long, tmp_path / "no.zarr", "--coord", "time=date:%Y%m%d")
    assert "gives 1 value, time has 4 steps" in line
    line = fails(3, "rechunk", long[0], write(tmp_path / "n20010102.nc", 1, time=False), tmp_path / "no.zarr",
                 "--coord", "time=date:%Y%m%d")
    assert "n20010102.nc: it has no dimension time, but" in line


def test_attributes(tmp_path):
    starts = ["2001-01-02T12:00:00Z", "20010101T120000Z", "2001-01-03 12:00"]
    paths = [write(tmp_path / f"f{i}.nc", i, time=False, attrs={"start": s, "number": np.float32(i / 2 + 0.25),
                                                              "run": f"run {i}", "level": np.int16(9 - i)})
             for i, s in enumerate(starts)]
    have, said = zarr_of(tmp_path, *paths, "--coord", "time=attr:start")
    want = concat([paths[1], paths[0], paths[2]], "time", [271764, 271788, 271812])
    same(have, want, "v", "time")
    assert have["time"].attrs["units"] == "hours since 1970-01-01"
    have, said = zarr_of(tmp_path, *paths, "--coord", "p=attr:number")
    same(have, concat(paths, "p", [0.25, 0.75, 1.25]), "v", "p")
    have, said = zarr_of(tmp_path, *paths, "--coord", "level=attr:level")
    same(have, concat(paths[::-1], "level", [7, 8, 9]), "v", "level")
    have, said = zarr_of(tmp_path, *paths[::-1], "--coord", "run=attr:run")
    assert list(have["run"].values) == ["run 2", "run 1", "run 0"]
    same(have, concat(paths[::-1], "run", [0, 1, 2]), "v")
    line = fails(2, "rechunk", *paths, tmp_path / "no.zarr", "--coord", "run=attr:rum")
    assert "f0.nc: there is no attribute rum" in line
    with netCDF4.Dataset(paths[1], "a") as nc:
        nc.level = "high"
    line = fails(3, "rechunk", *paths, tmp_path / "no.zarr", "--coord", "level=attr:level")
    assert "f1.nc: --coord 'level=attr:level': the value is a text here" in line
    # of a variable; several for a dimension that is there
    many = []
    for i in range(2):
        many.append(write(tmp_path / f"m{i}.nc", i, bounds=False))
        with netCDF4.Dataset(many[-1], "a") as nc:
            nc["v"].hours = np.arange(4) * 6 + 24 * (1 - i)
    have, said = zarr_of(tmp_path, *many, "--coord", "time=attr:v@hours")
    np.testing.assert_array_equal(have["time"], np.arange(8) * 6)
    np.testing.assert_array_equal(have["v"][:, 0], [1000, 1003, 1006, 1009, 0, 3, 6, 9])


def test_groups_are_stacked(tmp_path):
    paths = []
    for i in range(3):
        paths.append(write(tmp_path / f"g{i}.nc", i))
        with netCDF4.Dataset(paths[-1], "a") as nc:
            g = nc.createGroup("a/b")
            g.createDimension("y", 2)
            g.createVariable("y", "i4", ("y",))[:] = [5, 6]
            g.createVariable("w", "i2", ("y", "x"))[:] = np.arange(6).reshape(2, 3) + 10 * i
    have, said = zarr_of(tmp_path, *paths, "--coord", "run=values:3,2,1")
    group = xr.open_dataset(tmp_path / "out.zarr", engine="zarr", chunks=None, group="a/b")
    assert group["w"].dims == ("run", "y", "x") and group["y"].dims == ("y",)
    np.testing.assert_array_equal(group["w"], np.stack([np.arange(6).reshape(2, 3) + 10 * i for i in (2, 1, 0)]))


def test_references_are_stacked_and_extended(tmp_path):
    pytest.importorskip("kerchunk")
    paths = [write(tmp_path / f"r{i}.nc", i, chunk=[2, 3]) for i in range(4)]
    cube = tmp_path / "cube.json"
    ok("virtualize", *paths[:3], cube, "--coord", "run=name:r([0-9])")
    report = json.loads(ok("virtualize", paths[3], cube, "--append", "run", "--coord", "run=name:r([0-9])",
                           "--json").stdout)
    assert report["join"]["files"] == 2 and report["join"]["steps"] == 4
    ok("rechunk", cube, tmp_path / "out.zarr")
    have = xr.open_dataset(tmp_path / "out.zarr", engine="zarr", chunks=None, decode_times=False)
    same(have, concat(paths, "run", np.arange(4)), "v", "run", "time", "x")


def test_random_stacks(tmp_path):
    """Random values by name and by list, random chunks, parts of the result."""
    rng = random.Random(choose_seed())
    for round in range(10):
        n = rng.randint(1, 6)
        values = rng.sample(range(100), n)
        text = rng.random() < 0.3
        labels = ["".join(rng.sample(string.ascii_letters, 5)) if text else v for v in values]
        paths = [write(tmp_path / f"{round}-q{labels[i]}-.nc", i, chunk=rng.choice([None, [1, 2], [3, 3]]),
                       dtype=rng.choice(["f8"]), extra=0) for i in range(n)]
        how = rng.choice([["--coord", "z=name:q(.*)-"], ["--coord", "z=values:" + ",".join(map(str, labels))]])
        order = range(n) if text else np.argsort(values)
        want = concat([paths[i] for i in order], "z", [labels[i] for i in order])
        a = rng.randint(0, n - 1)
        b = rng.randint(a + 1, n)
        have, said = zarr_of(tmp_path, *paths, *how, "--isel", f"z={a}:{b},x=1:3", "--chunks",
                             f"z={rng.randint(1, 3)},time={rng.randint(1, 4)}")
        want = want.isel(z=slice(a, b), x=slice(1, 3))
        same(have, want, "v", "time", "x", "area")
        assert list(have["z"].values) == list(want["z"].values)
