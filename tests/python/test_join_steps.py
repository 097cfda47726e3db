"""Files whose steps are out of order, repeat, interleave or are missing: what --order, --unsorted,
--duplicates and --gaps make of them, against xarray's concat, sortby, drop_duplicates and reindex."""

import json
import random
import warnings

import numpy as np
import pytest
from cli_program import fails, ok, run
from seeds import choose_seed

warnings.simplefilter("ignore")
netCDF4 = pytest.importorskip("netCDF4")
xr = pytest.importorskip("xarray")

NX = 3
CODER = xr.coders.CFDatetimeCoder(use_cftime=True)


def write(path, days, mark=0, units="days since 2001-01-01", kind="f8", calendar="standard", bounds=True,
          fill=None, dtype="f4", chunk=None, fmt="NETCDF4"):
    """v depends on the step, the place and the file."""
    days = np.asarray(days)
    with netCDF4.Dataset(path, "w", format=fmt) as nc:
        nc.createDimension("time", None)
        nc.createDimension("x", NX)
        nc.createDimension("bnds", 2)
        time = nc.createVariable("time", kind, ("time",))
        time.units, time.calendar = units, calendar
        time[:] = days
        if bounds:
            time.bounds = "time_bnds"
            nc.createVariable("time_bnds", kind, ("time", "bnds"))[:] = np.stack([days, days + 1], 1)
        nc.createVariable("x", "f4", ("x",))[:] = np.arange(NX) * 0.5
        more = {"chunksizes": (chunk, NX), "zlib": True} if chunk else {}
        v = nc.createVariable("v", dtype, ("time", "x"), fill_value=fill, **more)
        v[:] = (days[:, None] * 100 + np.arange(NX) * 10 + mark).astype(dtype)
    return path


def opened(path):
    return xr.open_dataset(path, engine="zarr", chunks=None, decode_times=CODER).load()


def concat(paths):
    # bounds decoded with the coordinate's units, as chunkmill means them
    return xr.concat([xr.open_dataset(p, decode_times=CODER).load() for p in paths], "time",
                     data_vars="minimal", coords="minimal", compat="override", join="override")


def rechunk(tmp_path, paths, *options):
    out = tmp_path / "out.zarr"
    done = ok("rechunk", *paths, out, "--overwrite", *options)
    return opened(out), done.stderr


def same(have, want, names=("time", "time_bnds", "v", "x")):
    for name in names:
        assert have[name].dims == want[name].dims
        np.testing.assert_array_equal(have[name].values, want[name].values, err_msg=name)


def test_files_that_interleave_are_sorted(tmp_path):
    a = write(tmp_path / "a.nc", np.arange(0, 20, 2), 1, chunk=4)
    b = write(tmp_path / "b.nc", np.arange(1, 20, 2), 2, chunk=3)
    line = fails(3, "rechunk", a, b, tmp_path / "out.zarr")
    assert "b.nc: /time: the coordinate begins at 2001-01-02T00:00:00, inside of" in line
    assert "--unsorted sort" in line
    have, said = rechunk(tmp_path, [b, a], "--unsorted", "sort")
    same(have, concat([a, b]).sortby("time"))
    assert "/time: the steps are sorted one by one: 20 runs of 2 files" in said


def test_a_file_that_is_not_sorted(tmp_path):
    a = write(tmp_path / "a.nc", [3, 1, 2, 0], 1)
    b = write(tmp_path / "b.nc", [6, 5, 4], 2)
    line = fails(3, "rechunk", a, b, tmp_path / "out.zarr")
    assert "a.nc: /time: the coordinate is not monotonic: 2001-01-03T00:00:00 follows" in line
    have, said = rechunk(tmp_path, [a, b], "--unsorted", "sort")
    same(have, concat([a, b]).sortby("time"))
    # files that all descend stay so
    have, said = rechunk(tmp_path, [write(tmp_path / "c.nc", [3, 2, 1], 3), b])
    same(have, concat([b, tmp_path / "c.nc"]))
    # one by itself
    have, said = rechunk(tmp_path, [a], "--unsorted", "sort")
    same(have, concat([a]).sortby("time"))


