"""What the tests that read Zarr share: cells as bytes, and what cm_dump says of a store."""
import json
import subprocess

import numpy as np


def cells_bytes(a):
    """The cells as cm_dump hashes them: native, in C order; a string is its length and its bytes."""
    a = np.asarray(a)
    if a.dtype.kind in "OTUS":
        out = bytearray()
        for s in a.ravel():
            raw = s if isinstance(s, bytes) else str(s).encode()
            out += len(raw).to_bytes(4, "little") + raw
        return bytes(out)
    return np.ascontiguousarray(a.astype(a.dtype.newbyteorder("="))).tobytes()


def dump(tool, path):
    """cm_dump's lines, None when there are none."""
    done = subprocess.run([tool, str(path)], capture_output=True, text=True)
    if done.returncode:
        print(f"# {done.stderr.strip()}")
    if not done.stdout:
        return None
    return [json.loads(line) for line in done.stdout.splitlines()]
