"""Zip stores: what Python's zipfile, zarr-python, zip and tensorstore make is read as the folder is, and what is
no store is refused by name."""

import json
import os
import shutil
import subprocess
import warnings
import zipfile

import numpy as np
import pytest
import support
from cli_program import fails, ok

warnings.simplefilter("ignore")
zarr = pytest.importorskip("zarr")
from zarr.storage import LocalStore, ZipStore  # noqa: E402


def cube(*shape):
    """No two cells alike."""
    return np.arange(np.prod(shape), dtype="f4").reshape(shape) * 3 + 1


def fill(store, zarr_format=3):
    g = zarr.open_group(store, mode="w", zarr_format=zarr_format)
    g.attrs["title"] = "höhe"
    names = {"dimension_names": ["t", "y", "x"]} if zarr_format == 3 else {}
    a = g.create_array("a", shape=(7, 20, 30), chunks=(2, 8, 30), dtype="f4", fill_value=-1, **names)
    a[:] = cube(7, 20, 30)
    if zarr_format == 2:
        a.attrs["_ARRAY_DIMENSIONS"] = ["t", "y", "x"]
    deep = g.create_group("grøup").create_array("raw", shape=(40,), chunks=(16,), dtype="i2", compressors=None)
    deep[:] = np.arange(40)
    holes = g.create_array("holes", shape=(12,), chunks=(5,), dtype="i4", fill_value=9)
    holes[2:4] = [1, 2]
    if zarr_format == 3:
        s = g.create_array("sharded", shape=(64, 8), shards=(32, 8), chunks=(4, 8), dtype="f4")
        s[:] = cube(64, 8)


@pytest.fixture(scope="module", params=[2, 3])
def folder(request, tmp_path_factory):
    where = tmp_path_factory.mktemp("folder") / "cube.zarr"
    fill(LocalStore(where), request.param)
    return where


def pack(folder, target, method=zipfile.ZIP_STORED, prefix="", stream=False, comment=b"", folders=False):
    """The folder in an archive. stream: sizes behind the data."""

    class Pipe:
        def __init__(self, f):
            self.write, self.flush = f.write, f.flush

    with open(target, "wb") as f, zipfile.ZipFile(Pipe(f) if stream else f, "w", method) as z:
        for at, folders_here, files in os.walk(folder):
            for name in [*(folders_here if folders else []), *files]:
                path = os.path.join(at, name)
                z.write(path, prefix + os.path.relpath(path, folder))
        z.comment = comment
    return target


def tree(path):
    found = json.loads(ok("info", "--json", path).stdout)
    for gone in ["uri", "source", "path", "name"]:
        found.pop(gone, None)
    return found


def same(folder, archive):
    assert tree(folder) == tree(archive)
    assert "equal" in ok("diff", folder, archive, "--attributes").stdout
    ok("verify", archive)


@pytest.mark.parametrize("how", ["stored", "deflated", "stream", "stream deflated", "comment", "in a folder", "with folders"])
def test_python_zipfile(folder, tmp_path, how):
    target = pack(folder, tmp_path / "x.zarr.zip",
                  zipfile.ZIP_DEFLATED if "deflated" in how else zipfile.ZIP_STORED,
                  prefix="cube.zarr/" if how == "in a folder" else "", stream="stream" in how,
                  comment=b"PK\5\6 is not the end" if how == "comment" else b"", folders=how == "with folders")
    same(folder, target)
    with support.recording():
        support.listed("zarr-other", f"zip store, {how}", "zarr-python")


@pytest.mark.skipif(not shutil.which("zip"), reason="there is no zip")
@pytest.mark.parametrize("options", ["-r0", "-r", "-rX", "-r0D", "-r -fz"])
def test_info_zip(folder, tmp_path, options):
    """Names that are not ASCII, extra fields of other lengths in the two headers, zip64 where none is needed."""
    subprocess.run(["zip", "-q", *options.split(), tmp_path / "x.zip", "."], cwd=folder, check=True)
    same(folder, tmp_path / "x.zip")
    subprocess.run(["zip", "-q", *options.split(), tmp_path / "y.zip", folder.name], cwd=folder.parent, check=True)
    same(folder, tmp_path / "y.zip")


