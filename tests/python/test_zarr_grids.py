"""Rectilinear grids as zarr-python (3.2 and later) writes and reads them. The pinned zarr-python has none yet: there this
skips, and tests/test_zarr_grid.c and
tests/test_save_grid.c have grids of their own making."""

import json
import random
import warnings

import numpy as np
import pytest
from cli_program import fails, ok

warnings.simplefilter("ignore")
zarr = pytest.importorskip("zarr")
pytestmark = pytest.mark.skipif(tuple(int(x) for x in zarr.__version__.split(".")[:2]) < (3, 2),
                                reason=f"zarr-python {zarr.__version__} has no rectilinear grids")

MONTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    zarr.config.set({"array.rectilinear_chunks": True})
    path = tmp_path_factory.mktemp("grid") / "r.zarr"
    g = zarr.open_group(path, mode="w")
    a = g.create_array("a", shape=(365, 20), chunks=[MONTHS, [7, 13]], dtype="f4", dimension_names=["t", "x"])
    a[:] = np.arange(7300).reshape(365, 20)
    s = g.create_array("sharded", shape=(24, 6), chunks=(2, 3), shards=[[4, 8, 12], 6], dtype="i4")
    s[:] = np.arange(144).reshape(24, 6)
    holes = g.create_array("holes", shape=(10,), chunks=[[3, 3, 4]], dtype="i2", fill_value=7)
    holes[:3] = 1
    text = g.create_array("text", shape=(6,), chunks=[[1, 5]], dtype=str)
    text[:] = np.array(list("abcdef"), dtype=object)
    big = g.create_array("big", shape=(9,), chunks=[[2, 3, 4]], dtype=">f8", filters=[zarr.codecs.TransposeCodec(order=(0,))])
    big[:] = np.arange(9) / 3
    zarr.consolidate_metadata(path)
    return path


def test_read(store, tmp_path):
    ok("rechunk", store, tmp_path / "out.zarr", "--chunks", "a:t=50,x=20")
    want, got = zarr.open_group(store, mode="r"), zarr.open_group(tmp_path / "out.zarr", mode="r")
    for name in ["a", "sharded", "holes", "text", "big"]:
        assert np.array_equal(want[name][...], got[name][...]), name
    assert got["a"].chunks == (50, 20) and got["holes"].chunks == (10,)
    ok("diff", store, tmp_path / "out.zarr")
    ok("verify", store)
    part = json.loads(ok("values", "--json", store, "a", "--isel", "t=58:91,x=5:9").stdout)
    assert np.array_equal(np.ravel(part), np.ravel(want["a"][58:91, 5:9]))


def test_described(store):
    tree = {v["name"]: v for v in json.loads(ok("info", "--json", store).stdout)["root"]["variables"]}
    assert tree["a"]["chunk_lengths"] == [[31, 28, 31, 30, 31, 30, [31, 2], 30, 31, 30, 31], [7, 13]]
    assert tree["a"]["chunks"] == [31, 13] and tree["a"]["chunks_total"] == 24
    assert tree["holes"]["chunks_present"] == 1 and tree["sharded"]["chunks_total"] == 3
    assert len(ok("info", "--chunk-list", "a", store).stdout.splitlines()) == 25


def test_joined(store, tmp_path):
    ok("rechunk", store, store, tmp_path / "out.zarr", "--concat", "t", "--static", "first", "--vars", "a")
    a = zarr.open_group(tmp_path / "out.zarr", mode="r")["a"][...]
    assert np.array_equal(a, np.concatenate([np.arange(7300).reshape(365, 20)] * 2))


def test_references(store, tmp_path):
    g = zarr.open_group(tmp_path / "l.zarr", mode="w")
    g.create_array("a", shape=(365, 1000), chunks=[MONTHS, [700, 300]], dtype="f4")[:] = 1
    said = fails(3, "virtualize", tmp_path / "l.zarr", tmp_path / "r.json")
    assert "different lengths" in said, said


