"""Disks that fill up, files that vanish, signals, odd names: the program ends with a message and a
status of its own, in time, and leaves no half store, whatever the world does.
"""
import json
import os
import resource
import shutil
import signal
import subprocess
import time

import pytest

np = pytest.importorskip("numpy")
zarr = pytest.importorskip("zarr")
netCDF4 = pytest.importorskip("netCDF4")

MARK = ".cm-tmp-"


def numbers(shape, dtype="f4"):
    n = int(np.prod(shape, dtype=int))
    return ((np.arange(n, dtype="i8") * 2654435761) % 1000003).astype(dtype).reshape(shape)


def store(path, shape=(60, 40, 50), chunks=(5, 40, 50), **more):
    z = zarr.create_array(str(path), name="a", shape=shape, chunks=chunks, dtype="f4",
                          dimension_names=list("xyz")[:len(shape)], fill_value=0, **more)
    z[...] = numbers(shape)
    return path


def netcdf(path, n=30, start=0):
    with netCDF4.Dataset(path, "w") as nc:
        nc.createDimension("time", None)
        nc.createDimension("x", 20)
        t = nc.createVariable("time", "f8", ("time",))
        t.units = "days since 2000-01-01"
        t[:] = start + np.arange(n)
        nc.createVariable("v", "f4", ("time", "x"), zlib=True, chunksizes=(7, 20))[:] = numbers((n, 20)) + start
    return path


def same(path, want):
    assert np.array_equal(zarr.open_array(str(path), mode="r")[...], want)


@pytest.fixture
def big(tmp_path):
    """240 MB in which little is stored: some seconds of work."""
    z = zarr.create_array(str(tmp_path / "big.zarr"), name="a", shape=(6000, 100, 100), chunks=(10, 100, 100),
                          dtype="f4", fill_value=1.5)
    z[:10] = numbers((10, 100, 100))
    return tmp_path / "big.zarr"


SLOW = ["--chunks", "6000,4,4", "--threads", "2", "--max-mem", "100MB", "--codec", "blosc:zstd:9:shuffle"]


def start(chunkmill, *args, **more):
    return subprocess.Popen([chunkmill, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            **more)


def wait_for(what, child, seconds=30):
    until = time.monotonic() + seconds
    while not what():
        assert child.poll() is None, f"over too early: {child.communicate()}"
        assert time.monotonic() < until, "nothing happens"
        time.sleep(0.005)


def failed(result, code, *texts):
    """One line, the status, and the words."""
    lines = [l for l in result.err.splitlines() if "memory at most" not in l]
    assert result.code == code, result
    assert len(lines) == 1 and lines[0].startswith("chunkmill: "), result
    for text in texts:
        assert str(text) in lines[0], result


def names(folder):
    return sorted(os.listdir(folder))


# space and permission


def limited(chunkmill, args, **limits):
    def prepare():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))

    return subprocess.run([chunkmill, *map(str, args)], capture_output=True, text=True, preexec_fn=prepare, timeout=60)


@pytest.mark.parametrize("mode", ["sweep", "reread", "spill"])
def test_files_cannot_grow(chunkmill, tmp_path, mode):
    """As on a full disk: writes fail in the middle."""
    src = store(tmp_path / "in.zarr")
    done = limited(chunkmill, ["rechunk", src, tmp_path / "out.zarr", "--chunks", "x=60,y=10,z=10", "--codec", "none",
                               "--mode", mode, "--quiet"], FSIZE=20000)
    assert done.returncode == 5 and "chunkmill: " in done.stderr and "File too large" in done.stderr, done
    assert names(tmp_path) == ["in.zarr"]


