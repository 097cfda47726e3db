"""HDF5 structures without a checksum whose counts became smaller: what is not counted is not lost silently.

Version 1 B-trees of chunks, and B-trees, symbol nodes and object headers of old groups. Every node of a file gets
smaller counts, and every time that must be an error; what libhdf5 leaves after chunks and links were removed, and
before, must read as libhdf5 reads it. Then hostile compounds, sequences and references: members that cannot be, one
list that thousands of cells claim, references that lead nowhere.
"""
import json
import struct
import time

import pytest

np = pytest.importorskip("numpy")
h5py = pytest.importorskip("h5py")


def found(data, mark):
    at = data.find(mark)
    while at >= 0:
        yield at
        at = data.find(mark, at + 1)


def shrink(path, mark):
    """Write versions of the file in which one node that begins with mark counts less."""
    whole = path.read_bytes()
    nodes = list(found(whole, mark))
    for at in nodes[:4] + nodes[4:][-4:]:
        used = struct.unpack_from("<H", whole, at + 6)[0]
        for fewer in sorted({0, 1, used // 2, used - 1}):
            if 0 <= fewer < used:
                damaged = bytearray(whole)
                struct.pack_into("<H", damaged, at + 6, fewer)
                path.write_bytes(damaged)
                yield f"{mark} at {at}: {fewer} of {used}"
    path.write_bytes(whole)


@pytest.mark.parametrize("shape,chunks", [((40, 3), (1, 3)), ((300, 3), (1, 3)), ((30, 40), (2, 2)), ((4500,), (1,))])
def test_fewer_chunks(run, tmp_path, shape, chunks):
    path = tmp_path / "in.h5"
    with h5py.File(path, "w", libver="earliest") as h:
        h.create_dataset("x", data=np.arange(np.prod(shape)).reshape(shape), chunks=chunks)
    assert run("values", path, "x").code == 0
    n = 0
    for what in shrink(path, b"TREE\1"):
        done = run("values", path, "x")
        assert done.code == 3 and "/x" in done.err and "damaged?" in done.err, (what, done)
        n += 1
    assert n >= 4


@pytest.mark.parametrize("n", [1, 9, 400])
def test_fewer_links(run, tmp_path, n, rng):
    path = tmp_path / "in.h5"
    with h5py.File(path, "w", libver="earliest") as h:
        for i in rng.sample(range(n), n):
            h.create_dataset(f"v{i:04}", data=np.int8(i % 100))
        h.create_group("empty")
    assert len(run("info", path, "--json").json()["root"]["variables"]) == n
    seen = 0
    for mark in (b"SNOD\1", b"TREE\0"):
        for what in shrink(path, mark):
            done = run("info", path)
            assert done.code == 3 and "damaged?" in done.err, (what, done)
            seen += 1
    assert seen >= 3


def test_fewer_messages(run, tmp_path):
    """An object header that is cut short: its attributes do not vanish."""
    path = tmp_path / "in.h5"
    with h5py.File(path, "w", libver="earliest") as h:
        d = h.create_dataset("x", data=np.int8(1))
        for i in range(12):
            d.attrs[f"a{i}"] = i
    assert len(run("info", path, "--json").json()["root"]["variables"][0]["attributes"]) == 12
    whole = path.read_bytes()
    with h5py.File(path) as h:
        at = h5py.h5o.get_info(h["x"].id).addr
    size = struct.unpack_from("<I", whole, at + 8)[0]
    assert whole[at] == 1 and size > 64
    for smaller in (8, 40, size - 24, size - 8):
        damaged = bytearray(whole)
        struct.pack_into("<I", damaged, at + 8, smaller)
        path.write_bytes(damaged)
        done = run("values", path, "x")
        assert done.code == 3 and "/x" in done.err, (smaller, done)


def test_removed_chunks(run, tmp_path, rng):
    path = tmp_path / "in.h5"
    for _ in range(25):
        with h5py.File(path, "w", libver="earliest") as h:
            x = h.create_dataset("x", shape=(rng.randint(1, 400), 2 * rng.randint(1, 3)), chunks=(1, 2),
                                 maxshape=(None, None), dtype="i4")
            for _ in range(6):
                what = rng.choice(["rows", "columns", "all", "some", "flush"])
                if what == "rows":
                    x.resize((rng.randint(1, 400), x.shape[1]))
                elif what == "columns":
                    x.resize((x.shape[0], rng.randint(1, 8)))
                elif what == "all":
                    x[...] = np.arange(x.size).reshape(x.shape) + 1
                elif what == "some":
                    for i in range(10):
                        i = rng.randrange(x.shape[0])
                        x[i] = i + 1
                else:
                    h.flush()
        for _ in range(2):
            with h5py.File(path) as h:
                want = h["x"][...]
            done = run("values", path, "x", "--json")
            assert done.code == 0, done
            assert np.array_equal(np.array(json.loads(done.out)), want)
            with h5py.File(path, "a") as h:  # what was cut off is gone
                h["x"].resize((rng.randint(1, 300), h["x"].shape[1]))
                h["x"].resize((300, h["x"].shape[1]))


def test_removed_links(run, tmp_path, rng):
    path = tmp_path / "in.h5"
    for _ in range(25):
        have = set()
        for mode in ("w", "a"):
            with h5py.File(path, mode, libver="earliest") as h:
                for _ in range(rng.randint(1, 4)):
                    for i in {rng.randrange(300) for _ in range(rng.randint(1, 80))}:
                        if f"v{i}" not in have:
                            h.create_dataset(f"v{i}", data=np.int8(1))
                            have.add(f"v{i}")
                    part = rng.random()
                    for name in sorted(have):
                        if rng.random() < part:
                            del h[name]
                            have.discard(name)
        done = run("info", path, "--json")
        assert done.code == 0, done
        assert {v["name"] for v in done.json()["root"]["variables"]} == have


# ---- compounds, sequences, references: hostile ones ---------------------------------------------

def quick(run, *args):
    """Of a hostile file: whatever it is, at once and in little memory."""
    begin = time.monotonic()
    done = run(*args)
    assert time.monotonic() - begin < 10, "too slow"  # a second, on a machine that does nothing else
    assert "Traceback" not in done.err and done.code in (0, 3, 6), done
    return done


def test_one_list_many_times(run, tmp_path):
    """3,000 sequences that all claim the same long one: 180 million values of a file of 200 KB."""
    path = tmp_path / "in.h5"
    lists = np.empty(3000, object)
    for i in range(3000):
        lists[i] = np.array([i % 100], "i1")
    lists[7] = np.zeros(60000, "i1")
    with h5py.File(path, "w", libver="latest") as h:
        h.attrs.create("a", lists, dtype=h5py.vlen_dtype("i1"))
        h["x"] = 1
    whole = path.read_bytes()
    long = struct.pack("<I", 60000)
    at = whole.find(long)
    while whole[at - 16:at - 12] != struct.pack("<I", 1) or whole[at + 16:at + 20] != struct.pack("<I", 1):
        at = whole.find(long, at + 1)
        assert at > 0
    damaged = bytearray(whole)
    begin = at - 7 * 16
    for i in range(3000):
        damaged[begin + 16 * i:begin + 16 * i + 16] = whole[at:at + 16]
    path.write_bytes(damaged)
    done = quick(run, "info", path)
    assert done.code == 3 and "checksum" in done.err  # the header has one
    with h5py.File(path, "w", libver="earliest") as h:  # and here it has none
        h.create_dataset("x", (3000,), h5py.vlen_dtype("i1"))[...] = lists
        h.attrs.create("a", lists, dtype=h5py.vlen_dtype("i1"))
    whole = path.read_bytes()
    damaged = bytearray(whole)
    places = [m for m in found(whole, long) if whole[m - 16:m - 12] == struct.pack("<I", 1) == whole[m + 16:m + 20]]
    assert len(places) == 2
    for at in places:
        for i in range(3000):
            damaged[at - 7 * 16 + 16 * i:at - 7 * 16 + 16 * i + 16] = whole[at:at + 16]
    path.write_bytes(damaged)
    done = quick(run, "info", path, "--json")
    assert done.code == 0 and done.json()["root"]["attributes"]["a"]["value"] is None
    assert "more than" in done.err
    assert quick(run, "values", path, "x", "--isel", "phony_dim_0=0:2").code == 0


@pytest.mark.parametrize("what", ["overlap", "beyond", "empty name", "no members"])
def test_members_that_cannot_be(run, tmp_path, what):
    path = tmp_path / "in.h5"
    with h5py.File(path, "w", libver="earliest") as h:
        h["x"] = np.zeros(3, [("first", "<i4"), ("second", "<i8")])
        h["y"] = 1
    damaged = bytearray(path.read_bytes())
    at = damaged.find(b"second\0\0")
    assert at > 0 and struct.unpack_from("<I", damaged, at + 8)[0] == 4
    if what == "overlap":  # the first one becomes as large as everything
        first = damaged.find(b"first\0\0\0")
        size = damaged.find(struct.pack("<I", 4), first + 12)
        struct.pack_into("<I", damaged, size, 12)
    elif what == "beyond":
        struct.pack_into("<I", damaged, at + 8, 8)
    elif what == "empty name":
        damaged[at:at + 8] = bytes(8)
    else:
        head = damaged.rfind(b"\x16\x02\0\0", 0, at)
        damaged[head + 1] = 0
    path.write_bytes(damaged)
    done = quick(run, "values", path, "x")
    assert done.code == 3 and "/x" in done.err, done
    assert quick(run, "values", path, "y").code == 0


def test_references_to_nowhere(run, tmp_path):
    path = tmp_path / "in.h5"
    with h5py.File(path, "w", libver="earliest") as h:
        x = h.create_dataset("x", data=np.arange(20).reshape(4, 5))
        h["refs"] = np.array([x.ref, x.ref], h5py.ref_dtype)
        h["parts"] = np.array([x.regionref[1:3, ::2], x.regionref[0]], h5py.regionref_dtype)
        h.attrs["to"] = x.ref
        addr = h5py.h5o.get_info(x.id).addr
    whole = path.read_bytes()
    assert quick(run, "values", path, "refs").out.count("/x") == 2
    places = [m for m in found(whole, struct.pack("<Q", addr))]
    assert len(places) >= 4
    for bad in (8, addr + 8, 1 << 60, (1 << 64) - 2):
        damaged = bytearray(whole)
        for m in places[1:]:  # the first one may be the link
            struct.pack_into("<Q", damaged, m, bad)
        path.write_bytes(damaged)
        for name in ("refs", "parts"):
            done = quick(run, "values", path, name)
            assert done.code == 3 and ("no group" in done.err or "damaged" in done.err or "/" in done.err), done


def test_every_byte_of_a_region(run, tmp_path):
    """Counts, ranks and widths of selections: any of them may be anything."""
    path = tmp_path / "in.h5"
    for libver in ("earliest", "latest"):
        with h5py.File(path, "w", libver=libver) as h:
            x = h.create_dataset("x", data=np.arange(20).reshape(4, 5))
            h["parts"] = np.array([x.regionref[::2, ::2]], h5py.regionref_dtype)
        whole = path.read_bytes()
        at = whole.find(struct.pack("<II", 2, 1)) if libver == "earliest" else whole.find(struct.pack("<I", 2), whole.find(b"GCOL"))
        at = max(at, whole.find(b"GCOL") + 16)
        for k in range(0, 60, 3):
            for value in (0xff, 0, 0x80):
                damaged = bytearray(whole)
                damaged[at + k] = value
                path.write_bytes(damaged)
                quick(run, "values", path, "parts")
