"""Files of different variables as one dataset, joined along time besides, against xarray's merge and
combine_by_coords."""

import json
import random
import warnings

import numpy as np
import pytest
from cli_program import fails, ok
from seeds import choose_seed

warnings.simplefilter("ignore")
netCDF4 = pytest.importorskip("netCDF4")
xr = pytest.importorskip("xarray")

NX = 3


def write(path, name, days, units="days since 2001-01-01", height=None, group=None, x=None, dtype="f4",
          chunk=None, attrs=None, more=None):
    """One variable, whose values depend on its name, the day and the place."""
    days = np.asarray(days, "f8")
    with netCDF4.Dataset(path, "w") as nc:
        nc.setncatts(attrs or {"title": "same"})
        nc.createDimension("time", None)
        nc.createDimension("x", NX)
        nc.createDimension("bnds", 2)
        t = nc.createVariable("time", "f8", ("time",))
        t.units, t.bounds = units, "time_bnds"
        t[:] = days
        nc.createVariable("time_bnds", "f8", ("time", "bnds"))[:] = np.stack([days, days + 1], 1)
        nc.createVariable("x", "f4", ("x",))[:] = np.arange(NX) if x is None else x
        if height is not None:
            nc.createVariable("height", "f8", ())[...] = height
        where = nc.createGroup(group) if group else nc
        for n in [name, *(more or [])]:
            how = {"chunksizes": (chunk, 2), "zlib": True} if chunk else {}
            v = where.createVariable(n, dtype, ("time", "x"), **how)
            v[:] = (days[:, None] * 100 + np.arange(NX) * 10 + len(n)).astype(dtype)
    return path


def zarr_of(tmp_path, *args):
    out = tmp_path / "out.zarr"
    done = ok("rechunk", *args, out, "--overwrite")
    return xr.open_dataset(out, engine="zarr", chunks=None, decode_times=False).load(), done.stderr


def want_of(paths):
    parts = [xr.open_dataset(p, decode_times=False).load() for p in paths]
    return xr.combine_by_coords(parts, data_vars="minimal", coords="minimal", compat="equals", join="exact",
                                combine_attrs="override")


def same(have, want):
    assert set(have.variables) == set(want.variables)
    for name in want.variables:
        assert have[name].dims == want[name].dims and have[name].dtype == want[name].dtype
        np.testing.assert_array_equal(have[name].values, want[name].values, err_msg=name)


def test_merged(tmp_path):
    a = write(tmp_path / "tas.nc", "tas", range(5), height=2.0, chunk=2)
    b = write(tmp_path / "pr.nc", "pr", range(5), dtype="i2", chunk=3, more=["prsn"])
    line = fails(3, "rechunk", a, b, tmp_path / "no.zarr")
    assert "is also in" in line and "(the sources do not all have the same variables: --merge" in line
    line = fails(3, "rechunk", a, write(tmp_path / "late.nc", "pr", range(5, 9)), tmp_path / "no.zarr")
    assert "the variable is missing, but is in" in line and "--merge" in line
    have, said = zarr_of(tmp_path, a, b, "--merge")
    same(have, want_of([a, b]))
    have, said = zarr_of(tmp_path, b, a, "--merge")
    same(have, want_of([a, b]))
    have, said = zarr_of(tmp_path, a, b, "--merge", "--vars", "tas,prsn", "--skip", "time_bnds,height")
    assert set(have.variables) == {"tas", "prsn", "time", "x"}
    line = fails(2, "rechunk", a, b, tmp_path / "no.zarr", "--merge", "--vars", "tas,prs")
    assert "prs" in line
    line = fails(2, "rechunk", a, b, tmp_path / "no.zarr", "--merge", "--vars", "pr")
    assert "tas.nc: it has none of the variables of --vars" in line
    report = json.loads(ok("info", a, b, "--merge", "--json").stdout)["join"]
    assert [m["variables"] for m in report["merged"]] == [["/height", "/tas"], ["/pr", "/prsn"]]
    assert report["shared"] == ["/time", "/time_bnds", "/x"] and report["files"] == 2
    text = ok("info", a, b, "--merge").stdout
    assert "joined: 2 sources of 2 sets of variables\n    height, tas: 1 source\n    pr, prsn: 1 source\n" in text
    assert "    the same in several: time, time_bnds, x\n" in text