def test_given_order_and_names(tmp_path):
    paths = [write(tmp_path / f"day-{i}.nc", [d], i) for i, d in ((2, 7), (10, 3), (9, 5))]
    have, said = rechunk(tmp_path, paths, "--order", "given")
    same(have, concat(paths))
    assert "the values are not sorted: 2001-01-04T00:00:00 of" in said
    have, said = rechunk(tmp_path, paths, "--order", "name")
    same(have, concat([paths[0], paths[2], paths[1]]))
    have, said = rechunk(tmp_path, paths)
    assert "warning" not in said
    same(have, concat(paths).sortby("time"))
    line = fails(3, "rechunk", *paths, tmp_path / "no.zarr", "--order", "given", "--unsorted", "refuse")
    assert "comes after 2001-01-08T00:00:00 of" in line and "day-2.nc" in line
    have, said = rechunk(tmp_path, paths, "--order", "given", "--unsorted", "sort")
    same(have, concat(paths).sortby("time"))


def test_duplicates(tmp_path):
    a = write(tmp_path / "a.nc", np.arange(0, 10), 1, chunk=4)
    b = write(tmp_path / "b.nc", np.arange(8, 16), 2, units="days since 2001-01-01")
    line = fails(3, "rechunk", a, b, tmp_path / "out.zarr")
    assert "b.nc: /time: the coordinate begins at 2001-01-09" in line
    line = fails(3, "rechunk", a, a, tmp_path / "out.zarr")
    assert "is also in" in line and "--duplicates first or last" in line
    for paths in ([a, b], [b, a]):
        for keep in ("first", "last"):
            have, said = rechunk(tmp_path, paths, "--duplicates", keep)
            same(have, concat(paths).drop_duplicates("time", keep=keep).sortby("time"))
            assert f"2 duplicate steps are left out, the {keep} one is kept: 2001-01-09" in said
    have, said = rechunk(tmp_path, [a, b], "--duplicates", "keep", "--order", "given")
    same(have, concat([a, b]))
    assert "2 values are there more than once" in said
    # a patch in the middle of a file
    patch = write(tmp_path / "patch.nc", [3, 4], 9)
    have, said = rechunk(tmp_path, [a, patch], "--duplicates", "last")
    same(have, concat([a, patch]).drop_duplicates("time", keep="last").sortby("time"))
    assert (have["v"].values[3:5] % 10 == 9).all()
    # inside one file
    c = write(tmp_path / "c.nc", [0, 1, 1, 2], 3)
    have, said = rechunk(tmp_path, [c], "--duplicates", "first")
    same(have, concat([c]).drop_duplicates("time"))


def test_gaps(tmp_path):
    a = write(tmp_path / "a.nc", [0, 1, 2, 3, 5], 1, chunk=1)
    b = write(tmp_path / "b.nc", [8, 9, 10], 2, chunk=1)
    have, said = rechunk(tmp_path, [a, b])
    same(have, concat([a, b]))
    assert "/time: 3 steps are missing: 1 between 2001-01-04T00:00:00 (" in said
    assert "2 between 2001-01-06T00:00:00 (" in said
    have, said = rechunk(tmp_path, [a, b], "--gaps", "ignore")
    assert "missing" not in said
    line = fails(3, "rechunk", a, b, tmp_path / "out2.zarr", "--gaps", "refuse")
    assert "1 step is missing between 2001-01-04T00:00:00 in" in line and "--gaps fill" in line
    have, said = rechunk(tmp_path, [b, a], "--gaps", "fill")
    assert "3 steps are missing and filled" in said
    raw = xr.open_dataset(tmp_path / "out.zarr", engine="zarr", chunks=None, decode_times=False)
    want = xr.concat([xr.open_dataset(p, decode_times=False) for p in (a, b)], "time", data_vars="minimal",
                     coords="minimal", compat="override", join="override")
    want = want.reindex(time=np.arange(11.0))
    np.testing.assert_array_equal(raw["time"], np.arange(11.0))
    np.testing.assert_array_equal(raw["v"], want["v"])
    np.testing.assert_array_equal(raw["time_bnds"], np.stack([np.arange(11.0), np.arange(1.0, 12)], 1))
    report = json.loads(ok("info", a, b, "--gaps", "fill", "--json").stdout)["join"]
    assert report["missing"] == report["filled"] == 3 and report["steps"] == 11
    assert report["dimension"] == "time" and report["order"] == "coordinate" and report["files"] == 2


