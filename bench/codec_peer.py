#!/usr/bin/env python3
"""numcodecs beside chunkmill's codecs: codec_peer.py < the lines of chunkmill-codec-bench

Prints a line of the same kind for each codec that numcodecs has: decoded bytes a second of CPU time, the best of
several runs, one thread, decoding into a buffer that is there.
"""
import json
import sys
import time

import numcodecs
import numcodecs.blosc
import numpy as np

RUNS = 7
numcodecs.blosc.set_nthreads(1)
numcodecs.blosc.use_threads = False


def cells(dtype, n):
    v = np.rint(60 + 50 * np.sin(np.arange(n) / 100)).astype("i8")
    if dtype == "bool":
        return np.arange(n) % 7 == 0
    return v.astype(dtype) / np.dtype(dtype).type(8) if "float" in dtype else v.astype(dtype)


def best(call):
    times = []
    for _ in range(RUNS):
        t = time.thread_time()
        got = call()
        times.append(time.thread_time() - t)
        if len(times) > 1 and sum(times) > 0.25:
            break
    return min(times), got


def main():
    for line in sys.stdin:
        r = json.loads(line)
        if not r["config"].startswith("{") or r["op"] != "encode":
            continue
        config = json.loads(r["config"].replace("'", '"'))
        codec = numcodecs.get_codec(config)
        a = cells(r["dtype"], r["nbytes"] // np.dtype(r["dtype"]).itemsize)
        if str(config.get("dtype")).startswith(">"):
            a = a.astype(config["dtype"])
        s, encoded = best(lambda: codec.encode(a))
        print(json.dumps({**r, "gb_s": round(a.nbytes / 1e9 / s, 3)}), flush=True)
        out = None if config["id"] == "json2" else np.empty_like(a)
        s, decoded = best(lambda: codec.decode(encoded, out=out))
        assert np.asarray(decoded).tobytes() == a.tobytes(), r["codec"]
        print(json.dumps({**r, "op": "decode", "gb_s": round(a.nbytes / 1e9 / s, 3)}), flush=True)


if __name__ == "__main__":
    main()
