"""HDF5's own types: compounds, opaque cells, sequences and references, in variables and attributes.

Files come from h5py and netCDF4-python, and for what these cannot say (padding of strings, integers
of odd width, gaps, nesting) from h5py's low-level interface. Cells are compared with h5py's byte for
byte, attributes as JSON; what `rechunk` makes of them as Zarr 2 and 3 is read by zarr-python and by
`diff`. Values depend on the position.
"""
import json
import os
import subprocess
import warnings

import numpy as np
import pytest

import support

h5py = pytest.importorskip("h5py")
numcodecs = pytest.importorskip("numcodecs")
zarr = pytest.importorskip("zarr")
import test_hdf5_oracle as oracle  # noqa: E402
from cli_program import ends as run  # noqa: E402
from conftest import ROOT, find_program  # noqa: E402

warnings.simplefilter("ignore")
pytestmark = pytest.mark.usefixtures("recorded")
PROGRAM = os.path.abspath(find_program())
oracle.DUMP = str(ROOT / PROGRAM).rsplit("/", 1)[0] + "/tests/cm_dump"
LIBVERS = ["earliest", "latest"]
N = 11


def mixed(dtype, shape, salt=0):
    """Cells of any dtype whose fields depend on the position."""
    out = np.zeros(shape, dtype)
    if out.dtype.names:
        for k, name in enumerate(out.dtype.names):
            t = out.dtype[name]
            out[name] = mixed(t.base, out.shape + t.shape, salt + 3 * k + 1)
        return out
    i = np.arange(out.size).reshape(out.shape) + salt
    if out.dtype.kind == "V":
        raw = (np.arange(out.nbytes) * 37 + salt) % 256
        return np.frombuffer(raw.astype("u1").tobytes(), out.dtype).reshape(out.shape).copy()
    if out.dtype.kind == "S":
        flat = [f"{k * 7919 + salt}"[: out.dtype.itemsize].encode() for k in i.ravel()]
        return np.array(flat, out.dtype).reshape(out.shape)
    if out.dtype.kind == "b":
        return i % 3 == 1
    if out.dtype.kind == "c":
        return (i * 1.5 - 3 + 1j * i).astype(out.dtype)
    if out.dtype.kind == "f":
        return (i * 0.375 - 2).astype(out.dtype)
    return (i * 7919 % 30011 - (15000 if out.dtype.kind == "i" else 0)).astype(out.dtype)


def aligned(*fields):
    """The same fields with gaps, in C's places and more behind."""
    t = np.dtype(list(fields), align=True)
    return np.dtype({"names": list(t.names), "formats": [t[n] for n in t.names], "offsets": [t.fields[n][1] + 3 for n in t.names],
                     "itemsize": t.itemsize + 8})


POINT = np.dtype([("x", "<i4"), ("y", ">f8")])
COMPOUNDS = {
    "packed": np.dtype([("i", "<i4"), ("f", "<f8"), ("b", "i1")]),
    "big": np.dtype([("i", ">i4"), ("f", ">f8"), ("h", ">u2")]),
    "mixed": np.dtype([("i", ">i2"), ("f", "<f4"), ("q", ">u8"), ("half", ">f2")]),
    "gaps": aligned(("c", "i1"), ("f", "<f8"), ("s", ">i2"), ("q", "<u8")),
    "one": np.dtype([("only", ">i8")]),
    "text": np.dtype([("id", "<u2"), ("name", "S7"), ("one", "S1")]),
    "flags": np.dtype([("yes", "?"), ("z", "<c8"), ("w", ">c16"), ("no", "?")]),
    "nested": np.dtype([("at", POINT), ("inner", [("p", POINT), ("k", "u1")]), ("last", "<i8")]),
    "arrays": np.dtype([("m", ">i4", (2, 3)), ("v", "<f8", (4,)), ("words", "S3", (2,)), ("points", POINT, (3,))]),
    "deep": aligned(("a", [("b", [("c", [("d", ">i2", (2,)), ("e", POINT)])], (2,))]), ("z", "u1")),
    "raw": np.dtype([("blob", "V5"), ("n", "<i4")]),
}


