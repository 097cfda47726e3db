"""survey: every planted difference is named, with its files; and it says what rechunk and virtualize then do.

Archives are made here: 365 small files once, and random ones of 1 to 6 files in which some files are made
different in one or two ways. For each the answer must be the one that `rechunk --dry-run` and `virtualize` give.
"""

import json
import pathlib
import shutil
import struct
import warnings

import numpy as np
import pytest

warnings.simplefilter("ignore")
netCDF4 = pytest.importorskip("netCDF4")
h5py = pytest.importorskip("h5py")

LAT, LON = 96, 192  # 12 steps of float32 are 0.9 MB: two files are more than virtualize writes into the references

PLAIN = dict(
    steps=12, first=0, start=0, dtype="f4", chunk=(2, 48, 192), level=2, shuffle=True, endian="native", scale=None, fill=None,
    units="days since 2001-01-01", calendar="standard", time_dtype="f8", v_units="K", lat_bits=0, missing=None, extra=None,
    lon=LON, fmt="NETCDF4", zlib=True, title="a", mask=False, unwritten=False, reverse=False, turn=False, reftime=None,
    bounds=False, contiguous=False, text=False, dims=("time", "lat", "lon"), group=False)


def write(path, **how):
    o = {**PLAIN, **how}
    o["contiguous"] = o["contiguous"] and o["steps"] > 0
    with netCDF4.Dataset(path, "w", format=o["fmt"]) as nc:
        nc.title = o["title"]
        root = nc
        if o["group"]:
            nc = nc.createGroup("g")
        nc.createDimension("time", None if not o["contiguous"] else o["steps"])
        nc.createDimension("lat", LAT)
        nc.createDimension("lon", o["lon"])
        new = o["fmt"] == "NETCDF4"
        time = nc.createVariable("time", o["time_dtype"], ("time",))
        time.units = o["units"]
        if o["calendar"]:
            time.calendar = o["calendar"]
        times = o["first"] - o["start"] + np.arange(o["steps"], dtype="f8")
        if "hours" in o["units"]:
            times = times * 24
        if o["reverse"] and len(times):
            times = times[::-1]
        if o["turn"] and len(times) > 2:
            times[2] = times[0]
        time[:] = times
        if o["bounds"]:
            nc.createDimension("two", 2)
            time.bounds = "time_bnds"
            nc.createVariable("time_bnds", "f8", ("time", "two"))[:] = np.stack([times, times + 1], 1)
        lat = nc.createVariable("lat", "f4", ("lat",))
        values = np.linspace(-80, 80, LAT).astype("f4")
        values.view("u4")[3] += o["lat_bits"]
        lat[:] = values
        lat.units = "degrees_north"
        if o["reftime"]:
            ref = nc.createVariable("reftime", "f8", ())
            ref.units = o["reftime"][0]
            ref[...] = o["reftime"][1]
        if o["text"]:
            nc.createVariable("station", str, ("lat",))[:] = np.array([f"s{i}" for i in range(LAT)], object)
        more = dict(endian=o["endian"]) if new else {}
        if new and o["contiguous"]:
            more["contiguous"] = True
        elif new:
            more.update(zlib=o["zlib"], complevel=o["level"], shuffle=o["shuffle"], chunksizes=o["chunk"])
        lengths = {"time": o["steps"], "lat": LAT, "lon": o["lon"]}
        shape = [lengths[d] for d in o["dims"]]
        if "chunksizes" in more:
            more["chunksizes"] = [max(1, min(c, n)) for c, n in zip(more["chunksizes"], shape)]
        for name in ["v", *([o["extra"]] if o["extra"] else [])]:
            if name == o["missing"]:
                continue
            v = nc.createVariable(name, o["dtype"], o["dims"], fill_value=o["fill"], **more)
            v.set_auto_maskandscale(False)
            v.units = o["v_units"]
            if o["scale"]:
                v.scale_factor = o["scale"]
            cells = (np.arange(np.prod(shape)).reshape(shape) % 9973 + o["first"]).astype(o["dtype"])
            if o["unwritten"] and o["dims"][0] == "time":
                v[: o["steps"] // 2] = cells[: o["steps"] // 2]
            else:
                v[:] = cells
        del root
    if o["mask"]:
        with h5py.File(path, "r+") as f:
            d = f["v"]
            d.id.write_direct_chunk((0, 0, 0), np.zeros(d.chunks, d.dtype).tobytes(), filter_mask=3)
    return str(path)


def archive(folder, n, odd=None, **all_files):
    """n files of 12 steps; odd: {number: how it is different}."""
    odd = odd or {}
    return [write(folder / f"f{i:03d}.nc", **{**all_files, "first": 12 * i, **odd.get(i, {})}) for i in range(n)]


def survey(run, *args):
    r = run("survey", *args, "--json")
    assert r.code in (0, 3), r.err
    report = r.json()
    assert (r.code == 0) == (report["joinable"] and report.get("as_schema", True))
    return report


def agrees(run, files, folder, *options):
    """What survey says is what rechunk and virtualize do. The report."""
    report = survey(run, *files, *options)
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    rechunk = run("rechunk", *files, out / "o.zarr", "--dry-run", *options)
    virtual = run("virtualize", *files, out / "o.json", *options)
    assert report["joinable"] == (rechunk.code == 0), (rechunk.err, report["findings"])
    assert report["virtualizable"] == (virtual.code == 0), (virtual.err, report["findings"])
    blocks = [set(f["blocks"]) for f in report["findings"]]
    assert report["joinable"] == (not any("rechunk" in b for b in blocks)), (rechunk.err, report["findings"])
    assert report["virtualizable"] == (not any("virtualize" in b for b in blocks)), (virtual.err, report["findings"])
    return report


def finding(report, about, variable=None):
    found = [f for f in report["findings"] if f["about"] == about and (not variable or variable in f["variables"])]
    assert len(found) == 1, (about, report["findings"])
    return found[0]


def files_of(report, group):
    return [report["sources"][k] for a, b in group["files"] for k in range(a, b + 1)]


# ---- planted differences ---------------------------------------------------------------------------------------

# how one file is different; what is said of it; of which variable; what it blocks
PLANTED = {
    "dtype": (dict(dtype="f8"), "dtype", "/v", "rechunk"),
    "chunks": (dict(chunk=(1, 48, 192)), "chunks", "/v", "virtualize"),
    "compression": (dict(zlib=False, shuffle=False), "codecs", "/v", "virtualize"),
    "level": (dict(level=7), "codecs", "/v", None),
    "byte order": (dict(endian="big"), "byte_order", "/v", "virtualize"),
    "scale": (dict(dtype="f4", scale=0.5), "scale_factor", "/v", "rechunk"),
    "fill": (dict(fill=-1.0), "_FillValue", "/v", "rechunk"),
    "units": (dict(v_units="degC"), "units", "/v", "rechunk"),
    "calendar": (dict(calendar="noleap"), "calendar", "/time", "rechunk"),
    "reference date": (dict(units="days since 2001-01-11", start=10), "units", "/time", None),
    "last bit": (dict(lat_bits=1), "values", "/lat", "rechunk"),
    "missing": (dict(missing="v"), "missing", "/v", "rechunk"),
    "extra": (dict(extra="w"), "extra", "/w", "rechunk"),
    "lengths": (dict(lon=LON - 1), "lengths", "/v", "rechunk"),
    "dimensions": (dict(dims=("time", "lon", "lat")), "dimensions", "/v", "rechunk"),
    "layout": (dict(fmt="NETCDF3_CLASSIC"), "layout", "/v", "virtualize"),
    "contiguous": (dict(contiguous=True), "layout", "/v", "virtualize"),
    "partial": (dict(steps=11), "partial_chunk", "/v", "virtualize"),
    "filter mask": (dict(mask=True), "filter_mask", "/v", "virtualize"),
    "duplicate": (dict(first=11), "duplicate", "/time", "rechunk"),
    "overlap": (dict(first=7), "overlap", "/time", "rechunk"),
    "direction": (dict(reverse=True), "direction", "/time", "rechunk"),
    "not monotonic": (dict(turn=True), "not_monotonic", "/time", "rechunk"),
    "gap": (dict(first=13, steps=11, chunk=(1, 48, 192)), "gap", "/time", None),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted(run, tmp_path, name):
    how, about, variable, blocks = PLANTED[name]
    odd = {1: how}
    if name == "overlap":  # it would begin with a value of the file before, which has the same one
        odd[1] = dict(first=7.5)
    common = dict(chunk=(1, 48, 192)) if name == "gap" else {}
    files = archive(tmp_path, 4, odd, **common)
    report = agrees(run, files, tmp_path)
    f = finding(report, about, variable)
    assert f["blocks"] == {"rechunk": ["rechunk", "virtualize"], "virtualize": ["virtualize"], None: []}[blocks]
    if "events" in f:
        assert files[1] in (f["events"][0]["file"], f["events"][0].get("other")), f
    else:
        assert [files_of(report, g) for g in f["others"]] == [[files[1]]], f
    if "majority" in f:
        assert f["majority"]["count"] == 3
    lines = run("survey", *files).out
    assert len(lines.splitlines()) < 40 and ("f001.nc" in lines), lines


def test_two_files_and_one(run, tmp_path):
    files = archive(tmp_path, 2, {1: dict(dtype="f8")})
    report = agrees(run, files, tmp_path)
    assert finding(report, "dtype")["blocks"] == ["rechunk", "virtualize"]
    report = agrees(run, files[:1], tmp_path)
    assert report["joinable"] and report["virtualizable"] and report["findings"] == []
    assert report["order"]["steps"] == 12


def test_files_that_do_not_open(run, tmp_path):
    files = archive(tmp_path, 5)
    pathlib.Path(files[1]).write_bytes(b"no such format" * 100)
    whole = pathlib.Path(files[2]).read_bytes()
    pathlib.Path(files[2]).write_bytes(whole[: len(whole) // 2])
    folder = tmp_path / "folder.nc"
    folder.mkdir()
    names = [*files, str(folder), str(tmp_path / "gone.nc")]
    report = agrees(run, names, tmp_path)
    assert report["files"] == 7 and report["readable"] == 3
    bad = [f for f in report["findings"] if f["about"] == "unreadable"]
    assert {n for f in bad for g in f["others"] for n in files_of(report, g)} == {files[1], files[2], *names[5:]}
    left = [s for s in report["plan"] if s["do"] == "leave out"][0]["lists"][0]
    assert files_of(report, left) == [files[0], files[3], files[4]]
    only = survey(run, names[5], names[6])
    assert not only["joinable"] and only["readable"] == 0


def test_unreadable_variable(run, tmp_path):
    files = archive(tmp_path, 3)
    with h5py.File(files[1], "r+") as f:
        f.create_dataset("odd", (4,), dtype=h5py.special_dtype(ref=h5py.Reference))
    report = agrees(run, files, tmp_path)
    assert not report["joinable"]
    assert agrees(run, files, tmp_path, "--skip", "odd")["joinable"] is False  # most files have none to skip


def test_skip_and_usage(run, tmp_path):
    files = archive(tmp_path, 3, {2: dict(dtype="f8")})
    assert agrees(run, files, tmp_path, "--skip", "v")["joinable"]
    assert run("survey", *files, "--skip", "nothing").code == 2
    assert run("survey", *files, "--concat", "nothing").code == 2
    assert run("survey").code == 2
    assert run("survey", *files, "--write").code == 2
    assert agrees(run, files, tmp_path, "--vars", "lat", "--concat", "lat")["joinable"] is False


def test_packing_and_unpack(run, tmp_path):
    files = archive(tmp_path, 3, {2: dict(scale=0.25)}, dtype="i2", scale=0.5)
    assert not agrees(run, files, tmp_path)["joinable"]
    assert agrees(run, files, tmp_path, "--unpack=float64")["joinable"]


def test_static_first(run, tmp_path):
    files = archive(tmp_path, 3, {1: dict(lat_bits=5)})
    report = agrees(run, files, tmp_path)
    assert [s["do"] for s in report["plan"]].count("static first") == 1
    assert agrees(run, files, tmp_path, "--static", "first")["joinable"]


def test_static_times_are_compared_as_instants(run, tmp_path):
    same = ("days since 2000-01-01", 0), ("days since 2000-01-02", -1)
    files = archive(tmp_path, 4, {1: dict(reftime=same[1])}, reftime=same[0])
    assert agrees(run, files, tmp_path)["joinable"]
    files = archive(tmp_path, 4, {1: dict(reftime=("days since 2000-01-02", 5))}, reftime=same[0])
    report = agrees(run, files, tmp_path)
    assert finding(report, "times")["variables"] == ["/reftime"]


def test_times_that_cannot_be_said(run, tmp_path):
    files = archive(tmp_path, 3, {1: dict(units="hours since 2001-01-01T12:00:00", start=0)}, time_dtype="i4")
    report = agrees(run, files, tmp_path)
    assert not report["joinable"]
    assert finding(report, "times")["variables"] == ["/time"]


def test_bounds_have_their_parents_units(run, tmp_path):
    files = archive(tmp_path, 3, {1: dict(units="days since 2001-01-11", start=10)}, bounds=True)
    assert agrees(run, files, tmp_path)["joinable"]
    files = archive(tmp_path, 3, {1: dict(calendar="noleap")}, bounds=True)
    assert not agrees(run, files, tmp_path)["joinable"]


def test_dimension_that_nobody_names(run, tmp_path):
    for k, lengths in enumerate([(12, 12, 12), (12, 8, 12)]):
        folder = tmp_path / str(k)
        folder.mkdir()
        first, files = 0, []
        for i, steps in enumerate(lengths):
            files.append(write(folder / f"f{i}.nc", contiguous=True, steps=steps, first=first))
            first += steps
        assert agrees(run, files, folder)["dimension"] == "time"
    same = [write(tmp_path / f"s{i}.nc", contiguous=True) for i in range(2)]
    report = agrees(run, same, tmp_path)
    assert report["dimension"] is None and finding(report, "dimension")


def test_unwritten_chunks(run, tmp_path):
    for fill in (None, -1.0):
        files = archive(tmp_path, 4, {3: dict(unwritten=True)}, fill=fill)
        report = agrees(run, files, tmp_path)
        assert report["joinable"]


def test_groups(run, tmp_path):
    files = archive(tmp_path, 3, {1: dict(dtype="f8")}, group=True)
    assert finding(agrees(run, files, tmp_path), "dtype")["variables"] == ["/g/v"]
    files = archive(tmp_path, 3, group=True)
    assert agrees(run, files, tmp_path, "--group", "/g")["joinable"]


def test_netcdf3_of_every_length(run, tmp_path):
    lengths, first, files = [5, 3, 8, 1], 0, []
    for i, steps in enumerate(lengths):
        files.append(write(tmp_path / f"f{i}.nc", fmt="NETCDF3_64BIT_OFFSET", steps=steps, first=first))
        first += steps
    report = agrees(run, files, tmp_path)
    assert report["joinable"] and report["order"]["steps"] == 17
    data = pathlib.Path(files[1]).read_bytes()
    pathlib.Path(files[1]).write_bytes(data[: len(data) - 4000])
    report = survey(run, *files)
    assert files_of(report, finding(report, "truncated")["others"][0]) == [files[1]]


def test_order_is_by_value(run, tmp_path):
    files = archive(tmp_path, 4)
    report = agrees(run, [files[2], files[0], files[3], files[1]], tmp_path)
    assert report["joinable"] and not report["order"]["as_listed"]
    assert report["order"]["first"].startswith("2001-01-01") and report["order"]["step"] == "1 day"
    assert "listed in another order" in run("survey", *reversed(files)).out


# ---- the plan --------------------------------------------------------------------------------------------------

def run_plan(run, report, folder, commands, files):
    for line in commands:
        words = line.split()
        assert words[0] == "chunkmill"
        at = words.index("FILES") if "FILES" in words else None
        words = [w for w in words[1:] if w != "FILES"]
        if at is not None:
            words[1:1] = files
        assert run(*words, cwd=folder).code == 0, line


def test_eras(run, tmp_path):
    files = archive(tmp_path, 6, {i: dict(dtype="f8") for i in (3, 4, 5)})
    report = survey(run, *files, "--lists", tmp_path)
    split = [s for s in report["plan"] if s["do"] == "split"][0]
    assert [files_of(report, x) for x in split["lists"]] == [files[:3], files[3:]]
    run_plan(run, report, tmp_path, split["commands"], files)
    assert (tmp_path / "era-1.zarr").is_dir() and (tmp_path / "era-2.zarr").is_dir()
    assert run("survey", *files, "--lists", tmp_path).code == 5
    text = run("survey", *files, "--lists", tmp_path, "--overwrite")
    assert text.code == 3 and f"--files-from {tmp_path}/era-1.txt" in text.out


def test_odd_ones_out(run, tmp_path):
    files = archive(tmp_path, 9, {i: dict(v_units="degC") for i in (2, 5, 7)})
    report = survey(run, *files, "--lists", tmp_path)
    out = [s for s in report["plan"] if s["do"] == "leave out"][0]
    assert files_of(report, out["lists"][0]) == [f for i, f in enumerate(files) if i not in (2, 5, 7)]
    run_plan(run, report, tmp_path, out["commands"], files)
    skip = [s for s in report["plan"] if s["do"] == "skip"][0]
    run_plan(run, report, tmp_path, skip["commands"], files)


def test_plan_of_other_ways(run, tmp_path):
    files = archive(tmp_path, 2)
    for i in range(2):
        files.append(write(tmp_path / f"w{i}.nc", first=12 * i, missing="v", extra="w"))
    report = survey(run, *files)
    assert not report["joinable"]
    run_plan(run, report, tmp_path, [s for s in report["plan"] if s["do"] == "merge"][0]["commands"], files)
    same = [write(tmp_path / f"s{i}.nc", contiguous=True) for i in range(2)]
    (stack,) = [s for s in survey(run, *same)["plan"] if s["do"] == "stack"]
    shutil.rmtree(tmp_path / "cube.zarr")
    run_plan(run, report, tmp_path, stack["commands"], same)
    shutil.rmtree(tmp_path / "cube.zarr")
    twice = archive(tmp_path, 3, {1: dict(first=11)})
    (order,) = [s for s in survey(run, *twice)["plan"] if s["do"] == "order"]
    run_plan(run, report, tmp_path, order["commands"], twice)


def test_plan_of_references(run, tmp_path):
    files = archive(tmp_path, 4, {1: dict(chunk=(1, 48, 192))})
    report = survey(run, *files)
    step = [s for s in report["plan"] if s["do"] == "references"][0]
    run_plan(run, report, tmp_path, step["commands"][:1], files)
    shutil.rmtree(tmp_path / "cube.parq")
    run_plan(run, report, tmp_path, step["commands"][1:], files)


# ---- schema ----------------------------------------------------------------------------------------------------

def test_schema(run, tmp_path):
    files = archive(tmp_path, 4, {3: dict(chunk=(1, 48, 192))})
    schema = tmp_path / "s.json"
    assert run("survey", *files, "--schema", schema).code == 5
    assert run("survey", *files, "--schema", schema, "--write").code == 0
    assert run("survey", *files, "--schema", schema, "--write").code == 5
    assert run("survey", *files, "--schema", schema, "--write", "--overwrite").code == 0
    assert run("survey", *files[:3], "--schema", schema).code == 0
    report = survey(run, *files, "--schema", schema)
    assert report["joinable"] and not report["as_schema"]
    (d,) = report["schema_differences"]
    assert (d["about"], d["variable"], d["schema"]) == ("chunks", "/v", [2, 48, 192])
    assert files_of(report, d["others"][0]) == [files[3]]
    assert "chunks should be 2 x 48 x 192, but is 1 x 48 x 192" in run("survey", *files, "--schema", schema).out
    later = write(tmp_path / "later.nc", first=600, units="days since 2002-01-01", start=365)
    assert run("survey", later, "--schema", schema).code == 0
    for how in (dict(dtype="f8"), dict(lat_bits=1), dict(missing="v"), dict(extra="w"), dict(calendar="noleap")):
        odd = write(tmp_path / "odd.nc", first=700, **how)
        assert run("survey", odd, "--schema", schema).code == 3, how
    text = json.loads(schema.read_text())
    del text["variables"]["/v"]["chunks"]
    schema.write_text(json.dumps(text))
    assert run("survey", *files, "--schema", schema).code == 0
    text["variables"]["/v"]["colour"] = "red"
    schema.write_text(json.dumps(text))
    assert run("survey", *files, "--schema", schema).code == 2
    for bad in ("", "[]", '{"format": "other"}', "{", '{"format": "chunkmill-schema", "variables": {"/v": [1]}}',
                '{"format": "chunkmill-schema", "variables": [1], "dimension": 3}',
                '{"format": "chunkmill-schema", "variables": {}, "dimension": "depth"}'):
        schema.write_text(bad)
        assert run("survey", *files, "--schema", schema).code in (2, 3)


# ---- many files ------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """A year of days. One file is written and then changed in its bytes: the time is one number."""
    folder = tmp_path_factory.mktemp("year")
    mark = struct.pack("<d", 12345.0)
    write(folder / "model.nc", steps=1, first=12345, chunk=(1, 48, 192))
    model = (folder / "model.nc").read_bytes()
    assert model.count(mark) == 1
    files = []
    for i in range(365):
        files.append(str(folder / f"day-{i:03d}.nc"))
        pathlib.Path(files[-1]).write_bytes(model.replace(mark, struct.pack("<d", float(i))))
    return files


def test_a_year(run, year, tmp_path):
    report = agrees(run, year, tmp_path)
    assert report["joinable"] and report["virtualizable"] and report["findings"] == []
    assert report["order"]["steps"] == 365 and report["order"]["step"] == "1 day"
    odd = list(year)
    odd[100] = write(tmp_path / "a.nc", steps=1, first=100, chunk=(1, 48, 192), dtype="f8")
    odd[200] = write(tmp_path / "b.nc", steps=1, first=200, chunk=(1, 48, 192), lat_bits=1)
    del odd[300]
    report = agrees(run, odd, tmp_path)
    assert files_of(report, finding(report, "dtype")["others"][0]) == [odd[100]]
    assert files_of(report, finding(report, "values")["others"][0]) == [odd[200]]
    assert finding(report, "dtype")["majority"]["count"] == 363
    text = run("survey", *odd).out
    assert len(text.splitlines()) < 30 and "a.nc" in text and "b.nc" in text
    names = tmp_path / "names.txt"
    names.write_text("".join(f"{n}\n" for n in year[:299] + year[300:]))
    report = survey(run, "--files-from", names)
    (gap,) = finding(report, "gap")["events"]
    assert gap["file"] == year[300] and gap["n"] == 1 and report["joinable"]


def test_memory_does_not_grow(run, year, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("".join(f"{n}\n" for n in year * 20))
    report = survey(run, "--files-from", names, "--max-mem", "64MB", "--static", "first")
    assert report["files"] == 7300 and not report["joinable"]
    assert len(finding(report, "duplicate")["events"]) == 19 * 365


# ---- random archives -------------------------------------------------------------------------------------------

WAYS = [
    dict(dtype="f8"), dict(dtype="i2"), dict(chunk=(1, 48, 192)), dict(chunk=(3, 96, 96)), dict(zlib=False, shuffle=False),
    dict(shuffle=False), dict(level=9), dict(endian="big"), dict(scale=0.5), dict(fill=-1.0), dict(fill=-2.0),
    dict(v_units="degC"), dict(v_units=" K"), dict(calendar="gregorian"), dict(calendar="noleap"), dict(calendar=None),
    dict(units="days since 2001-01-11", start=10), dict(units="hours since 2001-01-01"), dict(lat_bits=1), dict(missing="v"),
    dict(extra="w"), dict(lon=LON - 1), dict(dims=("time", "lon", "lat")), dict(fmt="NETCDF3_CLASSIC"), dict(contiguous=True),
    dict(steps=11), dict(steps=13), dict(steps=1), dict(steps=0), dict(mask=True), dict(unwritten=True), dict(reverse=True), dict(turn=True),
    dict(title="b"), dict(reftime=("days since 2000-01-01", 3)), dict(bounds=True), dict(text=True), dict(group=True),
    dict(time_dtype="i4"), dict(time_dtype="f4")]

STORED = [w for w in WAYS if set(w) <= {"chunk", "zlib", "shuffle", "level", "endian", "fmt", "contiguous", "steps", "mask",
                                        "unwritten", "units", "start"}]


def test_random_archives(run, tmp_path, rng):
    tally = {"joinable": 0, "virtualizable": 0, "neither": 0}
    for _ in range(60):
        common = {}
        for way in rng.sample(WAYS, rng.randint(0, 3)):
            common.update(way)
        if common.get("fmt") == "NETCDF3_CLASSIC" or common.get("contiguous"):
            for name in ("mask", "text", "group"):
                common.pop(name, None)
        n, files, first = rng.randint(1, 5), [], 0
        odd = rng.sample(range(n), rng.choice([0, 1, 1, 2]) % (n + 1))
        ways = rng.choice([WAYS, STORED])
        for i in range(n):
            how = dict(common)
            if i in odd:
                how.update(rng.choice(ways))
            if how.get("fmt") == "NETCDF3_CLASSIC":
                how = {k: v for k, v in how.items() if k not in ("text", "group", "mask")}
            if (how.get("group") or how.get("contiguous") or how.get("missing") or how.get("zlib") is False
                    or how.get("dims") or how.get("dtype", "f4") != "f4" or how.get("chunk")):
                how.pop("mask", None)
            steps = how.get("steps", 12)
            how["first"] = first + rng.choice([0] * 20 + [1, -1, 40])
            files.append(write(tmp_path / f"r{i}.nc", **how))
            first += steps
        rng.shuffle(files)
        options = rng.choice([[], [], [], ["--static", "first"], ["--concat", "time"], ["--skip", "v"]])
        if options == ["--skip", "v"] and (common.get("group") or common.get("missing") or odd):
            options = []
        report = agrees(run, files, tmp_path, *options)
        key = "virtualizable" if report["virtualizable"] else "joinable" if report["joinable"] else "neither"
        tally[key] += 1
    print(tally)
    assert min(tally.values()) >= 3, tally


# ---- other sources ---------------------------------------------------------------------------------------------

def test_stores_references_and_tables(run, ok, tmp_path):
    files = archive(tmp_path, 5)
    stores = []
    for i, f in enumerate(files):
        stores.append(str(tmp_path / f"s{i}.zarr"))
        ok("rechunk", f, stores[-1], "--zarr", 2 + i % 2, "--chunks", "v:time=2,lat=48,lon=192", "--codec", "zlib:3")
    mixed = [stores[0], files[1], stores[2], files[3]]
    assert agrees(run, stores[:1], tmp_path)["virtualizable"]
    assert agrees(run, stores, tmp_path)["joinable"]
    assert agrees(run, mixed, tmp_path)["joinable"]
    other = str(tmp_path / "t.zarr")
    ok("rechunk", files[4], other, "--zarr", 2, "--chunks", "v:time=3", "--codec", "zstd:3")
    report = agrees(run, [*stores[:4], other], tmp_path)
    assert report["joinable"] and not report["virtualizable"]
    assert files_of(report, finding(report, "chunks", "/v")["others"][0])[-1] == other
    references = []
    for i, f in enumerate(files):
        references.append(str(tmp_path / f"r{i}.{('json', 'parq')[i % 2]}"))
        ok("virtualize", f, references[-1])
    assert agrees(run, references, tmp_path)["joinable"]
    assert agrees(run, [references[0], *files[1:]], tmp_path)["joinable"]
    tables = []
    for i, f in enumerate(files):
        tables.append(str(tmp_path / f"t{i}.cmt"))
        ok("scan", f, "--out", tables[-1])
    report = agrees(run, tables, tmp_path)
    assert report["virtualizable"] and report["order"]["steps"] == 60
    several = str(tmp_path / "all.cmt")
    ok("scan", *files[1:4], "--out", several)
    report = agrees(run, [files[0], several, tables[4]], tmp_path)
    assert report["files"] == 5 and report["joinable"] and report["order"]["steps"] == 60
    assert report["sources"] == files


def test_cache(run, tmp_path, year):
    cache = tmp_path / "cache"
    plain = survey(run, *year[:40])
    for _ in range(2):
        assert survey(run, *year[:40], "--cache", cache) == plain
    odd = write(tmp_path / "odd.nc", steps=1, first=400, chunk=(1, 48, 192), dtype="f8")
    assert survey(run, *year[:40], odd, "--cache", cache) == survey(run, *year[:40], odd)
    assert run("survey", *year[:2], "--cache", cache, "--format", "hdf5").code == 2
    assert run("survey", *year[:2], "--cache", year[3]).code == 2


def test_lone_arrays(run, tmp_path):
    zarr = pytest.importorskip("zarr")
    names = []
    for i in range(3):
        names.append(str(tmp_path / f"a{i}.zarr"))
        a = zarr.create_array(names[-1], shape=(4, 6 + i), chunks=(2, 3), dtype="i4", dimension_names=["x", "y"])
        a[:] = np.arange(4 * (6 + i)).reshape(4, 6 + i)
    assert agrees(run, names, tmp_path, "--concat", "y")["joinable"]
    assert not agrees(run, names, tmp_path, "--concat", "x")["joinable"]
    assert agrees(run, names[:1], tmp_path)["joinable"]


def test_virtual_datasets(run, tmp_path):
    """Arrays that are made of others: each file's is its own."""
    files = []
    for i in range(3):
        src = tmp_path / f"src{i}.h5"
        with h5py.File(src, "w") as f:
            f.create_dataset("part", data=np.arange(800 * 100, dtype="f8").reshape(800, 100) + i, chunks=(100, 100))
        layout = h5py.VirtualLayout((800, 100), "f8")
        layout[:] = h5py.VirtualSource(src, "part", (800, 100))
        files.append(str(tmp_path / f"vds{i}.h5"))
        with h5py.File(files[-1], "w") as f:
            d = f.create_virtual_dataset("part", layout)
            f["x"] = np.arange(800.0) + 800 * i
            f["x"].make_scale("x")
            d.dims[0].attach_scale(f["x"])
    assert agrees(run, files, tmp_path, "--concat", "x")["joinable"]
