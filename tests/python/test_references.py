"""References that kerchunk and VirtualiZarr write, read by chunkmill, against the files themselves."""

import base64
import json
import os
import warnings

import numpy as np
import pytest

warnings.simplefilter("ignore")
pytest.importorskip("fsspec", reason="no fsspec")
kerchunk_hdf = pytest.importorskip("kerchunk.hdf", reason="no kerchunk")
netCDF4 = pytest.importorskip("netCDF4")

DAYS, LAT, LON = 4, 6, 10


def write_day(path, day, **options):
    """A file of every kind of variable; values depend on position."""
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("time", None)
        nc.createDimension("lat", LAT)
        nc.createDimension("lon", LON)
        time = nc.createVariable("time", "f8", ("time",), chunksizes=(1,))
        time.units = "days since 2001-01-01"
        time[:] = [day]
        lat = nc.createVariable("lat", "f4", ("lat",))
        lat[:] = np.arange(LAT) * 1.5
        at = (day * 1000 + np.arange(LAT * LON)).reshape(1, LAT, LON)
        packed = nc.createVariable("packed", "i2", ("time", "lat", "lon"), zlib=True, shuffle=True,
                                   chunksizes=(1, 3, 5), fill_value=-999)
        packed.set_auto_maskandscale(False)
        packed.scale_factor, packed.add_offset = 0.5, 10.0
        packed[:] = at
        plain = nc.createVariable("plain", "f8", ("time", "lat", "lon"), chunksizes=(1, LAT, LON))
        plain[:] = at * 0.25
        checked = nc.createVariable("checked", "f4", ("time", "lon"), chunksizes=(1, 4), zlib=True)
        checked[:] = at[:, 0] * 3.0


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    where = tmp_path_factory.mktemp("refs")
    files = [str(where / f"day{i}.nc") for i in range(DAYS)]
    for i, path in enumerate(files):
        write_day(path, i)
    return files


def kerchunk(path, **options):
    return kerchunk_hdf.SingleHdf5ToZarr(path, **options).translate()


def combined(days, threshold=0):
    from kerchunk.combine import MultiZarrToZarr

    return MultiZarrToZarr([kerchunk(f, inline_threshold=threshold) for f in days], concat_dims=["time"],
                           identical_dims=["lat"], inline_threshold=threshold).translate()


def write(path, refs):
    path.write_text(json.dumps(refs))
    return path


@pytest.mark.parametrize("threshold", [0, 100, 1 << 20])
def test_kerchunk_json(days, tmp_path, ok, threshold):
    refs = kerchunk(days[1], inline_threshold=threshold)
    for name, content in ("v1.json", refs), ("v0.json", refs["refs"]):
        ok("diff", days[1], write(tmp_path / name, content))
    ok("verify", tmp_path / "v1.json")


def test_kerchunk_combined(days, tmp_path, ok):
    ok("diff", *days, write(tmp_path / "all.json", combined(days)))


def test_templates(days, tmp_path, ok):
    """The URLs of a combination as templates, one of them a function."""
    refs = combined(days)
    folder = os.path.dirname(days[0])
    refs["templates"] = {"d": folder, "f": folder + "/day{{n}}.nc"}
    count = 0
    for key, value in refs["refs"].items():
        if isinstance(value, list):
            number = value[0][-4]
            value[0] = "{{d}}/day%s.nc" % number if count % 2 else "{{f(n=%s)}}" % number
            count += 1
    assert count > DAYS
    ok("diff", *days, write(tmp_path / "t.json", refs))


