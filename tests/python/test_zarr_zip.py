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


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_virtualize_deflated(tmp_path, zarr_format):
    """No reference can say that a chunk is to be inflated first: small variables are written into the
    references, large ones refused or rewritten."""
    store = tmp_path / "big.zarr"
    g = zarr.open_group(store, mode="w", zarr_format=zarr_format)
    for name, rows in ("small", 40), ("large", 600):
        g.create_array(name, shape=(rows, 500), chunks=(100, 500), dtype="f4", compressors=None)[:] = cube(rows, 500)
    archive = pack(store, tmp_path / "big.zip", zipfile.ZIP_DEFLATED)
    said = fails(3, "virtualize", archive, tmp_path / "s.json")
    assert "/large: " in said and "compressed in the zip archive" in said, said
    ok("virtualize", archive, tmp_path / "s.json", "--vars", "small", "--no-inline")
    assert str(archive) not in (tmp_path / "s.json").read_text()
    ok("diff", store, tmp_path / "s.json", "--vars", "small")
    ok("virtualize", archive, tmp_path / "t.json", "--materialize", tmp_path / "t.chunks")
    ok("diff", store, tmp_path / "t.json")


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


# writing


def sound(path):
    """What Python and Info-ZIP say of an archive; each name once."""
    with zipfile.ZipFile(path) as z:
        assert z.testzip() is None
        assert len(set(z.namelist())) == len(z.namelist())
        assert all(i.compress_type == zipfile.ZIP_STORED for i in z.infolist())
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tqq", path], check=True)


def cells(path, name):
    with ZipStore(path, mode="r") as store:
        return zarr.open_group(store, mode="r")[name][...]


@pytest.mark.parametrize("options", [["--chunks", "a:t=3,y=7,x=11"], ["--zarr", "2"], ["--zarr", "3", "--codec", "none"],
                                     ["--chunks", "a:t=1,y=20,x=30", "--shards", "a:t=4,y=20,x=30"],
                                     ["--durability", "dir", "--threads", "4"], ["--empty-chunks", "skip"]],
                         ids=" ".join)
def test_written(folder, tmp_path, options):
    target = tmp_path / "out.zarr.zip"
    ok("rechunk", folder, target, *options)
    assert os.listdir(tmp_path) == ["out.zarr.zip"]
    sound(target)
    assert np.array_equal(cells(target, "a"), cube(7, 20, 30))
    assert np.array_equal(cells(target, "grøup/raw"), np.arange(40))
    assert np.array_equal(cells(target, "holes"), [9, 9, 1, 2] + [9] * 8)
    ok("diff", folder, target)
    ok("verify", target)
    with support.recording():
        support.listed("zarr-other", "zip store, written", "zarr-python")


def test_written_for_tensorstore(folder, tmp_path):
    ts = pytest.importorskip("tensorstore")
    ok("rechunk", folder, tmp_path / "out.zip", "--zarr", "3", "--chunks", "a:t=3,y=7,x=11")
    spec = {"driver": "zarr3", "path": "a",
            "kvstore": {"driver": "zip", "base": f"file://{tmp_path}/out.zip", "path": "a/"}}
    spec.pop("path")
    assert np.array_equal(ts.open(spec, read=True).result().read().result(), cube(7, 20, 30))
    with support.recording():
        support.listed("zarr-other", "zip store, written", "tensorstore")


def test_streamed_units(tmp_path):
    """Chunks too large for the memory go through a scratch file, then into the archive."""
    z = zarr.create_array(tmp_path / "s.zarr", name="a", shape=(2000, 200, 100), chunks=(50, 200, 100), dtype="f4")
    for i in range(0, 2000, 50):
        z[i : i + 50] = np.arange(i * 20000, (i + 50) * 20000, dtype="f4").reshape(50, 200, 100)
    target = tmp_path / "out.zip"
    ok("rechunk", tmp_path / "s.zarr", target, "--chunks", "a:2000,200,50", "--codec", "none", "--max-mem", "64MB")
    sound(target)
    assert sorted(os.listdir(tmp_path)) == ["out.zip", "s.zarr"]
    ok("diff", tmp_path / "s.zarr", target)
    with zipfile.ZipFile(target) as f:
        assert sorted(i.file_size for i in f.infolist() if "/c/" in i.filename) == [80_000_000, 80_000_000]


