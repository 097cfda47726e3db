"""HDF5 cells that no dtype holds: compounds with text, sequences and references in them, sequences of such.

chunkmill reads each as a line of JSON. Compared with the JSON that Python's json makes of h5py's
values, to the byte; and once more parsed, floats as the bits that they were. Values depend on the
position.
"""
import json
import os
import subprocess
import warnings

import numpy as np
import pytest

import support

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
import test_hdf5_oracle as oracle  # noqa: E402
from cli_program import ends as run  # noqa: E402
from conftest import ROOT, find_program  # noqa: E402

warnings.simplefilter("ignore")
pytestmark = pytest.mark.usefixtures("recorded")
PROGRAM = os.path.abspath(find_program())
oracle.DUMP = str(ROOT / PROGRAM).rsplit("/", 1)[0] + "/tests/cm_dump"
N = 13
TEXT = h5py.string_dtype()
WORDS = ["", "a", "één", "\u65e5\u672c \U0001f600", "\"quoted\" \\ and / more", "tab\tline\nbell\x07", "x" * 5000]


def lists(t):
    return h5py.vlen_dtype(np.dtype(t))


FLOATS = [0.1, -0.0, 1e300, 5e-324, float("nan"), float("inf"), -float("inf"), 123456789.125, -1e-7]
POINT = np.dtype([("x", ">f4"), ("tag", TEXT)])
TYPES = {
    "text": np.dtype([("n", "<i4"), ("name", TEXT)]),
    "list": np.dtype([("n", ">i2"), ("levels", lists("<f4")), ("k", "u1")]),
    "big_list": np.dtype([("levels", lists(">i4"))]),
    "everything": np.dtype([("b", "?"), ("e", h5py.enum_dtype({"A": 1, "B": 300}, "<i2")), ("z", "<c8"), ("half", ">f2"),
                            ("d", ">f8"), ("q", "<u8"), ("fixed", "S5"), ("raw", "V3"), ("name", TEXT), ("m", "<i4", (2, 3))]),
    "ascii": np.dtype([("s", h5py.string_dtype("ascii"))]),
    "words": np.dtype([("words", TEXT, (3,)), ("square", TEXT, (2, 2))]),
    "nested": np.dtype([("at", POINT), ("inner", [("p", POINT), ("k", "<i8")]), ("points", POINT, (2,))]),
    "gaps": np.dtype({"names": ["n", "s", "v"], "formats": ["<i4", TEXT, lists("u1")], "offsets": [3, 11, 30], "itemsize": 60}),
    "object": np.dtype([("n", "<i4"), ("to", h5py.ref_dtype)]),
    "region": np.dtype([("to", h5py.regionref_dtype), ("name", TEXT)]),
    "references": np.dtype([("many", h5py.ref_dtype, (2,)), ("one", h5py.regionref_dtype)]),
    "sequence_of_text": h5py.vlen_dtype(TEXT),
    "sequence_of_references": h5py.vlen_dtype(h5py.ref_dtype),
}


def value(t, i, h):
    """The i-th cell of the type, as h5py takes it."""
    base, ref = h5py.check_vlen_dtype(t), h5py.check_ref_dtype(t)
    if t.subdtype:
        return cells(t.subdtype[0], int(np.prod(t.subdtype[1])), h, i).reshape(t.subdtype[1])
    if t.names:
        return cells(t, 1, h, i)[0]
    if isinstance(base, np.dtype):
        return cells(base, i * i % 11, h, i + 1)
    if base is not None or h5py.check_string_dtype(t) and t.kind == "O":
        word = WORDS[i % len(WORDS)] if h5py.check_string_dtype(t).encoding == "utf-8" else f"word {i}"
        return word + str(i) if i % 3 else word
    if ref is h5py.RegionReference:
        x = h["far/x"]
        return [x.regionref[2:5, i:i + 3], x.regionref[...], x.regionref[::7, 1:20:6], h5py.RegionReference()][i % 4]
    if ref is h5py.Reference:
        return [h["far/x"].ref, h["far"].ref, h5py.Reference(), h.ref][i % 4]
    if t.kind == "f":
        return np.array(FLOATS[i % len(FLOATS)]).astype(t)
    if t.kind == "c":
        return t.type(complex(FLOATS[i % len(FLOATS)], i * 0.5))
    if t.kind == "b":
        return i % 3 == 1
    if t.kind == "S":
        return [b"", b"ab", b"\0x", b"abcde", "é".encode()][i % 5]
    if t.kind == "V":
        return np.void(bytes((i * 37 + k) % 256 for k in range(t.itemsize)))
    return (i * 7919 + 3) % 120 - (60 if t.kind == "i" else 0)


def cells(t, n, h, salt=0):
    out = np.empty((n,), t)
    for i in range(n):
        if t.names:
            for k, name in enumerate(t.names):
                out[name][i] = value(t[name], i + salt + k, h)
        else:
            out[i] = value(t, i + salt, h)
    return out


