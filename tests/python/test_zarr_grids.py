"""Rectilinear grids as zarr-python (3.2 and later) writes them. The pinned zarr-python has none yet: there this
skips, and tests/test_zarr_grid.c has grids of its own making."""

import json
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