def test_overwrite_and_dry_run(folder, tmp_path):
    target = tmp_path / "out.zip"
    plan = json.loads(ok("rechunk", folder, target, "--dry-run", "--json").stdout)
    assert plan["target"] == str(target) and os.listdir(tmp_path) == []
    ok("rechunk", folder, target)
    before = target.read_bytes()
    assert "exists already" in fails(5, "rechunk", folder, target)
    assert "is a source" in fails(2, "rechunk", target, target, "--overwrite")
    assert "is a source" in fails(2, "rechunk", f"{target}/grøup", target, "--overwrite")
    assert target.read_bytes() == before
    ok("rechunk", folder, target, "--overwrite", "--chunks", "a:1,1,30")
    assert len(zipfile.ZipFile(target).namelist()) > 140
    for name, content in [("text.zip", b"hello"), ("cut.zip", before[:-9]), ("empty.zip", b"PK\5\6" + bytes(18))]:
        (tmp_path / name).write_bytes(content)
        assert "not a zip archive of a Zarr store" in fails(5, "rechunk", folder, tmp_path / name, "--overwrite")
        assert (tmp_path / name).read_bytes() == content
    (tmp_path / "folder.zip").mkdir()
    assert "not a zip archive" in fails(5, "rechunk", folder, tmp_path / "folder.zip", "--overwrite")


@pytest.mark.parametrize("old", [False, True])
def test_killed(tmp_path, chunkmill, old):
    """At any moment: the target is as it was, and the next save removes what is left."""
    z = zarr.create_array(tmp_path / "s.zarr", name="a", shape=(600, 100, 100), chunks=(10, 100, 100), dtype="f4",
                          fill_value=1.5)
    z[:10] = cube(10, 100, 100)
    target = tmp_path / "out.zip"
    before = b""
    if old:
        ok("rechunk", tmp_path / "s.zarr", target, "--chunks", "100,50,50")
        before = target.read_bytes()
    args = [chunkmill, "rechunk", tmp_path / "s.zarr", target, "--chunks", "600,10,10", "--codec", "zstd:19", "--overwrite"]
    child = subprocess.Popen(args, stderr=subprocess.DEVNULL)
    while child.poll() is None and not [n for n in os.listdir(tmp_path) if ".cm-tmp-" in n]:
        pass
    child.kill()
    assert child.wait() == -9
    left = [n for n in os.listdir(tmp_path) if ".cm-tmp-" in n]
    assert len(left) == 1
    assert "mark of temporary files" in fails(2, "info", tmp_path / left[0])
    shutil.copy(tmp_path / left[0], tmp_path / "left.zip")
    assert fails(3, "info", tmp_path / "left.zip")
    os.remove(tmp_path / "left.zip")
    assert (target.read_bytes() if old else target.exists()) == (before if old else False)
    ok("rechunk", tmp_path / "s.zarr", target, "--overwrite")
    assert sorted(os.listdir(tmp_path)) == ["out.zip", "s.zarr"]
    ok("diff", tmp_path / "s.zarr", target)


def test_disk_full(folder, tmp_path):
    """A limit on the size of files, with SIGXFSZ ignored, is a full disk to a program."""
    before = set(os.listdir(tmp_path))
    import resource
    import signal

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    from cli_program import environment, program
    done = subprocess.run([program(), "rechunk", folder, tmp_path / "out.zip", "--codec", "none"], preexec_fn=limit,
                          env=environment(), capture_output=True, text=True)
    assert done.returncode == 5 and "cannot write" in done.stderr, done
    assert set(os.listdir(tmp_path)) == before
