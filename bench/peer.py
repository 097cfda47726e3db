#!/usr/bin/env python3
"""Data for the benchmarks, and the Python peers, one case a process.

  peer.py gen engine|rechunk|archive|references DIR
                                                writes DIR/*.zarr, DIR/rechunk.zarr, DIR/archive/*.nc,
                                                DIR/references/*.json
  peer.py tensorstore|zarr CASE PATH            CASE: read-all, chunks, inner (two reads at once)
  peer.py rechunker SRC DST TMP MEM             MEM like 128MB; needs zarr 2 and rechunker
  peer.py by-hand SRC DST MEM                   zarr-python, one strip of target chunks at a time
  peer.py survey-netcdf4|survey-xarray FOLDER   every file opened, its structure and coordinates compared
  peer.py virtualizarr|kerchunk DIR OUT         references to all files of DIR as kerchunk JSON
  peer.py codec-floor SRC                       decode and encode every byte once on two threads, no files written

One JSON line: in_s, seconds without interpreter start and imports.

engine: 1024^3 uint16 in 256^3 chunks (none, zstd) and 256^3 shards of 64^3 (shard); a 512^3 float32 field with
noise in its low bits in shards (field). rechunk: (1095,360,720) float32 in (5,360,720) to (1095,36,72), the
public sea-surface-height case scaled down. archive: 365 daily NetCDF-4 files with 39 variables. references: ten
cubes of a million references each, to ten thousand files that are empty but have the size.
"""
import itertools
import json
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor

SETS = {"none": ("u2", 1024, None, 256, None), "zstd": ("u2", 1024, None, 256, 0),
        "shard": ("u2", 1024, 256, 64, 0), "field": ("f4", 512, 256, 64, 3)}
RECHUNK = ((1095, 360, 720), (5, 360, 720), (1095, 36, 72))


def boxes(shape, step):
    for origin in itertools.product(*(range(0, n, s) for n, s in zip(shape, step))):
        yield tuple(slice(a, min(a + s, n)) for a, n, s in zip(origin, shape, step))


