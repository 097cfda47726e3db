"""The promise about memory: no command's resident peak goes above --max-mem + 32 MB.

With 1 and with 16 threads, on data that do not compress, in every mode of a save, with shards, from
Zarr, chunked HDF5 and contiguous NetCDF-3.
"""
import os
import subprocess
import sys

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")
netCDF4 = pytest.importorskip("netCDF4")

MB = 1_000_000
SHAPE = (160, 300, 400)  # 77 MB of float32


def values():
    rng = np.random.default_rng(5)
    return rng.integers(0, 2**32, SHAPE, dtype="u4").view("f4")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("memory")
    data = values()
    a = zarr.create_array(str(root / "slabs.zarr"), shape=SHAPE, chunks=(5, 300, 400), dtype="f4",
                          dimension_names=("t", "y", "x"))
    a[:] = data
    for name, form, kw in (("h5.nc", "NETCDF4", {"zlib": True, "complevel": 1, "chunksizes": (10, 150, 200)}),
                           ("c3.nc", "NETCDF3_64BIT_OFFSET", {})):
        with netCDF4.Dataset(root / name, "w", format=form) as f:
            for d, n in zip("tyx", SHAPE):
                f.createDimension(d, n)
            f.createVariable("v", "f4", ("t", "y", "x"), **kw)[:] = data
    return root


# A child's peak starts with that of the process that it was forked from, so a small one stands between.
SPAWN = """
import os, sys
null = os.open(os.devnull, os.O_WRONLY)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)
"""


def peak_mb(chunkmill, *args):
    """Exit status and resident peak of one run."""
    done = subprocess.run([sys.executable, "-S", "-E", "-c", SPAWN, chunkmill, *map(str, args)],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    code, peak = done.stdout.split()
    if code != "0":
        print(done.stderr)
    return int(code), int(peak) / MB


def is_sanitized(chunkmill):
    with open(chunkmill, "rb") as f:
        content = f.read()
    return b"__asan_init" in content or b"__tsan_init" in content


@pytest.mark.parametrize("threads", [1, 16])
@pytest.mark.parametrize("max_mem", [48])
@pytest.mark.parametrize("source", ["slabs.zarr", "h5.nc", "c3.nc"])
@pytest.mark.parametrize("how", [
    ["--chunks", "t=-1,y=30,x=40"],
    ["--chunks", "t=-1,y=30,x=40", "--mode", "reread"],
    ["--chunks", "t=-1,y=30,x=40", "--mode", "spill", "--codec", "zstd:3"],
    ["--chunks", "t=7,y=300,x=400"],
    ["--chunks", "t=12,y=30,x=40", "--shards", "t=12,y=150,x=400"],
], ids=["auto", "reread", "spill", "slide", "shards"])
def test_rechunk(chunkmill, sources, tmp_path, threads, max_mem, source, how):
    if is_sanitized(chunkmill):
        pytest.skip("a sanitizer's memory is not ours to bound")
    code, mb = peak_mb(chunkmill, "rechunk", sources / source, tmp_path / "o.zarr", *how, "--quiet",
                       "--max-mem", f"{max_mem}MB", "--threads", threads)
    assert code == 0
    assert mb <= max_mem + 32, f"peak {mb:.1f} MB"


@pytest.mark.parametrize("threads", [1, 16])
@pytest.mark.parametrize("command", [["survey", "h5.nc", "c3.nc", "--concat", "t"],
                                     ["diff", "slabs.zarr", "h5.nc"], ["verify", "slabs.zarr", "--level", "decode"],
                                     ["values", "h5.nc", "v"], ["info", "h5.nc", "--chunks"]], ids=lambda c: c[0])
def test_other_commands(chunkmill, sources, threads, command):
    if is_sanitized(chunkmill):
        pytest.skip("a sanitizer's memory is not ours to bound")
    args = [sources / a if "." in a else a for a in command]
    if command[0] == "diff":
        args += ["--vars", "v"]
        args[1] = sources / "c3.nc"
        args[2] = sources / "h5.nc"
    code, mb = peak_mb(chunkmill, *args, "--max-mem", "48MB", "--threads", threads)
    assert code == 0
    assert mb <= 48 + 32, f"peak {mb:.1f} MB"
