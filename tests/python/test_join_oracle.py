#!/usr/bin/env python3
"""Unpacking, selecting and joining against xarray, on files written here.

    python test_join_oracle.py [--rounds N]

NetCDF-3 files and Zarr stores of random packing are unpacked and compared with what
xarray.open_dataset gives, bit for bit; random archives of files with their own reference dates are
joined and compared with xarray.open_mfdataset; selections with .sel and .isel. Needs xarray,
netCDF4, zarr and build/debug/libchunkmill.so (or CM_LIBRARY). Exit status 77 when one is missing.
"""
import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")
try:
    import netCDF4
    import numpy as np
    import xarray as xr
    import zarr

    from cm_library import Library, Refused
    LIB = Library()
except (ImportError, OSError) as why:
    print(f"1..0 # SKIP {why}")
    sys.exit(77)

from seeds import choose_seed
from tally import FAILED, check, count


def same_bits(a, b):
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    nan = np.isnan(a) & np.isnan(b) if a.dtype.kind == "f" else np.zeros(a.shape, bool)
    return bool(np.all(nan | (a.view(f"u{a.itemsize}").reshape(a.shape)
                              == b.view(f"u{b.itemsize}").reshape(b.shape))))


# ---- unpacking -----------------------------------------------------------------------------------

def random_cells(rng, dtype, n):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        cells = np.array([rng.uniform(-1e3, 1e3) for _ in range(n)], dtype)
    else:
        info = np.iinfo(dtype)
        cells = np.array([rng.choice([rng.randint(info.min, info.max), rng.randint(0, 100)])
                          for _ in range(n)], dtype)
    return cells


def random_packing(rng, dtype, zarr_store):
    dtype, attrs = np.dtype(dtype), {}
    number = (lambda x: float(x)) if zarr_store else (
        lambda x: rng.choice([np.float32, np.float64])(x))
    same = rng.choice([np.float32, np.float64])
    if rng.random() < 0.6:
        attrs["scale_factor"] = number(rng.choice([0.01, 0.5, 1.7e-3]))
    if rng.random() < 0.6:
        attrs["add_offset"] = number(rng.choice([273.15, -4, 1e4]))
    if len(attrs) == 2 and rng.random() < 0.5 and not zarr_store:
        attrs = {k: same(v) for k, v in attrs.items()}
    if dtype.kind in "iu" and rng.random() < 0.25:
        attrs["_Unsigned"] = "true" if dtype.kind == "i" else "false"
    return attrs


def packed_netcdf(rng, path):
    nc = netCDF4.Dataset(path, "w", format=rng.choice(["NETCDF3_64BIT_OFFSET", "NETCDF4"]))
    nc.set_auto_maskandscale(False)
    nc.createDimension("x", 50)
    for i in range(12):
        dtype = rng.choice(["i1", "i2", "i4", "f4", "f8"])
        cells = random_cells(rng, dtype, 50)
        attrs = random_packing(rng, dtype, False)
        fill = cells[3] if rng.random() < 0.6 else None
        if fill is not None and np.dtype(dtype).kind == "f" and rng.random() < 0.3:
            fill = np.dtype(dtype).type("nan")
        v = nc.createVariable(f"v{i}", dtype, ("x",), fill_value=fill if fill is not None else False)
        if "_Unsigned" not in attrs and rng.random() < 0.3:
            attrs["missing_value"] = cells[5]
        v.setncatts(attrs)
        v.set_auto_maskandscale(False)
        v[:] = cells
    nc.close()


def packed_zarr(rng, path):
    group = zarr.open_group(path, mode="w", zarr_format=3)
    for i in range(12):
        dtype = rng.choice(["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
                            "float16", "float32", "float64"])
        cells = random_cells(rng, dtype, 50)
        if dtype == "float16":
            cells = (cells / 100).astype("f2")
        a = group.create_array(f"v{i}", shape=(50,), dtype=dtype, chunks=(7,),
                               dimension_names=["x"])
        attrs = random_packing(rng, dtype, True)
        if "_Unsigned" not in attrs and rng.random() < 0.5:
            attrs["missing_value"] = cells[5].item()
        a[:] = cells
        a.attrs.update(attrs)
    zarr.consolidate_metadata(path)