def cells(dtype, box):
    import numpy as np
    i, j, k = np.ix_(*(np.arange(b.start, b.stop, dtype="u8") for b in box))
    if dtype == "u2":
        return ((k + j * j // 32 + i * i * i) % 65536).astype("u2")
    noise = ((i * 2654435761 + j * 40503 + k * 97) % 4096) / 4096 * 0.05
    return (280 + 12 * np.sin(i / 97) + 9 * np.cos(j / 53) + 4 * np.sin((k + i) / 71) + noise).astype("f4")


def gen_engine(root):
    import zarr
    from zarr.codecs import ZstdCodec
    for name, (dtype, n, shard, chunk, level) in SETS.items():
        path = os.path.join(root, name + ".zarr")
        if os.path.exists(path):
            continue
        a = zarr.create_array(path + ".part", shape=(n,) * 3, dtype=dtype, chunks=(chunk,) * 3, fill_value=0,
                              shards=(shard,) * 3 if shard else None,
                              compressors=None if level is None else [ZstdCodec(level=level)])
        for box in boxes(a.shape, (shard or chunk,) * 3):
            a[box] = cells(dtype, box)
        os.rename(path + ".part", path)


def gen_rechunk(root):
    import numcodecs
    import numpy as np
    import zarr
    path = os.path.join(root, "rechunk.zarr")
    if os.path.exists(path):
        return
    shape, chunks, _ = RECHUNK
    a = zarr.create_array(path + ".part", zarr_format=2, shape=shape, chunks=chunks, dtype="f4", fill_value=0,
                          compressors=[numcodecs.Zstd(3)])
    y, x = np.ix_(np.arange(shape[1]), np.arange(shape[2]))
    rng = np.random.default_rng(7)
    for t in range(shape[0]):
        wave = 0.8 * np.cos(y / 57) + 0.3 * np.sin(x / 91) + 0.2 * np.sin(t / 58.1 + x / 200)
        block = np.empty(chunks, "f4") if t % 5 == 0 else block
        block[t % 5] = wave + rng.integers(0, 200, wave.shape) * 1e-4
        if t % 5 == 4:
            a[t - 4:t + 1] = block
    os.rename(path + ".part", path)


def gen_archive(root, days=365, ny=90, nx=180):
    import netCDF4
    import numpy as np
    folder = os.path.join(root, "archive")
    if os.path.exists(folder):
        return
    os.makedirs(folder + ".part", exist_ok=True)
    rng = np.random.default_rng(11)
    y, x = np.ix_(np.linspace(0, 3, ny), np.linspace(0, 6, nx))
    for day in range(days):
        with netCDF4.Dataset(f"{folder}.part/day_{day:05d}.nc", "w") as f:
            for name, n in (("time", None), ("y", ny), ("x", nx), ("level", 9)):
                f.createDimension(name, n)
            t = f.createVariable("time", "f8", ("time",))
            t.units, t.calendar = "days since 2060-01-01", "standard"
            t[:] = [day]
            for name, v in (("lat", 55 + 4 * y + 0 * x), ("lon", 3 * x - 150 + 0 * y)):
                f.createVariable(name, "f4", ("y", "x"), zlib=True, complevel=2)[:] = v
            f.createVariable("level", "f4", ("level",))[:] = np.arange(1, 10) * 100
            for k in range(35):
                packed, dims = k % 7 == 3, ("time", "level", "y", "x") if k < 8 else ("time", "y", "x")
                v = f.createVariable(f"var{k:02d}", "i2" if packed else "f4", dims, zlib=True, complevel=2, shuffle=True,
                                     fill_value=-32768 if packed else np.float32(1e20))
                v.units, v.coordinates = "K", "lat lon"
                if packed:
                    v.scale_factor, v.add_offset = 0.01, 250.0
                field = 270 + k + 8 * np.sin(y + day / 30) + 5 * np.cos(2 * x + day / 10)
                field = field + rng.integers(0, 64, field.shape) / 64
                v[:] = (field + np.arange(9)[:, None, None])[None] if k < 8 else field[None]
    os.rename(folder + ".part", folder)


def gen_references(root, cubes=10, steps=1000):
    import base64
    import numpy as np
    folder = os.path.abspath(os.path.join(root, "references"))
    if os.path.exists(folder):
        return
    os.makedirs(folder + "/files", exist_ok=True)
    rng = np.random.default_rng(1)
    for c in range(cubes):
        def array(shape, chunks, dtype, filters):
            return json.dumps({"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype, "fill_value": None,
                               "order": "C", "filters": filters, "compressor": None})
        time_bytes = (np.arange(float(steps)) + steps * c).tobytes()
        refs = {".zgroup": '{"zarr_format":2}', "v/.zarray": array([steps, 320, 250], [1, 8, 10], "<f4", [{"id": "zlib", "level": 2}]),
                "v/.zattrs": json.dumps({"_ARRAY_DIMENSIONS": ["time", "y", "x"]}), "time/.zarray": array([steps], [steps], "<f8", None),
                "time/.zattrs": json.dumps({"_ARRAY_DIMENSIONS": ["time"], "units": "days since 2000-01-01"}),
                "time/0": "base64:" + base64.b64encode(time_bytes).decode()}
        with open(f"{folder}/c{c}.json.part", "w") as out:
            out.write('{"version":1,"refs":' + json.dumps(refs)[:-1])
            for t in range(steps):
                n = rng.integers(200, 320, 1000)
                at = 4000 + np.concatenate([[0], np.cumsum(n)])
                path = f"{folder}/files/{c}_{t:04d}.nc"
                with open(path, "w") as f:
                    f.truncate(int(at[-1]) + 10)
                out.write("".join(f',"v/{t}.{i // 25}.{i % 25}":["{path}",{at[i]},{n[i]}]' for i in range(1000)))
            out.write("}}")
        os.rename(f"{folder}/c{c}.json.part", f"{folder}/c{c}.json")


def virtualizarr(folder, out):
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import LocalStore
    from virtualizarr import open_virtual_mfdataset
    from virtualizarr.parsers import HDFParser
    urls = sorted("file://" + os.path.join(os.path.abspath(folder), n) for n in os.listdir(folder) if n.endswith(".nc"))
    t = time.perf_counter()
    ds = open_virtual_mfdataset(urls, parser=HDFParser(), registry=ObjectStoreRegistry({"file://": LocalStore()}),
                                concat_dim="time", combine="nested", coords="minimal", compat="override")
    ds.vz.to_kerchunk(out, format="json")
    return time.perf_counter() - t


def kerchunk(folder, out):
    from kerchunk.combine import MultiZarrToZarr
    from kerchunk.hdf import SingleHdf5ToZarr
    paths = sorted(os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".nc"))
    t = time.perf_counter()
    refs = [SingleHdf5ToZarr(p, inline_threshold=300).translate() for p in paths]
    joined = MultiZarrToZarr(refs, concat_dims=["time"], identical_dims=["lat", "lon", "level"]).translate()
    with open(out, "w") as f:
        json.dump(joined, f)
    return time.perf_counter() - t


def read(engine, case, path):
    if engine == "zarr":
        import zarr
        t = time.perf_counter()
        a = zarr.open_array(path, mode="r")
        whole, inner = a.shards or a.chunks, a.chunks
        get = lambda box: a[box]
    else:
        import tensorstore as ts
        t = time.perf_counter()
        a = ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": os.path.abspath(path)}}, read=True).result()
        whole, inner = a.chunk_layout.write_chunk.shape, a.chunk_layout.read_chunk.shape
        get = lambda box: a[box].read().result()
    if case == "read-all":
        get(tuple(slice(0, n) for n in a.shape))
    else:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda box: get(box).size, boxes(a.shape, whole if case == "chunks" else inner)))
    return time.perf_counter() - t