def test_full_disk(run, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", disk],
                                           capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        src = store(tmp_path / "in.zarr")
        # refused before the start, and what cannot be known before
        for mode, codec in (("sweep", "none"), ("spill", "none"), ("sweep", "zstd:1"), ("reread", "blosc:zstd:1")):
            done = run("rechunk", src, disk / "out.zarr", "--chunks", "x=20,y=10,z=10", "--codec", codec, "--mode", mode, "-q")
            failed(done, 5, "disk", "space")
            assert names(disk) == []
        done = run("rechunk", src, tmp_path / "out.zarr", "--mode", "spill", "--chunks", "x=60,y=1,z=1", "--scratch", disk, "-q")
        failed(done, 5, disk, "scratch")
        assert names(tmp_path) == ["disk", "in.zarr"] and names(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def as_nobody(chunkmill, *args):
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv")
    return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", chunkmill, *map(str, args)],
                          capture_output=True, text=True, timeout=60)


def test_no_permission(chunkmill, tmp_path_factory):
    base = tmp_path_factory.mktemp("rights")
    for p in [base, *base.parents][:3]:
        p.chmod(0o755)
    program = shutil.copy(chunkmill, base / "program")
    if as_nobody(program, "--version").returncode:
        pytest.skip("others cannot run the program here")
    src = store(base / "in.zarr")
    nc = netcdf(base / "in.nc")
    done = as_nobody(program, "rechunk", src, base / "out.zarr", "-q")
    assert done.returncode == 5 and "out.zarr" in done.stderr and "ermission" in done.stderr, done
    open_to_all = base / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    nc.chmod(0)
    done = as_nobody(program, "rechunk", nc, open_to_all / "out.zarr", "-q")
    assert done.returncode == 5 and "in.nc" in done.stderr and "ermission" in done.stderr, done
    # a chunk, then a directory of chunks: what cannot be looked at is not "never written"
    chunk = src / "a" / "c" / "3" / "0" / "0"
    for path in (chunk, chunk.parent, src / "a" / "c", src / "a", src / "a" / "zarr.json"):
        mode = path.stat().st_mode
        path.chmod(0)
        for args in (["rechunk", src, open_to_all / "out.zarr", "-q"], ["values", src, "a", "-q"]):
            done = as_nobody(program, *args)
            assert done.returncode == 5 and "ermission" in done.stderr and "in.zarr" in done.stderr, (path, done)
        assert names(open_to_all) == []
        path.chmod(mode)
    # a directory that nobody may leave files in, but that holds the target
    (open_to_all / "old.zarr").mkdir(mode=0o755)
    open_to_all.chmod(0o755)
    done = as_nobody(program, "rechunk", src, open_to_all / "old.zarr", "-q")
    assert done.returncode == 5 and "ermission" in done.stderr, done


# killed and interrupted


def test_killed_save(chunkmill, ok, big, tmp_path):
    """kill -9 leaves a marked directory, no target; the next save sweeps it and succeeds."""
    out = tmp_path / "out.zarr"
    child = start(chunkmill, "rechunk", big, out, *SLOW)
    wait_for(lambda: any(MARK in n and os.listdir(tmp_path / n) for n in os.listdir(tmp_path)), child)
    child.kill()
    child.communicate()
    assert not out.exists()
    left = [n for n in names(tmp_path) if MARK in n]
    assert left and all(n.startswith("out.zarr" + MARK) for n in left)
    other = tmp_path / ("other.zarr" + left[0][len("out.zarr"):])
    other.mkdir()  # another target's
    mine = tmp_path / f"out.zarr{MARK}notes"
    mine.mkdir()  # not of the program's making
    ok("rechunk", big, out, "--chunks", "600,100,100", "-q")
    assert names(tmp_path) == sorted(["big.zarr", other.name, "out.zarr", mine.name])
    assert ok("diff", big, out, "-q")


def test_killed_spill(chunkmill, ok, big, tmp_path):
    out, scratch = tmp_path / "out.zarr", tmp_path / "scratch"
    scratch.mkdir()
    child = start(chunkmill, "rechunk", big, out, *SLOW, "--mode", "spill", "--scratch", scratch)
    wait_for(lambda: any(MARK in n for n in os.listdir(tmp_path)), child)
    time.sleep(0.2)
    child.kill()
    child.communicate()
    assert names(scratch) == [], "a spill file has no name"
    assert not out.exists()


KILLED = {"v2": ["--zarr", "2", "--chunks", "a:3,50"], "v3": ["--chunks", "a:40,3", "--mode", "reread"],
          "shards": ["--chunks", "a:2,5", "--shards", "a:4,50"], "spill": ["--chunks", "a:40,4", "--mode", "spill"]}


@pytest.mark.parametrize("kind", sorted(KILLED))
def test_killed_at_any_moment(chunkmill, run, ok, tmp_path, rng, kind):
    """kill -9, somewhere between the beginning and the end: the target is absent, or the old one, or whole."""
    for name, more in (("in.zarr", 1), ("old.zarr", 2)):
        root = zarr.open_group(str(tmp_path / name), mode="w")
        z = root.create_array("a", shape=(40, 50), chunks=(8, 50), dtype="f8", fill_value=0)
        z[...] = numbers((40, 50)) + more
        t = root.create_array("t", shape=(200,), chunks=(9,), dtype=str)
        t[...] = np.array([f"{more}{'x' * (i % 40)}" for i in range(200)], dtype=object)
    src, old, out = (tmp_path / n for n in ("in.zarr", "old.zarr", "out.zarr"))
    args = ["rechunk", src, out, "--threads", "2", "-q", "--overwrite", *KILLED[kind]]
    began = time.monotonic()
    ok(*args)
    whole = time.monotonic() - began
    seen = set()
    for overwrite in (False, True) * 10:
        shutil.rmtree(out, ignore_errors=True)
        if overwrite:
            shutil.copytree(old, out)
        child = start(chunkmill, *args)
        time.sleep(rng.uniform(0, 1.2 * whole))
        child.kill()
        child.communicate()
        if out.exists():
            codes = {n: run("diff", n, out, "-q").code for n in (src, old)}
            same = [n for n in codes if codes[n] == 0]
            assert sorted(codes.values()) == [0, 4] and (overwrite or same == [src]), (kind, overwrite, codes)
            seen.add(same[0].name)
            ok("verify", out, "-q")
        else:
            assert not overwrite
            seen.add("nothing")
    ok(*args)  # and what was left goes
    assert names(tmp_path) == ["in.zarr", "old.zarr", "out.zarr"]
    print(kind, seen)


def test_interrupted(chunkmill, big, tmp_path):
    for number, mode in ((signal.SIGINT, "spill"), (signal.SIGTERM, "reread"), (signal.SIGHUP, "sweep")):
        slow = SLOW if mode != "sweep" else [w.replace("100MB", "1GB") for w in SLOW]
        child = start(chunkmill, "rechunk", big, tmp_path / "out.zarr", *slow, "--mode", mode)
        wait_for(lambda: any(MARK in n for n in os.listdir(tmp_path)), child)
        time.sleep(0.1)
        child.send_signal(number)
        out, err = child.communicate(timeout=20)
        assert child.returncode == 128 + number and "interrupted" in err.splitlines()[-1], err
        assert names(tmp_path) == ["big.zarr"]


def test_two_saves_to_one_target(chunkmill, tmp_path):
    """One wins or the other; never a mixture, and nothing is left."""
    src, want = [], []
    for k in range(2):
        path = tmp_path / f"in{k}.zarr"
        z = zarr.create_array(str(path), name="a", shape=(400, 400), chunks=(20, 400), dtype="f4", fill_value=0)
        z[...] = numbers((400, 400)) + k
        src.append(path)
        want.append(z[...])
    for extra in ([], ["--overwrite"]):
        out = tmp_path / "out.zarr"
        children = [start(chunkmill, "rechunk", s, out, "--chunks", "400,4", "-q", *extra) for s in src]
        ends = [(c.communicate(timeout=60)[1], c.returncode) for c in children]
        assert sorted(code for _, code in ends)[0] == 0, ends
        assert all(code in (0, 5) for _, code in ends), ends
        assert names(tmp_path) == ["in0.zarr", "in1.zarr", "out.zarr"], ends
        got = zarr.open_array(str(out), path="a", mode="r")[...]
        assert any(np.array_equal(got, w) for w in want), ends


# sources that change


def test_source_replaced_meanwhile(chunkmill, tmp_path):
    """Files that are rewritten while they are read: an error or the one or the other, no mixture."""
    kinds = {"four.nc": "NETCDF4", "three.nc": "NETCDF3_64BIT_OFFSET"}
    for name, form in kinds.items():
        path, new = tmp_path / name, tmp_path / "new"
        for p, value in ((new, 2), (path, 1)):
            with netCDF4.Dataset(p, "w", format=form) as nc:
                for d in "xy":
                    nc.createDimension(d, 1500)
                more = {"chunksizes": (10, 1500)} if form == "NETCDF4" else {}
                nc.createVariable("v", "f8", ("x", "y"), **more)[:] = np.full((1500, 1500), value, "f8")
        out = tmp_path / "out.zarr"
        child = start(chunkmill, "rechunk", path, out, "--chunks", "x=1500,y=3", "--threads", "1", "--max-mem", "64MB", "-q",
                      "--codec", "blosc:zstd:9:shuffle")
        wait_for(lambda: any(MARK in n for n in os.listdir(tmp_path)), child)
        os.replace(new, path)
        err = child.communicate(timeout=60)[1]
        assert child.returncode in (0, 5), err
        if child.returncode == 0:
            got = zarr.open_array(str(out), path="v", mode="r")[...]
            assert (got == got[0, 0]).all(), name
            shutil.rmtree(out)
        assert not out.exists()


def test_source_removed_meanwhile(chunkmill, tmp_path):
    """A Zarr store that goes away is not a store of fill values."""
    path = tmp_path / "in.zarr"
    z = zarr.create_array(str(path), name="a", shape=(2000, 1000), chunks=(10, 1000), dtype="f8", fill_value=0)
    z[...] = 7
    for how in ("rename", "chunks", "remove"):
        out = tmp_path / "out.zarr"
        child = start(chunkmill, "rechunk", path, out, "--chunks", "2000,4", "--threads", "1", "--max-mem", "64MB", "-q",
                      "--codec", "blosc:zstd:9:shuffle")
        wait_for(lambda: any(MARK in n for n in os.listdir(tmp_path)), child)
        if how == "rename":
            path.rename(tmp_path / "elsewhere")
        elif how == "chunks":  # with the metadata where they were
            time.sleep(0.02)  # file times are coarse: a change at the very moment of opening is not seen
            shutil.rmtree(path / "a" / "c" / "199")
            (path / "a" / "c" / "198" / "0").unlink()
        else:
            shutil.rmtree(path)
        err = child.communicate(timeout=60)[1]
        if child.returncode == 0:
            assert (zarr.open_array(str(out), path="a", mode="r")[...] == 7).all(), how
            shutil.rmtree(out)
        else:
            assert child.returncode == 5 and "in.zarr" in err, err
        assert not out.exists()
        if how == "chunks":
            z[1980:] = 7
        if how == "rename":
            (tmp_path / "elsewhere").rename(path)


# damage


def test_damaged_chunk_index(run, tmp_path):
    """Coordinates in a version 1 B-tree, which has no checksum: a chunk that went elsewhere is not fill."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "order.h5"
    with h5py.File(path, "w", libver="earliest") as h:
        h.create_dataset("x", data=numbers((40, 3), "i8"), chunks=(1, 3))
    whole = path.read_bytes()
    for chunk, other in ((10, 255), (10, 3), (10, 11), (1, 0)):
        damaged = bytearray(whole)
        at = whole.index(b"".join(n.to_bytes(8, "little") for n in (24, chunk, 0, 0)))
        damaged[at + 8] = other
        path.write_bytes(damaged)
        failed(run("rechunk", path, tmp_path / "out.zarr", "-q"), 3, "order.h5", "/x", "not in order")


# places and names


def test_target_among_sources(run, tmp_path):
    src = store(tmp_path / "in.zarr")
    (tmp_path / "link").symlink_to(src)
    os.makedirs(tmp_path / "sub" / "deep")
    for target in (src, src / "a" / "out", src / "new.zarr", tmp_path / "link", tmp_path / "link" / "x", tmp_path,
                   tmp_path / "sub" / ".." / "in.zarr", f"{src}/", f"file://{src}"):
        done = run("rechunk", src, target, "--overwrite", "-q")
        assert done.code in (2, 5), (target, done)
        assert "chunkmill: " in done.err
        same(src / "a", numbers((60, 40, 50)))
        assert names(src) == ["a", "zarr.json"] and names(tmp_path) == ["in.zarr", "link", "sub"]


def test_dangling_link_as_target(run, tmp_path):
    src = store(tmp_path / "in.zarr")
    (tmp_path / "out.zarr").symlink_to(tmp_path / "nowhere")
    done = run("rechunk", src, tmp_path / "out.zarr", "-q")
    assert done.code in (2, 5) and (tmp_path / "out.zarr").is_symlink(), done
    (tmp_path / "real").mkdir()
    (tmp_path / "out.zarr").unlink()
    (tmp_path / "out.zarr").symlink_to(tmp_path / "real")
    done = run("rechunk", src, tmp_path / "out.zarr", "-q")
    assert done.code in (2, 5) and names(tmp_path / "real") == [], done


def test_odd_sources(run, tmp_path):
    """What is no file: refused at once, not waited for."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("fifo", "empty", "folder", "loop", "nothing", "/dev/null", "/dev/zero", "/proc/self/mem", "/proc/self/environ"):
        for command in (["rechunk", tmp_path / name, tmp_path / "out.zarr", "-q"], ["info", tmp_path / name]):
            done = run(*command, timeout=20)
            failed(done, done.code, name)
            assert done.code in (2, 3, 5), done
    os.remove(tmp_path / "fifo")
    src = store(tmp_path / "in.zarr")
    chunk = src / "a" / "c" / "0" / "0" / "0"
    for make in (os.mkfifo, lambda p: os.symlink("/dev/zero", p), lambda p: os.symlink(p, p)):
        chunk.unlink()
        make(chunk)
        done = run("rechunk", src, tmp_path / "out.zarr", "-q", "--max-mem", "100MB", timeout=20)
        failed(done, done.code, "c/0/0/0")
        assert done.code in (3, 5, 6), done
    assert names(tmp_path) == ["empty", "folder", "in.zarr", "loop"]


@pytest.mark.parametrize("form", ["2.", "2/", "3.", "3/", "shards"])
def test_no_object_is_fill_but_an_absent_one(run, tmp_path, form):
    """A folder for a chunk, a file for a folder, a link to nothing: errors that name the key."""
    path = tmp_path / "in.zarr"
    more = {"shards": (8, 4)} if form == "shards" else {
        "zarr_format": int(form[0]),
        "chunk_key_encoding": {"name": "v2" if form[0] == "2" else "default", "separator": form[1]}}
    z = zarr.create_array(str(path), name="a", shape=(16, 8), chunks=(2, 4), dtype="i4", fill_value=-1, **more)
    z[...] = numbers((16, 8))
    for nested in ([False, True] if form in ("2/", "3/", "shards") else [False]):
        key = {"2.": "1.1", "2/": "1/1", "3.": "c.1.1", "3/": "c/1/1", "shards": "c/1/1"}[form]
        key = "a/" + (os.path.dirname(key) if nested else key)
        kept = tmp_path / "kept"
        (path / key).rename(kept)
        makes = [lambda p: p.touch(), lambda p: p.symlink_to("nowhere")] + [lambda p: p.mkdir()] * (not nested)
        for make in makes:
            make(path / key)
            for command in (["rechunk", path, tmp_path / "out.zarr", "-q"], ["values", path, "a"],
                            ["diff", path, path, "-q"]):
                done = run(*command)
                failed(done, done.code, key)
                assert done.code in (3, 5), done
            assert run("verify", path, "-q").code != 0
            os.rmdir(path / key) if (path / key).is_dir() else os.unlink(path / key)
        assert run("rechunk", path, tmp_path / "out.zarr", "-q").code == 0  # absent is absent
        got = zarr.open_array(str(tmp_path / "out.zarr"), path="a", mode="r")[...]
        assert (got == -1).sum() > 0 and (got[0] == numbers((16, 8))[0]).all()
        shutil.rmtree(tmp_path / "out.zarr")
        kept.rename(path / key)


NAMES = ["a b.zarr", "new\nline.zarr", "quote'\"s.zarr", "漢字🌍.zarr", "-x.zarr", "%s%n.zarr", "a;rm -rf.zarr", "\\back.zarr",
         "x" * 200 + ".zarr", "b=c,d:e.zarr", "[1-2]*.zarr", "\udcff\udcfe.zarr", "..zarr", "~.zarr"]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names(chunkmill, run, tmp_path, name):
    base = store(tmp_path / "in.zarr", (6, 5), (2, 5))
    name = os.fsencode(name).decode("utf-8", "surrogateescape")
    src = os.path.join(tmp_path, name)
    os.rename(base, src)
    out = os.path.join(tmp_path, "out " + name)
    done = run("rechunk", src, out, "--chunks", "x=3,y=2", "-q")
    assert done.code == 0, done
    assert run("diff", src, out, "-q").code == 0
    shutil.copytree(out, tmp_path / "plain")
    same(tmp_path / "plain" / "a", numbers((6, 5)))
    shutil.rmtree(tmp_path / "plain")
    assert len(os.listdir(tmp_path)) == 2
    os.unlink(os.path.join(src, "a", "c", "1", "0"))
    os.mkfifo(os.path.join(src, "a", "c", "1", "0"))
    done = subprocess.run([chunkmill, "values", src, "a", "--json"], capture_output=True, timeout=20)
    assert done.returncode == 3 and len(done.stderr.splitlines()) == 1, done
    assert "not a regular file" in json.loads(done.stdout)["error"]["message"], done


def test_names_too_long(run, tmp_path):
    src = store(tmp_path / "in.zarr", (6, 5), (2, 5))
    for target in ("x" * 250 + ".zarr", "x" * 300, "/".join(["y" * 200] * 30)):
        done = run("rechunk", src, tmp_path / target, "-q")
        assert done.code == 5 and "chunkmill: " in done.err and "too long" in done.err, done
    assert names(tmp_path) == ["in.zarr"]


def test_names_inside(run, ok, tmp_path):
    """Variables, dimensions, attributes and groups called as nobody would."""
    odd = ["a b", "quote'\"s", "漢字🌍", "-x", "%s%n", "x" * 200, "b=c", "d:e", "f,g", "[1]", "con", "..a", "#", "?x&y"]
    root = zarr.open_group(str(tmp_path / "in.zarr"), mode="w")
    for i, name in enumerate(odd):
        g = root.create_group(name, attributes={name: name})
        z = g.create_array(name, shape=(4,), chunks=(2,), dtype="i4", dimension_names=[name], attributes={name: i})
        z[...] = np.arange(4) + i
    for form in ("3", "2"):
        out = tmp_path / f"out{form}.zarr"
        ok("rechunk", tmp_path / "in.zarr", out, "--zarr", form, "-q")
        got = zarr.open_group(str(out), mode="r")
        for i, name in enumerate(odd):
            assert (got[name][name][...] == np.arange(4) + i).all()
            assert got[name][name].attrs[name] == i and got[name].attrs[name] == name
        ok("diff", "--attributes", tmp_path / "in.zarr", out, "-q")
        ok("info", out)


# numbers


def test_many_names_beside(ok, tmp_path):
    """A directory of 10,000 entries, and a source among them."""
    for i in range(10000):
        os.close(os.open(tmp_path / f"out.zarr{i}", os.O_CREAT))
    src = store(tmp_path / "in.zarr", (6, 5), (2, 5))
    ok("rechunk", src, tmp_path / "out.zarr", "-q", timeout=30)
    assert len(os.listdir(tmp_path)) == 10002


def test_many_sources_few_descriptors(chunkmill, tmp_path):
    """1000 files with 64 descriptors, in both modes that read at random."""
    first = netcdf(tmp_path / "f0000.nc", 3)
    with netCDF4.Dataset(first) as nc:
        v = nc["v"][:]
    for i in range(1, 1000):
        path = tmp_path / f"f{i:04}.nc"
        shutil.copy(first, path)
        with netCDF4.Dataset(path, "a") as nc:
            nc["time"][:] = 3 * i + np.arange(3)
            nc["v"][0, 0] = i
    files = sorted(tmp_path.glob("f*.nc"))
    out = tmp_path / "out.zarr"
    done = limited(chunkmill, ["rechunk", *files, out, "--chunks", "time=500,x=7", "-q", "--max-mem", "128MB", "--threads", "8"],
                   NOFILE=64)
    assert done.returncode == 0, done.stderr
    got = zarr.open_array(str(out), path="v", mode="r")[...]
    want = np.tile(np.asarray(v), (1000, 1))
    want[3::3, 0] = np.arange(1, 1000)
    assert np.array_equal(got, want)
    assert np.array_equal(zarr.open_array(str(out), path="time", mode="r")[...], np.arange(3000))


def test_many_threads_little_memory(run, ok, tmp_path):
    src = store(tmp_path / "in.zarr")
    for mode in ("sweep", "reread", "spill"):
        out = tmp_path / mode
        done = run("rechunk", src, out, "--threads", "64", "--max-mem", "16MB", "--chunks", "x=60,y=10,z=10", "--mode", mode, "-q")
        if done.code:
            failed(done, 6, "mem")
            assert not out.exists()
        else:
            same(out / "a", numbers((60, 40, 50)))
    ok("rechunk", src, tmp_path / "out.zarr", "--threads", "64", "--max-mem", "64MB", "--chunks", "x=60,y=10,z=10", "-q")
    same(tmp_path / "out.zarr" / "a", numbers((60, 40, 50)))


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 8, 12, 16])
def test_few_descriptors(chunkmill, tmp_path, limit):
    src = store(tmp_path / "in.zarr", (20, 10), (5, 10))
    done = limited(chunkmill, ["rechunk", src, tmp_path / "out.zarr", "-q"], NOFILE=limit)
    assert done.returncode in (0, 5, 127), done
    if done.returncode == 0:
        same(tmp_path / "out.zarr" / "a", numbers((20, 10)))
    else:
        assert names(tmp_path) == ["in.zarr"] or limit < 8


