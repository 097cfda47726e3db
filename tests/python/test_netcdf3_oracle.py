#!/usr/bin/env python3
"""NetCDF-3 files written by netCDF4-python and scipy, read by chunkmill's tests/cm_dump.

    python test_netcdf3_oracle.py [--dump build/debug/tests/cm_dump] [--rounds N]

Every cell, attribute (value and type), dimension and variable is compared with what netCDF4-python
reads, strings with what xarray decodes. NetCDF-3 files found under $CM_TEST_DATA are compared too.
Needs numpy and netCDF4; scipy and xarray parts are left out, loudly, when those are missing. Exit
status 77 when nothing could be tested.
"""
import argparse
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")

try:
    import netCDF4
    import numpy as np
except ImportError as why:
    print(f"1..0 # SKIP {why}")
    sys.exit(77)
try:
    from scipy.io import netcdf_file
except ImportError as why:
    netcdf_file = None
    print(f"# SKIP files of scipy: {why}")
try:
    import xarray
except ImportError as why:
    xarray = None
    print(f"# SKIP comparison with xarray: {why}")

import support
from seeds import choose_seed
from tally import FAILED, check, count

FORMATS = ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"]
TOLD = {
    "NETCDF3_CLASSIC": "NetCDF-3 classic",
    "NETCDF3_64BIT_OFFSET": "NetCDF-3 64-bit offset",
    "NETCDF3_64BIT_DATA": "NetCDF-3 64-bit data",
}
CLASSIC = ["i1", "S1", "i2", "i4", "f4", "f8"]
EXTENDED = CLASSIC + ["u1", "u2", "u4", "i8", "u8"]


def run(tool, *args):
    return subprocess.run([tool, *map(str, args)], capture_output=True)


def same(a, b):
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return type(a) is type(b) and a == b


def compare_attributes(where, got, source, names):
    check(list(got) == list(names), f"{where}: attribute names {list(got)} {list(names)}")
    for name in names:
        want, have = source.getncattr(name), got.get(name)
        if have is None:
            continue
        if isinstance(want, str):
            check(have["dtype"] == "string" and have["value"] == want,
                  f"{where}: attribute {name} {have} {want!r}")
            continue
        want = np.asarray(want)
        if want.dtype.kind == "S":  # _FillValue of a char variable
            check(have["dtype"] == "string" and have["value"] == want.tobytes().decode(),
                  f"{where}: attribute {name} {have} {want!r}")
            continue
        value = want.tolist()
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        check(have["dtype"] == want.dtype.name and same(have["value"], value),
              f"{where}: attribute {name} {have} {want!r}")


def split_strings(data):
    out, at = [], 0
    while at < len(data):
        n = int.from_bytes(data[at:at + 4], "little")
        out.append(data[at + 4:at + 4 + n])
        at += 4 + n
    return out


def strings_of(variable, values):
    """Cells of a char variable as chunkmill shows them: dimensions and a list of bytes. Strings lie
    along the last dimension when it has no coordinate and only char variables use it, as last."""
    dims = list(variable.dimensions)
    group = variable.group()
    width = 1
    if dims and not group.dimensions[dims[-1]].isunlimited() and dims[-1] not in group.variables:
        users = [v for v in group.variables.values() if dims[-1] in v.dimensions]
        if all(v.dtype == "S1" and v.dimensions[-1] == dims[-1] for v in users):
            width = values.shape[-1]
            dims = dims[:-1]
    raw = np.ascontiguousarray(values).tobytes()
    return dims, [raw[i:i + width].rstrip(b"\0") for i in range(0, len(raw), width)]


def feature_of(variable):
    """How docs/support.md calls the way in which a variable is stored."""
    group = variable.group()
    form = TOLD[group.data_model].removeprefix("NetCDF-3 ")
    along = [group.dimensions[d].isunlimited() for d in variable.dimensions]
    return f"{form}, {'by record' if any(along) else 'fixed size'}"


def record(variable, *oracles):
    """The cells of a variable were equal to those that the oracles have."""
    dtype = "char" if variable.dtype == "S1" else variable.dtype.name
    for oracle in oracles:
        support.matrix("netcdf3-read", feature_of(variable), dtype,
                       "" if dtype in support.ORDERLESS else "big", oracle)


def compare_variable(tool, path, line, variable, writer):
    where = f"{path}: {variable.name}"
    if not check("problem" not in line, f"{where}: {line.get('problem')}"):
        return
    variable.set_auto_maskandscale(False)
    variable.set_auto_chartostring(False)
    values = variable[...]
    compare_attributes(where, line["attrs"], variable, variable.ncattrs())
    raw = run(tool, "--raw", line["path"], path)
    check(raw.returncode == 0, f"{where}: {raw.stderr.decode()}")
    if variable.dtype == "S1":
        dims, cells = strings_of(variable, np.asarray(values))
        check(line["dtype"] == "string", f"{where}: dtype {line['dtype']}")
        equal = check(split_strings(raw.stdout) == cells, f"{where}: strings differ")
    else:
        dims = list(variable.dimensions)
        native = np.ascontiguousarray(values, dtype=variable.dtype.newbyteorder("="))
        check(line["dtype"] == variable.dtype.name, f"{where}: dtype {line['dtype']}")
        check(line["shape"] == list(values.shape), f"{where}: shape {line['shape']}")
        equal = check(raw.stdout == native.tobytes(), f"{where}: cells differ")
    if equal and values.size:
        record(variable, "netCDF4", *([writer] if writer else []))
    check(line["dims"] == dims, f"{where}: dimensions {line['dims']} {dims}")


