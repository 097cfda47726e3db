"""One byte of a zip store is another one, or its end is missing: that is an error, or changes nothing that is read.

CRC-32 covers the members, and the central directory says twice what local headers say, so no byte may change a cell
or an attribute silently. Every place in turn would take minutes: CM_SEED=random takes other ones every time.
"""
import random

import pytest

np = pytest.importorskip("numpy")
netCDF4 = pytest.importorskip("netCDF4")


def test_any_byte(run, ok, tmp_path, rng):
    source, store = tmp_path / "in.nc", tmp_path / "in.zip"
    with netCDF4.Dataset(source, "w") as nc:
        nc.createDimension("t", None)
        nc.createDimension("x", 5)
        v = nc.createVariable("v", "i2", ("t", "x"), chunksizes=(2, 3))
        v[:] = np.arange(30).reshape(6, 5)
        v.units = "K"
    ok("rechunk", source, store, "--codec", "none", "--quiet")  # no codec notices anything itself
    whole = store.read_bytes()

    def look():
        """Everything: metadata and cells. What could not be read is an error of either command."""
        info, values = run("info", store, "--json"), run("values", store, "v", "--json")
        return (info.out, values.out) if info.code == 0 and values.code == 0 else None

    want, seen = look(), {"error": 0, "same": 0}
    assert want
    for at in sorted(rng.sample(range(len(whole)), 90)):
        for value in {whole[at] ^ 1 << rng.randrange(8), random.Random(at).randrange(256)} - {whole[at]}:
            damaged = bytearray(whole)
            damaged[at] = value
            store.write_bytes(damaged)
            got = look()
            assert got in (None, want), f"byte {at} of {len(whole)}: {whole[at]:#x} as {value:#x}"
            seen["same" if got else "error"] += 1
    for n in sorted(rng.sample(range(len(whole)), 15)):
        store.write_bytes(whole[:n])
        assert look() is None, f"{n} of {len(whole)} bytes"
    assert seen["error"] > 20, seen