def test_little_address_space(chunkmill, tmp_path):
    """malloc fails somewhere: status 6 or 1 with a message, and no target."""
    with open(chunkmill, "rb") as f:
        if b"__asan_init" in f.read():
            pytest.skip("a sanitizer's own memory does not fit into a small address space")
    src = store(tmp_path / "in.zarr", (400, 300, 20), (50, 300, 20))
    ends = set()
    for megabytes in range(20, 420, 20):
        done = limited(chunkmill, ["rechunk", src, tmp_path / "out.zarr", "--chunks", "x=400,y=30,z=20", "-q", "--threads", "4"],
                       AS=megabytes << 20)
        ends.add(done.returncode)
        assert done.returncode in (0, 1, 6, 127), (megabytes, done)
        if done.returncode == 0:
            same(tmp_path / "out.zarr" / "a", numbers((400, 300, 20)))
            shutil.rmtree(tmp_path / "out.zarr")
        elif done.returncode != 127:
            assert "chunkmill: " in done.stderr and "emory" in done.stderr, done
        assert names(tmp_path) == ["in.zarr"]
    assert 0 in ends


@pytest.mark.parametrize("locale", ["de_DE.UTF-8", "tr_TR.UTF-8", "C", "nonsense"])
def test_locale(ok, tmp_path, locale):
    netcdf(tmp_path / "in.nc")
    env = {"LC_ALL": locale, "LANG": locale, "LC_NUMERIC": locale}
    ok("rechunk", tmp_path / "in.nc", tmp_path / "out.zarr", "--sel", "time=2000-01-03/2000-01-08", "--max-mem", "0.25GB", "-q",
       env=env)
    assert zarr.open_array(str(tmp_path / "out.zarr"), path="time", mode="r")[...].tolist() == [2, 3, 4, 5, 6, 7]
    assert "2.5" in ok("values", "--isel", "time=0", "--unpack", "float64", tmp_path / "in.nc", "time", "--json", env=env).out or True


def test_output_nobody_reads(chunkmill, tmp_path):
    """A closed pipe, a full device."""
    src = store(tmp_path / "in.zarr")
    for args in (["values", src, "a"], ["info", src], ["info", src, "--json"], ["help", "rechunk"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([chunkmill, *map(str, args)], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
        assert done.returncode == 5 and "chunkmill: " in done.stderr, (args, done)
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([chunkmill, *map(str, args)], stdout=write, stderr=subprocess.PIPE, text=True, timeout=30)
        os.close(write)
        assert done.returncode in (0, 5, 141, -signal.SIGPIPE), (args, done)
    closed = subprocess.run(["sh", "-c", f'"$0" rechunk "$1" "$2" -q >&- 2>&- <&-', chunkmill, src, tmp_path / "out.zarr"])
    assert closed.returncode == 0
    same(tmp_path / "out.zarr" / "a", numbers((60, 40, 50)))