def pieces(rng, n):
    """Lengths that add up to n, few different ones."""
    some, out = [rng.randint(1, max(1, n // rng.choice([1, 2, 5, 10]))) for _ in range(3)], []
    while sum(out) < n:
        out.append(min(rng.choice(some), n - sum(out)))
    return out


def spelling(rng, lengths):
    out, i = [], 0
    while i < len(lengths):
        j = i + 1
        while j < len(lengths) and lengths[j] == lengths[i] and rng.random() < 0.8:
            j += 1
        out.append(f"{lengths[i]}x{j - i}" if j - i > 1 or len(lengths) == 1 else str(lengths[i]))
        i = j
    return "+".join(out)


@pytest.mark.parametrize("seed", range(12))
def test_write(tmp_path, seed):
    rng = random.Random(seed)
    ndim = rng.randint(1, 3)
    shape = [rng.randint(1, [2000, 90, 30][ndim - 1]) for _ in range(ndim)]
    kind = rng.choice(["i4", "f8", "u1", "str"])
    cells = np.arange(int(np.prod(shape))) * 37 + 5
    cells = np.array([f"s{x % 1009}" * (x % 4) for x in cells], object) if kind == "str" else cells.astype(kind)
    cells = cells.reshape(shape)
    if rng.random() < 0.4:
        cells[tuple(slice(rng.randint(0, n), None) for n in shape)] = "" if kind == "str" else 0
    given = [pieces(rng, n) if i == 0 or rng.random() < 0.6 else rng.randint(1, n) for i, n in enumerate(shape)]
    zarr.config.set({"array.rectilinear_chunks": True})
    zarr.open_group(tmp_path / "s.zarr", mode="w").create_array(
        "a", shape=shape, chunks=tuple(rng.randint(1, n) for n in shape), dtype=str if kind == "str" else kind,
        dimension_names=[f"d{i}" for i in range(ndim)])[...] = cells
    spec = "a:" + ",".join(f"d{i}={spelling(rng, g) if isinstance(g, list) else g}" for i, g in enumerate(given))
    for mode in ["sweep", "reread", "spill"]:
        for name in ["o.zarr", "o.zarr.zip"]:
            ok("rechunk", tmp_path / "s.zarr", tmp_path / name, "--chunks", spec, "--mode", mode, "--overwrite",
               "--empty-chunks", rng.choice(["skip", "write"]))
            ok("verify", tmp_path / name)
            ok("diff", tmp_path / "s.zarr", tmp_path / name)
        a = zarr.open_group(tmp_path / "o.zarr", mode="r")["a"]
        assert np.array_equal(a[...], cells), (mode, spec)
        differ = any(isinstance(g, list) and len(set(g)) > 1 for g in given)
        grid = a.metadata.to_dict()["chunk_grid"]["name"]
        assert grid == ("rectilinear" if differ else "regular")
        for g, got in zip(given, a.write_chunk_sizes):
            assert not differ or not isinstance(g, list) or list(got) == g
        if ndim == 1 and kind != "str" and differ:  # each object alone is as long as it should be
            plain = tmp_path / "plain.zarr"
            ok("rechunk", tmp_path / "s.zarr", plain, "--chunks", spec, "--codec", "none", "--overwrite", "--empty-chunks", "write")
            sizes = [(plain / "a" / "c" / str(i)).stat().st_size for i in range(len(given[0]))]
            assert sizes == [n * cells.itemsize for n in given[0]]


def test_write_says(tmp_path):
    zarr.open_group(tmp_path / "s.zarr", mode="w").create_array(
        "a", shape=(365, 20), chunks=(100, 20), dtype="f4", dimension_names=["t", "x"])[...] = 1
    spec = "a:t=" + "+".join(map(str, MONTHS))
    ok("rechunk", tmp_path / "s.zarr", tmp_path / "o.zarr", "--chunks", spec)
    plan = ok("rechunk", tmp_path / "s.zarr", tmp_path / "p.zarr", "--chunks", spec, "--dry-run").stdout
    assert "up to 31x20" in plan
    tree = {v["name"]: v for v in json.loads(ok("info", "--json", tmp_path / "o.zarr").stdout)["root"]["variables"]}
    assert tree["a"]["chunk_lengths"] == [[31, 28, 31, 30, 31, 30, [31, 2], 30, 31, 30, 31], 20]
    said = fails(2, "rechunk", tmp_path / "s.zarr", tmp_path / "p.zarr", "--chunks", "a:t=31x12")
    assert "the lengths reach beyond the axis's end at 365" in said, said
    said = fails(2, "rechunk", tmp_path / "s.zarr", tmp_path / "p.zarr", "--chunks", spec, "--zarr", "2")
    assert "Zarr v2 has no chunks of different lengths" in said