@pytest.mark.parametrize("libver", LIBVERS)
def test_compounds(tmp_path, libver):
    path = f"{tmp_path}/compounds.h5"
    with h5py.File(path, "w", libver=libver) as h:
        for name, t in COMPOUNDS.items():
            a = mixed(t, (N, 3))
            h[f"{name}_plain"] = a
            h[f"{name}_scalar"] = a[1, 1]
            h.create_dataset(f"{name}_chunks", data=a, chunks=(4, 2), fillvalue=a[2, 2])
            h.create_dataset(f"{name}_gzip", data=a, chunks=(5, 3), compression="gzip", shuffle=True, fletcher32=True)
            d = h.create_dataset(f"{name}_sparse", (N, 3), t, chunks=(2, 2), fillvalue=a[3, 1], maxshape=(None, 3))
            d[4:6] = a[4:6]
            h.create_dataset(f"{name}_never", (N,), t, chunks=(4,))
            h.create_dataset(f"{name}_array", (4, 3), np.dtype((t, (2,))))[...] = mixed(t, (4, 3, 2))
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.COMPACT)
            d = h5py.h5d.create(h.id, f"{name}_compact".encode(), h5py.h5t.py_create(t, logical=True), h5py.h5s.create_simple((5,)), plist)
            h5py.Dataset(d)[...] = a[:5, 0]
            h[f"type_{name}"] = t
            h.create_dataset(f"{name}_committed", data=a[:, 0], dtype=h[f"type_{name}"])
    got = oracle.compare_cells(path)
    assert len([r for r in got if "path" in r]) == 9 * len(COMPOUNDS)
    support.listed("hdf5-other", "compound types: gaps, nesting, arrays, each member's own byte order", "h5py")
    support.listed("hdf5-other", "committed datatypes", "h5py")


def low_level(h, name, members, size, data, memory):
    """A dataset of a compound that h5py has no dtype for: [(name, offset, type)...]."""
    t = h5py.h5t.create(h5py.h5t.COMPOUND, size)
    for n, offset, part in members:
        t.insert(n.encode(), offset, part)
    d = h5py.h5d.create(h.id, name.encode(), t, h5py.h5s.create_simple(data.shape))
    d.write(h5py.h5s.ALL, h5py.h5s.ALL, data, mtype=h5py.h5t.py_create(memory))


def test_odd_members(tmp_path):
    """Strings of each padding, integers of fewer bits than their bytes have, enums, bit fields."""
    path = f"{tmp_path}/odd.h5"
    text = {}
    for k, padding in enumerate((h5py.h5t.STR_NULLTERM, h5py.h5t.STR_NULLPAD, h5py.h5t.STR_SPACEPAD)):
        text[k] = h5py.h5t.C_S1.copy()
        text[k].set_size(9)
        text[k].set_strpad(padding)
    narrow = h5py.h5t.STD_I32BE.copy()
    narrow.set_precision(19)
    narrow.set_offset(5)
    enum = h5py.h5t.py_create(h5py.enum_dtype({"A": 1, "B": 300}, ">i2"))
    memory = np.dtype([("t0", "S9"), ("t1", "S9"), ("t2", "S9"), ("n", "<i4"), ("e", "<i2")])
    a = mixed(memory, (N,))
    a["n"] = np.arange(N) * 20011 - 100000
    a["e"] = np.where(np.arange(N) % 2, 1, 300)
    with h5py.File(path, "w") as h:
        members = [("t0", 2, text[0]), ("t1", 13, text[1]), ("t2", 24, text[2]), ("n", 36, narrow), ("e", 44, enum)]
        low_level(h, "odd", members, 50, a, np.dtype([("t0", "S9"), ("t1", "S9"), ("t2", "S9"), ("n", "<i4"), ("e", h5py.enum_dtype({"A": 1, "B": 300}, "<i2"))]))
    oracle.compare_cells(path)
    with h5py.File(path) as h:
        assert h["odd"][3].item() == a[3].item()
    got = run("values", path, "odd").stdout.splitlines()
    assert got[3].startswith('("') and str(a["n"][3]) in got[3], got[3]