def test_keys_of_no_chunk(tmp_path, ok):
    """Chunk keys that do not fit the metadata are left out by every reader, but not silently here."""
    zarray = {"zarr_format": 2, "shape": [2, 2], "chunks": [1, 2], "dtype": "<i2", "compressor": None,
              "fill_value": -7, "order": "C", "filters": None}
    for keys, odd in (("0.0", "1.0"), 0), (("0/0", "1/0"), 2), (("0.0", "1"), 1):
        refs = {".zgroup": {"zarr_format": 2}, "v/.zarray": zarray, "v/.zattrs": {}, "v/notes": "x"}
        for k, key in enumerate(keys):
            refs["v/" + key] = "base64:" + base64.b64encode(np.array([k, k], "<i2").tobytes()).decode()
        done = ok("values", write(tmp_path / "k.json", refs), "v", "--json")
        assert (f"{odd} references have keys" in done.err) == (odd > 0), done.err


@pytest.mark.parametrize("engine", ["fastparquet", "pyarrow"])
@pytest.mark.parametrize("record_size", [3, 100000])
def test_kerchunk_parquet(days, tmp_path, ok, engine, record_size):
    pytest.importorskip(engine)
    from fsspec.implementations.reference import LazyReferenceMapper

    where = str(tmp_path / "all.parq")
    out = LazyReferenceMapper.create(where, record_size=record_size, engine=engine)
    entries = combined(days, 60)["refs"].items()
    for key, value in sorted(entries, key=lambda e: ".z" not in e[0]):  # metadata first
        if isinstance(value, str) and not key.rsplit("/", 1)[-1].startswith(".z"):
            value = base64.b64decode(value[7:]) if value.startswith("base64:") else value.encode()
        out[key] = value
    out.flush()
    done = ok("info", where)
    assert "kerchunk Parquet" in done.out
    ok("diff", *days, where)
    ok("verify", where)


def test_refs_to_dataframe(days, tmp_path, ok):
    pytest.importorskip("fastparquet")
    from kerchunk.df import refs_to_dataframe

    refs_to_dataframe(combined(days), str(tmp_path / "df.parq"), record_size=5)
    ok("diff", *days, tmp_path / "df.parq")