@pytest.mark.skipif(not shutil.which("zip"), reason="there is no zip")
def test_streamed_by_zip(folder, tmp_path):
    """zip to a pipe: descriptors behind the data."""
    with open(tmp_path / "x.zip", "wb") as out:
        subprocess.run(["zip", "-q", "-r", "-0", "-", "."], cwd=folder, stdout=out, check=True)
    same(folder, tmp_path / "x.zip")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_python(tmp_path, zarr_format):
    """Its own store puts metadata documents more than once."""
    with ZipStore(tmp_path / "x.zarr.zip", mode="w") as store:
        fill(store, zarr_format)
        zarr.consolidate_metadata(store)
    fill(LocalStore(tmp_path / "x.zarr"), zarr_format)
    zarr.consolidate_metadata(LocalStore(tmp_path / "x.zarr"))
    names = zipfile.ZipFile(tmp_path / "x.zarr.zip").namelist()
    assert zarr_format == 2 or len(set(names)) < len(names)
    same(tmp_path / "x.zarr", tmp_path / "x.zarr.zip")
    with support.recording():
        support.listed("zarr-other", f"zip store by zarr-python, version {zarr_format}", "zarr-python")


def test_commands(folder, tmp_path):
    """A path through the archive, and what else takes a store."""
    archive = pack(folder, tmp_path / "x.zarr.zip")
    assert ok("values", archive, "a").stdout == ok("values", folder, "a").stdout
    assert tree(archive / "grøup") == tree(folder / "grøup")
    assert tree(archive / "grøup/raw") == tree(folder / "grøup/raw")
    ok("rechunk", archive, tmp_path / "out.zarr", "--chunks", "a:t=7,y=5,x=5")
    out = zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert np.array_equal(out["a"][:], cube(7, 20, 30))
    assert np.array_equal(out["holes"][:], [9, 9, 1, 2] + [9] * 8)
    other = pack(folder, tmp_path / "deflated.zip", zipfile.ZIP_DEFLATED)
    ok("diff", archive, other)


def test_virtualize(folder, tmp_path):
    """Chunks that lie as they are in the archive become ranges of it."""
    archive = pack(folder, tmp_path / "x.zarr.zip")
    v3 = (folder / "sharded").exists()
    skip = ["--skip", "sharded", "--skip", "holes"] if v3 else []
    ok("virtualize", archive, tmp_path / "r.json", "--no-inline", *skip)
    refs = json.loads((tmp_path / "r.json").read_text())["refs"]
    url, offset, nbytes = refs["a/1.0.0"]
    assert url.endswith("/x.zarr.zip")
    member = "a/1.0.0" if (folder / "a/1.0.0").exists() else "a/c/1/0/0"
    data = (folder / member).read_bytes()
    with open(archive, "rb") as f:
        f.seek(offset)
        assert f.read(nbytes) == data
    assert v3 or ("holes/0" in refs and "holes/2" not in refs)
    ok("diff", folder, tmp_path / "r.json", *skip)
    said = fails(3, "virtualize", pack(folder, tmp_path / "y.zip", zipfile.ZIP_DEFLATED), tmp_path / "s.json", *skip)
    assert "compressed in the zip archive" in said, said


def test_refused(folder, tmp_path):
    def archive(name, members, **more):
        with zipfile.ZipFile(tmp_path / name, "w", **more) as z:
            for member, content in members.items():
                z.writestr(member, content)
        return tmp_path / name

    assert "without a Zarr store" in fails(3, "info", archive("none.zip", {"a.txt": "x"}))
    assert "without a Zarr store" in fails(3, "info", archive("empty.zip", {}))
    assert "without a Zarr store" in fails(3, "info", archive("two.zip", {"a/.zgroup": "{}", "b/.zgroup": "{}"}))
    assert "method 12 (bzip2)" in fails(3, "info", pack(folder, tmp_path / "b.zip", zipfile.ZIP_BZIP2))
    whole = pack(folder, tmp_path / "x.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:-1000])
    assert "without its end" in fails(3, "info", tmp_path / "cut.zip")
    at = whole.index((folder / "grøup" / ("raw/0" if (folder / "grøup/raw/0").exists() else "raw/c/0")).read_bytes())
    (tmp_path / "bad.zip").write_bytes(whole[: at + 3] + b"\xff" + whole[at + 4 :])
    said = fails(3, "values", tmp_path / "bad.zip", "grøup/raw")
    assert "CRC-32" in said and "raw" in said, said
    assert fails(5, "info", tmp_path / "x.zip/nothing")
    if shutil.which("zip"):
        subprocess.run(["zip", "-q", "-r", "-P", "secret", tmp_path / "secret.zip", "."], cwd=folder, check=True)
        assert "encrypted" in fails(3, "info", tmp_path / "secret.zip")