def read_archive(folder):
    import netCDF4
    t = time.perf_counter()
    for name in sorted(os.listdir(folder)):
        with netCDF4.Dataset(os.path.join(folder, name)) as f:
            f.set_auto_maskandscale(False)
            for v in f.variables.values():
                v[...]
    return time.perf_counter() - t


def structure(f):
    """What survey compares of a netCDF4.Dataset."""
    seen = {"": tuple(f.dimensions)}
    for name, v in f.variables.items():
        static = None if "time" in v.dimensions else v[...].tobytes()
        seen[name] = (str(v.dtype), v.dimensions, v.shape[1:], str(v.chunking()), str(v.filters()), v.endian(),
                      str([(a, v.getncattr(a)) for a in v.ncattrs()]), static)
    return seen, float(f["time"][0]), f["time"].units


def survey_netcdf4(folder):
    import netCDF4
    t = time.perf_counter()
    groups = {}
    for name in sorted(os.listdir(folder)):
        with netCDF4.Dataset(os.path.join(folder, name)) as f:
            f.set_auto_maskandscale(False)
            seen, _, _ = structure(f)
            for path, what in seen.items():
                groups.setdefault((path, what), []).append(name)
    assert len(groups) == 40, len(groups)
    return time.perf_counter() - t


def survey_xarray(folder):
    import xarray
    t = time.perf_counter()
    groups = {}
    for name in sorted(os.listdir(folder)):
        with xarray.open_dataset(os.path.join(folder, name), decode_cf=False, engine="netcdf4") as ds:
            for path, v in ds.variables.items():
                static = None if "time" in v.dims else v.values.tobytes()
                what = (str(v.dtype), v.dims, v.shape[1:], str(v.encoding.get("chunksizes")), v.encoding.get("zlib"),
                        v.encoding.get("shuffle"), str(v.attrs), static)
                groups.setdefault((path, what), []).append(name)
    assert len(groups) == 39, len(groups)
    return time.perf_counter() - t


def rechunker(src, dst, tmp, mem):
    import rechunker as r
    import zarr
    for p in (dst, tmp):
        shutil.rmtree(p, ignore_errors=True)
    t = time.perf_counter()
    plan = r.rechunk(zarr.open_array(src, mode="r"), RECHUNK[2], mem, dst, temp_store=tmp)
    plan.execute(scheduler="threads", num_workers=2)
    return time.perf_counter() - t


def by_hand(src, dst, mem):
    import zarr
    shutil.rmtree(dst, ignore_errors=True)
    t = time.perf_counter()
    a, c = zarr.open_array(src, mode="r"), RECHUNK[2]
    b = zarr.create_array(dst, zarr_format=2, shape=a.shape, chunks=c, dtype=a.dtype, compressors=a.compressors, fill_value=0)
    n = max(1, int(mem.removesuffix("MB")) * 1_000_000 // (4 * c[0] * c[1] * c[2]))
    for box in boxes(a.shape, (c[0], c[1], n * c[2])):
        b[box] = a[box]
    return time.perf_counter() - t


def codec_floor(src):
    import numcodecs
    names = sorted(n for n in os.listdir(src) if not n.startswith("."))
    raw = [open(os.path.join(src, n), "rb").read() for n in names]
    codec = numcodecs.Zstd(3)
    t = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda b: len(codec.encode(codec.decode(b))), raw))
    return time.perf_counter() - t


def main(what, *args):
    if what == "gen":
        os.makedirs(args[1], exist_ok=True)
        {"engine": gen_engine, "rechunk": gen_rechunk, "archive": gen_archive,
         "references": gen_references}[args[0]](args[1])
        return
    call = {"rechunker": rechunker, "by-hand": by_hand, "codec-floor": codec_floor, "netcdf4": read_archive,
            "survey-netcdf4": survey_netcdf4, "survey-xarray": survey_xarray,
            "virtualizarr": virtualizarr, "kerchunk": kerchunk}.get(what)
    s = call(*args) if call else read(what, *args)
    print(json.dumps({"in_s": round(s, 3)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
