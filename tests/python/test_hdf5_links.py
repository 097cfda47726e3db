"""Groups with several names, and files that lead to other files."""
import os
import subprocess
import warnings

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")
from conftest import find_program  # noqa: E402

warnings.simplefilter("ignore")
PROGRAM = os.path.abspath(find_program())


def run(*args, status=0, cwd=None):
    done = subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True, timeout=60, cwd=cwd)
    assert done.returncode == status, (done.returncode, done.stderr, done.stdout[-1000:])
    return done


def numbers(*args):
    return [int(x) for x in run("values", "-q", *args).stdout.split()]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_names_of_groups(tmp_path, libver):
    path = f"{tmp_path}/a.h5"
    with h5py.File(path, "w", libver=libver) as h:
        g = h.create_group("a/b")
        g["x"] = np.arange(3) * 7
        h["soft"] = h5py.SoftLink("/a/b")
        h["relative"] = h5py.SoftLink("a")
        h["hard"] = h["a"]
        h["of_soft"] = h5py.SoftLink("/soft")
        h["through"] = h5py.SoftLink("/hard/b/x")
        g["up"] = h5py.SoftLink("/a")
        g["round"] = h["a"]
        h["nowhere"] = h5py.SoftLink("/nobody")
        h["self"] = h5py.SoftLink("/self")
        paths = ["/a/b/x", "/soft/x", "/relative/b/x", "/hard/b/x", "/of_soft/x", "/through", "/soft/up/b/x", "/a/b/round/b/up/b/x"]
        want = {p: h[p][()].tolist() for p in paths}
    assert {p: numbers(path, p) for p in paths} == want
    done = run("info", path)
    assert done.stdout.count("group /a/b") == 1 and "group /soft" not in done.stdout
    for name, group in (("/soft", "/a/b"), ("/relative", "/a"), ("/a/b/round", "/a"), ("/a/b/up", "/a")):
        assert f"{name} is another name of the group {group}," in done.stderr, done.stderr
    assert "/hard is another name of the group /a," in done.stderr or "/a is another name of the group /hard," in done.stderr
    assert "x(" in run("info", "--group", "/relative/b", path).stdout
    for _ in range(2):  # a cache has no such names: the file is opened each time
        assert "x(" in run("info", "--cache", f"{tmp_path}/cache", "--group", "/soft", path).stdout
    store = f"{tmp_path}/a.zarr"
    run("rechunk", path, store, "--skip", "nowhere,self")
    assert numbers(store, "/a/b/x") == want["/a/b/x"] and not os.path.exists(f"{store}/soft")
    run("values", path, "/soft/y", status=2)


def write_far(tmp_path):
    """main/a.h5 leads to files in far/ in every way, by '..' and by absolute paths."""
    for d in ("main/deep", "far", "moved"):
        os.makedirs(f"{tmp_path}/{d}")
    far = f"{tmp_path}/far"
    with h5py.File(f"{far}/b.h5", "w") as h:
        h["g/x"] = np.arange(6, dtype="<i4") * 11
        h["part0"] = np.arange(3, dtype="<i4") + 100
        h["back"] = h5py.ExternalLink("../main/a.h5", "/own")
        h["next"] = h5py.ExternalLink("c.h5", "/y")
    with h5py.File(f"{far}/c.h5", "w") as h:
        h["y"] = np.arange(4, dtype="<i4") - 9
    with h5py.File(f"{tmp_path}/main/beside.h5", "w") as h:
        h["z"] = np.arange(2, dtype="<i4") + 5
    np.arange(8, dtype="<i4").tofile(f"{far}/raw.bin")
    with h5py.File(f"{tmp_path}/main/a.h5", "w", libver="latest") as h:
        h["own"] = np.arange(2, dtype="<i4")
        for how, to in (("up", "../far"), ("full", far)):
            h[f"link_{how}"] = h5py.ExternalLink(f"{to}/b.h5", "/g/x")
            h[f"chain_{how}"] = h5py.ExternalLink(f"{to}/b.h5", "/next")
            h[f"back_{how}"] = h5py.ExternalLink(f"{to}/b.h5", "/back")
            layout = h5py.VirtualLayout((6,), "<i4")
            layout[...] = h5py.VirtualSource(f"{to}/b.h5", "g/x", (6,))
            h.create_virtual_dataset(f"virtual_{how}", layout, fillvalue=-1)
            h.create_dataset(f"raw_{how}", (8,), "<i4", external=[(f"{to}/raw.bin", 0, 32)])
        h["moved"] = h5py.ExternalLink("/nobody/has/this/beside.h5", "/z")
        layout = h5py.VirtualLayout((2,), "<i4")
        layout[...] = h5py.VirtualSource("/nobody/has/this/beside.h5", "z", (2,))
        h.create_virtual_dataset("virtual_moved", layout, fillvalue=-1)
        h["group_up"] = h5py.ExternalLink("../far/b.h5", "/g")
        h["nothing"] = h5py.ExternalLink("../far/missing.h5", "/g")
    return f"{tmp_path}/main/a.h5"


