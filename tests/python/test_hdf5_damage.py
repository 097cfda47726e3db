"""HDF5 structures without a checksum whose counts became smaller: what is not counted is not lost silently.

Version 1 B-trees of chunks, and B-trees, symbol nodes and object headers of old groups. Every node of a file gets
smaller counts, and every time that must be an error; what libhdf5 leaves after chunks and links were removed, and
before, must read as libhdf5 reads it.
"""
import json
import struct

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