def write(h):
    h.create_dataset("far/x", data=np.arange(600, dtype="<i4").reshape(20, 30))
    for name, t in TYPES.items():
        a = cells(t, N, h)
        for storage, more in (("plain", {}), ("chunked", {"chunks": (4,)}), ("gzip", {"chunks": (5,), "compression": "gzip", "shuffle": True})):
            d = h.create_dataset(f"{name}_{storage}", (N,), t, **more)
            for i in range(N):
                d[i] = a[i]
        d = h.create_dataset(f"{name}_sparse", (N, 2), t, chunks=(2, 1))
        d[5, 1] = a[5]
        h.create_dataset(f"{name}_never", (3,), t)
        h.create_dataset(f"{name}_scalar", (), t)[()] = a[4]
        h.create_dataset(f"{name}_empty", (0,), t, chunks=(2,), maxshape=(None,))
        if t.names:
            d = h.create_dataset(f"{name}_array", (3,), np.dtype((t, (2,))))
            d[...] = np.array([a[k:k + 2] for k in range(3)])


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_words(tmp_path, libver):
    path = f"{tmp_path}/words.h5"
    with h5py.File(path, "w", libver=libver) as h:
        write(h)
    lines = {r["path"]: r for r in oracle.compare_cells(path) if "path" in r}
    assert len(lines) == 1 + 7 * len(TYPES) + sum(t.names is not None for t in TYPES.values())
    assert all(r["dtype"] == "string" for p, r in lines.items() if p != "/far/x")
    assert lines["/text_never"]["first"] == ['{"n": 0, "name": ""}'] * 3
    assert lines["/sequence_of_text_never"]["first"] == ["[]"] * 3
    for what in ("compounds with text, sequences and references in them, as JSON text", "sequences of text and of references, as JSON text"):
        support.listed("hdf5-other", what, "h5py")


def test_floats_are_the_same_bits(tmp_path):
    path = f"{tmp_path}/floats.h5"
    rng = np.random.default_rng(20261121)
    bits = {"<f2": rng.integers(0, 1 << 16, 300, dtype="<u2"), ">f4": rng.integers(0, 1 << 32, 300, dtype="<u4"),
            "<f8": rng.integers(0, 1 << 63, 300, dtype="<u8") * 2 + 1}
    t = np.dtype([("s", TEXT), *((f"v{k[1:]}", k) for k in bits)])
    a = np.empty(300, t)
    a["s"] = "x"
    for k, b in bits.items():
        a[f"v{k[1:]}"] = b.view(b.dtype.str.replace("u", "f"))
    with h5py.File(path, "w") as h:
        h["d"] = a
    got = [json.loads(line) for line in strings(path, "d")]
    assert len(got) == 300
    for k in bits:
        mine = np.array([g[f"v{k[1:]}"] for g in got], k.replace(">", "<"))
        want = a[f"v{k[1:]}"].astype(mine.dtype)
        nan = np.isnan(want)
        assert np.array_equal(np.isnan(mine), nan) and 0 < np.count_nonzero(~nan)
        assert mine[~nan].tobytes() == want[~nan].tobytes(), k


def strings(path, name):
    """The cells of a variable of text, as cm_dump has them: lengths and bytes."""
    raw = subprocess.run([oracle.DUMP, "--raw", f"/{name}", path], capture_output=True, check=True).stdout
    out, at = [], 0
    while at < len(raw):
        n = int.from_bytes(raw[at:at + 4], "little")
        out.append(raw[at + 4:at + 4 + n].decode())
        at += 4 + n
    return out


def low_level(h, name, t, rows):
    """What h5py has no dtype for: the bytes of the cells, variable-length parts as pointers to memory."""
    d = h5py.h5d.create(h.id, name.encode(), t, h5py.h5s.create_simple((len(rows),)))
    d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.frombuffer(b"".join(rows), f"V{t.get_size()}"), t)


def test_sequences_in_sequences(tmp_path):
    """libhdf5 takes what is in memory: {length, pointer} of a sequence."""
    path, kept = f"{tmp_path}/deep.h5", []

    def hvl(a, count):
        kept.append(a)
        return np.array([count, a.ctypes.data if count else 0], "<u8").tobytes()

    def two(i):
        inner = [hvl(np.arange(i * 10 + k, i * 10 + 2 * k + 1, dtype="<i4"), k + 1) for k in range(i)]
        return hvl(np.frombuffer(b"".join(inner) or b"\0", "u1"), i)

    with h5py.File(path, "w") as h:
        i32 = h5py.h5t.STD_I32LE
        low_level(h, "two", h5py.h5t.vlen_create(h5py.h5t.vlen_create(i32)), [two(i) for i in range(5)])
        low_level(h, "arrays", h5py.h5t.vlen_create(h5py.h5t.array_create(i32, (2, 3))),
                  [hvl(np.arange(i * 6, dtype="<i4") + i, i) for i in range(4)])
    want = [[list(range(i * 10 + k, i * 10 + 2 * k + 1)) for k in range(i)] for i in range(5)]
    assert [json.loads(s) for s in strings(path, "two")] == want
    want = [(np.arange(i * 6) + i).reshape(i, 2, 3).tolist() for i in range(4)]
    assert [json.loads(s) for s in strings(path, "arrays")] == want
    assert strings(path, "two")[0] == "[]"
    support.listed("hdf5-other", "sequences of sequences and of array types, as JSON text", "h5py")


