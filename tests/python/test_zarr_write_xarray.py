#!/usr/bin/env python3
"""Zarr stores written by chunkmill, read by xarray, against those that xarray writes itself.

    python test_zarr_write_xarray.py [--command "chunkmill rechunk --zarr {format} {src} {dst}"]

For each source (NetCDF, Zarr v2 and v3) and each target format: xarray opens chunkmill's store
without a warning and sees the same variables, dimensions, values (to the bit) and attributes as in
the store that xarray writes from the same source opened with decode_cf=False; decoded and raw. One
difference is meant: xarray invents a `_FillValue` of NaN for floats without one. Every metadata
document is checked by the package zarr-metadata when it is installed. Exit status 77 when nothing
could be tested.
"""
import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import warnings

try:
    import numpy as np
    import xarray as xr
    import zarr
except ImportError as why:
    print(f"1..0 # SKIP {why}")
    sys.exit(77)

import support
from tally import FAILED, check, count

try:
    from zarr_metadata import model as validator
except ImportError as why:
    validator = None
    print(f"# SKIP validation of documents: {why}")


def bits(a):
    a = np.asarray(a)
    if a.dtype.kind in "OUTS":
        return [str(x) for x in a.ravel()]
    return np.ascontiguousarray(a).astype(a.dtype.newbyteorder("=")).tobytes()


