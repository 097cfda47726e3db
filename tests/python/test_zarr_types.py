"""Every type that Zarr stores can have, read, printed and written again.

Stores come from zarr-python, from tensorstore (the small floats and integers, and v2's sub-arrays),
or are laid down by hand where neither writes one: both byte orders of every field, mixed orders
within one record, the extension "struct". The cells that chunkmill reads must be the same bytes in
the machine's order; what `rechunk` writes as Zarr 2 and 3 is read by the same two and compared. A
type that a version has no word for is a refusal that names it.
"""

import itertools
import json
import subprocess
import warnings

import numpy as np
import pytest

import support

numcodecs = pytest.importorskip("numcodecs")
zarr = pytest.importorskip("zarr")
from conftest import ROOT, find_program  # noqa: E402

warnings.simplefilter("ignore")
PROGRAM = find_program()
DUMP = str(ROOT / PROGRAM).rsplit("/", 1)[0] + "/tests/cm_dump"
N = 23  # no multiple of the chunks: the last one reaches beyond the shape
CHUNK = 5


@pytest.fixture(autouse=True)
def recorded():
    with support.recording():
        yield


def run(*args):
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, timeout=120)


def raw(path):
    done = subprocess.run([DUMP, "--raw", "/a", str(path)], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def noise(dtype, salt=0):
    """N cells whose bytes depend on the position; no two alike."""
    dtype = np.dtype(dtype)
    i = np.arange(N * dtype.itemsize, dtype="u8") + np.uint64(1 + 7919 * salt)
    mixed = (i * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(56)
    return np.frombuffer(mixed.astype("u1").tobytes(), dtype).copy()


def native(a):
    if a.dtype.kind in "Mm":
        a = a.view(a.dtype.str[0] + "i8")
    return np.ascontiguousarray(a.astype(a.dtype.newbyteorder("="))).tobytes()


def store_v2(path, a, dtype=None, fill=None, order="C", compressor=None, missing=()):
    """A group with the array "a", by hand. missing: chunks that are not written."""
    (path / "a").mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    meta = {"zarr_format": 2, "shape": [N], "chunks": [CHUNK], "dtype": dtype or a.dtype.str,
            "fill_value": fill, "order": order, "filters": None,
            "compressor": compressor and compressor.get_config()}
    (path / "a" / ".zarray").write_text(json.dumps(meta))
    whole = np.zeros(-(-N // CHUNK) * CHUNK, a.dtype)
    whole[:N] = a
    for k in range(len(whole) // CHUNK):
        if k in missing:
            continue
        data = whole[k * CHUNK:(k + 1) * CHUNK].tobytes()
        (path / "a" / str(k)).write_bytes(compressor.encode(data) if compressor else data)


def store_v3(path, a, data_type, fill, endian="little"):
    (path / "a").mkdir(parents=True)
    (path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    codec = {"name": "bytes"}
    if endian:
        codec["configuration"] = {"endian": endian}
    meta = {"zarr_format": 3, "node_type": "array", "shape": [N], "data_type": data_type,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [CHUNK]}},
            "chunk_key_encoding": {"name": "default"}, "fill_value": fill, "codecs": [codec]}
    (path / "a" / "zarr.json").write_text(json.dumps(meta))
    whole = np.zeros(-(-N // CHUNK) * CHUNK, a.dtype)
    whole[:N] = a
    (path / "a" / "c").mkdir()
    for k in range(len(whole) // CHUNK):
        (path / "a" / "c" / str(k)).write_bytes(whole[k * CHUNK:(k + 1) * CHUNK].tobytes())


def rechunk(source, target, version, *more):
    done = run("rechunk", source, target, "--zarr", version, "--chunks", 7, *more)
    assert done.returncode == 0, done.stderr.decode()
    differs = run("diff", source, target)
    assert differs.returncode == 0, differs.stdout.decode() + differs.stderr.decode()


# ---- times -------------------------------------------------------------------------------------

UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"]
TIMES = [f"{order}{kind}8[{scale}{unit}]" for kind in "Mm" for order in "<>"
         for unit in UNITS for scale in ("", "25")
         if scale == "" or unit in "Ds"] + ["<m8", ">M8"]


def times(dtype):
    counts = noise("<i8") >> np.int64(20)
    counts[:4] = [0, -1, 1, np.iinfo("i8").min]
    return counts.astype("i8").view("=" + dtype[1:]).astype(dtype)


@pytest.mark.parametrize("dtype", TIMES)
def test_times(tmp_path, dtype):
    a = times(dtype)
    store_v2(tmp_path / "s", a, fill="NaT" if dtype[1] == "M" else 17, missing=(2,))
    want = native(zarr.open_array(tmp_path / "s" / "a", mode="r")[:])
    assert raw(tmp_path / "s") == want
    for version in (2, 3):
        target = tmp_path / f"t{version}"
        rechunk(tmp_path / "s", target, version)
        back = zarr.open_array(target / "a", mode="r")
        assert back.dtype == a.dtype.newbyteorder("=")
        assert native(back[:]) == want
        assert str(back.fill_value) == str(zarr.open_array(tmp_path / "s" / "a").fill_value)
        assert raw(target) == want
    kind = {"M": "datetime64", "m": "timedelta64"}[dtype[1]]
    support.listed("zarr-other", f"versions 2 and 3: {kind} of every unit", "zarr-python")


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns"])
def test_times_are_printed_as_numpy_does(tmp_path, unit):
    steps = {"Y": 1, "M": 12, "W": 52, "D": 365}.get(unit, 0)
    span = steps * 60 if steps else int(np.timedelta64(60 * 365, "D") / np.timedelta64(1, unit))
    counts = (noise("<i8") % span).astype("i8")
    counts[0] = np.iinfo("i8").min
    a = counts.view(f"<M8[{unit}]")
    store_v2(tmp_path / "s", a)
    done = run("values", tmp_path / "s", "a")
    assert [w.strip() for w in done.stdout.decode().replace("\n", ",").split(",") if w.strip()] == [
        str(x) for x in a]
    assert json.loads(run("values", tmp_path / "s", "a", "--json").stdout) == [str(x) for x in a]


def test_times_of_zarr_python(tmp_path):
    for k, (version, dtype) in enumerate(itertools.product((2, 3), ("M8[ns]", "m8[25s]", "M8[D]"))):
        path = tmp_path / str(k)
        group = zarr.open_group(path, mode="w", zarr_format=version)
        a = times("<" + dtype)
        group.create_array("a", data=a, chunks=(CHUNK,), fill_value=np.dtype(dtype).type("NaT"))
        assert raw(path) == native(a)


@pytest.mark.parametrize("dtype", ("M8[ns]", "m8[25s]", ">M8[D]"))
def test_times_without_a_fill_value(tmp_path, dtype):
    """zarr-python leaves out chunks of NaT, although v2's fill_value is null."""
    a = times("<" + dtype.lstrip(">")).astype(dtype)
    a[CHUNK : 2 * CHUNK] = "NaT"
    group = zarr.open_group(tmp_path / "s", mode="w", zarr_format=2)
    group.create_array("a", shape=a.shape, chunks=(CHUNK,), dtype=a.dtype, fill_value=None)[:] = a
    assert not (tmp_path / "s" / "a" / "1").exists()
    assert raw(tmp_path / "s") == native(a)
    for version in (2, 3):
        rechunk(tmp_path / "s", tmp_path / str(version), version, "--empty-chunks", "skip")
        assert native(zarr.open_array(tmp_path / str(version) / "a", mode="r")[:]) == native(a)


# ---- bytes -------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", (2, 3))
@pytest.mark.parametrize("size", (1, 3, 16, 300))
def test_raw(tmp_path, version, size):
    a = noise(f"V{size}")
    group = zarr.open_group(tmp_path / "s", mode="w", zarr_format=version)
    group.create_array("a", data=a, chunks=(CHUNK,))
    assert raw(tmp_path / "s") == a.tobytes()
    for target_version in (2, 3):
        target = tmp_path / f"t{target_version}"
        rechunk(tmp_path / "s", target, target_version)
        assert zarr.open_array(target / "a", mode="r")[:].tobytes() == a.tobytes()
    support.listed("zarr-other", f"version {version}: opaque bytes", "zarr-python")
    shown = json.loads(run("values", tmp_path / "s", "a", "--json").stdout)
    assert shown[3] == {"hex": a[3].tobytes().hex()}


def test_raw_bits_of_the_core_specification(tmp_path):
    a = noise("V3")
    store_v3(tmp_path / "s", a, "r24", [1, 2, 255], endian=None)
    (tmp_path / "s/a/c/1").unlink()
    want = a.copy()
    want[5:10] = np.void(b"\x01\x02\xff")
    assert raw(tmp_path / "s") == want.tobytes()


@pytest.mark.parametrize("version", (2, 3))
def test_variable_length_bytes(tmp_path, version):
    a = np.array([bytes(noise("u1", k)[:k]) for k in range(N)], dtype=object)
    if version == 3:
        group = zarr.open_group(tmp_path / "s", mode="w", zarr_format=version)
        z = group.create_array("a", shape=(N,), chunks=(CHUNK,), dtype="variable_length_bytes")
        z[:] = a
    else:
        (tmp_path / "s" / "a").mkdir(parents=True)
        (tmp_path / "s/.zgroup").write_text('{"zarr_format": 2}')
        (tmp_path / "s/a/.zarray").write_text(json.dumps({
            "zarr_format": 2, "shape": [N], "chunks": [N], "dtype": "|O", "fill_value": "",
            "order": "C", "filters": [{"id": "vlen-bytes"}], "compressor": None}))
        (tmp_path / "s/a/0").write_bytes(numcodecs.VLenBytes().encode(a))
    want = b"".join(len(x).to_bytes(4, "little") + x for x in a)
    assert raw(tmp_path / "s") == want
    for target_version in (2, 3):
        target = tmp_path / f"t{target_version}"
        rechunk(tmp_path / "s", target, target_version)
        assert list(zarr.open_array(target / "a", mode="r")[:]) == list(a)
    support.listed("zarr-other", f"version {version}: variable-length bytes", "numcodecs")
    shown = json.loads(run("values", tmp_path / "s", "a", "--json").stdout)
    assert shown == [{"hex": x.hex()} for x in a]


@pytest.mark.parametrize("element", ("<i4", "<f8", "|u1"))
def test_lists(tmp_path, element):
    a = np.empty(CHUNK, dtype=object)
    for k in range(CHUNK):
        a[k] = noise(element, k)[:k]
    (tmp_path / "s" / "a").mkdir(parents=True)
    (tmp_path / "s/.zgroup").write_text('{"zarr_format": 2}')
    codec = numcodecs.VLenArray(element)
    (tmp_path / "s/a/.zarray").write_text(json.dumps({
        "zarr_format": 2, "shape": [CHUNK], "chunks": [CHUNK], "dtype": "|O", "fill_value": 0,
        "order": "C", "filters": [codec.get_config()], "compressor": None}))
    (tmp_path / "s/a/0").write_bytes(codec.encode(a))
    assert raw(tmp_path / "s") == b"".join(
        len(x.tobytes()).to_bytes(4, "little") + x.tobytes() for x in a)
    done = run("rechunk", tmp_path / "s", tmp_path / "t2", "--zarr", 2, "--codec", "none")
    assert done.returncode == 0, done.stderr.decode()
    meta = json.loads((tmp_path / "t2/a/.zarray").read_text())
    back = numcodecs.get_codec(meta["filters"][0]).decode((tmp_path / "t2/a/0").read_bytes())
    assert all((x == y).all() for x, y in zip(a, back))
    done = run("rechunk", tmp_path / "s", tmp_path / "t3", "--zarr", 3)
    assert done.returncode != 0 and b"Zarr v3 has no word for cells of type sequence" in done.stderr


# ---- records -----------------------------------------------------------------------------------

RECORDS = [
    [("x", "<i4"), ("y", "<f8")],
    [("x", ">i4"), ("y", "<f8"), ("z", ">c8")],
    [("b", "|b1"), ("s", "|S3"), ("u", "<U2"), ("v", "|V2"), ("t", "<M8[ms]"), ("d", ">m8[D]")],
    [("a", "<i2", (3,)), ("b", ">f4", (2, 2))],
    [("p", [("q", ">i2"), ("r", [("deep", "<u8")])]), ("n", "<i1")],
    [("p", [("q", ">u2"), ("r", ">f8")], (2,)), ("n", ">i8", (1,))],
]


def cells_of(dtype):
    a = noise(dtype)
    flat = np.frombuffer(a.tobytes(), "u1").reshape(N, -1).copy()

    def tidy(t, at):
        """No bools but 0 and 1, and only code points."""
        if t.subdtype:
            for k in range(int(np.prod(t.shape))):
                tidy(t.base, at + k * t.base.itemsize)
        elif t.fields:
            for name in t.names:
                tidy(t.fields[name][0], at + t.fields[name][1])
        elif t.kind == "b":
            flat[:, at] &= 1
        elif t.kind == "U":
            order = "big" if t.byteorder == ">" else "little"
            for row in range(N):
                for k in range(0, t.itemsize, 4):
                    flat[row, at + k:at + k + 4] = list((233 + row + k).to_bytes(4, order))

    tidy(np.dtype(dtype), 0)
    return np.frombuffer(flat.tobytes(), dtype).copy()


def descr(dtype):
    return json.loads(json.dumps(np.dtype(dtype).descr))


@pytest.mark.parametrize("number", range(len(RECORDS)))
@pytest.mark.parametrize("compressed", (False, True))
def test_records(tmp_path, number, compressed):
    import base64
    dtype = np.dtype(RECORDS[number])
    a = cells_of(dtype)
    fill = base64.b64encode(a[1].tobytes()).decode()
    store_v2(tmp_path / "s", a, descr(dtype), fill=fill, missing=(3,),
             compressor=numcodecs.Zstd() if compressed else None)
    want = a.copy()
    want[15:20] = a[1]
    as_native = np.dtype(dtype).newbyteorder("=")
    assert raw(tmp_path / "s") == want.astype(as_native).tobytes()
    rechunk(tmp_path / "s", tmp_path / "t2", 2)
    meta = json.loads((tmp_path / "t2/a/.zarray").read_text())
    assert np.dtype([tuple(tuple(y) if isinstance(y, list) and k == 2 else
                           to_descr(y) for k, y in enumerate(x)) for x in meta["dtype"]]) == as_native
    assert raw(tmp_path / "t2") == want.astype(as_native).tobytes()
    if any(len(x) == 3 for x in RECORDS[number]):
        done = run("rechunk", tmp_path / "s", tmp_path / "t3", "--zarr", 3)
        assert done.returncode != 0 and b"is an array: Zarr v3 has no word" in done.stderr
        return
    nested = any(isinstance(x[1], list) for x in RECORDS[number])
    if not nested:  # zarr-python 3.1 does not open its own in v2
        assert (zarr.open_array(tmp_path / "t2/a", mode="r")[:] == want.astype(as_native)).all()
    rechunk(tmp_path / "s", tmp_path / "t3", 3)
    assert (zarr.open_array(tmp_path / "t3/a", mode="r")[:] == want.astype(as_native)).all()
    support.listed("zarr-other", "versions 2 and 3: records, each field's byte order its own",
                   "zarr-python")
    assert raw(tmp_path / "t3") == want.astype(as_native).tobytes()


def to_descr(y):
    if isinstance(y, list):
        return [tuple(tuple(z) if isinstance(z, list) and k == 2 else to_descr(z)
                      for k, z in enumerate(x)) for x in y]
    return y


def test_records_of_zarr_python(tmp_path):
    dtype = np.dtype([("x", "<i4"), ("q", "<f8"), ("s", "|S5")])
    a = cells_of(dtype)
    for version in (2, 3):
        group = zarr.open_group(tmp_path / str(version), mode="w", zarr_format=version)
        group.create_array("a", data=a, chunks=(CHUNK,))
        assert raw(tmp_path / str(version)) == a.tobytes()


@pytest.mark.parametrize("endian", ("little", "big"))
def test_struct_of_the_extension(tmp_path, endian):
    dtype = np.dtype([("x", "<i4"), ("y", "<f8"), ("b", "|u1")])
    a = cells_of(dtype)
    fields = [{"name": "x", "data_type": "int32"}, {"name": "y", "data_type": "float64"},
              {"name": "b", "data_type": "uint8"}]
    store_v3(tmp_path / "s", a.astype(dtype.newbyteorder(">" if endian == "big" else "<")),
             {"name": "struct", "configuration": {"fields": fields}},
             {"x": 258, "y": 0.5, "b": 7}, endian=endian)
    (tmp_path / "s/a/c/0").unlink()
    want = a.copy()
    want[:CHUNK] = np.array((258, 0.5, 7), dtype)
    assert raw(tmp_path / "s") == want.tobytes()
    shown = json.loads(run("values", tmp_path / "s", "a", "--json").stdout)
    assert shown[0] == {"x": 258, "y": 0.5, "b": 7}


def test_struct_without_a_byte_order_is_refused(tmp_path):
    a = cells_of([("x", "<i4")])
    for name, endian, what in (("struct", None, "endian is missing"),
                               ("structured", "big", "big-endian cells")):
        store_v3(tmp_path / name, a, {"name": name, "configuration": {"fields": [["x", "int32"]]}},
                 "AAAAAA==", endian=endian)
        done = run("values", tmp_path / name, "a")
        assert done.returncode != 0 and what in done.stderr.decode()


# ---- small floats and integers -----------------------------------------------------------------

SMALL = ["bfloat16", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn",
         "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float6_e2m3fn",
         "float6_e3m2fn", "float4_e2m1fn", "int2", "int4", "uint2", "uint4"]


@pytest.mark.parametrize("name", SMALL)
def test_small(tmp_path, name):
    """Every code (of bfloat16, a part): printed as ml_dtypes reads it, and copied bit for bit."""
    ml = pytest.importorskip("ml_dtypes")
    dtype = np.dtype(getattr(ml, name))
    bits = {"bfloat16": 65536, "float4_e2m1fn": 16, "int4": 16, "uint4": 16, "int2": 4,
            "uint2": 4, "float6_e2m3fn": 64, "float6_e3m2fn": 64}.get(name, 256)
    codes = np.arange(0, bits, 97 if bits > 256 else 1)
    unsigned = f"<u{dtype.itemsize}"
    for first in range(0, len(codes) - N + 1 if len(codes) >= N else 1, N):
        part = np.resize(codes[first:first + N], N)
        if name.startswith("int"):
            part = np.where(part >= bits // 2, part | 0xFF ^ (bits - 1), part)
        a = part.astype(unsigned)
        path = tmp_path / f"s{first}"
        store_v3(path, a, name, 1, endian="little" if dtype.itemsize > 1 else None)
        assert raw(path) == a.tobytes()
        shown = json.loads(run("values", path, "a", "--json").stdout)
        want = a.view(dtype).astype("f8")
        assert np.array_equal(np.array(shown, "f4"), want.astype("f4"), equal_nan=True), (shown, want)
        if first == 0:
            rechunk(path, tmp_path / "t", 3)
            assert raw(tmp_path / "t") == a.tobytes()
            meta = json.loads((tmp_path / "t/a/zarr.json").read_text())
            assert meta["data_type"] == name and meta["fill_value"] in (1, 1.0)
            done = run("rechunk", path, tmp_path / "t2", "--zarr", 2)
            assert done.returncode != 0
            assert f"Zarr v2 has no word for cells of type {name}" in done.stderr.decode()


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "int2",
                                  "float4_e2m1fn"])
@pytest.mark.parametrize("driver", ("zarr", "zarr3"))
def test_small_of_tensorstore(tmp_path, name, driver):
    ts = pytest.importorskip("tensorstore")
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(tmp_path / "s/a") + "/"}}
    try:
        t = ts.open({**spec, "dtype": name, "create": True}, shape=[N],
                    chunk_layout=ts.ChunkLayout(chunk_shape=[CHUNK])).result()
    except ValueError as why:
        pytest.skip(f"tensorstore: {why}")
    a = (np.arange(N) % 5 - 2).astype(t.dtype.numpy_dtype)
    t.write(a).result()
    (tmp_path / "s" / ("zarr.json" if driver == "zarr3" else ".zgroup")).write_text(
        '{"zarr_format": 3, "node_type": "group"}' if driver == "zarr3" else '{"zarr_format": 2}')
    assert raw(tmp_path / "s") == a.tobytes()
    rechunk(tmp_path / "s", tmp_path / "t", 3)
    back = ts.open({"driver": "zarr3", "kvstore": {"driver": "file",
                                                   "path": str(tmp_path / "t/a") + "/"}}).result()
    assert back.read().result().tobytes() == a.tobytes()
    support.listed("zarr-other", f"version {3 if driver == 'zarr3' else 2}: {name}", "tensorstore")
