#!/usr/bin/env python3
"""tools/make_tas.py DIR: tas_2001.nc and tas_2002.nc, the files of the examples in every --help.

Two years of invented daily temperatures, 1.9 MB each, as NetCDF-3 with one map a record, the way
archives come. Needs nothing but Python.
"""
import array
import math
import pathlib
import struct
import sys

DAYS, NLAT, NLON = 365, 36, 72
CHAR, SHORT, FLOAT, DOUBLE = 2, 3, 5, 6
PACK = {SHORT: "h", FLOAT: "f", DOUBLE: "d"}


def padded(b):
    return b + bytes(-len(b) % 4)


def name(text):
    return struct.pack(">i", len(text)) + padded(text.encode())


def tagged(tag, items):
    return struct.pack(">ii", tag if items else 0, len(items)) + b"".join(items)


def attribute(key, kind, value):
    if kind == CHAR:
        data, n = value.encode(), len(value)
    else:
        data, n = struct.pack(">" + PACK[kind], value), 1
    return name(key) + struct.pack(">ii", kind, n) + padded(data)


def attributes(*items):
    return tagged(12, [attribute(*item) for item in items])


def numbers(kind, values):
    a = array.array(PACK[kind], values)
    if sys.byteorder == "little":
        a.byteswap()
    return a.tobytes()


def one_map(day):
    """Packed temperatures in degrees: warm in the middle, with seasons and a wave that travels."""
    season = math.cos(2 * math.pi * (day - 200) / 365)
    for j in range(NLAT):
        lat = math.radians(-87.5 + 5 * j)
        base = 30 * math.cos(lat) - 15 + 12 * season * math.sin(lat)
        for i in range(NLON):
            wave = 3 * math.cos(lat) * math.sin(math.radians(15 * i) - day / 3)
            yield round((base + wave + 273.15 - 280) * 100)


def file_bytes(year):
    dims = [name("time") + struct.pack(">i", 0), name("lat") + struct.pack(">i", NLAT),
            name("lon") + struct.pack(">i", NLON)]
    time_units = [("units", CHAR, "days since 1950-01-01"), ("calendar", CHAR, "noleap")]
    packed = [("units", CHAR, "K"), ("scale_factor", FLOAT, 0.01), ("add_offset", FLOAT, 280),
              ("_FillValue", SHORT, -32768), ("long_name", CHAR, "near-surface temperature, invented")]
    variables = [  # name, dimensions, attributes, type, bytes (of a record)
        ("lat", [1], [("units", CHAR, "degrees_north")], FLOAT, 4 * NLAT),
        ("lon", [2], [("units", CHAR, "degrees_east")], FLOAT, 4 * NLON),
        ("time", [0], time_units, DOUBLE, 8),
        ("tas", [0, 1, 2], packed, SHORT, 2 * NLAT * NLON),
    ]

    def header(begins):
        text = [name(v[0]) + struct.pack(f">i{len(v[1])}i", len(v[1]), *v[1]) + attributes(*v[2]) +
                struct.pack(">iii", v[3], v[4], at) for v, at in zip(variables, begins)]
        return b"CDF\1" + struct.pack(">i", DAYS) + tagged(10, dims) + \
            attributes(("Conventions", CHAR, "CF-1.8")) + tagged(11, text)

    at, begins = len(header([0] * len(variables))), []
    for v in variables:
        begins.append(at)
        at += v[4]
    out = [header(begins), numbers(FLOAT, (-87.5 + 5 * j for j in range(NLAT))),
           numbers(FLOAT, (2.5 + 5 * i for i in range(NLON)))]
    for day in range(DAYS):
        out.append(numbers(DOUBLE, [(year - 1950) * 365 + day + 0.5]))
        out.append(numbers(SHORT, one_map(day)))
    return b"".join(out)


def main():
    for year in (2001, 2002):
        path = pathlib.Path(sys.argv[1], f"tas_{year}.nc")
        if not path.exists():
            path.with_suffix(".part").write_bytes(file_bytes(year))
            path.with_suffix(".part").rename(path)


if __name__ == "__main__":
    main()
