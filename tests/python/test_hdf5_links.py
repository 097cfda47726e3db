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