def same_value(a, b):
    """Attribute values, NaN equal to NaN, to the bit otherwise; a number's type does not count."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "fciub" and b.dtype.kind in "fciub":
        if a.dtype.kind in "iu" and b.dtype.kind in "iu":
            return [int(x) for x in a.ravel()] == [int(x) for x in b.ravel()]
        return np.array_equal(a.astype("c16"), b.astype("c16"), equal_nan=True)
    return a.tolist() == b.tolist()


def same_attrs(mine, theirs):
    return list(mine) == list(theirs) and all(same_value(mine[k], theirs[k]) for k in mine)


def dataset():
    """Everything that both NetCDF-4 and Zarr can hold."""
    rng = np.random.default_rng(1)
    x = np.arange(5.0)
    v = {"x": (("x",), x, {"units": "m", "axis": "X"}),
         "time": (("time",), np.array([0, 31, 59], "i4"),
                  {"units": "days since 2001-01-01", "calendar": "noleap"})}
    for t in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"):
        data = (np.arange(15).reshape(3, 5) * 7 % 120).astype(t)
        v[t] = (("time", "x"), data, {"long_name": f"type {t}"})
        v[t + "_mask"] = (("time", "x"), data, {"_FillValue": data.dtype.type(7), "units": "K"})
    holes = rng.normal(size=(3, 5)).astype("f4")
    holes[1, 2] = np.nan
    holes[0, 0] = -0.0
    v["nan"] = (("time", "x"), holes, {"_FillValue": np.float32(np.nan)})
    v["big"] = (("time", "x"), holes, {"_FillValue": np.float32(1e20),
                                       "missing_value": np.float32(1e20)})
    v["packed"] = (("time", "x"), np.arange(15, dtype="i2").reshape(3, 5),
                   {"_FillValue": np.int16(-32767), "scale_factor": 0.1, "add_offset": 273.15})
    v["zeros"] = (("time", "x"), np.zeros((3, 5), "i2"), {})
    v["scalar"] = ((), np.float64(2.5), {"grid_mapping_name": "latitude_longitude",
                                         "earth_radius": 6371229.0})
    v["odd"] = (("x",), x, {"s": np.float32(0.1), "v": np.array([1, 2], "f4"), "i": np.int16(4),
                            "huge": np.uint64(2**64 - 1), "nan": np.nan,
                            "inf": np.array([np.inf, -np.inf]), "text": "héllo", "empty": "",
                            "valid_range": np.array([-1e20, 1e20], "f4"),
                            "coordinates": "scalar"})
    v["i1"][2]["_Unsigned"] = "true"
    return xr.Dataset(v, attrs={"title": "é", "list": np.array([1.5, 2.5]), "n": np.int32(3),
                                "Conventions": "CF-1.8"})


def raw(ds):
    for name in ds.variables:
        ds[name].encoding = {}
    ds.encoding = {}
    return ds


def make_sources(folder, formats):
    ds = raw(dataset().copy())
    for name in ds.variables:
        if "_FillValue" not in ds[name].attrs:
            ds[name].encoding["_FillValue"] = None
    text = ds.assign(text=(("time",), np.array(["a", "", "éé"], dtype=object)))
    if "netcdf4" in formats:
        text.to_netcdf(folder / "classic4.nc", engine="netcdf4", unlimited_dims=["time"])
        yield folder / "classic4.nc", "netcdf4"
    if "netcdf3" in formats:
        small = ds.drop_vars([n for n in ds.variables if n[:2] in ("i8", "u1", "u2", "u4", "u8")])
        del small["odd"].attrs["huge"]
        small.to_netcdf(folder / "classic.nc", engine="netcdf4", format="NETCDF3_64BIT")
        yield folder / "classic.nc", "netcdf4"
    for form in (2, 3):
        path = folder / f"source{form}.zarr"
        more = text.assign(flag=(("x",), np.array([True, False] * 2 + [True])),
                           wave=(("x",), np.arange(5) * (1 + 2j)),
                           none=(("none",), np.zeros(0, "f4")))
        if form == 3:
            more["half"] = (("x",), np.arange(5).astype("f2") / 4, {"_FillValue": np.float16(0.5)})
        more.to_zarr(path, zarr_format=form, consolidated=form == 2)
        sub = more[["i2_mask", "nan"]].rename(x="lon")
        sub.to_zarr(path, group="g/h", mode="a", zarr_format=form, consolidated=False)
        zarr.consolidate_metadata(str(path))
        yield path, "zarr"


def groups_of(path, engine):
    return ["/", "/g/h"] if engine == "zarr" else ["/"]


def open_quietly(path, what, **more):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ds = xr.open_zarr(str(path), chunks=None, **more).load()
    caught = [w for w in caught if not issubclass(w.category, DeprecationWarning)]
    check(not caught, f"{what}: warns {[str(w.message)[:150] for w in caught]}")
    return ds


def validate(path, form, what):
    if not validator:
        return
    for p in sorted(path.rglob("*")):
        if form == 3 and p.name == "zarr.json":
            reading = validator.read_node_metadata_v3(json.loads(p.read_text()))
        elif form == 2 and p.name == ".zarray":
            reading = validator.read_array_metadata_v2(json.loads(p.read_text()))
        elif form == 2 and p.name == ".zmetadata":
            reading = validator.read_consolidated_metadata_v2(json.loads(p.read_text()))
        else:
            continue
        # NaN in attributes is what Python writes; strict JSON has no such token
        problems = [q for q in reading.problems if "finite" not in str(q)]
        check(not problems, f"{what}: {p}: {problems}")


def compare(mine, theirs, source, what, folder):
    """folder: the group that chunkmill wrote."""
    before = len(FAILED)
    check(same_attrs(mine.attrs, theirs.attrs), f"{what}: attributes {mine.attrs} {theirs.attrs}")
    check(set(mine.variables) == set(theirs.variables),
          f"{what}: {set(mine.variables) ^ set(theirs.variables)}")
    check(dict(mine.sizes) == dict(theirs.sizes), f"{what}: {mine.sizes} {theirs.sizes}")
    check(set(mine.coords) == set(theirs.coords), f"{what}: {mine.coords} {theirs.coords}")
    for name in set(mine.variables) & set(theirs.variables):
        a, b = mine[name].variable, theirs[name].variable
        check(a.dims == b.dims, f"{what} {name}: {a.dims} {b.dims}")
        if check(bits(a.values) == bits(b.values), f"{what} {name}: {a.values} {b.values}"):
            support.zarr_array(folder / name, "write", "xarray")
        check(a.dtype == b.dtype or a.dtype.kind in "OUT", f"{what} {name}: {a.dtype} {b.dtype}")
        attrs = dict(b.attrs)
        if "_FillValue" not in source[name].attrs and a.dtype.kind == "f":
            attrs.pop("_FillValue", None)
        # xarray appends `_FillValue` when it writes, so its place is not compared
        order = [k for k in attrs if k != "_FillValue"]
        check([k for k in a.attrs if k != "_FillValue"] == order and set(a.attrs) == set(attrs) and
              all(same_value(a.attrs[k], attrs[k]) for k in attrs),
              f"{what} {name}: attributes {a.attrs} {attrs}")
    if len(FAILED) == before:
        support.listed("zarr-other", "written: groups, dimensions, coordinates, attributes, fill "
                       "values, consolidated", "xarray")


def one(command, folder, source, engine, form):
    what = f"{source.name} -> v{form}"
    mine, theirs = folder / f"{source.name}.mine{form}", folder / f"{source.name}.theirs{form}"
    run = [part.format(format=form, src=source, dst=mine) for part in shlex.split(command)]
    done = subprocess.run(run, capture_output=True, text=True)
    check(done.returncode == 0, f"{what}: {done.stderr.strip()[:500]}")
    if done.returncode:
        return
    validate(mine, form, what)
    for group in groups_of(source, engine):
        more = {"group": group, "chunks": None} if engine == "zarr" else {}
        src = xr.open_dataset(source, engine=engine, decode_cf=False, **more).load()
        raw(src).to_zarr(theirs, group=group, zarr_format=form, mode="a", consolidated=False)
        zarr.consolidate_metadata(str(theirs))
        for decode in (False, True):
            label = f"{what} {group} {'decoded' if decode else 'raw'}"
            compare(open_quietly(mine, label, group=group, decode_cf=decode),
                    xr.open_zarr(str(theirs), group=group, decode_cf=decode, chunks=None).load(),
                    src, label, mine / group.strip("/"))
    check(open_quietly(mine, what, consolidated=True) is not None, what)


def main():
    here = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser()
    program = os.environ.get("CM_PROGRAM", str(here / "build/debug/chunkmill"))
    parser.add_argument("--command",
                        default=program + " rechunk --quiet --zarr {format} {src} {dst}")
    parser.add_argument("--sources", default="netcdf4,netcdf3,zarr")
    parser.add_argument("--keep", help="folder for the stores, kept")
    options = parser.parse_args()
    if not os.access(shlex.split(options.command)[0], os.X_OK):
        print(f"1..0 # SKIP no {options.command}")
        return 77
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.keep or temporary)
        with warnings.catch_warnings(), support.recording():
            warnings.simplefilter("ignore")
            for source, engine in make_sources(folder, options.sources.split(",")):
                for form in (2, 3):
                    one(options.command, folder, source, engine, form)
    print(f"{'not ' if FAILED else ''}ok 1 - {count()} checks, {len(FAILED)} failed\n1..1")
    return bool(FAILED)


if __name__ == "__main__":
    sys.exit(main())
