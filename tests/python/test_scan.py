"""Scan tables: what comes out of them is what the files say, file by file over the corpora, joined, and over a
cache; and whatever changed, is damaged or is gone is noticed."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from conftest import ROOT
from test_virtualize import FORMS, write

h5py = pytest.importorskip("h5py")
netCDF4 = pytest.importorskip("netCDF4")

OLD = 1_000_000_000  # seconds; files as new as now are not cached


def age(path, seconds=0):
    os.utime(path, (OLD + seconds, OLD + seconds))
    return path


def rest(files):
    """The system's own time of change cannot be set back: files younger than a tenth of a second are not cached."""
    young = max(pathlib.Path(f).stat().st_ctime for f in files if os.path.isabs(f)) if os.path.isabs(files[0]) else 0
    time.sleep(min(max(young + 0.12 - time.time(), 0), 0.12))


@pytest.fixture()
def four(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    files = [str(age(write(folder / f"f{i}.nc", 2 * i))) for i in range(4)]
    rest(files)
    return files


def make_odd(path, external):
    """What tables do not describe, beside what they do."""
    np.arange(12, dtype="<i4").tofile(path.parent / "raw.bin")
    with h5py.File(path.parent / "part.h5", "w") as f:
        f["d"] = np.arange(20.0)
    with h5py.File(path, "w") as f:
        f["names"] = np.array(["one", "zwei", "ünf"], dtype=h5py.string_dtype())
        f["fixed"] = np.array([b"abc", b"de"], dtype="S5")
        f["flags"] = np.array([True, False, True])
        f.create_dataset("outside", (12,), "<i4", external=[("raw.bin", 0, 48)] if external else None)
        layout = h5py.VirtualLayout((40,), "f8")
        layout[:20] = h5py.VirtualSource("part.h5", "d", (20,))
        layout[20:] = h5py.VirtualSource("part.h5", "d", (20,))
        f.create_virtual_dataset("virtual", layout, fillvalue=-1)
        f["plain"] = np.arange(6, dtype=">i2").reshape(2, 3)
        d = f.create_dataset("masked", (100, 4), "i8", chunks=(7, 3), compression="gzip", shuffle=True, fillvalue=7)
        d[10:60] = np.arange(200).reshape(50, 4)
        d.id.write_direct_chunk((0, 0), np.arange(21, dtype="i8").tobytes(), filter_mask=3)
        f.create_dataset("never", (1 << 20, 1 << 20), "f4", chunks=(1, 1 << 20), fillvalue=2)
        f["compound"] = np.zeros(3, dtype=[("a", "i4"), ("b", "f8", (2,))])
        f["g/deep/x"] = np.float32(3)
        f["g"].attrs["text"] = 'quote " and ü'
        f["g"].attrs["numbers"] = np.array([1.5, np.nan, -np.inf])
    return str(path)


@pytest.fixture(params=[False, True], ids=["", "external"])
def odd(tmp_path, request):
    return make_odd(tmp_path / "odd.h5", request.param)


def everything(run, path, names):
    """What info says of it, without its own name."""
    out = []
    for command in (["info", "--json", "--chunks"], ["info"]):
        done = run(*command, path)
        text = done.out + f"{done.code}"
        for name in names:
            text = text.replace(str(name), "FILE")
        out.append(text)
    return out


def dump(path, *more):
    program = os.environ.get("CM_DUMP")
    if not program:
        pytest.skip("CM_DUMP is not set: no cells are compared")
    done = subprocess.run([program, "--chunk-list", *more, str(path)], capture_output=True, text=True, timeout=300)
    return done.stdout


def check(run, path, tables, cells=True):
    """The tables of one file against the file."""
    assert everything(run, path, [path]) == everything(run, tables, [tables, path])
    want, got = dump(path, *([] if cells else ["--no-values"])), dump(tables, *([] if cells else ["--no-values"]))
    assert got.replace(str(tables), str(path)) == want
    return len(want)


# ---- one file ---------------------------------------------------------------------------------

ENORMOUS = ["tiny_huge_1d_over_maxint.hdf5", "100B_max_dimension_size.hdf5"]


def test_every_file_of_the_corpora(corpus, run, tmp_path):
    tables, n, deferred = tmp_path / "t.tables", 0, 0
    for path in sorted(p for p in corpus.rglob("*") if p.is_file()):
        plain = run("info", "--json", path)
        done = run("scan", "--json", path, "--out", tables, "--overwrite")
        if plain.code:
            assert done.code, path
            continue
        if done.code:
            assert "hold NetCDF and HDF5" in done.err, (path, done.err)  # references
            continue
        check(run, path, tables, cells=path.name not in ENORMOUS)
        n += 1
        deferred += done.json()["deferred"]
    assert n >= 100, n
    print(f"{n} files, {deferred} variables deferred")


@pytest.mark.parametrize("folder", ["hdf5", "netcdf3"])
def test_seed_files_of_the_fuzzers(run, tmp_path, folder):
    tables, n = tmp_path / "t.tables", 0
    for path in sorted((ROOT / "fuzz" / "corpus" / folder).iterdir()):
        if run("info", path).code == 0:
            assert run("scan", path, "--out", tables, "--overwrite").code == 0
            check(run, path, tables)
            n += 1
    assert n >= 10


def test_odd_things(odd, run, ok, tmp_path):
    tables = tmp_path / "t.tables"
    done = ok("scan", odd, "--out", tables, "--json", "-v")
    assert done.json()["deferred"] >= 3 and "opened from the files" in done.err
    check(run, odd, tables, cells=False)
    for name in ["names", "fixed", "flags", "outside", "virtual", "plain", "masked", "g/deep/x"]:
        a, b = run("values", odd, name), run("values", tables, name)
        assert (a.code, a.out) == (b.code, b.out) and a.code == 0, name
        a, b = run("info", odd, "--chunk-list", name), run("info", tables, "--chunk-list", name)
        assert (a.code, a.out) == (b.code, b.out), name
    outs = []
    for source in (odd, tables):
        for form in FORMS:
            target = tmp_path / f"{len(outs)}-{form}"
            done = run("virtualize", source, target, "--skip", "compound,never,masked")
            kind = done.err.split("/")[-1] if done.code else ""
            outs.append((done.code, kind, target.read_text() if target.is_file() else ""))
    assert outs[:2] == outs[2:]


def test_zarr_of_it_is_the_same(odd, run, ok, tmp_path):
    tables = tmp_path / "t.tables"
    ok("scan", odd, "--out", tables)
    for name, source in (("a.zarr", odd), ("b.zarr", tables)):
        ok("rechunk", source, tmp_path / name, "--skip", "compound,never")
    diff = subprocess.run(["diff", "-r", tmp_path / "a.zarr", tmp_path / "b.zarr"], capture_output=True, text=True)
    assert diff.returncode == 0, diff.stdout[:500]


# ---- many ------------------------------------------------------------------------------------

@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["NETCDF4", "NETCDF3_64BIT_OFFSET"])
def test_joined_the_same(tmp_path, ok, form, kind):
    files = [write(tmp_path / f"f{i}.nc", 2 * i, fmt=kind, contiguous=kind != "NETCDF4") for i in range(5)]
    ok("virtualize", *files, tmp_path / f"a-{form}", "--concat", "time")
    ok("scan", *files[:2], "--out", tmp_path / "1.tables")
    ok("scan", *files[3:], "--out", tmp_path / "2.tables")
    ok("scan", tmp_path / "1.tables", files[2], tmp_path / "2.tables", "--out", tmp_path / "all.tables")
    names = [["all.tables"], ["1.tables", "f2.nc", "2.tables"], ["2.tables", "f2.nc", "1.tables"]]
    for i, sources in enumerate(names):
        target = tmp_path / f"b{i}-{form}"
        ok("virtualize", *[tmp_path / s for s in sources], target, "--concat", "time")
        same = subprocess.run(["diff", "-r", tmp_path / f"a-{form}", target], capture_output=True)
        assert same.returncode == 0
    ok("diff", *files, tmp_path / f"b0-{form}")
    info = ok("info", "--json", tmp_path / "all.tables").json()
    assert "time = 10" in ok("info", tmp_path / "all.tables").out and info
    ok("rechunk", tmp_path / "all.tables", tmp_path / "c.zarr")
    ok("diff", *files, tmp_path / "c.zarr")