def test_merged_and_joined(tmp_path):
    paths = [write(tmp_path / f"{name}_{k}.nc", name, range(4 * k, 4 * k + 4), chunk=k + 1,
                   units="days since 2001-01-01") for name in ("tas", "pr", "huss") for k in range(3)]
    random.Random(choose_seed()).shuffle(paths)
    have, said = zarr_of(tmp_path, *paths, "--merge", "--chunks", "tas:time=5,x=2")
    same(have, want_of(paths))
    assert "warning" not in said
    text = ok("rechunk", *paths, tmp_path / "no.zarr", "--merge", "--dry-run").stdout
    assert "joined: 9 sources of 3 sets of variables" in text
    assert "    tas: 3 sources along time (by coordinate value), 12 steps\n" in text
    # dates of their own in every file
    mixed = [write(tmp_path / f"m{name}{k}.nc", name, np.arange(4 * k, 4 * k + 4) - shift,
                   units=f"days since 2001-01-{1 + shift:02d}")
             for name, k, shift in [("tas", 0, 0), ("tas", 1, 3), ("pr", 0, 2), ("pr", 1, 9)]]
    have, said = zarr_of(tmp_path, *mixed, "--merge")
    np.testing.assert_array_equal(have["time"], np.arange(8))
    np.testing.assert_array_equal(have["time_bnds"], np.stack([np.arange(8), np.arange(1, 9)], 1))
    want = np.concatenate([xr.open_dataset(p, decode_times=False)["pr"] for p in mixed[2:]])
    np.testing.assert_array_equal(have["pr"], want)
    # what is done to steps is done in every set
    holes = [write(tmp_path / f"h{name}{k}.nc", name, days) for name in ("tas", "pr")
             for k, days in enumerate([[0, 1, 2, 3], [6, 7, 5], [3, 4, 9]])]
    have, said = zarr_of(tmp_path, *holes, "--merge", "--unsorted", "sort", "--duplicates", "first", "--gaps", "fill")
    np.testing.assert_array_equal(have["time"], np.arange(10))
    assert np.isnan(have["tas"][8]).all() and np.isnan(have["pr"][8]).all()
    np.testing.assert_array_equal(have["pr"][[5, 9], 0], [502, 902])


def test_conflicts_are_named(tmp_path):
    def refused(what, *paths, more=()):
        line = fails(3, "rechunk", *paths, tmp_path / "no.zarr", "--merge", *more)
        assert what in line, line
        return line
    a = write(tmp_path / "a.nc", "tas", range(4), height=2.0)
    longer = write(tmp_path / "b.nc", "pr", range(1, 6))
    line = refused("b.nc: the length of dimension time is 5, from 2001-01-02T00:00:00 to 2001-01-06T00:00:00, "
                   "but 4, from 2001-01-01T00:00:00 to 2001-01-04T00:00:00 in", a, longer)
    assert "a.nc" in line
    shifted = write(tmp_path / "c.nc", "pr", range(1, 5))
    refused("c.nc: /time: the values differ from those in", a, shifted)
    ten = write(tmp_path / "d.nc", "wind", range(4), height=10.0)
    refused("d.nc: /height: the values differ from those in", a, ten)
    have, said = zarr_of(tmp_path, a, ten, "--merge", "--static", "first")
    assert have["height"] == 2
    other = write(tmp_path / "e.nc", "pr", range(4), x=[0, 1, 2.5])
    refused("e.nc: /x: the values differ from those in", a, other)
    # a data variable that two have
    twice = write(tmp_path / "f.nc", "pr", range(4), more=["tas"])
    with netCDF4.Dataset(twice, "a") as nc:
        nc["tas"][:] = netCDF4.Dataset(a)["tas"][:]
    have, said = zarr_of(tmp_path, a, twice, "--merge")
    assert set(have.data_vars) >= {"tas", "pr"}
    with netCDF4.Dataset(twice, "a") as nc:
        nc["tas"][3, 2] += 1
    refused("f.nc: /tas: the values differ from those in", a, twice)
    with netCDF4.Dataset(twice, "a") as nc:
        nc["tas"].scale_factor = 2.0
    refused("f.nc: /tas: scale_factor is 2.0, but not there in", a, twice)
    # attributes: the first one's, and a word about it
    g = write(tmp_path / "g.nc", "pr", range(4), attrs={"title": "other"})
    have, said = zarr_of(tmp_path, a, g, "--merge")
    assert have.attrs["title"] == "same" and "attribute title of" in said


def test_groups_are_merged(tmp_path):
    a = write(tmp_path / "a.nc", "tas", range(3), group="model/air")
    b = write(tmp_path / "b.nc", "pr", range(3), group="model/water")
    c = write(tmp_path / "c.nc", "hus", range(3), group="model/air")
    have, said = zarr_of(tmp_path, a, b, c, "--merge")
    for name, group, path in [("tas", "model/air", a), ("hus", "model/air", c), ("pr", "model/water", b)]:
        made = xr.open_dataset(tmp_path / "out.zarr", engine="zarr", chunks=None, group=group)
        want = xr.open_dataset(path, group=group)
        np.testing.assert_array_equal(made[name], want[name])


def test_stacked_and_merged(tmp_path):
    paths = [write(tmp_path / f"{name}_r{r}.nc", name, range(3)) for name in ("tas", "pr") for r in (2, 1)]
    for p in paths:
        with netCDF4.Dataset(p, "a") as nc:
            for name in ("tas", "pr"):
                if name in nc.variables:
                    nc[name][:] = nc[name][:] + int(str(p)[-4]) * 1000
    have, said = zarr_of(tmp_path, *paths, "--merge", "--coord", "run=name:r([0-9])")
    assert said.count("stacked along run") == 2
    for name in ("tas", "pr"):
        assert have[name].dims == ("run", "time", "x")
        want = [xr.open_dataset(tmp_path / f"{name}_r{r}.nc", decode_times=False)[name] for r in (1, 2)]
        np.testing.assert_array_equal(have[name], want)


def test_merged_references(tmp_path):
    paths = [write(tmp_path / f"{name}_{k}.nc", name, range(4 * k, 4 * k + 4), chunk=2)
             for name in ("tas", "pr") for k in range(2)]
    ok("virtualize", *paths, tmp_path / "cube.json", "--merge")
    have, said = zarr_of(tmp_path, tmp_path / "cube.json")
    same(have, want_of(paths))
    ok("diff", *paths, tmp_path / "out.zarr", "--merge")
