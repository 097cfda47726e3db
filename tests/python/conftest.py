"""What the tests in Python share.

    chunkmill   path of the program: $CM_PROGRAM, else the newest of build/*/chunkmill
    run         run("info", path, "--json") -> Result(code, out, err); never raises for a bad status
    ok          the same, but a status that is not 0 fails the test with what the program said
    corpus      folder of other projects' files ($CM_TEST_DATA), or the test is skipped, loudly
    seed, rng   a seed that is printed when a test fails (seeds.py says which), and its generator
    tmp_path    pytest's own: an empty folder

A test that needs more than the machine has skips with a reason; `-rs` prints the reasons.
"""
import collections
import json
import os
import pathlib
import random
import subprocess

import pytest
from seeds import choose_seed

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT_S = 300


class Result(collections.namedtuple("Result", "code out err")):
    """What a command left: exit status, standard output and standard error as text."""

    def json(self):
        return json.loads(self.out)


def find_program():
    named = os.environ.get("CM_PROGRAM")
    if named:
        if not os.access(named, os.X_OK):
            pytest.fail(f"CM_PROGRAM is {named}, which cannot be run")
        return named
    built = [p for p in ROOT.glob("build/*/chunkmill") if os.access(p, os.X_OK)]
    if not built:
        pytest.skip("no program was built: CM_PROGRAM names one")
    return str(max(built, key=lambda p: p.stat().st_mtime))


@pytest.fixture(scope="session")
def chunkmill():
    return find_program()


@pytest.fixture(scope="session")
def run(chunkmill):
    """run(*args, cwd=None, input=None, env=None, timeout=300) -> Result"""

    def call(*args, cwd=None, input=None, env=None, timeout=TIMEOUT_S):
        done = subprocess.run(
            [chunkmill, *map(str, args)], cwd=cwd, input=input, capture_output=True, text=True,
            timeout=timeout, env={**os.environ, **(env or {})})
        if done.returncode < 0:
            pytest.fail(f"{args}: killed by signal {-done.returncode}\n{done.stderr}")
        if "Sanitizer" in done.stderr or "runtime error" in done.stderr:
            pytest.fail(f"{args}:\n{done.stderr}")
        return Result(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def ok(run):
    def call(*args, **more):
        result = run(*args, **more)
        assert result.code == 0, f"{' '.join(map(str, args))}: status {result.code}\n{result.err}"
        return result

    return call


@pytest.fixture(scope="session")
def corpus():
    folder = os.environ.get("CM_TEST_DATA")
    if not folder:
        pytest.skip("CM_TEST_DATA is not set: files of other projects are not tried")
    path = pathlib.Path(folder)
    assert path.is_dir(), f"CM_TEST_DATA is {folder}, which is no folder"
    return path


@pytest.fixture
def seed():
    return choose_seed()


@pytest.fixture
def rng(seed):
    return random.Random(seed)


@pytest.fixture()
def recorded():
    """What is compared goes into docs/support.md; a comparison that failed fails the test that made it."""
    import support
    import tally

    before = len(tally.FAILED)
    with support.recording():
        yield
    assert tally.FAILED[before:] == []
