"""Running the program as a user would, and the small NetCDF files that its --help examples name."""

import os
import shutil
import subprocess

import numpy as np
import pytest
from conftest import ROOT, find_program

COMMANDS = ["info", "values", "scan", "survey", "rechunk", "virtualize", "diff", "verify", "help"]


def program():
    return os.path.abspath(find_program())


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_") and k != "NO_COLOR"}
    env.update(more)
    return env


def run(*args, cwd=None, stdin=None, env=None, timeout=120):
    """The finished process, with text stdout and stderr."""
    return subprocess.run(
        [program(), *map(str, args)],
        cwd=cwd,
        input=stdin,
        env=env or environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def ends(*args, status=0, **more):
    """The finished process, whose exit status was this one."""
    done = run(*args, **more)
    assert done.returncode == status, (done.returncode, done.stderr, done.stdout[-1000:])
    return done


def ok(*args, **more):
    return ends(*args, **more)


def fails(status, *args, **more):
    """The one line that a failing command says. Nothing may be on standard output."""
    done = run(*args, **more)
    assert done.returncode == status, (done.returncode, done.stderr)
    assert done.stdout == ""
    lines = [l for l in done.stderr.splitlines() if "memory at most" not in l]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("chunkmill: ")
    return lines[0]


def tas(year, days=365, nlat=36, nlon=72):
    """Values that depend on position: no two neighbours alike, packed exactly in int16 steps."""
    t, y, x = np.ogrid[0:days, 0:nlat, 0:nlon]
    return ((year * 7 + t * 31 + y * 5 + x * 3) % 3001 - 1500).astype("int16")


def write_year(path, year, **chunks):
    netCDF4 = pytest.importorskip("netCDF4")
    with netCDF4.Dataset(path, "w") as nc:
        days, nlat, nlon = 365, 36, 72
        nc.createDimension("time", None)
        nc.createDimension("lat", nlat)
        nc.createDimension("lon", nlon)
        nc.Conventions = "CF-1.8"
        nc.title = 'near-surface "air"\ttemperature'
        time = nc.createVariable("time", "f8", ("time",))
        time.units = "days since 1950-01-01"
        time.calendar = "noleap"
        time[:] = (year - 1950) * 365 + np.arange(days) + 0.5
        lat = nc.createVariable("lat", "f4", ("lat",))
        lat.units = "degrees_north"
        lat[:] = (-87.5 + 5 * np.arange(nlat)).astype("f4")
        lon = nc.createVariable("lon", "f4", ("lon",))
        lon.units = "degrees_east"
        lon[:] = (2.5 + 5 * np.arange(nlon)).astype("f4")
        v = nc.createVariable(
            "tas",
            "i2",
            ("time", "lat", "lon"),
            zlib=True,
            shuffle=True,
            chunksizes=(10, nlat, nlon),
            fill_value=np.int16(-32768),
        )
        v.units = "K"
        v.scale_factor = np.float32(0.01)
        v.add_offset = np.float32(280)
        v.set_auto_maskandscale(False)
        v[:] = tas(year)


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A directory with tas_2001.nc and tas_2002.nc. Tests must not write into it."""
    where = tmp_path_factory.mktemp("cli")
    for year in (2001, 2002):
        write_year(where / f"tas_{year}.nc", year)
    return where


@pytest.fixture()
def here(demo, tmp_path):
    """A fresh directory with the same files."""
    (tmp_path / "work").mkdir()
    for year in (2001, 2002):
        shutil.copy(demo / f"tas_{year}.nc", tmp_path / "work")
    return tmp_path / "work"