def compare_file(tool, path, writer=None):
    """writer: who made it, when that was not netCDF4-python."""
    done = run(tool, path)
    if not check(done.returncode == 0, f"{path}: {done.stderr.decode().strip()}"):
        return
    lines = [json.loads(text) for text in done.stdout.decode().splitlines()]
    with netCDF4.Dataset(path) as ds:
        check(lines[0]["format"] == TOLD[ds.data_model], f"{path}: {lines[0]['format']}")
        want = [[n, len(d), d.isunlimited()] for n, d in ds.dimensions.items()]
        check(lines[0]["dimensions"] == want, f"{path}: dimensions {lines[0]['dimensions']} {want}")
        compare_attributes(str(path), lines[0]["attrs"], ds, ds.ncattrs())
        names = [line["path"][1:] for line in lines[1:]]
        check(names == list(ds.variables), f"{path}: variables {names}")
        for line in lines[1:]:
            compare_variable(tool, path, line, ds.variables[line["path"][1:]],
                             writer)
        features = {name: feature_of(v) for name, v in ds.variables.items()}
        unlimited = [n for n, d in ds.dimensions.items() if d.isunlimited()]
    if xarray:
        compare_strings_with_xarray(tool, path, lines[1:], unlimited, features)


def compare_strings_with_xarray(tool, path, lines, unlimited, features):
    with xarray.open_dataset(path, engine="netcdf4", mask_and_scale=False, decode_times=False,
                             decode_coords=False) as ds:
        for line in lines:
            name = line["path"][1:]
            if line["dtype"] != "string" or line["dims"][-1:] == unlimited:
                continue
            want = np.asarray(ds[name].values)
            cells = split_strings(run(tool, "--raw", line["path"], path).stdout)
            if check(list(ds[name].dims) == line["dims"] and want.dtype.kind == "S" and
                     [bytes(s) for s in want.ravel()] == cells,
                     f"{path}: {name} as xarray has it: {ds[name].dims} {want!r}, {line['dims']} "
                     f"{cells}") and cells:
                support.matrix("netcdf3-read", features[name], "char", "", "xarray")


def random_values(rng, dtype, shape):
    dtype = np.dtype(dtype)
    n = math.prod(shape)
    if dtype.kind == "S":
        text = "".join(rng.choice("abcxyzÄé \0") for _ in range(n)).encode()
        ascii_only = bytes(b if b < 128 else 63 for b in text)[:n]  # strings may be cut anywhere
        return np.frombuffer(ascii_only, "S1").reshape(shape)
    if dtype.kind == "f":
        values = np.array([rng.gauss(0, 1e6) for _ in range(n)], dtype)
        values[::7] = np.nan
        values[::11] = -0.0
        return values.reshape(shape)
    info = np.iinfo(dtype)
    return np.array([rng.randint(info.min, info.max) for _ in range(n)], dtype).reshape(shape)


def random_attributes(rng, target, types, prefix):
    for i in range(rng.randint(0, 4)):
        kind = rng.choice(["text", "number", "list"])
        name = f"{prefix}{i}_{rng.choice(['a', 'Größe', 'units', 'x y', '_q'])}"
        if kind == "text":
            target.setncattr(name, rng.choice(["", "m s-1", "zwei\nZeilen", "naïve ☃", "a" * 300]))
        else:
            dtype = rng.choice([t for t in types if t != "S1"])
            n = 1 if kind == "number" else rng.randint(2, 9)
            target.setncattr(name, random_values(rng, dtype, (n,)) if n > 1
                             else random_values(rng, dtype, (1,))[0])