FAR = ["link", "chain", "back", "virtual", "raw"]


def test_paths_are_not_trusted(tmp_path):
    path = write_far(tmp_path)
    done = run("info", path)
    assert done.stdout.count("which is not below its own folder (--trust-paths reads it all the same)") >= 6 + 2, done.stdout
    for name in [f"{k}_{how}" for k in FAR for how in ("up", "full")] + ["moved", "virtual_moved"]:
        done = run("values", path, name, status=3)
        assert "--trust-paths" in done.stderr, (name, done.stderr)
    assert numbers(path, "own") == [0, 1]


def test_trusted_paths(tmp_path):
    path = write_far(tmp_path)
    here = os.getcwd()
    os.chdir(f"{tmp_path}/main")  # libhdf5 takes relative names of external data from there
    try:
        with h5py.File(path) as h:
            want = {f"{k}_{how}": h[f"{k}_{how}"][()].tolist() for k in FAR for how in ("up", "full")}
            want |= {k: h[k][()].tolist() for k in ("moved", "virtual_moved", "group_up/x")}
    finally:
        os.chdir(here)
    assert want["virtual_full"] == want["link_up"] == [0, 11, 22, 33, 44, 55] and want["virtual_moved"] == [5, 6]
    assert {k: numbers("--trust-paths", path, k) for k in want} == want
    os.chdir(f"{tmp_path}/main/deep")
    try:
        assert numbers("--trust-paths", "../a.h5", "raw_up") == want["raw_up"]
        assert numbers("--trust-paths", "../a.h5", "virtual_up") == want["virtual_up"]
    finally:
        os.chdir(here)
    done = run("values", "--trust-paths", path, "nothing", status=3)
    assert "a file that is not there" in done.stderr
    store, refs = f"{tmp_path}/a.zarr", f"{tmp_path}/a.json"
    run("rechunk", "--trust-paths", path, store, "--skip", "nothing")
    assert {k: numbers(store, k) for k in want} == want
    run("virtualize", "--trust-paths", "--no-inline", path, refs, "--vars", "raw_up,raw_full,link_full")
    assert {k: numbers(refs, k) for k in ("raw_up", "raw_full", "link_full")} == {k: want[k] for k in ("raw_up", "raw_full", "link_full")}
    for _ in range(2):
        done = run("rechunk", "--trust-paths", "--cache", f"{tmp_path}/cache", path, store, "--skip", "nothing", "--overwrite")
        assert {k: numbers(store, k) for k in want} == want
    run("rechunk", "--cache", f"{tmp_path}/cache", path, store, "--overwrite", status=3)  # what the cache has is not trusted


def test_trusted_loops(tmp_path):
    """Files that lead to one another from different folders."""
    for d in "ab":
        os.makedirs(f"{tmp_path}/{d}")
    for d, other in ("ab", "ba"):
        with h5py.File(f"{tmp_path}/{d}/f.h5", "w") as h:
            h["x"] = np.arange(3, dtype="<i4") + ord(d)
            h["there"] = h5py.ExternalLink(f"../{other}/f.h5", "/")
            h["round"] = h5py.ExternalLink(f"../{other}/f.h5", "/round")
            layout = h5py.VirtualLayout((3,), "<i4")
            layout[...] = h5py.VirtualSource(f"../{other}/f.h5", "v", (3,))
            h.create_virtual_dataset("v", layout, fillvalue=-1)
    path = f"{tmp_path}/a/f.h5"
    done = run("info", "--trust-paths", path)
    assert "group /there" in done.stdout
    assert numbers("--trust-paths", path, "/there/x") == [98, 99, 100]
    assert done.stdout.count("/there") < 10
    assert "links that lead to links" in run("values", "--trust-paths", path, "round", status=6).stderr
    assert "nested more than" in run("values", "--trust-paths", path, "v", status=6).stderr
