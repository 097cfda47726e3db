"""HDF5 files whose offsets and lengths have 4 or 8 bytes each, in all four mixtures, old structures and new."""
import pytest

np = pytest.importorskip("numpy")
h5py = pytest.importorskip("h5py")
from h5py import h5f, h5p  # noqa: E402


@pytest.mark.parametrize("oldest", [h5f.LIBVER_EARLIEST, h5f.LIBVER_LATEST])
@pytest.mark.parametrize("offsets", [4, 8])
@pytest.mark.parametrize("lengths", [4, 8])
def test_widths(ok, tmp_path, oldest, offsets, lengths):
    path = tmp_path / "in.h5"
    create, access = h5p.create(h5p.FILE_CREATE), h5p.create(h5p.FILE_ACCESS)
    create.set_sizes(offsets, lengths)
    access.set_libver_bounds(oldest, h5f.LIBVER_LATEST)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    want = {f"v{k:02}": np.arange(k, 40 + k, dtype="i4").reshape(10, 4) for k in range(30)}
    with h5py.File(h5f.create(bytes(path), h5f.ACC_TRUNC, create, access)) as h:
        group = h.create_group("g")
        for k, (name, a) in enumerate(want.items()):
            chunks = {0: None, 1: (3, 4), 2: (1, 3)}[k % 3]
            group.create_dataset(name, data=a, chunks=chunks, maxshape=(None, 4) if k % 2 and chunks else None)
        group["link"] = h5py.SoftLink("v07")
        group.create_dataset("text", data=["a", "é", ""], dtype=h5py.string_dtype())
        for k in range(12):
            group.attrs[f"a{k}"] = k
    for name, a in {**want, "link": want["v07"]}.items():
        assert ok("values", path, f"g/{name}", "--json").json() == a.tolist(), name
    assert ok("values", path, "g/text", "--json").json() == ["a", "é", ""]
    seen = ok("info", path, "--json").json()["root"]["groups"][0]
    assert {k: v["value"] for k, v in seen["attributes"].items()} == {f"a{k}": k for k in range(12)}