def test_opaque(tmp_path):
    path = f"{tmp_path}/opaque.h5"
    with h5py.File(path, "w") as h:
        for size in (1, 2, 8, 13, 300):
            a = mixed(f"V{size}", (N, 2))
            h[f"opaque_{size}"] = a
            h.create_dataset(f"opaque_gzip_{size}", data=a, chunks=(4, 2), compression="gzip", fillvalue=a[1, 1])
            d = h.create_dataset(f"opaque_sparse_{size}", (N,), f"V{size}", chunks=(2,), fillvalue=a[3, 0])
            d[5] = a[5, 0]
        for unit in ("Y", "D", "s", "ms", "us", "ns", "25s"):
            for order in "<>":
                for kind in "mM":
                    a = (np.arange(N) * 1000003 - 5).astype(f"{order}i8").view(f"{order}{kind}8[{unit}]")
                    a[4] = "NaT"
                    h[f"time_{kind}_{unit}_{'big' if order == '>' else 'little'}"] = a.astype(h5py.opaque_dtype(a.dtype))
    lines = {r["path"]: r for r in oracle.compare_cells(path) if "path" in r}
    assert lines["/time_M_25s_big"]["dtype"] == "datetime64[25s]" and lines["/opaque_13"]["dtype"] == "raw13"
    support.listed("hdf5-other", "opaque types; h5py's times in them", "h5py")