def test_fill_values(tmp_path):
    """libhdf5 stores a fill value's pointers as they are in memory: what it should have stored is put there."""
    path = f"{tmp_path}/fill.h5"
    t = np.dtype([("n", "<i4"), ("name", TEXT)])
    with h5py.File(path, "w") as h:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((2,))
        plist.set_fill_value(np.array((0x12345678, "x"), t))
        h5py.h5d.create(h.id, b"d", h5py.h5t.py_create(t, logical=True), h5py.h5s.create_simple((7,)), plist)
        h["cell"] = np.array([(7, "nothing yet é")], t)
        at = h["cell"].id.get_offset()
    with open(path, "r+b") as f:
        raw = f.read()
        where = raw.index((0x12345678).to_bytes(4, "little"))
        f.seek(where)
        f.write(raw[at:at + 20])
    oracle.compare_cells(path)
    assert [json.loads(s) for s in strings(path, "d")] == [{"n": 7, "name": "nothing yet é"}] * 7


@pytest.mark.parametrize("version", [2, 3])
def test_to_zarr(tmp_path, version):
    path, store = f"{tmp_path}/a.h5", f"{tmp_path}/a.zarr"
    with h5py.File(path, "w") as h:
        write(h)
    names = [f"{t}_{s}" for t in ("text", "everything", "region", "sequence_of_text") for s in ("gzip", "sparse", "plain")]
    run("rechunk", path, store, "--zarr", version, "--vars", ",".join(names))
    for name in names:
        got = zarr.open_array(f"{store}/{name}", mode="r")[...].ravel().tolist()
        assert got == strings(path, name), name
    run("diff", path, store, "--vars", ",".join(names))
    said = run("info", "-v", path).stderr
    assert "/text_gzip: cells are read as JSON text" in said, said[:500]


def test_references_to_them_are_refused(tmp_path):
    """Cells that must be turned into text are no bytes that references could point to."""
    path = f"{tmp_path}/a.h5"
    t = np.dtype([("n", "<i4"), ("name", TEXT)])
    with h5py.File(path, "w") as h:
        h.create_dataset("big", (200000,), t, chunks=(50000,))[5] = (1, "x")
    done = run("virtualize", path, f"{tmp_path}/a.json", status=3)
    assert "big" in done.stderr, done.stderr
    run("virtualize", path, f"{tmp_path}/a.json", "--materialize", f"{tmp_path}/side")
    run("diff", path, f"{tmp_path}/a.json")


def test_little_memory(tmp_path):
    """A cell of many megabytes needs a budget for its text, and says so."""
    path, store = f"{tmp_path}/a.h5", f"{tmp_path}/a.zarr"
    t = np.dtype([("n", "<i4"), ("list", lists("<f8"))])
    with h5py.File(path, "w") as h:
        a = np.empty(2, t)
        a["n"] = [1, 2]
        a["list"][0] = np.arange(1 << 20) * 0.37
        a["list"][1] = np.arange(3.0)
        h["d"] = a
    done = run("rechunk", path, store, "--max-mem", "64MiB", status=6)
    assert "no memory left for the text of a cell" in done.stderr and "--max-mem" in done.stderr, done.stderr
    run("rechunk", path, store, "--max-mem", "2GiB")
    assert zarr.open_array(f"{store}/d", mode="r")[...].tolist() == strings(path, "d")


def heap_object(raw, cell):
    """Offset and size of what the 16 bytes of a variable-length cell lead to."""
    addr, index = int.from_bytes(raw[cell + 4:cell + 12], "little"), int.from_bytes(raw[cell + 12:cell + 16], "little")
    assert raw[addr:addr + 4] == b"GCOL"
    at = addr + 16
    while int.from_bytes(raw[at:at + 2], "little") != index:
        at += 16 + (int.from_bytes(raw[at + 8:at + 16], "little") + 7) // 8 * 8
    return at + 16, int.from_bytes(raw[at + 8:at + 16], "little")


def test_sequences_that_lead_to_themselves(tmp_path):
    """Ten levels of 40 elements, each of which is the sequence that it is in: a cell of 40^10 numbers."""
    path = f"{tmp_path}/loop.h5"
    t = h5py.h5t.STD_I32LE
    for _ in range(10):
        t = h5py.h5t.vlen_create(t)
    empty = np.zeros(40 * 16, "u1")
    with h5py.File(path, "w") as h:
        low_level(h, "d", t, [np.array([40, empty.ctypes.data], "<u8").tobytes()])
        at = h["d"].id.get_offset()
    with open(path, "r+b") as f:
        raw = f.read()
        where, nbytes = heap_object(raw, at)
        assert nbytes == 40 * 16
        f.seek(where)
        f.write(raw[at:at + 16] * 40)
    done = run("values", path, "d", "--max-mem", "100MB", status=6)
    assert "no memory left for the text of a cell" in done.stderr, done.stderr
    done = run("values", path, "d", "--max-mem", "4GB", status=6)
    assert "a cell whose text takes more than 256 MB to make" in done.stderr, done.stderr