@pytest.mark.parametrize("codec", ["snappy", "none", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_parquet_of_any_make(days, tmp_path, ok, codec, version):
    """The same tables with the pages that other writers choose."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    kinds = arrow.schema([("path", arrow.string()), ("offset", arrow.int64()), ("size", arrow.int64()),
                          ("raw", arrow.binary())])
    zarray = {"zarr_format": 2, "shape": [40], "chunks": [2], "dtype": "<i2", "compressor": None,
              "fill_value": -7, "order": "C", "filters": None}
    cells = np.arange(100, dtype="<i2")
    cells.tofile(tmp_path / "c.bin")
    where = tmp_path / "r.parq"
    (where / "v").mkdir(parents=True)
    (where / ".zmetadata").write_text(json.dumps({"record_size": 8, "metadata": {
        ".zgroup": {"zarr_format": 2}, "v/.zarray": zarray, "v/.zattrs": {"_ARRAY_DIMENSIONS": ["x"]}}}))
    want = []
    for part in range(3):
        rows = []
        for k in range(8):
            i = part * 8 + k
            if i % 5 == 3:
                rows.append((None, 0, 0, None))
                want += [-7, -7]
            elif i % 5 == 4:
                rows.append((None, 0, 0, np.array([i, -i], "<i2").tobytes()))
                want += [i, -i]
            else:
                rows.append((str(tmp_path / "c.bin"), 2 * i, 4, None))
                want += [i, i + 1]
        table = arrow.Table.from_arrays([arrow.array(c, t.type) for c, t in zip(zip(*rows), kinds)], schema=kinds)
        parquet.write_table(table, where / "v" / f"refs.{part}.parq", compression=codec, version="2.6",
                            data_page_version=version, use_dictionary=part != 1, row_group_size=3 + part)
    got = json.loads(ok("values", where, "v", "--json").out)
    assert np.ravel(got["values"] if isinstance(got, dict) else got).tolist() == want[:40]


def test_parquet_of_too_few_rows(tmp_path, ok, run):
    """Rows that are not there are not chunks that were never written."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    zarray = {"zarr_format": 2, "shape": [10], "chunks": [1], "dtype": "<i2", "compressor": None,
              "fill_value": -7, "order": "C", "filters": None}
    where = tmp_path / "r.parq"
    (where / "v").mkdir(parents=True)
    (where / ".zmetadata").write_text(json.dumps({"record_size": 8, "metadata": {
        ".zgroup": {"zarr_format": 2}, "v/.zarray": zarray, "v/.zattrs": {"_ARRAY_DIMENSIONS": ["x"]}}}))

    def part(number, rows):
        raw = arrow.array([np.array([10 * number + i], "<i2").tobytes() for i in range(rows)], arrow.binary())
        parquet.write_table(arrow.table({"raw": raw}), where / "v" / f"refs.{number}.parq")

    for rows in (8, 7), (8, 8), (8, 2):  # the last file may be padded, and need not be
        part(0, rows[0])
        part(1, rows[1])
        assert json.loads(ok("values", where, "v", "--json").out) == [*range(8), 10, 11]
    for rows in (7, 8), (8, 1), (1, 2):
        part(0, rows[0])
        part(1, rows[1])
        done = run("values", where, "v")
        assert done.code == 3 and "are needed" in done.err, done.err


def test_virtualizarr(days, tmp_path, ok):
    pytest.importorskip("virtualizarr", reason="no VirtualiZarr")
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import LocalStore
    from virtualizarr import open_virtual_dataset
    from virtualizarr.parsers import HDFParser

    vds = open_virtual_dataset("file://" + days[2], registry=ObjectStoreRegistry({"file://": LocalStore()}),
                               parser=HDFParser(), decode_times=False)
    vds.virtualize.to_kerchunk(str(tmp_path / "v.json"), format="json")
    vds.virtualize.to_kerchunk(str(tmp_path / "v.parq"), format="parquet")
    ok("diff", days[2], tmp_path / "v.json")
    ok("diff", days[2], tmp_path / "v.parq")


def test_rechunk(days, tmp_path, ok):
    """References are a source like any other."""
    source = write(tmp_path / "all.json", combined(days))
    ok("rechunk", source, tmp_path / "cube.zarr", "--chunks", "time=4,lat=2,lon=3")
    ok("diff", *days, tmp_path / "cube.zarr")


def test_sources_that_changed(days, tmp_path, run):
    copy = tmp_path / "day.nc"
    copy.write_bytes(open(days[0], "rb").read())
    refs = kerchunk(str(copy), inline_threshold=0)
    facts = os.stat(copy)
    refs["sources"] = {str(copy): [facts.st_size, facts.st_mtime_ns]}
    name = write(tmp_path / "r.json", refs)
    assert run("verify", name).code == 0
    os.utime(copy, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    done = run("verify", name)
    assert done.code == 4 and "written to after the references were made" in done.out
    assert run("values", name, "packed").code == 3
    copy.unlink()
    done = run("verify", name)
    assert done.code == 4 and "is not there" in done.out
    assert run("info", name).code == 0


@pytest.mark.parametrize("separator", [".", "/"])
def test_groups_named_like_chunks(tmp_path, ok, separator):
    """Groups and arrays whose names are numbers, or c; chunk keys with slashes."""
    cells = {}
    raw = tmp_path / "raw.bin"
    refs, data = {".zgroup": '{"zarr_format": 2}'}, b""
    for path in "1/2", "1/c/3", "v", "1/v":
        values = np.arange(12, dtype="<i4").reshape(4, 3) + 100 * len(cells)
        cells[path] = values
        refs[f"{path}/.zarray"] = json.dumps({
            "zarr_format": 2, "shape": [4, 3], "chunks": [2, 3], "dtype": "<i4", "fill_value": None, "order": "C",
            "filters": None, "compressor": None, "dimension_separator": separator})
        for i in range(2):
            part = np.ascontiguousarray(values[2 * i:2 * i + 2]).tobytes()
            refs[f"{path}/{i}{separator}0"] = [str(raw), len(data), len(part)]
            data += part
    raw.write_bytes(data)
    (tmp_path / "r.json").write_text(json.dumps(refs))
    for path, values in cells.items():
        out = ok("values", tmp_path / "r.json", "/" + path, "--json").out
        assert np.array_equal(np.array(json.loads(out)), values), path


def test_memory(tmp_path, ok, run):
    """Tables of references count as memory: what does not fit is refused by name, and says what would help."""
    n = 200_000
    (tmp_path / "data.bin").write_bytes(b"x" * 100)
    zarray = {"zarr_format": 2, "shape": [n], "chunks": [1], "dtype": "|u1", "fill_value": None, "order": "C",
              "filters": None, "compressor": None}
    refs = {"v/.zarray": json.dumps(zarray), "v/.zattrs": json.dumps({"_ARRAY_DIMENSIONS": ["x"]})}
    refs.update({f"v/{i}": [f"{tmp_path}/data.bin", i % 99, 1] for i in range(n)})
    (tmp_path / "r.json").write_text(json.dumps(refs))
    ok("virtualize", tmp_path / "r.json", tmp_path / "r.parq", "--no-inline")
    done = run("values", tmp_path / "r.json", "v", "--isel", "x=0:3", "--max-mem", "30MB")
    assert done.code == 6 and "r.json" in done.err and "no memory left" in done.err, done.err
    done = run("info", tmp_path / "r.json", "--max-mem", "20MB")
    assert done.code == 6 and "r.json" in done.err and "no memory left to read the references" in done.err, done.err
    # a table of 3.2 MB, one file at a time
    ok("verify", tmp_path / "r.parq", "--max-mem", "60MB")
    for size in "24MB", "26MB", "28MB", "32MB", "40MB":
        done = run("verify", tmp_path / "r.parq", "--level", "decode", "--max-mem", size)
        assert done.code == 0 or (done.code == 6 and "--max-mem" in done.err), (size, done.err)


def test_zarr_3_metadata(tmp_path, ok):
    """References over Zarr v3: consolidated or not, chunks inside files, sharded ones too."""
    zarr = pytest.importorskip("zarr")
    from zarr.codecs import BloscCodec

    root = zarr.open_group(str(tmp_path / "z.zarr"), mode="w", zarr_format=3)
    cells = {"a": np.arange(60.0).reshape(6, 10), "g/b": np.arange(24, dtype="i2").reshape(4, 6),
             "s": np.arange(64, dtype="u4").reshape(8, 8)}
    for path, values in cells.items():
        more = {"shards": (8, 4)} if path == "s" else {}
        array = root.create_array(path, shape=values.shape, dtype=values.dtype, chunks=(2, 2), fill_value=0,
                                  compressors=[BloscCodec(cname="zstd")], dimension_names=["y_" + path[0], "x_" + path[0]],
                                  **more)
        array[...] = values
    for consolidated in False, True:
        if consolidated:
            zarr.consolidate_metadata(str(tmp_path / "z.zarr"))
        refs, blob = {}, b"head"
        for file in sorted((tmp_path / "z.zarr").rglob("*")):
            if file.is_file():
                key, data = str(file.relative_to(tmp_path / "z.zarr")), file.read_bytes()
                if file.name == "zarr.json":
                    refs[key] = data.decode()
                else:
                    refs[key] = [str(tmp_path / "blob.bin"), len(blob), len(data)]
                    blob += data + b"gap"
        (tmp_path / "blob.bin").write_bytes(blob)
        (tmp_path / "r.json").write_text(json.dumps({"version": 1, "refs": refs}))
        for path, values in cells.items():
            out = ok("values", tmp_path / "r.json", "/" + path, "--json").out
            assert np.array_equal(np.array(json.loads(out), values.dtype), values), path
        ok("diff", tmp_path / "z.zarr", tmp_path / "r.json")
        ok("virtualize", tmp_path / "r.json", tmp_path / "two.json", "--overwrite", "--skip", "s")
        ok("diff", tmp_path / "z.zarr", tmp_path / "two.json", "--skip", "s")

