"""References of grids that nobody can walk: an error at once, or a walk that Ctrl-C ends."""
import json
import signal
import subprocess
import time

import pytest


def references(path, shape, chunks):
    array = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": "|i1", "compressor": None,
             "fill_value": 0, "filters": None, "order": "C"}
    (path.parent / "data").write_bytes(b"\7")
    last = ".".join(str((n - 1) // c) for n, c in zip(shape, chunks))
    path.write_text(json.dumps({"version": 1, "refs": {
        ".zgroup": '{"zarr_format":2}', "x/.zarray": json.dumps(array), f"x/{last}": ["data", 0, 1]}}))


@pytest.mark.parametrize("target", ["out.json", "out.parq"])
@pytest.mark.parametrize("shape", [[2**62], [2**35], [2**31, 2**31]])
def test_too_many(run, tmp_path, target, shape):
    references(tmp_path / "in.json", shape, [1] * len(shape))
    begin = time.monotonic()
    done = run("virtualize", tmp_path / "in.json", tmp_path / target, "--quiet", timeout=60)
    assert done.code == 6 and "/x" in done.err and "chunks" in done.err, done
    assert time.monotonic() - begin < 10  # a second, on a machine that does nothing else
    assert not (tmp_path / target).exists()
    assert run("info", tmp_path / "in.json").code == 0


@pytest.mark.parametrize("target", ["out.json", "out.parq"])
def test_interrupted(chunkmill, tmp_path, target):
    references(tmp_path / "in.json", [2**34], [1])
    p = subprocess.Popen([chunkmill, "virtualize", tmp_path / "in.json", tmp_path / target, "--quiet"],
                         stderr=subprocess.PIPE)
    try:
        time.sleep(0.5)
        p.send_signal(signal.SIGINT)
        assert p.wait(20) == 130, p.stderr.read()
    finally:
        p.kill()
    assert sorted(x.name for x in tmp_path.iterdir()) == ["data", "in.json"]