def compare_unpacked(path, **how):
    """Equal to xarray, but for one thing: where xarray rounds cells to float32 before it compares
    them with a fill value that float32 does not hold, it finds none; here they are missing."""
    ours = LIB.open(path).select(unpack="auto")
    with (xr.open_dataset(path, decode_times=False, **how) as ds,
          xr.open_dataset(path, decode_times=False, mask_and_scale=False, **how) as raw):
        for name in ours.names():
            want, have, attrs = ds[name].values.copy(), ours.read(name), raw[name].attrs
            for fill in ("_FillValue", "missing_value"):
                if fill in attrs and want.dtype.kind == "f":
                    want[raw[name].values == attrs[fill]] = np.nan
            check(same_bits(have, want),
                  f"{path}: {name}: {have.dtype} {want.dtype} {attrs} {have[:8]} {want[:8]}")
    ours.close()


def unpacking(rng, scratch, rounds):
    for _ in range(rounds):
        packed_netcdf(rng, scratch / "p.nc")
        compare_unpacked(scratch / "p.nc")
        packed_zarr(rng, scratch / "p.zarr")
        compare_unpacked(scratch / "p.zarr", engine="zarr", chunks=None)


# ---- joining -------------------------------------------------------------------------------------

def write_archive(rng, scratch):
    """One record cut into files, each counting from its own date, in its own units."""
    calendar = rng.choice(["standard", "noleap", "360_day", "proleptic_gregorian", "julian"])
    kind = rng.choice(["i4", "f8"])
    form = rng.choice(["NETCDF3_64BIT_OFFSET", "NETCDF3_CLASSIC", "NETCDF4"])
    paths, lat, at = [], np.linspace(-60, 60, 4), 0
    for i in range(rng.randint(2, 14)):
        length = rng.randint(1, 40)
        month = rng.randint(1, 12)
        unit, per_day = rng.choice([("days", 1), ("hours", 24), ("minutes", 1440)])
        if kind == "i4" and i == 0:
            unit, per_day = "minutes", 1440
        reference = f"{unit} since 200{rng.randint(0, 3)}-{month:02d}-{rng.randint(1, 28):02d}"
        base = netCDF4.num2date(0, reference, calendar)
        origin = netCDF4.num2date(0, "days since 2001-01-01", calendar)
        shift = (origin - base).total_seconds() / 86400
        days = shift + at + np.arange(length)
        path = scratch / f"part-{i}.nc"
        nc = netCDF4.Dataset(path, "w", format=form)
        nc.createDimension("time", None)
        nc.createDimension("lat", 4)
        nc.createDimension("bnds", 2)
        t = nc.createVariable("time", kind, ("time",))
        t.units, t.calendar, t.bounds = reference, calendar, "time_bnds"
        b = nc.createVariable("time_bnds", kind, ("time", "bnds"))
        y = nc.createVariable("lat", "f8", ("lat",))
        how = {} if form != "NETCDF4" else {  # every file its own chunks, codecs and byte order
            "zlib": rng.random() < 0.6, "shuffle": rng.random() < 0.5,
            "endian": rng.choice(["little", "big"]),
            "chunksizes": (rng.randint(1, 20), rng.randint(1, 4))}
        v = nc.createVariable("tas", "f4", ("time", "lat"), **how)
        nc.history = f"file {i}"
        t[:] = days * per_day
        b[:] = np.stack([days, days + 1], 1) * per_day
        y[:] = lat
        v[:] = (at + np.arange(length))[:, None] * 4 + np.arange(4)
        nc.close()
        at += length
        paths.append(path)
    return paths, calendar, at


def as_datetimes(values, units, calendar):
    return netCDF4.num2date(values, units, calendar, only_use_cftime_datetimes=True)


def compare_joined(rng, scratch):
    paths, calendar, total = write_archive(rng, scratch)
    given = paths[:]
    rng.shuffle(given)
    opened = [LIB.open(p) for p in given]
    try:
        ours = LIB.join(opened)
    except Refused as why:
        check(False, f"{len(paths)} files: {why}")
        return
    for d in opened:
        d.close()
    with xr.open_mfdataset(given, combine="by_coords", data_vars="minimal", coords="minimal",
                           compat="override", decode_times=xr.coders.CFDatetimeCoder(
                               use_cftime=True)) as want:
        first = netCDF4.Dataset(paths[0])
        units = first["time"].units
        first.close()
        for name in ("time", "time_bnds"):
            have = as_datetimes(ours.read(name), units, calendar)
            check(np.all(have == want[name].values), f"{name} of {len(paths)} files, {calendar}")
        check(same_bits(ours.read("tas"), want["tas"].values), "tas")
        check(same_bits(ours.read("lat"), want["lat"].values), "lat")
        compare_selections(rng, ours, want)
    ours.close()


