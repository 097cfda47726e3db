"""numcodecs' filters that change values, in both versions of Zarr, against numcodecs and zarr-python.

Reading: the incumbents encode, chunkmill's cells must be those that they decode, bit for bit, over
types, byte orders and several stages. Writing: a copy with the codecs it has is read by them; a
cell that would not come back is a refusal, and without --codec nothing lossy is kept.
"""

import json
import subprocess
import warnings

import numpy as np
import pytest

import support

numcodecs = pytest.importorskip("numcodecs")
zarr = pytest.importorskip("zarr")
from conftest import ROOT, find_program  # noqa: E402

warnings.simplefilter("ignore")
PROGRAM = find_program()
DUMP = str(ROOT / PROGRAM).rsplit("/", 1)[0] + "/tests/cm_dump"
N, CHUNK = 2310, 700
INTS = [f"{o}{k}{s}" for o in "<>" for k in "iu" for s in (2, 4, 8)] + ["|i1", "|u1"]
FLOATS = ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"]


@pytest.fixture(autouse=True)
def recorded():
    with support.recording():
        yield


def run(*args):
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, timeout=120)


def raw(path):
    done = subprocess.run([DUMP, "--raw", "/a", str(path)], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def values(dtype, span=None):
    dtype = np.dtype(dtype)
    i = np.arange(N, dtype="u8")
    if dtype.kind == "f":
        return (100 * np.sin(i / 30) + i / 7).astype(dtype)
    mixed = (i * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(3)
    if span:
        mixed = mixed % np.uint64(span)
    return np.frombuffer(mixed.astype("<u8").tobytes(), "<i8").astype(dtype)


def store(path, version, a, filters):
    """The store, and what zarr-python reads from it. v3 has only little-endian filters here."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    if version == 2:
        more = {"filters": [numcodecs.get_codec(dict(f)) for f in filters]}
    else:
        more = {"filters": [{"name": "numcodecs." + f["id"],
                             "configuration": {k: v for k, v in f.items() if k != "id"}}
                            for f in filters]}
    z = group.create_array("a", shape=a.shape, chunks=(CHUNK,), dtype=a.dtype, **more)
    z[:] = a
    back = group["a"][:]
    return np.ascontiguousarray(back.astype(back.dtype.newbyteorder("="))).tobytes()


def check(tmp_path, version, a, filters, keeps=True):
    want = store(tmp_path / "s", version, a, filters)
    assert raw(tmp_path / "s") == want
    support.listed("zarr-other", f"version {version}: filter {filters[0]['id']}", "numcodecs")
    for target_version in (2, 3) if keeps else ():
        target = tmp_path / f"t{target_version}"
        done = run("rechunk", tmp_path / "s", target, "--zarr", target_version, "--codec", "keep",
                   "--chunks", "a:330")
        if done.returncode and target_version == 3 and b"big-endian" in done.stderr:
            continue
        assert done.returncode == 0, done.stderr.decode()
        back = zarr.open_array(target / "a", mode="r")[:]
        assert back.astype(back.dtype.newbyteorder("=")).tobytes() == want
        assert filters[0]["id"] in (target / "a" / (".zarray" if target_version == 2
                                                     else "zarr.json")).read_text()
    done = run("rechunk", tmp_path / "s", tmp_path / "u")
    assert done.returncode == 0, done.stderr.decode()
    assert raw(tmp_path / "u") == want


@pytest.mark.parametrize("version", (2, 3))
@pytest.mark.parametrize("dtype", INTS)
def test_delta_of_integers(tmp_path, version, dtype):
    if version == 3 and dtype[0] == ">":
        pytest.skip("refused, see below")
    check(tmp_path, version, values(dtype), [{"id": "delta", "dtype": dtype}])


@pytest.mark.parametrize("version", (2, 3))
@pytest.mark.parametrize("dtype,astype", (("<i4", "<i2"), ("<i8", "|i1"), ("<u2", "<i4")))
def test_delta_to_other_integers(tmp_path, version, dtype, astype):
    a = (np.arange(N) * 5 % 61).astype(dtype)
    check(tmp_path, version, a, [{"id": "delta", "dtype": dtype, "astype": astype}])


@pytest.mark.parametrize("version", (2, 3))
@pytest.mark.parametrize("dtype", ("<f2", "<f4", "<f8"))
def test_delta_of_floats(tmp_path, version, dtype):
    check(tmp_path, version, values(dtype), [{"id": "delta", "dtype": dtype}], keeps=False)
    check(tmp_path / "whole", version, np.rint(values(dtype)), [{"id": "delta", "dtype": dtype}])


@pytest.mark.parametrize("version", (2, 3))
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("astype", ("|i1", "<i2", "<u2", "<i4", "<f4", "<f8"))
def test_fixedscaleoffset(tmp_path, version, dtype, astype):
    if version == 3 and dtype[0] == ">":
        pytest.skip("refused, see below")
    a = (np.arange(N) % 200 / 8).astype(dtype)
    scale = 5 if astype == "|i1" else 10
    check(tmp_path, version, a, [{"id": "fixedscaleoffset", "offset": 3.25, "scale": scale,
                                  "dtype": dtype, "astype": astype}],
          keeps=dtype[2] != "2" and dtype[0] == "<")


@pytest.mark.parametrize("version", (2, 3))
@pytest.mark.parametrize("dtype", FLOATS)
def test_quantize_and_bitround(tmp_path, version, dtype):
    a = values(dtype)
    if dtype[0] == "<" or version == 2:
        check(tmp_path / "q", version, a, [{"id": "quantize", "digits": 1, "dtype": dtype}],
              keeps=dtype[0] == "<")
    if dtype[0] == "<" and version == 3:  # zarr-python cannot read its own in v2
        check(tmp_path / "b", version, a, [{"id": "bitround", "keepbits": 7}])


@pytest.mark.parametrize("version", (2, 3))
@pytest.mark.parametrize("decoded,stored", (("<i4", "<i2"), ("<i2", "<i8"), ("<u8", "<u4"),
                                            ("<f8", "<f4"), ("<f4", "<f8"), ("<f8", "<i2"),
                                            ("<i4", "<f8"), ("<f4", "<u2")))
def test_astype(tmp_path, version, decoded, stored):
    a = values(decoded, 30000)
    if "f" in decoded:
        a = np.rint(np.abs(a)).astype(decoded)
    check(tmp_path, version, a,
          [{"id": "astype", "encode_dtype": stored, "decode_dtype": decoded}])


@pytest.mark.parametrize("version", (2, 3))
def test_several(tmp_path, version):
    a = (np.arange(N) % 200 / 8).astype("<f8")
    check(tmp_path, version, a,
          [{"id": "fixedscaleoffset", "offset": 0, "scale": 8, "dtype": "<f8", "astype": "<i4"},
           {"id": "delta", "dtype": "<i4", "astype": "<i2"}])


def test_lossy_filters_are_not_kept_unasked(tmp_path):
    a = values("<f4")
    store(tmp_path / "s", 3, a, [{"id": "bitround", "keepbits": 3}])
    done = run("rechunk", tmp_path / "s", tmp_path / "t")
    assert done.returncode == 0, done.stderr.decode()
    assert "bitround" not in (tmp_path / "t/a/zarr.json").read_text()


def test_a_cell_that_would_change_is_refused(tmp_path):
    """The fill value fills chunks up, and NaN is no int16."""
    group = zarr.open_group(tmp_path / "s", mode="w", zarr_format=3)
    z = group.create_array("a", shape=(N,), chunks=(CHUNK,), dtype="<f4", fill_value=np.nan,
                           filters=[{"name": "numcodecs.fixedscaleoffset", "configuration": {
                               "offset": 0, "scale": 8, "dtype": "<f4", "astype": "<i2"}}])
    z[:700] = (np.arange(700) % 200 / 8).astype("<f4")
    done = run("rechunk", tmp_path / "s", tmp_path / "t", "--codec", "keep", "--chunks", "a:1000")
    assert done.returncode != 0
    assert "fixedscaleoffset would change a cell" in done.stderr.decode()
    assert not (tmp_path / "t").exists()


def test_big_endian_cells_of_v3_filters_are_refused(tmp_path):
    """What a filter for big-endian cells holds depends on how zarr-python came to the array, and on its release."""
    path = tmp_path / "s"
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.create_array("a", shape=(N,), chunks=(CHUNK,), dtype="<i4")
    meta = json.loads((path / "a/zarr.json").read_text())
    meta["codecs"] = [{"name": "numcodecs.delta", "configuration": {"dtype": ">i4"}},
                      {"name": "bytes", "configuration": {"endian": "little"}}]
    (path / "a/zarr.json").write_text(json.dumps(meta))
    (path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    done = run("values", path, "a")
    assert done.returncode != 0 and "big-endian cells" in done.stderr.decode()


@pytest.mark.parametrize("dtype,astype", (("<u8", "<i4"), (">u8", "<i8"), ("<u8", "|i1")))
def test_delta_of_uint64_by_signed(tmp_path, dtype, astype):
    """numpy adds these as doubles: what is not exact so is refused, and not read as the sum that it should be."""
    delta = [{"id": "delta", "dtype": dtype, "astype": astype}]
    check(tmp_path, 2, (values("|u1") % 120).astype(dtype), delta)
    if astype != "<i8":
        return
    large = np.uint64(2**53 - 9) + (np.arange(N) % 50).astype("u8")
    group = zarr.open_group(tmp_path / "l", mode="w", zarr_format=2)
    z = group.create_array("a", shape=(N,), chunks=(CHUNK,), dtype=dtype, filters=[numcodecs.get_codec(dict(delta[0]))])
    z[:] = large
    assert not np.array_equal(group["a"][:], large)
    done = subprocess.run([DUMP, "--raw", "/a", str(tmp_path / "l")], capture_output=True, timeout=120)
    assert done.returncode and b"a stored number is none" in done.stderr


@pytest.mark.parametrize("dtype", ("|i1", "<i4", "<i8"))
def test_delta_of_signed_by_uint64_is_refused(tmp_path, dtype):
    store(tmp_path / "s", 2, (np.arange(N) % 100).astype(dtype), [{"id": "delta", "dtype": dtype, "astype": "<u8"}])
    done = run("values", tmp_path / "s", "a")
    assert done.returncode and b"codec delta: from " in done.stderr


def test_other_type_than_the_cells(tmp_path):
    """zarr-python converts numbers where numcodecs looked at their bits."""
    a = values("<f2")
    store(tmp_path / "s", 3, a, [{"id": "astype", "decode_dtype": "<u2", "encode_dtype": "<f4"}])
    done = run("info", tmp_path / "s")
    assert b"it says <u2, but it is given float16" in done.stdout + done.stderr
    check(tmp_path / "2", 2, a, [{"id": "astype", "decode_dtype": "<u2", "encode_dtype": "<f4"}], keeps=False)
    done = run("rechunk", tmp_path / "2/s", tmp_path / "t", "--codec", "keep", "--zarr", 3)
    assert done.returncode and b"it says <u2" in done.stderr
