"""Target chunks of megabytes through a spill, where they are encoded and put in slabs: zarr-python
must read the source's cells, in both byte orders, from chunks that reach beyond the shape, and where
chunks that hold only fill are left out."""
import pytest

np = pytest.importorskip("numpy")
numcodecs = pytest.importorskip("numcodecs")
zarr = pytest.importorskip("zarr")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("codec", ["keep", "none", "zstd:5", "blosc:zstd:1:shuffle", "gzip:1"])
@pytest.mark.parametrize("version", ["2", "3"])
def test_spilled(run, tmp_path, order, codec, version):
    shape = 501, 30, 37
    cells = np.arange(np.prod(shape)).reshape(shape)
    cells[:, 15:, :] = -7
    cells = cells.astype(order + "f8")
    z = zarr.create_array(str(tmp_path / "source"), shape=shape, chunks=(10, 30, 37), dtype=cells.dtype,
                        fill_value=-7, zarr_format=2,
                          compressors=numcodecs.Zstd(level=1))
    z[...] = cells
    for empty in "write", "skip":
        target = tmp_path / f"target-{empty}"
        done = run("rechunk", tmp_path / "source", target, "--chunks", "500,15,20", "--mode", "spill", "--codec", codec,
                   "--zarr", version, "--empty-chunks", empty, "--max-mem", "100MB", "--quiet")
        assert done.code == 0, done.err
        got = zarr.open_array(str(target), mode="r")[...]
        assert got.dtype.newbyteorder("=") == np.dtype("f8") and (got == cells).all()
        objects = [p for p in target.rglob("*") if p.is_file() and p.name[0] not in ".z"]
        assert len(objects) == (8 if empty == "write" else 4)
        assert run("diff", tmp_path / "source", target, "--quiet").code == 0