def compare_selections(rng, ours, want):
    times = want["time"].values
    for _ in range(4):
        i, k = sorted(rng.sample(range(len(times)), 2)) if len(times) > 1 else (0, 0)
        cut = rng.choice([4, 7, 10])
        first, last = times[i].isoformat()[:cut], times[k].isoformat()[:cut]
        lo, hi = sorted(rng.sample([-70, -60, -20, 0, 20.5, 60], 2))
        part = want.sel(time=slice(first, last), lat=slice(lo, hi))
        if part["tas"].size == 0:
            continue
        have = ours.select(sel=[f"time={first}/{last}", f"lat={lo}:{hi}"])
        check(same_bits(have.read("tas"), part["tas"].values), f"sel {first}/{last} {lo}:{hi}")
        have.close()
        a, b = rng.randint(-5, len(times)), rng.randint(-5, len(times) + 3)
        part = want.isel(time=slice(a, b))
        if part["tas"].size == 0:
            continue
        have = ours.select(isel=[f"time={a}:{b}"], variables=["tas"])
        check(same_bits(have.read("tas"), part["tas"].values), f"isel {a}:{b}")
        check(sorted(have.names()) == ["lat", "tas", "time", "time_bnds"], str(have.names()))
        have.close()


# ---- the program ---------------------------------------------------------------------------------

def chunkmill(program, *args):
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True)
    return done.returncode, done.stderr


def compare_program(rng, scratch, program):
    """Many files to one Zarr store by command, opened by xarray beside open_mfdataset."""
    for old in scratch.glob("part-*"):
        old.unlink()
    paths, calendar, total = write_archive(rng, scratch)
    rng.shuffle(paths)
    out = scratch / "cube.zarr"
    shutil.rmtree(out, ignore_errors=True)
    version = rng.choice(["2", "3"])
    code, text = chunkmill(program, "rechunk", *paths, out, "--zarr", version, "--chunks",
                           f"time={rng.randint(1, total)},lat={rng.randint(1, 4)}")
    if not check(code == 0, f"rechunk: {text}"):
        return
    coder = xr.coders.CFDatetimeCoder(use_cftime=True)
    with (xr.open_mfdataset(paths, combine="by_coords", data_vars="minimal", coords="minimal",
                            compat="override", decode_times=coder) as want,
          xr.open_dataset(out, engine="zarr", chunks=None, decode_times=coder) as have):
        for name in ("tas", "lat"):
            check(same_bits(have[name].values, want[name].values), f"{name} in Zarr v{version}")
        for name in ("time", "time_bnds"):
            check(np.all(have[name].values == want[name].values), f"{name} in Zarr v{version}")
        check("standard_name" not in have["tas"].attrs and have["time"].attrs == want["time"].attrs,
              f"attributes of time: {have['time'].attrs} {want['time'].attrs}")
    code, text = chunkmill(program, "rechunk", *paths, paths[0], scratch / "twice.zarr")
    check(code == 3 and "is also in" in text, f"the same file twice: {code} {text}")


def find_program():
    here = pathlib.Path(__file__).resolve().parents[2]
    program = pathlib.Path(os.environ.get("CM_PROGRAM") or here / "build/debug/chunkmill")
    return program if program.exists() else None


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=25)
    options = p.parse_args([] if "pytest" in sys.modules else None)
    rng = random.Random(choose_seed())
    with tempfile.TemporaryDirectory() as scratch:
        unpacking(rng, pathlib.Path(scratch), options.rounds)
        before = len(FAILED)
        print(f"{'not ' if FAILED else ''}ok 1 - unpacked as xarray does, {count()} variables")
        for _ in range(options.rounds):
            compare_joined(rng, pathlib.Path(scratch))
        print(f"{'not ' if len(FAILED) > before else ''}ok 2 - joined and selected as xarray does, "
              f"{count()} checks in all")
        before, program = len(FAILED), find_program()
        for _ in range(max(options.rounds // 5, 1) if program else 0):
            compare_program(rng, pathlib.Path(scratch), program)
        print(f"{'not ' if len(FAILED) > before else ''}ok 3 - rechunk joins as open_mfdataset does"
              + ("" if program else " # SKIP there is no program"))
    print("1..3")
    return 1 if FAILED else 0


def test_join():
    assert main() == 0


if __name__ == "__main__":
    sys.exit(main())
