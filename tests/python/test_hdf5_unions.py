"""Virtual datasets whose selections are no product of axes, compared with libhdf5 cell by cell."""
import os
import subprocess
import warnings

import numpy as np
import pytest

import support

h5py = pytest.importorskip("h5py")
import tally  # noqa: E402
import test_hdf5_oracle as oracle  # noqa: E402
from conftest import ROOT, find_program  # noqa: E402
from h5py import h5d, h5p, h5s, h5t  # noqa: E402

warnings.simplefilter("ignore")
PROGRAM = os.path.abspath(find_program())
oracle.DUMP = str(ROOT / PROGRAM).rsplit("/", 1)[0] + "/tests/cm_dump"


@pytest.fixture(autouse=True)
def recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # libhdf5 looks for sources there
    before = len(tally.FAILED)
    with support.recording():
        yield
    assert tally.FAILED[before:] == []


def space_of(mask):
    """The selection of the cells where mask is true."""
    s = h5s.create_simple(mask.shape)
    s.select_none()
    flat = mask.reshape(-1, mask.shape[-1])
    for row in np.flatnonzero(flat.any(-1)):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], flat[row].astype("i1"), [0]])))
        for lo, hi in edges.reshape(-1, 2):
            start = (*np.unravel_index(row, mask.shape[:-1]), lo) if mask.ndim > 1 else (lo,)
            s.select_hyperslab(tuple(map(int, start)), (*[1] * (mask.ndim - 1), int(hi - lo)), op=h5s.SELECT_OR)
    return s


def boxes(rng, shape, n):
    mask = np.zeros(shape, bool)
    for _ in range(n):
        lo = [int(rng.integers(0, x)) for x in shape]
        mask[tuple(slice(a, int(rng.integers(a + 1, x + 1))) for a, x in zip(lo, shape))] = True
    return mask


def thinned(rng, mask, n):
    """n of the cells, those at the end gone first, or any."""
    at = np.flatnonzero(mask)
    gone = at[n:] if rng.integers(2) else rng.permutation(at)[n:]
    out = mask.reshape(-1).copy()
    out[gone] = False
    return out.reshape(mask.shape)


def make(h, name, shape, mappings):
    p = h5p.create(h5p.DATASET_CREATE)
    p.set_layout(h5d.VIRTUAL)
    p.set_fill_value(np.array([-1], "<i4"))
    for here, file, there in mappings:
        p.set_virtual(space_of(here), file.encode(), b"x", space_of(there))
    h5d.create(h.id, name.encode(), h5t.STD_I32LE, h5s.create_simple(shape), p)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_random_unions(tmp_path, libver):
    seed = int(os.environ.get("CM_SEED", "7"))
    print("seed", seed)
    rng = np.random.default_rng(seed)
    shapes = [(40,), (9, 14), (5, 6, 11)]
    for ndim, shape in enumerate(shapes, 1):
        for k, kind in enumerate(("plain", "chunked")):
            with h5py.File(f"s{ndim}{k}.h5", "w") as h:
                h.create_dataset("x", data=oracle.values(shape, "<i4", 1000 * k), chunks=tuple(3 for _ in shape) if k else None)
    cut = 0
    path = f"unions_{libver}.h5"
    with h5py.File(path, "w", libver=libver) as h:
        for i in range(60):
            ndim = 1 + i % 3
            there_ndim = 1 + int(rng.integers(ndim))
            shape = tuple(int(x) for x in rng.integers(2, 12, ndim))
            mappings, free = [], np.ones(shape, bool)  # where mappings overlap libhdf5 leaves other cells undefined
            for _ in range(int(rng.integers(1, 4))):
                here = boxes(rng, shape, int(rng.integers(1, 4))) & free
                if not here.any():
                    continue
                there = boxes(rng, shapes[there_ndim - 1], int(rng.integers(1, 4)))
                n = int(min(here.sum(), there.sum()))
                here, there = thinned(rng, here, n), thinned(rng, there, n)
                free &= ~here
                cut += not space_of(here).is_regular_hyperslab() or not space_of(there).is_regular_hyperslab()
                mappings.append((here, f"s{there_ndim}{int(rng.integers(2))}.h5", there))
            make(h, f"v{i}", shape, mappings)
    assert cut > 40
    lines = {r["path"]: r for r in oracle.compare_cells(path, may_refuse="*") if "path" in r}
    refused = [r["problem"]["message"] for r in lines.values() if "problem" in r]
    assert len(lines) == 60 and not refused, refused
    support.listed("hdf5-other", "virtual datasets with selections of irregular blocks", "h5py")


def test_fancy_indexing(tmp_path):
    """What h5py's layout[[0, 2, 5]] makes, at a size where single rows would be too many."""
    with h5py.File("a.h5", "w") as h:
        h.create_dataset("x", data=oracle.values((300, 60, 50), "<i4", 3), chunks=(50, 60, 50))
    odd = sorted({int(k * k * 0.13) % 300 for k in range(80)})
    with h5py.File("v.h5", "w", libver="latest") as h:
        for name, sel in (("rows", np.s_[odd]), ("columns", np.s_[:, [1, 2, 9, 30]]), ("cells", np.s_[:40, :, [0, 3, 4, 49]])):
            whole = h5py.VirtualSource("a.h5", "x", (300, 60, 50))
            shape = np.empty((300, 60, 50), "i1")[sel].shape
            layout = h5py.VirtualLayout(shape, "<i4")
            layout[...] = whole[sel]
            h.create_virtual_dataset(name, layout, fillvalue=-5)
    oracle.compare_cells("v.h5")
    done = subprocess.run([PROGRAM, "rechunk", "v.h5", "v.zarr"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([PROGRAM, "diff", "v.h5", "v.zarr"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_refused_by_name(tmp_path):
    with h5py.File("a.h5", "w") as h:
        h["x"] = oracle.values((9, 14), "<i4", 1)
    irregular = boxes(np.random.default_rng(3), (9, 14), 3)
    irregular.reshape(-1)[[0, 5, 17]] = True
    with h5py.File("v.h5", "w", libver="latest") as h:
        p = h5p.create(h5p.DATASET_CREATE)
        p.set_layout(h5d.VIRTUAL)
        n = int(irregular.sum())
        with h5py.File("line.h5", "w") as line:
            line["x"] = np.arange(n, dtype="<i4")
        p.set_virtual(space_of(irregular), b"line.h5", b"x", h5s.create_simple((n,)))
        h5d.create(h.id, b"irregular_of_all", h5t.STD_I32LE, h5s.create_simple((9, 14)), p)
    want = {"/irregular_of_all": "a source that is taken whole"}
    oracle.compare_cells("v.h5", may_refuse=want, must_refuse=want)
