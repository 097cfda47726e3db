"""References to stacked files and to cubes with missing steps, of variables too large to be written into the
references: opened by xarray's kerchunk engine and by chunkmill, held to the files' own values."""

import json
import warnings

import numpy as np
import pytest
from cli_program import ok, run

warnings.simplefilter("ignore")
netCDF4 = pytest.importorskip("netCDF4")
xr = pytest.importorskip("xarray")
pytest.importorskip("kerchunk")

NY, NX = 300, 400  # a step is 480 kB


def cells(step, steps):
    return (np.arange(steps * NY * NX, dtype="f4") + step * NY * NX).reshape(steps, NY, NX)


def write(path, days, step, chunk=(1, 150, 400), fill=-1.0, fmt="NETCDF4", contiguous=False):
    with netCDF4.Dataset(path, "w", format=fmt) as nc:
        nc.createDimension("time", len(days) if contiguous else None)
        nc.createDimension("y", NY)
        nc.createDimension("x", NX)
        t = nc.createVariable("time", "f8", ("time",))
        t.units = "days since 2001-01-01"
        t[:] = days
        how = {"zlib": True, "shuffle": True, "chunksizes": chunk} if fmt == "NETCDF4" and not contiguous else {}
        v = nc.createVariable("v", "f4", ("time", "y", "x"), fill_value=fill, **how)
        v[:] = cells(step, len(days))
    return path


def refused(*args):
    done = run(*args)
    assert done.returncode == 3, done.stderr
    return done.stderr.splitlines()[-1]


def both(tmp_path, cube, **more):
    """The cube as xarray reads it and as chunkmill copies it; they must agree."""
    theirs = xr.open_dataset(str(cube), engine="kerchunk", chunks=None, **more).load()
    ok("rechunk", cube, tmp_path / "copy.zarr", "--overwrite")
    ours = xr.open_dataset(tmp_path / "copy.zarr", engine="zarr", chunks=None, **more).load()
    np.testing.assert_array_equal(ours["v"], theirs["v"])
    return ours


def keys_of(cube):
    return [k for k in json.loads(cube.read_text())["refs"] if k.startswith("v/") and k[2] != "."]


def test_missing_steps_have_no_references(tmp_path):
    a = write(tmp_path / "a.nc", [0, 1, 2], 0)
    b = write(tmp_path / "b.nc", [5, 6], 3)
    cube = tmp_path / "cube.json"
    said = ok("virtualize", a, b, cube, "--gaps", "fill").stderr
    assert "2 steps are missing and filled" in said
    have = both(tmp_path, cube)
    want = np.full((7, NY, NX), np.nan, "f4")
    want[:3], want[5:] = cells(0, 3), cells(3, 2)
    np.testing.assert_array_equal(have["v"], want)
    assert len(keys_of(cube)) == 5 * 2
    # a fill value that is another one must not be read for missing steps
    c = write(tmp_path / "c.nc", [0, 1, 2], 0, fill=None)
    d = write(tmp_path / "d.nc", [5, 6], 3, fill=None)
    line = refused("virtualize", c, d, tmp_path / "no.json", "--gaps", "fill")
    assert "/v: references cannot say it: chunk (3, 0, 0) was never written" in line
    ok("virtualize", c, d, tmp_path / "m.json", "--gaps", "fill", "--materialize", tmp_path / "m.chunks")
    np.testing.assert_array_equal(both(tmp_path, tmp_path / "m.json")["v"], want)


def test_sorted_steps(tmp_path):
    a = write(tmp_path / "a.nc", [0, 2, 4], 0)
    b = write(tmp_path / "b.nc", [1, 3, 5], 3)
    cube = tmp_path / "cube.parq"
    ok("virtualize", a, b, cube, "--unsorted", "sort")
    have = both(tmp_path, cube)
    np.testing.assert_array_equal(have["v"], np.concatenate([cells(0, 3), cells(3, 3)])[[0, 3, 1, 4, 2, 5]])
    # chunks that hold two steps cannot be taken apart
    c = write(tmp_path / "c.nc", [0, 2, 4], 0, chunk=(2, 150, 400))
    d = write(tmp_path / "d.nc", [1, 3, 5], 3, chunk=(2, 150, 400))
    line = refused("virtualize", c, d, tmp_path / "no.json", "--unsorted", "sort")
    assert "/v: references cannot say it" in line


@pytest.mark.parametrize("form", ["json", "parq"])
@pytest.mark.parametrize("contiguous", [False, True])
def test_stacked(tmp_path, form, contiguous):
    paths = [write(tmp_path / f"r{i}.nc", [0, 1], 2 * i, contiguous=contiguous) for i in (3, 1, 2)]
    cube = tmp_path / f"cube.{form}"
    ok("virtualize", *paths, cube, "--coord", "run=name:r([0-9])")
    have = both(tmp_path, cube)
    assert have["v"].dims == ("run", "time", "y", "x") and list(have["run"]) == [1, 2, 3]
    np.testing.assert_array_equal(have["v"], np.stack([cells(2 * i, 2) for i in (1, 2, 3)]))
    # a part of it
    ok("virtualize", *paths, tmp_path / "part.json", "--coord", "run=name:r([0-9])", "--isel", "run=1:3,time=1:2")
    part = both(tmp_path, tmp_path / "part.json")
    np.testing.assert_array_equal(part["v"], np.stack([cells(2 * i, 2)[1:] for i in (2, 3)]))
    if contiguous:
        return
    # one more, and one that is missing in between
    more = write(tmp_path / "r5.nc", [0, 1], 10, contiguous=contiguous)
    ok("virtualize", more, cube, "--append", "run", "--coord", "run=name:r([0-9])", "--gaps", "fill")
    have = both(tmp_path, cube)
    assert list(have["run"]) == [1, 2, 3, 4, 5] and np.isnan(have["v"][3]).all()
    np.testing.assert_array_equal(have["v"][4], cells(10, 2))
    # stacked files that differ in their chunks
    odd = write(tmp_path / "r9.nc", [0, 1], 18, chunk=(1, 100, 400))
    line = refused("virtualize", *paths, odd, tmp_path / "no.json", "--stack", "run")
    assert "r9.nc: /v: references cannot say it: chunks of 1 x 1 x 100 x 400" in line
    ok("virtualize", *paths, odd, tmp_path / "odd.json", "--coord", "run=name:r([0-9])", "--materialize",
       tmp_path / "odd.chunks")
    have = both(tmp_path, tmp_path / "odd.json")
    np.testing.assert_array_equal(have["v"], np.stack([cells(2 * i, 2) for i in (1, 2, 3, 9)]))


def test_stacked_classic(tmp_path):
    paths = [write(tmp_path / f"r{i}.nc", [0, 1], 2 * i, fmt="NETCDF3_64BIT_OFFSET", contiguous=True) for i in range(2)]
    ok("virtualize", *paths, tmp_path / "cube.json", "--stack", "run")
    have = both(tmp_path, tmp_path / "cube.json")
    np.testing.assert_array_equal(have["v"], np.stack([cells(0, 2), cells(2, 2)]))


def test_stacked_zarr(tmp_path):
    for i in range(2):
        ok("rechunk", write(tmp_path / "a.nc", [0, 1], 2 * i), tmp_path / f"r{i}.zarr", "--zarr", str(2 + i),
           "--chunks", "time=1,y=100")
    ok("virtualize", tmp_path / "r0.zarr", tmp_path / "cube.json", "--stack", "run")
    np.testing.assert_array_equal(both(tmp_path, tmp_path / "cube.json")["v"], cells(0, 2)[None])