def write_random(rng, path, form):
    types = EXTENDED if form == "NETCDF3_64BIT_DATA" else CLASSIC
    with netCDF4.Dataset(path, "w", format=form) as ds:
        if rng.random() < 0.3:
            ds.set_fill_off()
        lengths = {}
        names = ["time", "lat", "lon", "Länge", "n", "strlen"]
        rng.shuffle(names)
        record = rng.choice(names) if rng.random() < 0.8 else None
        for name in names[:rng.randint(1, 6)]:
            lengths[name] = rng.randint(1, 6)
            ds.createDimension(name, None if name == record else lengths[name])
        random_attributes(rng, ds, types, "g")
        fixed = [d for d in lengths if d != record]
        pending = []
        for i in range(rng.randint(0, 8)):
            dims = [rng.choice(fixed) for _ in range(rng.randint(0, 3))] if fixed else []
            if record in lengths and rng.random() < 0.6:
                dims = [record] + dims
            dtype = rng.choice(types)
            if dims and dims[-1] == "strlen":
                dtype = "S1"
            options = {}
            if rng.random() < 0.3:
                options["fill_value"] = b"x" if dtype == "S1" else random_values(rng, dtype, (1,))[0]
            name = dims[0] if dims and dims[0] not in ds.variables and rng.random() < 0.3 \
                else f"v{i}-{rng.choice(['é', 'B', '@'])}"
            v = ds.createVariable(name, dtype, dims, **options)
            random_attributes(rng, v, types, "v")
            pending.append((v, dims))
        for v, dims in pending:
            v.set_auto_maskandscale(False)
            v.set_auto_chartostring(False)
            count = [rng.randint(0, lengths[d]) if d == record else lengths[d] for d in dims]
            if 0 not in count:  # fewer records than others have: the rest is fill
                values = random_values(rng, v.dtype, count)
                v[tuple(slice(0, n) for n in count) if count else ...] = values


def write_every(path, form):
    """Each type, with the record dimension and without."""
    with netCDF4.Dataset(path, "w", format=form) as ds:
        ds.createDimension("time", None)
        ds.createDimension("y", 3)
        ds.createDimension("x", 5)
        for t in EXTENDED if form == "NETCDF3_64BIT_DATA" else CLASSIC:
            for name, dims in (("fixed", ("y", "x")), ("record", ("time", "x"))):
                v = ds.createVariable(f"{name}_{t}", t, dims)
                v.set_auto_chartostring(False)
                kind = np.dtype(t)
                i = np.arange(15).reshape(3, 5)
                if t == "S1":
                    v[:] = (i + 97).astype("u1").view("S1").reshape(3, 5)
                elif kind.kind == "f":
                    v[:] = np.where(i == 7, np.nan, i * 0.75 - 5).astype(kind)
                else:
                    data = (i * 0x9E3779B9).astype("u8").astype(kind)
                    data[1, 2:4] = np.iinfo(kind).min, np.iinfo(kind).max
                    v[:] = data


def write_every_scipy(path, version):
    with netcdf_file(path, "w", version=version) as f:
        f.createDimension("t", None)
        f.createDimension("x", 5)
        for t in "bhifd":
            data = (np.arange(15).reshape(3, 5) * 7919).astype(t)
            f.createVariable(f"fixed_{t}", t, ("x",))[:] = data[0]
            f.createVariable(f"record_{t}", t, ("t", "x"))[:] = data


def write_scipy(rng, path, version):
    with netcdf_file(path, "w", version=version) as f:
        f.createDimension("t", None)
        f.createDimension("x", rng.randint(1, 5))
        f.history = "made by scipy"
        f.numbers = np.array([1, 2, 3], "i4")
        for i in range(rng.randint(1, 4)):
            dtype = rng.choice(["b", "h", "i", "f", "d"])
            v = f.createVariable(f"r{i}", dtype, ("t", "x"))
            v.units = "1"
            v[:] = random_values(rng, np.dtype(dtype), (3, f.dimensions["x"]))
        v = f.createVariable("fixed", "h", ("x",))
        v[:] = random_values(rng, np.dtype("i2"), (f.dimensions["x"],))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dump", default=os.environ.get("CM_DUMP", "build/debug/tests/cm_dump"))
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    if not os.access(options.dump, os.X_OK):
        print(f"1..0 # SKIP there is no {options.dump}")
        return 77
    rng = random.Random(choose_seed())
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "f.nc"
        with support.recording():
            for form in FORMATS:
                write_every(path, form)
                compare_file(options.dump, path)
            for version in (1, 2) if netcdf_file else ():
                write_every_scipy(path, version)
                compare_file(options.dump, path, "scipy")
        for form in FORMATS:
            for _ in range(options.rounds):
                write_random(rng, path, form)
                compare_file(options.dump, path)
        for version in (1, 2) if netcdf_file else ():
            for _ in range(10):
                write_scipy(rng, path, version)
                compare_file(options.dump, path)
        print(f"{'not ' if FAILED else ''}ok 1 - written here, {count()} checks")
    data = os.environ.get("CM_TEST_DATA")
    if not data:
        print("ok 2 - corpora # SKIP CM_TEST_DATA is not set")
    else:
        before = len(FAILED)
        files = [p for p in sorted(pathlib.Path(data).rglob("*.nc"))
                 if p.read_bytes()[:4] in (b"CDF\1", b"CDF\2", b"CDF\5")]
        for p in files:
            compare_file(options.dump, p)
        check(files, "there are NetCDF-3 files among the corpora")
        print(f"{'not ' if len(FAILED) > before else ''}ok 2 - corpora, {len(files)} files")
    print("1..2")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