def test_gaps_of_months(tmp_path):
    first = netCDF4.date2num([__import__("datetime").datetime(2001, m, 1) for m in range(1, 13)],
                             "days since 2001-01-01")
    def months(path, chosen, edge):
        days = first[chosen] if edge == "begin" else np.append(first, 365)[np.array(chosen) + 1]
        write(path, days, 1, bounds=False)
        with netCDF4.Dataset(path, "a") as nc:
            nc["time"].bounds = "time_bnds"
            b = nc.createVariable("time_bnds", "f8", ("time", "bnds"))
            b[:] = np.stack([first[chosen], np.append(first, 365)[np.array(chosen) + 1]], 1)
        return path
    for edge in ("begin", "end"):
        a = months(tmp_path / "a.nc", [0, 1, 2, 3], edge)
        b = months(tmp_path / "b.nc", [6, 7, 9, 10], edge)
        have, said = rechunk(tmp_path, [a, b], "--gaps", "fill")
        assert "3 steps are missing and filled: 2 between" in said
        raw = xr.open_dataset(tmp_path / "out.zarr", engine="zarr", chunks=None, decode_times=False)
        edges = np.append(first, 365)
        np.testing.assert_array_equal(raw["time"], (edges[:11] if edge == "begin" else edges[1:12]))
        np.testing.assert_array_equal(raw["time_bnds"], np.stack([edges[:11], edges[1:12]], 1))
        assert np.isnan(raw["v"].values[[4, 5, 8]]).all()
        assert not np.isnan(np.delete(raw["v"].values, [4, 5, 8], 0)).any()
    # in the middle of months: seen, but not computable
    middle = [15.5, 45, 74.5, 105, 166, 196.5]  # April and June lie alike, but not the others
    c = write(tmp_path / "c.nc", middle, 1)
    have, said = rechunk(tmp_path, [c, write(tmp_path / "d.nc", [227.5, 258.0], 2)])
    assert "1 step is missing: 1 between 2001-04-16T00:00:00" in said
    line = fails(3, "rechunk", c, tmp_path / "d.nc", tmp_path / "no.zarr", "--gaps", "fill")
    assert "not at the same place of their months" in line


def test_what_cannot_be_filled(tmp_path):
    a = write(tmp_path / "a.nc", [0, 1, 2, 3], 1, dtype="i2", kind="i4")
    b = write(tmp_path / "b.nc", [5, 6, 7], 2, dtype="i2", kind="i4")
    line = fails(3, "rechunk", a, b, tmp_path / "no.zarr", "--gaps", "fill")
    assert "/v: steps are missing, and it has no _FillValue that could stand there" in line
    a = write(tmp_path / "a.nc", [0, 1, 2, 3], 1, dtype="i2", kind="i4", fill=-999)
    b = write(tmp_path / "b.nc", [5, 6, 7], 2, dtype="i2", kind="i4", fill=-999)
    have, said = rechunk(tmp_path, [a, b], "--gaps", "fill")
    assert np.isnan(have["v"].values[4]).all() and have.sizes["time"] == 8
    raw = xr.open_dataset(tmp_path / "out.zarr", engine="zarr", chunks=None, mask_and_scale=False)
    assert raw["v"].dtype == "i2" and (raw["v"].values[4] == -999).all()
    # an irregular axis has no holes
    c = write(tmp_path / "c.nc", [0, 1, 3, 7, 12, 13.5], 1)
    have, said = rechunk(tmp_path, [c, write(tmp_path / "d.nc", [20.0, 26], 1)], "--gaps", "refuse")
    assert "missing" not in said
    # bounds that do not follow
    with netCDF4.Dataset(a, "a") as nc:
        nc["time_bnds"][3, 1] = 99
    line = fails(3, "rechunk", a, b, tmp_path / "no.zarr", "--gaps", "fill")
    assert "/time_bnds: steps are missing, and its bounds do not follow" in line


def test_groups_are_cut_alike(tmp_path):
    def nested(path, days, own, mark):
        write(path, days, mark)
        with netCDF4.Dataset(path, "a") as nc:
            g = nc.createGroup("deep/down")
            w = g.createVariable("w", "f4", ("time",))
            w[:] = np.asarray(days) * 7 + mark
            h = nc.createGroup("other")
            h.createDimension("time", None)
            h.createVariable("time", "i4", ("time",))[:] = own
            h.createVariable("u", "f8", ("time",))[:] = np.asarray(own) * 3 + mark
        return path
    a = nested(tmp_path / "a.nc", [0, 2, 4], [10, 12], 1)
    b = nested(tmp_path / "b.nc", [1, 3, 7], [11, 13, 15], 2)
    have, said = rechunk(tmp_path, [b, a], "--unsorted", "sort", "--gaps", "fill")
    deep = xr.open_zarr(tmp_path / "out.zarr", group="deep/down", decode_times=False)["w"].values
    np.testing.assert_array_equal(deep, [1, 9, 15, 23, 29, np.nan, np.nan, 51])
    other = xr.open_zarr(tmp_path / "out.zarr", group="other", decode_times=False)
    np.testing.assert_array_equal(other["time"], [10, 11, 12, 13, 14, 15])
    np.testing.assert_array_equal(other["u"], [31, 35, 37, 41, np.nan, 47])


