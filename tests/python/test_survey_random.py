"""Random sets of odd files: what survey says is what rechunk and virtualize then do, without options and with each
option of a join."""

import pathlib
import shutil

import netCDF4
import numpy as np
import pytest
from test_virtual_random import make

SETS = 8
OPTIONS = [[], ["--concat", "time"], ["--static", "first"], ["--unpack", "float64"], ["--order", "given"], ["--order", "name"],
           ["--unsorted", "sort"], ["--order", "given", "--unsorted", "refuse"], ["--duplicates", "first"],
           ["--duplicates", "keep"], ["--gaps", "refuse"], ["--gaps", "fill"], ["--gaps", "ignore"], ["--stack", "member"],
           ["--stack", "member", "--coord", "member=name:f([0-9]+)"], ["--coord", "time=values:5,2,9,1"], ["--merge"],
           ["--merge", "--concat", "time", "--order", "given"]]


def move_times(rng, path):
    """Steps that repeat, are missing, go back or lie inside of another file."""
    with netCDF4.Dataset(path, "r+") as nc:
        t = nc["time"]
        t.set_auto_maskandscale(False)
        values = np.array(t[:])
        what = rng.choice(["shift", "turn", "same", "gap"])
        if what == "shift":
            values = values + values.dtype.type(rng.choice([-1, 1, 2, -3, 100]))
        elif what == "turn":
            values = values[::-1]
        elif what == "same" and len(values) > 1:
            values[1] = values[0]
        else:
            values[len(values) // 2:] += values.dtype.type(rng.choice([3, 24]))
        t[:] = values
    return what


def verdicts(run, files, options, folder):
    found = run("survey", *files, *options, "--json", "-q")
    assert found.code in (0, 3), (options, found)
    report = found.json()
    copy = run("rechunk", *files, folder / "x.zarr", *options, "--dry-run", "-q")
    refer = None
    if "--unpack" not in options:
        refer = run("virtualize", *files, folder / "x.json", *options, "--dry-run", "-q").code == 0
    return found, report, copy, refer


def check(run, files, options, folder, tally):
    found, report, copy, refer = verdicts(run, files, options, folder)
    what = (options, report["joinable"], report["virtualizable"], copy, refer, report["findings"])
    assert report["joinable"] == (found.code == 0), what
    assert report["joinable"] == (copy.code == 0), what
    assert refer is None or report["virtualizable"] == refer, what
    for key, verdict in (("rechunk", report["joinable"]), ("virtualize", report["virtualizable"])):
        blocked = [f for f in report["findings"] if key in f["blocks"]]
        if "--unpack" not in options:
            assert bool(blocked) == (not verdict), what
    tally["joins" if report["joinable"] else "does not"] += 1
    tally["refers"] += report["virtualizable"]


def test_random_sets(run, rng, seed, tmp_path):
    tally = {"joins": 0, "does not": 0, "refers": 0}
    for i in range(SETS):
        folder = tmp_path / f"s{i}"
        folder.mkdir()
        files, changes, base, _ = make(rng, folder)
        moved = []
        if files[0].endswith(".nc") and rng.random() < 0.5:
            moved = [move_times(rng, rng.choice(files)) for _ in range(rng.randint(1, 2))]
        for options in [OPTIONS[0], *rng.sample(OPTIONS[1:], 6)]:
            try:
                check(run, files, options, folder, tally)
            except BaseException:
                print(f"seed {seed}, set {i}: {[pathlib.Path(f).name for f in files]} {changes} {moved}\n{base}")
                raise
        shutil.rmtree(folder)
    print(tally)
    assert tally["joins"] > SETS and tally["does not"] > 5 and tally["refers"] > 5