@pytest.mark.parametrize("libver", LIBVERS)
def test_sequences(tmp_path, libver):
    path = f"{tmp_path}/sequences.h5"
    with h5py.File(path, "w", libver=libver) as h:
        for t in [*support.NUMBERS, *COMPOUNDS]:
            for order in "<>":
                base = np.dtype(t) if t not in COMPOUNDS else COMPOUNDS[t]
                if t not in COMPOUNDS:
                    base = base.newbyteorder(order)
                if t == "bool" or (order == ">" and (t in support.ORDERLESS or t in COMPOUNDS)):
                    continue
                for name, more in (("plain", {}), ("chunked", {"chunks": (3,)}), ("gzip", {"chunks": (4,), "compression": "gzip"})):
                    d = h.create_dataset(f"{t}_{oracle.label(order + 'i4')}_{name}", (N,), h5py.vlen_dtype(base), **more)
                    for i in range(N - 2):
                        if i != 3:
                            d[i] = mixed(base, (i * i % 17,), i)
        d = h.create_dataset("square", (3, 4), h5py.vlen_dtype("<i4"))
        for i in range(12):
            d[i // 4, i % 4] = np.arange(i * 1000, i * 1000 + i * 300)
        h.create_dataset("never", (5,), h5py.vlen_dtype("<f8"), chunks=(2,))
    oracle.compare_cells(path)
    support.listed("hdf5-other", "variable-length sequences of numbers and compounds", "h5py")


@pytest.mark.parametrize("libver", LIBVERS)
def test_references(tmp_path, libver):
    path = f"{tmp_path}/references.h5"
    with h5py.File(path, "w", libver=libver) as h:
        far = h.create_group("a/b é/c")
        x = far.create_dataset("x", data=mixed("<i4", (20, 30)))
        h["line"] = mixed("<f8", (50,))
        h["type"] = np.dtype([("q", "<i4")])
        objects = [h.ref, h["a"].ref, far.ref, x.ref, h["line"].ref, h["type"].ref, h5py.Reference()]
        regions = [x.regionref[2:5, 3:9], x.regionref[...], x.regionref[::7, 1:20:6], x.regionref[19, 29], h["line"].regionref[::5],
                   x.regionref[np.array([[(i * 7 + j) % 53 == 0 for j in range(30)] for i in range(20)])], h5py.RegionReference(),
                   h["line"].regionref[40:]]
        for name, some, t in (("objects", objects, h5py.ref_dtype), ("regions", regions, h5py.regionref_dtype)):
            for storage, more in (("plain", {}), ("chunked", {"chunks": (3,)}), ("gzip", {"chunks": (2,), "compression": "gzip"})):
                d = h.create_dataset(f"{name}_{storage}", (len(some) + 2,), t, **more)
                for i, r in enumerate(some):
                    d[i] = r
            h[f"{name}_scalar"] = some[3]
            h.attrs[name] = np.array(some, t)
            h.attrs[f"{name}_one"] = some[3]
            x.attrs[f"{name}_null"] = some[6]
    lines = {r.get("path", "group" + r.get("group", "")): r for r in oracle.compare_cells(path)}
    with h5py.File(path) as h:
        for where, mine in (("/", lines["group/"]["attrs"]), ("/a/b é/c/x", lines["/a/b é/c/x"]["attrs"])):
            for name, v in h[where].attrs.items():
                want = oracle.json_cell(h, v, getattr(v, "dtype", None))
                assert mine[name]["value"] == want and mine[name]["dtype"] == "string", name
        assert lines["/objects_plain"]["first"] == ["/", "/a", "/a/b é/c", "/a/b é/c/x"]
        assert lines["/regions_scalar"]["first"] == ["/a/b é/c/x {(19,29)-(19,29)}"]
    support.listed("hdf5-other", "object and region references, as text", "h5py")


@pytest.mark.parametrize("libver", LIBVERS)
def test_attributes(tmp_path, libver):
    path = f"{tmp_path}/attributes.h5"
    sequences = {}
    with h5py.File(path, "w", libver=libver) as h:
        d = h.create_dataset("d", data=[1, 2])
        for name, t in COMPOUNDS.items():
            d.attrs[f"{name}_one"] = mixed(t, ())
            d.attrs[f"{name}_some"] = mixed(t, (3,))
            d.attrs[f"{name}_square"] = mixed(t, (2, 2))
        d.attrs.create("array", mixed("<i2", (3, 2, 2)), dtype=np.dtype(("<i2", (2, 2))), shape=(3, 2, 2))
        d.attrs["opaque"] = mixed("V6", ())
        d.attrs["opaques"] = mixed("V6", (3,))
        words = np.dtype([("name", h5py.string_dtype()), ("n", "<i4"), ("list", h5py.vlen_dtype("<f4"))])
        a = np.zeros((2,), words)
        a["name"] = ["één", ""]
        a["n"] = [4, 5]
        a["list"][0] = np.array([0.5, 1.5], "f4")
        a["list"][1] = np.array([], "f4")
        d.attrs["words"] = a
        sequences["words"] = [{"name": "één", "n": 4, "list": [0.5, 1.5]}, {"name": "", "n": 5, "list": []}]
        for n in (1, 3):
            v = np.empty((n,), object)
            for i in range(n):
                v[i] = np.arange(i * 2, dtype="<i8") - 1
            d.attrs.create(f"lists{n}", v, dtype=h5py.vlen_dtype("<i8"), shape=(n,))
            sequences[f"lists{n}"] = v[0].tolist() if n == 1 else [x.tolist() for x in v]
    lines = {r["path"]: r for r in oracle.compare_cells(path) if "path" in r}
    mine = lines["/d"]["attrs"]
    with h5py.File(path) as h:
        for name in h["d"].attrs:
            v = None if name in sequences else h["d"].attrs[name]
            want = sequences[name] if name in sequences else oracle.json_cell(h, v, v.dtype)
            assert oracle.same(want, mine[name]["value"]), (name, mine[name], want)
    shown = json.loads(run("info", "--json", path).stdout)
    assert "één" in json.dumps(shown, ensure_ascii=False)
    support.listed("hdf5-other", "attributes of compounds, sequences, array types and opaque bytes", "h5py")


def odd_integer(size, signed, big):
    t = (h5py.h5t.STD_I64LE if signed else h5py.h5t.STD_U64LE).copy()
    t.set_precision(8 * size)
    t.set_size(size)
    t.set_order(h5py.h5t.ORDER_BE if big else h5py.h5t.ORDER_LE)
    return t


def test_integers_of_odd_bytes(tmp_path):
    """3, 5, 6 and 7 bytes: h5py has no dtype for these, libhdf5 gives them as the next larger type."""
    path, want = f"{tmp_path}/odd.h5", {}
    with h5py.File(path, "w") as h:
        for size in (3, 5, 6, 7):
            for signed in (True, False):
                for big in (True, False):
                    t, name = odd_integer(size, signed, big), f"{'i' if signed else 'u'}{size}{'big' if big else 'little'}"
                    lo, hi = (-(1 << (8 * size - 1)), (1 << (8 * size - 1)) - 1) if signed else (0, (1 << 8 * size) - 1)
                    native = np.dtype(f"{'i' if signed else 'u'}{4 if size == 3 else 8}")
                    a = np.array([(lo + k * (hi - lo) // 98) for k in range(99)] + [hi], native).reshape(10, 10)
                    fill = a[4, 4]
                    for storage in ("plain", "gzip", "sparse", "never"):
                        p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                        if storage != "plain":
                            p.set_chunk((4, 3))
                            p.set_fill_value(np.array(fill, native))
                        if storage == "gzip":
                            p.set_shuffle()
                            p.set_deflate(4)
                        d = h5py.h5d.create(h.id, f"{name}_{storage}".encode(), t, h5py.h5s.create_simple((10, 10)), p)
                        space = h5py.h5s.create_simple((10, 10))
                        if storage == "sparse":
                            space.select_hyperslab((5, 2), (2, 3))
                        if storage != "never":
                            d.write(h5py.h5s.create_simple((int(space.get_select_npoints()),)), space, a[:2].ravel()[:6].copy() if storage == "sparse" else a.ravel())
                        out = np.zeros((10, 10), native)
                        d.read(h5py.h5s.ALL, h5py.h5s.ALL, out)
                        assert storage == "sparse" or np.array_equal(out, a if storage != "never" else np.full_like(a, fill))
                        want[f"/{name}_{storage}"] = out
                    attribute = h5py.h5a.create(h.id, name.encode(), t, h5py.h5s.create_simple((100,)))
                    attribute.write(a.ravel(), mtype=h5py.h5t.py_create(native))
                    c = h5py.h5t.create(h5py.h5t.COMPOUND, size + 9)
                    c.insert(b"odd", 1, t)
                    c.insert(b"k", size + 5, h5py.h5t.STD_I32LE)
                    m = np.dtype([("odd", native), ("k", "<i4")])
                    v = np.zeros(7, m)
                    v["odd"], v["k"] = a.ravel()[::15], np.arange(7)
                    h5py.h5d.create(h.id, f"{name}_record".encode(), c, h5py.h5s.create_simple((7,))).write(h5py.h5s.ALL, h5py.h5s.ALL, v, h5py.h5t.py_create(m))
                    want[f"/{name}_record"] = v
    for name, a in want.items():
        assert raw_cells(path, name[1:]) == a.tobytes(), name
    lines = {r.get("path", "group"): r for r in oracle.rows(path)[1]}
    assert lines["/i3big_gzip"]["dtype"] == "int32" and lines["/u5little_plain"]["dtype"] == "uint64"
    for name in [n for n in want if n.endswith("_plain")]:
        assert lines["group"]["attrs"][name[1:-6]]["value"] == want[name].ravel().tolist()
    store = f"{tmp_path}/a.zarr"
    run("rechunk", path, store, "--zarr", 2, "--chunks", "7,7")
    for name in [n for n in want if not n.endswith("_record")]:
        assert np.array_equal(cells(store, name[1:]), want[name]), name
    support.listed("hdf5-other", "integers of 3, 5, 6 and 7 bytes, as the next larger type", "h5py")


def test_much_metadata(tmp_path):
    """More metadata than is kept while a file is opened: types that are needed at the end stay."""
    path = f"{tmp_path}/a.h5"
    with h5py.File(path, "w", libver="latest") as h:
        for name, t in COMPOUNDS.items():
            h[f"a_{name}"] = mixed(t, (3,))
        h["b"] = mixed("V13", (4,))
        for i in range(20):
            h.create_group(f"g{i:02}")
            for k in range(36):
                h[f"g{i:02}"].attrs[f"a{k}"] = np.bytes_(bytes([97 + k % 26]) * 60000)
            h[f"g{i:02}/x"] = mixed(COMPOUNDS["deep"], (2,), i)
    assert os.path.getsize(path) > 40 << 20
    oracle.compare_cells(path)


def test_refused_by_name(tmp_path):
    path = f"{tmp_path}/refused.h5"
    odd = h5py.h5t.IEEE_F32LE.copy()
    odd.set_ebias(100)
    with h5py.File(path, "w") as h:
        for name, t in (("odd_float", odd), ("text", h5py.h5t.py_create(h5py.string_dtype(), logical=True))):
            inner = h5py.h5t.create(h5py.h5t.COMPOUND, 24)
            inner.insert(b"n", 0, h5py.h5t.STD_I32LE)
            inner.insert(b"station", 4, odd)
            outer = h5py.h5t.create(h5py.h5t.COMPOUND, 48)
            outer.insert(b"first", 0, t)
            outer.insert(b"inner", 20, inner)
            h5py.h5d.create(h.id, f"{name}_in_a_compound".encode(), outer, h5py.h5s.create_simple((2,)))
        h["fine"] = mixed("<i4", (3,))
    want = {"/odd_float_in_a_compound": 'member "first"', "/text_in_a_compound": 'member "station"'}
    oracle.compare_cells(path, may_refuse=want, must_refuse=want)


# ---- and on to Zarr ---------------------------------------------------------------------------

ARRAYS = ["arrays", "deep"]  # Zarr 3 has no word for fields that are arrays, zarr-python none at all; nor
# for version 2's records in records


def cells(store, name):
    return zarr.open_array(f"{store}/{name}", mode="r")[...]


def raw_cells(path, name):
    return subprocess.run([oracle.DUMP, "--raw", f"/{name}", path], capture_output=True, check=True).stdout


@pytest.mark.parametrize("version", [2, 3])
def test_to_zarr(tmp_path, version):
    path, store = f"{tmp_path}/a.h5", f"{tmp_path}/a.zarr"
    with h5py.File(path, "w") as h:
        for name in [n for n in COMPOUNDS if version == 2 or n not in ARRAYS]:
            a = mixed(COMPOUNDS[name], (N, 3))
            h.create_dataset(name, data=a, chunks=(4, 2), compression="gzip", fillvalue=a[5, 2])
            d = h.create_dataset(f"{name}_sparse", (N, 3), a.dtype, chunks=(3, 3), fillvalue=a[1, 1])
            d[3:5] = a[3:5]
        h["opaque"] = mixed("V13", (N,))
        h["time"] = np.arange(N).astype("<i8").view("<M8[us]").astype(h5py.opaque_dtype("<M8[us]"))
        h["ref"] = np.array([h["opaque"].ref] * 3, h5py.ref_dtype)
        if version == 2:
            d = h.create_dataset("list", (N,), h5py.vlen_dtype(">i4"), chunks=(4,))
            for i in range(N):
                d[i] = np.arange(i, dtype="i4") * 100 - i
    run("rechunk", path, store, "--zarr", version, "--chunks", "5,2", "--chunks", "opaque:4", "--chunks", "time:4")
    with h5py.File(path) as h:
        for name in h:
            if name in ("ref", "list", "time"):
                continue
            ours = version == 2 and name.removesuffix("_sparse") in [*ARRAYS, "nested"]
            got = raw_cells(store, name) if ours else oracle.fixed_bytes(cells(store, name))
            assert oracle.fixed_bytes(h[name][()]) == got, name
        assert cells(store, "time").astype("i8").tolist() == list(range(N))
        assert cells(store, "ref").tolist() == ["/opaque"] * 3
    if version == 2:
        meta = json.loads(open(f"{store}/list/.zarray").read())
        got = []
        for k in range(-(-N // meta["chunks"][0])):
            with open(f"{store}/list/{k}", "rb") as f:
                got += list(numcodecs.VLenArray("<i4").decode(numcodecs.get_codec(meta["compressor"]).decode(f.read())))[:N - len(got)]
        assert [list(x) for x in got] == [(np.arange(i) * 100 - i).tolist() for i in range(N)]
    run("diff", path, store)
    support.listed("hdf5-other", f"compounds and opaque cells, rechunked to Zarr {version}", "zarr-python")
    with h5py.File(path, "r+") as h:
        row = h["nested"][7, 1]
        row["inner"]["k"] += 1
        h["nested"][7, 1] = row
    done = run("diff", path, store, status=4)
    assert "nested" in done.stdout + done.stderr


def test_sequences_have_no_word_in_zarr_3(tmp_path):
    path = f"{tmp_path}/a.h5"
    with h5py.File(path, "w") as h:
        h.create_dataset("list", (3,), h5py.vlen_dtype("<i4"))[1] = [1, 2]
    done = run("rechunk", path, f"{tmp_path}/a.zarr", status=3)
    assert "list" in done.stderr and "sequence" in done.stderr


def test_parts_of_compounds(tmp_path):
    """Any part of a chunked compound: through the block reader, strides and all."""
    path = f"{tmp_path}/a.h5"
    t = COMPOUNDS["deep"]
    a = mixed(t, (40, 30))
    with h5py.File(path, "w") as h:
        h.create_dataset("c", data=a, chunks=(7, 11), compression="gzip")
        h["plain"] = a
    for part in ("3:31", "0:40", "12:13"):
        for name in ("c", "plain"):
            store = f"{tmp_path}/{name}{part[0]}.zarr"
            run("rechunk", path, store, "--vars", name, "--isel", f"phony_dim_0={part}", "--isel", "phony_dim_1=2:29", "--overwrite", "--zarr", 2)
            lo, hi = map(int, part.split(":"))
            assert raw_cells(store, name) == oracle.fixed_bytes(a[lo:hi, 2:29])


# ---- netCDF-4's user-defined types --------------------------------------------------------------

def test_netcdf_user_types(tmp_path):
    netCDF4 = pytest.importorskip("netCDF4")
    path = f"{tmp_path}/user.nc"
    point = np.dtype([("x", "<f4"), ("y", "<f8"), ("k", "i1")], align=True)
    outer = np.dtype([("id", "<i4"), ("at", point), ("m", "<i2", (2, 3)), ("name", "S1", (8,))], align=True)
    data = mixed(outer, (5, 4))
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("t", None)
        nc.createDimension("n", 4)
        nc.createCompoundType(point, "point")
        outer_type = nc.createCompoundType(outer, "outer")
        lists = nc.createVLType(np.int16, "lists")
        cloud = nc.createEnumType(np.uint8, "cloud", {"clear": 0, "low": 1, "high": 7})
        v = nc.createVariable("station", outer_type, ("t", "n"))
        v[:] = data
        v.origin = mixed(point, (2,))
        w = nc.createVariable("spectrum", lists, ("n",))
        for i in range(4):
            w[i] = np.arange(i * 3, dtype="i2") - i
        nc.createVariable("sky", cloud, ("n",), fill_value=7)[:] = [0, 1, 7, 1]
        nc.createVariable("scalar", outer_type, ())[...] = data[2, 3]
        nc.createVariable("t", "f8", ("t",))[:] = np.arange(5) * 2.5
    got = oracle.compare_cells(path)
    oracle.compare_netcdf(path, got)
    lines = {r["path"]: r for r in got if "path" in r}
    assert lines["/station"]["attrs"]["origin"]["value"] == [{"x": float(p["x"]), "y": float(p["y"]), "k": int(p["k"])} for p in mixed(point, (2,))]
    with netCDF4.Dataset(path) as nc:
        nc.set_auto_chartostring(False)
        want = oracle.fixed_bytes(nc["station"][:].astype(data.dtype))
        raw = raw_cells(path, "station")
        assert raw == want
        lists = b"".join(len(x.tobytes()).to_bytes(4, "little") + x.tobytes() for x in nc["spectrum"][:])
        assert raw_cells(path, "spectrum") == lists
    store = f"{tmp_path}/user.zarr"
    run("rechunk", path, store, "--skip", "spectrum", "--zarr", 2)
    assert raw_cells(store, "station") == raw
    support.listed("netcdf4-other", "user-defined types: compound, variable-length, enum", "netCDF4")


def test_netcdf_opaque(tmp_path):
    """netCDF4-python has no opaque types; ncgen has."""
    cdl = """netcdf o { types: opaque(5) blob ; dimensions: n = 3 ; variables: blob v(n) ; blob v:mark = 0x0102030405 ;
        data: v = 0x0a0b0c0d0e, 0X1122334455, 0xFF00FF00FF ; }"""
    path = f"{tmp_path}/o.nc"
    try:
        subprocess.run(["ncgen", "-4", "-o", path], input=cdl, text=True, check=True, capture_output=True)
    except FileNotFoundError:
        with h5py.File(path, "w") as h:  # the same bytes without ncgen
            raw = bytes.fromhex("0a0b0c0d0e1122334455ff00ff00ff")
            h["v"] = np.frombuffer(raw, "V5")
            h["v"].attrs["mark"] = np.void(bytes([1, 2, 3, 4, 5]))
    lines = {r["path"]: r for r in oracle.compare_cells(path) if "path" in r}
    assert lines["/v"]["first"] == ["0a0b0c0d0e", "1122334455", "ff00ff00ff"]
    assert lines["/v"]["attrs"]["mark"]["value"] == "0102030405"