def test_random_steps(tmp_path):
    """Files of random steps, with dates of their own: sorted, duplicates struck out, holes filled."""
    rng = random.Random(choose_seed())
    for round in range(12):
        paths = []
        for i in range(rng.randint(1, 6)):
            days = [rng.randint(0, 30) for _ in range(rng.randint(1, 12))]
            shift = rng.choice([0, 3, 31])
            unit, per_day = rng.choice([("days", 1), ("hours", 24), ("minutes", 1440)])
            base = f"{unit} since 2001-0{1 + (shift == 31) * 1}-{4 if shift == 3 else 1:02d}"
            path = write(tmp_path / f"r{i}.nc", np.array(days) - shift, i, units=base,
                         calendar="standard", bounds=False, chunk=rng.choice([None, 1, 5]))
            with netCDF4.Dataset(path, "a") as nc:
                nc["time"][:] = (np.array(days) - shift) * per_day
                nc["v"][:] = np.array(days)[:, None] * 100 + np.arange(NX) * 10 + i
            paths.append(path)
        keep = rng.choice(["first", "last"])
        have, said = rechunk(tmp_path, paths, "--unsorted", "sort", "--duplicates", keep, "--gaps", "ignore")
        want = concat(paths)
        order = np.argsort(want["time"].values, kind="stable")
        want = want.isel(time=order).drop_duplicates("time", keep=keep)
        same(have, want, ("time", "v", "x"))
        cube = tmp_path / "cube.json"
        done = run("info", *paths, "--unsorted", "sort", "--duplicates", keep, "--json")
        report = json.loads(done.stdout)["join"]
        assert report["duplicates"] == sum(len(xr.open_dataset(p, decode_times=False)["time"]) for p in paths) - len(want["time"])
        have, said = rechunk(tmp_path, paths, "--unsorted", "sort", "--duplicates", keep, "--gaps", "fill")
        if "filled" in said:
            times = want["time"].values
            steps = np.diff([t.toordinal() for t in times])
            full = xr.date_range(times[0].isoformat(), times[-1].isoformat(), freq=f"{steps.min()}D",
                                 use_cftime=True)
            same(have, want.reindex(time=full), ("time", "v", "x"))


def test_every_command_joins(tmp_path):
    """values, info, diff and verify of what is joined, also from a list of names and from scanned tables."""
    a = write(tmp_path / "a.nc", np.arange(0, 8, 2), 1, chunk=1)
    b = write(tmp_path / "b.nc", np.arange(1, 8, 2), 2, chunk=1)
    done = ok("values", a, b, "time", "--unsorted", "sort")
    assert [float(x) for x in done.stdout.split()] == list(range(8))
    names = tmp_path / "names"
    names.write_text(f"{a}\n{b}\n")
    done = ok("values", "v", "--files-from", names, "--unsorted", "sort", "--isel", "time=1:3", "--json")
    assert json.loads(done.stdout) == [[102, 112, 122], [201, 211, 221]]
    ok("rechunk", a, b, tmp_path / "out.zarr", "--unsorted", "sort")
    ok("diff", a, b, tmp_path / "out.zarr", "--unsorted", "sort")
    assert run("diff", a, tmp_path / "out.zarr").returncode != 0
    ok("verify", tmp_path / "out.zarr")
    ok("scan", a, b, "--out", tmp_path / "tables")
    done = ok("info", tmp_path / "tables", "--unsorted", "sort")
    assert "joined: 2 sources along time (by coordinate value), 8 steps" in done.stdout
    done = ok("values", tmp_path / "tables", "member", "--coord", r"member=name:(.)\.nc", "--static", "first")
    assert done.stdout.split() == ['"a"', '"b"']
    line = fails(3, "values", a, b, "time")
    assert "b.nc: /time: the coordinate begins at" in line
    assert "needs URI... VAR" in fails(2, "values", a)


def test_chunks_of_sorted_steps_are_decoded_once(tmp_path):
    paths = [write(tmp_path / f"{k}.nc", np.arange(k, 4000, 2), k, chunk=250, bounds=False) for k in range(2)]
    done = ok("rechunk", *paths, tmp_path / "out.zarr", "--unsorted", "sort", "--json")
    have = opened(tmp_path / "out.zarr")
    same(have, concat(paths).sortby("time"), ("time", "v", "x"))
    assert json.loads(done.stdout)["bytes_read"] < 1.5 * (have["v"].nbytes + have["time"].nbytes)