def test_memory_does_not_grow(four, tmp_path, ok, chunkmill):
    """Open, write down, close: of thousands of files only the index is held."""
    if re.search(b"__[at]san_init", pathlib.Path(chunkmill).read_bytes()):
        pytest.skip("a sanitizer's memory is not ours to bound")
    peaks = []
    for n in (100, 3000):
        listing = tmp_path / "list"
        listing.write_text("\n".join(four * (n // 4)))
        done = ok("scan", "--files-from", listing, "--out", tmp_path / f"{n}.tables", "--json").json()
        assert done["files"] == n
        peaks.append(done["peak_memory"])
    assert peaks[1] < peaks[0] + 4e6, peaks


@pytest.mark.parametrize("more", [[], ["--no-inline"]])
def test_joining_opens_no_file(four, tmp_path, ok, more):
    ok("virtualize", *four, tmp_path / "a.json", "--concat", "time", *more)
    ok("scan", *four, "--out", tmp_path / "t.tables")
    if not shutil.which("strace"):
        pytest.skip("no strace")
    trace = tmp_path / "trace"
    done = subprocess.run(["strace", "-f", "-e", "trace=open,openat,openat2", "-o", trace, os.environ["CM_PROGRAM"],
                           "virtualize", tmp_path / "t.tables", tmp_path / "b.json", "--concat", "time",
                           *more], capture_output=True)
    if done.returncode and b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    text = trace.read_text()
    assert "t.tables" in text and not [line for line in text.splitlines() if ".nc\"" in line]
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()


def test_survey(four, tmp_path, run, ok):
    """Of files, of tables, with a cache: the same, and a damaged table is a finding."""
    want = run("survey", *four, "--json", cwd=tmp_path)
    ok("scan", *four[:3], "--out", tmp_path / "t.tables")
    got = run("survey", tmp_path / "t.tables", four[3], "--json")
    assert (want.code, want.json()) == (got.code, got.json()) == (0, want.json())
    for _ in range(2):
        got = run("survey", *four, "--json", "--cache", tmp_path / "c.cache")
        assert (want.code, want.json()) == (got.code, got.json())
    assert run("survey", tmp_path / "t.tables", "--json", "--cache", tmp_path / "c.cache").json()["files"] == 3
    data = bytearray((tmp_path / "t.tables").read_bytes())
    data[-40] ^= 1
    (tmp_path / "t.tables").write_bytes(data)
    got = run("survey", tmp_path / "t.tables", four[3], "--json")
    assert got.code == 3 and got.json()["files"] == 2 and "damaged" in got.out


def test_survey_with_a_cache_opens_nothing(four, tmp_path, ok):
    cache, trace = tmp_path / "c.cache", tmp_path / "trace"
    ok("survey", *four, "--cache", cache)
    if not shutil.which("strace"):
        pytest.skip("no strace")
    done = subprocess.run(["strace", "-f", "-e", "trace=open,openat,openat2", "-o", trace, os.environ["CM_PROGRAM"],
                           "survey", *four, "--cache", cache], capture_output=True)
    if done.returncode and b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0 and not opened(trace), done.stderr


def test_files_are_elsewhere(four, tmp_path, run, ok):
    """The one that joins need not see the files; whoever reads cells does."""
    with h5py.File(four[0], "a") as f:  # too large to come along
        f["large"] = np.arange(20000.0)
    ok("scan", four[0], "--out", tmp_path / "one.tables")
    ok("scan", *four[1:], "--out", tmp_path / "three.tables")
    want = ok("info", "--json", tmp_path / "three.tables").out
    ok("virtualize", *four[1:], tmp_path / "a.json", "--concat", "time")
    shutil.move(os.path.dirname(four[0]), tmp_path / "away")
    assert ok("info", "--json", tmp_path / "three.tables").out == want
    ok("values", tmp_path / "three.tables", "time")
    ok("virtualize", tmp_path / "three.tables", tmp_path / "b.json", "--concat", "time")
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()
    ok("rechunk", tmp_path / "one.tables", tmp_path / "small.zarr", "--skip", "large")
    done = run("rechunk", tmp_path / "one.tables", tmp_path / "c.zarr")
    assert done.code == 5 and "f0.nc" in done.err and not (tmp_path / "c.zarr").exists()


def test_workers_with_xargs(four, tmp_path, chunkmill):
    """The example of docs/commands/scan.md, as it stands there."""
    text = (ROOT / "docs" / "commands" / "scan.md").read_text()
    block = text.split("<!-- xargs -->")[1].split("```")[1].removeprefix("sh\n")
    assert "| xargs -0 -P" in block and "virtualize" in block
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "chunkmill").symlink_to(chunkmill)
    done = subprocess.run(["sh", "-eu", "-c", block], cwd=os.path.dirname(four[0]), capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr
    subprocess.run([chunkmill, "diff", *four, os.path.join(os.path.dirname(four[0]), "cube.json")], check=True)


# ---- what is noticed --------------------------------------------------------------------------

def test_other_files_change(tmp_path, run, ok):
    """What opening asked of other files is asked again, whatever is kept of the file itself."""
    main, other, raw = tmp_path / "a.h5", tmp_path / "b.h5", tmp_path / "raw.bin"
    cache, tables = tmp_path / "c.cache", tmp_path / "t.tables"

    def write_other(n):
        with h5py.File(other, "w") as f:
            f["x"] = np.arange(n)
            f["x"].attrs["scale_factor"] = n / 2
        np.arange(n, n + 3, dtype="<i4").tofile(raw)

    def same():
        want = ok("info", "--json", main).out
        assert ok("info", "--json", main, "--cache", cache).out == want
        assert ok("info", "--json", tables).out == want
        for name in ("x", "raw"):
            assert run("values", main, name).out == run("values", tables, name).out

    write_other(3)
    with h5py.File(main, "w") as f:
        f["x"] = h5py.ExternalLink("b.h5", "/x")
        f.create_dataset("raw", (3,), "<i4", external=[("raw.bin", 0, 12)])
        f["own"] = np.arange(5)
    age(main)
    assert ok("scan", main, "--out", tables, "--json").json()["deferred"] == 3
    same()
    write_other(7)
    same()
    os.remove(other)
    same()
    write_other(4)
    same()


def test_virtual_datasets_grow(tmp_path, ok):
    """How long one is depends on the files that are there today."""
    main, cache, tables = tmp_path / "a.h5", tmp_path / "c.cache", tmp_path / "t.tables"

    def part(k):
        with h5py.File(tmp_path / f"part-{k}.h5", "w") as f:
            f["d"] = np.arange(4.0) + 10 * k

    part(0)
    with h5py.File(main, "w", libver="latest") as f:
        space = h5py.h5s.create_simple((4,), (h5py.h5s.UNLIMITED,))
        source = h5py.h5s.create_simple((4,))
        space.select_hyperslab((0,), (h5py.h5s.UNLIMITED,), (4,), (4,))
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_virtual(space, b"part-%b.h5", b"/d", source)
        h5py.h5d.create(f.id, b"v", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((4,), (h5py.h5s.UNLIMITED,)), plist)
    age(main)
    ok("scan", main, "--out", tables)
    for k in (1, 2):
        want = ok("info", "--json", main).out
        assert ok("info", "--json", main, "--cache", cache).out == want == ok("info", "--json", tables).out
        assert f'{4 * k}' in want
        part(k)
    assert ok("values", tables, "v").out == ok("values", main, "v").out and "23" in ok("values", tables, "v").out


def test_changed_files(four, tmp_path, run, ok):
    ok("scan", *four, "--out", tmp_path / "t.tables")
    write(four[2], 40)
    done = run("virtualize", tmp_path / "t.tables", tmp_path / "a.json", "--concat", "time")
    assert done.code == 5 and "f2.nc" in done.err and "scan it again" in done.err, done.err
    assert not (tmp_path / "a.json").exists()
    ok("scan", *four, "--out", tmp_path / "t.tables", "--overwrite")
    ok("virtualize", tmp_path / "t.tables", tmp_path / "a.json", "--concat", "time")


def test_names(four, tmp_path, run, ok):
    target = tmp_path / "t.tables"
    assert "--out" in run("scan", *four).err
    assert run("scan", "--out", target).code == 2
    ok("scan", *four, "--out", target)
    done = run("scan", *four, "--out", target)
    assert done.code == 5 and "--overwrite" in done.err
    assert run("scan", *four, "--out", four[0], "--overwrite").code == 2
    ok("rechunk", four[0], tmp_path / "z.zarr")
    done = run("scan", tmp_path / "z.zarr", "--out", tmp_path / "u.tables")
    assert done.code == 3 and "z.zarr" in done.err and "name it itself" in done.err
    ok("virtualize", four[0], tmp_path / "r.json")
    done = run("scan", tmp_path / "r.json", "--out", tmp_path / "u.tables")
    assert done.code == 3 and "NetCDF and HDF5" in done.err
    done = run("scan", four[0], tmp_path / "nope.nc", "--out", tmp_path / "u.tables")
    assert done.code == 5 and "nope.nc" in done.err and not (tmp_path / "u.tables").exists()
    listing = tmp_path / "list"
    listing.write_text("\n".join(four))
    assert ok("scan", "--files-from", listing, "--out", tmp_path / "v.tables", "--json").json()["files"] == 4
    assert not [p for p in tmp_path.iterdir() if "cm-tmp" in p.name]


def test_damaged_tables(four, tmp_path, run, ok, rng):
    tables, bad = tmp_path / "t.tables", tmp_path / "bad.tables"
    ok("scan", *four, "--out", tables)
    whole = tables.read_bytes()
    want = ok("info", "--json", tables).out
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 1, 1, 5])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        bad.write_bytes(data if rng.random() < 0.7 else data[:rng.randrange(len(data))])
        done = run("info", "--json", bad)
        if done.code == 0:
            assert done.out.replace(str(bad), str(tables)) == want
        else:
            assert done.code in (2, 3, 5) and done.err.strip()


# ---- the cache --------------------------------------------------------------------------------

def opened(trace):
    return {os.path.basename(line.split('"')[1]) for line in trace.read_text().splitlines()
            if '.nc"' in line and " = -1 " not in line}


def join(ok, files, target, cache, **more):
    rest(files)
    done = ok("virtualize", *files, target, "--concat", "time", "--overwrite", "--cache", cache, "-v", **more)
    says = [line for line in done.err.splitlines() if "in the cache" in line]
    return tuple(int(x) for x in says[0].split() if x.isdigit()), done.err


def test_cache(four, tmp_path, ok):
    plain, target, cache = tmp_path / "plain.json", tmp_path / "c.json", tmp_path / "c.cache"
    ok("virtualize", *four, plain, "--concat", "time")
    assert join(ok, four[:3], target, cache)[0] == (0, 3)
    assert join(ok, four, target, cache)[0] == (3, 4)
    assert target.read_text() == plain.read_text()
    assert join(ok, four, target, cache)[0] == (4, 4)
    assert target.read_text() == plain.read_text()
    # other names of the same files
    assert join(ok, [os.path.relpath(f, tmp_path) for f in four], target, cache, cwd=tmp_path)[0] == (4, 4)
    assert target.read_text() == plain.read_text()
    # a changed file: other content, or only another time
    age(write(four[1], 2, shift=100), 1)
    os.utime(four[2], (OLD + 5, OLD + 5))
    ok("virtualize", *four, plain, "--concat", "time", "--overwrite")
    assert join(ok, four, target, cache)[0] == (2, 4)
    assert target.read_text() == plain.read_text()
    assert join(ok, four, target, cache)[0] == (4, 4)
    # a file that is replaced by another of the same size and time
    other = write(tmp_path / "other.nc", 200)
    age(other)
    if os.path.getsize(other) == os.path.getsize(four[0]):
        os.replace(other, four[0])
        ok("virtualize", *four, plain, "--concat", "time", "--overwrite")
        assert join(ok, four, target, cache)[0] == (3, 4)
        assert target.read_text() == plain.read_text()
    # one that is gone: others go on, its entry stays
    nbytes = cache.stat().st_size
    os.remove(four[3])
    assert join(ok, four[:3], target, cache)[0] == (3, 3)
    assert cache.stat().st_size == nbytes


def test_cache_and_a_time_set_back(four, tmp_path, ok):
    """Rewritten in place: path, inode, size and mtime are as before, only the system knows."""
    plain, target, cache = tmp_path / "plain.json", tmp_path / "c.json", tmp_path / "c.cache"
    join(ok, four, target, cache)
    before, old = os.stat(four[1]), target.read_text()
    write(tmp_path / "other.nc", 2, shift=100)
    content = (tmp_path / "other.nc").read_bytes()
    if len(content) != before.st_size:
        pytest.skip("the two files are not of one size")
    with open(four[1], "r+b") as f:
        f.write(content)
    age(four[1])
    after = os.stat(four[1])
    assert all(getattr(before, x) == getattr(after, x) for x in ("st_ino", "st_size", "st_mtime_ns"))
    assert join(ok, four, target, cache)[0] == (3, 4)
    ok("virtualize", *four, plain, "--concat", "time", "--overwrite")
    assert target.read_text() == plain.read_text() != old
    # so little as another link: opened again, the same comes out
    os.link(four[2], tmp_path / "link.nc")
    assert join(ok, four, target, cache)[0] == (3, 4)
    assert join(ok, four, target, cache)[0] == (4, 4)
    assert target.read_text() == plain.read_text()
    # tables that travel have no such time, also when they are made of a cache
    for source in (cache, four[1]):
        ok("scan", source, "--out", tmp_path / "t.tables", "--overwrite")
        os.utime(four[1], ns=(after.st_atime_ns, after.st_mtime_ns))
        ok("info", tmp_path / "t.tables")


def test_cache_opens_only_what_is_new(four, tmp_path, ok):
    target, cache, trace = tmp_path / "c.json", tmp_path / "c.cache", tmp_path / "trace"
    join(ok, four[:3], target, cache)
    if not shutil.which("strace"):
        pytest.skip("no strace")
    done = subprocess.run(["strace", "-f", "-e", "trace=open,openat,openat2", "-o", trace, os.environ["CM_PROGRAM"],
                           "virtualize", *four, target, "--concat", "time", "--overwrite", "--no-inline", "--cache",
                           cache], capture_output=True)
    if done.returncode and b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0 and opened(trace) == {"f3.nc"}, done.stderr


def test_cache_and_young_files(four, tmp_path, ok):
    cache = tmp_path / "c.cache"
    os.utime(four[0])
    os.utime(four[1], (time.time() + 1000,) * 2)
    assert join(ok, four, tmp_path / "c.json", cache)[0] == (0, 4)
    assert join(ok, four, tmp_path / "c.json", cache)[0][0] in (2, 3)


def test_cache_of_everything_else(four, odd, tmp_path, ok, run):
    """Unreadable variables, deferred ones, stores, references and tables, with the same cache."""
    cache = tmp_path / "c.cache"
    age(odd)
    ok("rechunk", four[0], tmp_path / "z.zarr")
    ok("virtualize", four[0], tmp_path / "r.json")
    ok("scan", four[0], "--out", tmp_path / "t.tables")
    sources = [odd, tmp_path / "z.zarr", tmp_path / "r.json", tmp_path / "t.tables", four[0]]
    for _ in range(2):
        for source in sources:
            plain, kept = run("info", "--json", "--chunks", source), run("info", "--json", "--chunks", source, "--cache",
                                                                        cache)
            assert (plain.code, plain.out) == (kept.code, kept.out), source
    ok("diff", odd, odd, "--skip", "compound,never")
    done = run("info", four[0], "--cache", cache, "--format", "hdf5")
    assert done.code == 2 and "--format" in done.err


def test_damaged_cache(four, tmp_path, ok, run, rng):
    """A warning and a fresh scan, never other data."""
    plain, target, cache = tmp_path / "plain.json", tmp_path / "c.json", tmp_path / "c.cache"
    ok("virtualize", *four, plain, "--concat", "time")
    join(ok, four, target, cache)
    whole = cache.read_bytes()
    warned = 0
    for i in range(60):
        data = bytearray(whole)
        data[rng.randrange(8, len(data))] ^= 1 << rng.randrange(8)
        if i % 3 == 0:
            data = data[:rng.randrange(9, len(data))]
        cache.write_bytes(data)
        err = join(ok, four, target, cache)[1]
        warned += "warning" in err
        assert target.read_text() == plain.read_text()
        if "warning" in err:
            assert join(ok, four, target, cache)[0] == (4, 4)
    assert warned >= 55
    for empty in (b"", whole[:5]):
        cache.write_bytes(empty)
        join(ok, four, target, cache)
        assert join(ok, four, target, cache)[0] == (4, 4)
    cache.write_text("my diary")
    done = run("virtualize", *four, target, "--concat", "time", "--overwrite", "--cache", cache)
    assert done.code == 2 and "is no cache" in done.err and cache.read_text() == "my diary"
    done = run("info", four[0], "--cache", four[1])
    assert done.code == 2 and "is no cache" in done.err


def test_cache_that_cannot_be_written(four, tmp_path, ok):
    done = ok("info", four[0], "--cache", tmp_path / "no" / "such" / "folder")
    assert "was not written" in done.err


def test_one_cache_many_processes(four, tmp_path, chunkmill, ok):
    """At the same time, and some of them killed: it is whole at any moment, and all results are right."""
    cache, plain = tmp_path / "c.cache", tmp_path / "plain.json"
    ok("virtualize", *four, plain, "--concat", "time")
    running = []
    for i in range(24):
        part = four[: 1 + i % 4] if i % 5 else four
        running.append((part, tmp_path / f"{i}.json", subprocess.Popen(
            [chunkmill, "virtualize", *part, tmp_path / f"{i}.json", "--concat", "time", "--cache", cache],
            stderr=subprocess.PIPE, text=True)))
        if i % 6 == 5:
            running[-1][2].send_signal(signal.SIGKILL)
    for i, (part, target, process) in enumerate(running):
        err = process.communicate()[1]
        if i % 6 == 5:
            continue
        assert process.returncode == 0 and "warning" not in err, err
        if len(part) == 4:
            assert target.read_text() == plain.read_text()
    join(ok, four, tmp_path / "end.json", cache)
    assert join(ok, four, tmp_path / "end.json", cache)[0] == (4, 4)
    assert (tmp_path / "end.json").read_text() == plain.read_text()
