#!/usr/bin/env python3
"""Everything that is measured, side by side in one run: `make bench`, or bench/run.py [--rounds N] [CASE...]

CASE: engine, reencode, rechunk, archive, codecs, references, scan, survey (default all). Peers are what is found: zarrs_benchmark_read_sync and
zarrs_reencode (cargo install zarrs_tools --features benchmark) on the PATH, and two Python environments below
$CM_PEERS (default ~/.cache/chunkmill-peers): z3 with zarr 3, tensorstore and netCDF4, z2 with zarr 2 and
rechunker. What is missing is named and left out. Data are made once in build/bench (about 5 GB).

Programs take turns, round by round, so that a busy machine is busy for all; the best round of each counts. What takes
less than three seconds runs three times in its turn: a long peer before it leaves its files cold.
Native programs are compared by the time of the whole process, Python ones by the time inside.
"""
import argparse
import glob
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/release"
PEERS = pathlib.Path(os.environ.get("CM_PEERS", pathlib.Path.home() / ".cache/chunkmill-peers"))
PEER = ROOT / "bench/peer.py"
DATA = ROOT / "build/bench"
OUT = DATA / "out"
TURNS, SHORT = 3, 3.0  # a program of less than SHORT seconds runs TURNS times when it is its turn
SPAWN = """
import os, sys, time
t = time.monotonic()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, u = os.wait4(pid, 0)
print("\\n#", os.waitstatus_to_exitcode(status), time.monotonic() - t, u.ru_utime + u.ru_stime, u.ru_maxrss)
"""


def once(command):
    """Run a command from a small process, so that its peak memory is its own. dict or None when it failed."""
    done = subprocess.run([sys.executable, "-S", "-c", SPAWN, *map(str, command)], capture_output=True, text=True)
    code, wall, cpu, rss = done.stdout.rsplit("#", 1)[1].split()
    if code != "0":
        words = [str(w) for w in command]
        if len(words) > 12:
            words = [*words[:4], f"({len(words) - 10} more)", *words[-6:]]
        print(f"  failed: {' '.join(words)}\n{done.stderr[-400:]}", file=sys.stderr)
        return None
    r = {"wall_s": float(wall), "cpu_s": float(cpu), "rss_mb": int(rss) * 1024 / 1e6}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            r.update(json.loads(line))
    return r


def compare(name, rounds, programs):
    """programs: {label: (command, key)}; the first is ours. Prints a line each and the ratio."""
    best, missing = {}, [label for label, (command, _) in programs.items() if command is None]
    for _ in range(rounds):
        for label, (command, key) in programs.items():
            shutil.rmtree(OUT, ignore_errors=True)
            OUT.mkdir(parents=True)
            for _ in range(TURNS if command else 0):
                r = once(command)
                if r and (label not in best or r[key] < best[label][key]):
                    best[label] = {**r, "key": key}
                if not r or r["wall_s"] > SHORT:
                    break
                shutil.rmtree(OUT)
                OUT.mkdir()
    shutil.rmtree(OUT, ignore_errors=True)
    ours = next(iter(programs))
    for label, r in best.items():
        ratio = ""
        if label != ours and ours in best:
            mine = best[ours].get(r["key"], best[ours]["wall_s"])
            ratio = f"  {r[r['key']] / mine:5.2f} x ours"
        print(f"{name:28} {label:22} {r[r['key']]:8.3f} s  cpu {r['cpu_s']:7.2f} s  {r['rss_mb']:7.0f} MB{ratio}", flush=True)
    if missing:
        print(f"{name:28} not measured, not found: {', '.join(missing)}")


def python(env, *args):
    exe = PEERS / env / "bin/python"
    return [exe, "-W", "ignore", PEER, *args] if exe.exists() else None


def tool(name, *args):
    exe = shutil.which(name) or shutil.which(name, path=str(pathlib.Path.home() / ".cargo/bin"))
    return [exe, *args] if exe else None


def generate(what):
    command = python("z3", "gen", what, DATA)
    if not command:
        sys.exit(f"bench: the data are made with zarr-python 3 and netCDF4: {PEERS}/z3/bin/python is not there")
    subprocess.run([str(c) for c in command], check=True)


def engine(rounds):
    generate("engine")
    bench = BUILD / "chunkmill-bench"
    zarrs = {"read-all": ["--read-all"], "chunks": ["--concurrent-chunks", "2"],
             "inner": ["--concurrent-chunks", "2", "--inner-chunks"]}
    for name in ("none", "zstd", "shard", "field"):
        path = DATA / f"{name}.zarr"
        for case, flags in zarrs.items():
            if case == "inner" and name in ("none", "zstd"):
                continue
            programs = {"chunkmill": ([bench, case, path], "wall_s"),
                        "zarrs": (tool("zarrs_benchmark_read_sync", *flags, path), "wall_s"),
                        "tensorstore": (python("z3", "tensorstore", case, path), "in_s"),
                        "zarr-python": (python("z3", "zarr", case, path), "in_s")}
            if name == "none" and case == "read-all":
                programs["floor: read(2)"] = ([bench, "floor", path], "wall_s")
            compare(f"{name} {case}", rounds, programs)


def reencode(rounds):
    generate("engine")
    for name in ("none", "zstd", "shard", "field"):
        path = DATA / f"{name}.zarr"
        compare(f"{name} decode and encode", rounds, {
            "chunkmill": ([BUILD / "chunkmill", "rechunk", path, OUT / "o.zarr", "--mode", "sweep", "--quiet"], "wall_s"),
            "zarrs_reencode": (tool("zarrs_reencode", path, OUT / "z.zarr"), "wall_s")})


def rechunk(rounds):
    generate("rechunk")
    src = DATA / "rechunk.zarr"
    for mem in ("32MB", "128MB", "512MB"):
        compare(f"rechunk at {mem}", rounds, {
            "chunkmill": ([BUILD / "chunkmill", "rechunk", src, OUT / "o.zarr", "--zarr", "2", "--chunks", "1095,36,72",
                           "--max-mem", mem, "--quiet"], "wall_s"),
            "rechunker": (python("z2", "rechunker", src, OUT / "r.zarr", OUT / "tmp", mem), "in_s"),
            "zarr-python by hand": (python("z3", "by-hand", src, OUT / "h.zarr", mem), "in_s"),
            "floor: codecs alone": (python("z3", "codec-floor", src), "in_s")})


def archive(rounds):
    generate("archive")
    files = sorted(glob.glob(str(DATA / "archive/*.nc")))
    compare("every variable of 365 files", rounds, {
        "chunkmill": ([BUILD / "chunkmill-bench", "files", DATA / "archive"], "in_s"),
        "chunkmill, one thread": (["taskset", "-c", "0", BUILD / "chunkmill-bench", "files", DATA / "archive", "--concurrency", "1"], "in_s"),
        "netCDF4-python": (python("z3", "netcdf4", DATA / "archive"), "in_s")})
    compare("365 files to one cube", rounds, {
        "chunkmill": ([BUILD / "chunkmill", "rechunk", *files, OUT / "o.zarr", "--concat", "time", "--chunks",
                       "time=365,y=30,x=60", "--quiet"], "wall_s")})


def survey(rounds):
    generate("archive")
    files = sorted(glob.glob(str(DATA / "archive/*.nc")))
    ours = [BUILD / "chunkmill", "survey", *files, "--quiet"]
    compare("survey of 365 files", rounds, {
        "chunkmill": (ours, "wall_s"),
        "chunkmill, one thread": (["taskset", "-c", "0", *ours, "--threads", "1"], "wall_s"),
        "netCDF4-python by hand": (python("z3", "survey-netcdf4", DATA / "archive"), "in_s"),
        "xarray by hand": (python("z3", "survey-xarray", DATA / "archive"), "in_s")})


def scan(rounds):
    generate("archive")
    files = sorted(glob.glob(str(DATA / "archive/*.nc")))
    kept = DATA / "scan"
    kept.mkdir(exist_ok=True)
    program, cache, tables = BUILD / "chunkmill", kept / "archive.cache", kept / "archive.tables"
    cache.unlink(missing_ok=True)
    subprocess.run([program, "scan", *files, "--out", tables, "--overwrite", "--quiet"], check=True)
    virtual = ["--concat", "time", "--quiet"]
    for threads in ("1", "2"):
        compare(f"365 files, --threads {threads}", rounds, {
            "scan": ([program, "scan", *files, "--out", OUT / "t", "--threads", threads, "--quiet"], "cpu_s"),
            "virtualize": ([program, "virtualize", *files, OUT / "a.json", *virtual, "--threads", threads], "cpu_s"),
            "virtualize tables": ([program, "virtualize", tables, OUT / "b.json", *virtual, "--threads", threads], "cpu_s"),
            "virtualize --cache": ([program, "virtualize", *files, OUT / "c.json", *virtual, "--cache", cache,
                                    "--threads", threads], "cpu_s"),
            "survey": ([program, "survey", *files, "--quiet", "--threads", threads], "cpu_s"),
            "survey --cache": ([program, "survey", *files, "--quiet", "--cache", cache, "--threads", threads], "cpu_s")})
    many = kept / "many.txt"
    many.write_text("\n".join(files * 28))
    compare("10,220 files", 1, {
        "scan": ([program, "scan", "--files-from", many, "--out", OUT / "t", "--quiet"], "cpu_s")})


def references(rounds):
    generate("archive")
    program, files = BUILD / "chunkmill", sorted(glob.glob(str(DATA / "archive/*.nc")))
    compare("references to 365 files, as JSON", rounds, {
        "chunkmill": ([program, "virtualize", *files, OUT / "o.json", "--concat", "time", "--quiet"], "wall_s"),
        "chunkmill, one thread": (["taskset", "-c", "0", program, "virtualize", *files, OUT / "o.json", "--concat", "time",
                                   "--threads", "1", "--quiet"], "wall_s"),
        "VirtualiZarr": (python("z3", "virtualizarr", DATA / "archive", OUT / "v.json"), "in_s"),
        "kerchunk": (python("z3", "kerchunk", DATA / "archive", OUT / "k.json"), "in_s")})
    compare("the scan of 365 files", rounds, {
        "chunkmill, one thread": ([program, "scan", *files, "--out", OUT / "o.scan", "--threads", "1", "--quiet"], "wall_s")})
    generate("references")
    cubes = sorted(glob.glob(str(DATA / "references/*.json")))
    for cube in cubes:
        parquet = cube.removesuffix("json") + "parq"
        if not os.path.exists(parquet):
            subprocess.run([program, "virtualize", cube, parquet, "--no-inline", "--quiet"], check=True)
    for name in "Parquet", "JSON":
        sources = [c.removesuffix("json") + "parq" for c in cubes] if name == "Parquet" else cubes
        compare(f"ten million references of ten cubes in {name}, as Parquet", rounds, {
            "chunkmill": ([program, "virtualize", *sources, OUT / "o.parq", "--concat", "time", "--no-inline", "--quiet"], "wall_s")})


def codecs(rounds):
    """CPU time of one thread; the best round of each. numcodecs is the one of $CM_PEERS/z3."""
    bench, peer = BUILD / "chunkmill-codec-bench", PEERS / "z3/bin/python"
    ours, theirs = {}, {}
    for _ in range(rounds):
        lines = subprocess.run([bench], capture_output=True, text=True, check=True).stdout
        sides = [(ours, lines)]
        if peer.exists():
            done = subprocess.run([peer, "-W", "ignore", PEER.with_name("codec_peer.py")], input=lines, capture_output=True,
                                  text=True, check=True)
            sides.append((theirs, done.stdout))
        for side, text in sides:
            for r in map(json.loads, text.splitlines()):
                key = r["codec"], r["op"]
                side[key] = max(side.get(key, 0), r["gb_s"])
    floor = ours["memcpy", "both"]
    for (codec, op), gb_s in ours.items():
        line = {"codec": codec, "op": op, "gb_s": gb_s, "of_memcpy": round(gb_s / floor, 2)}
        if (codec, op) in theirs:
            line.update(numcodecs_gb_s=theirs[codec, op], ratio=round(gb_s / max(theirs[codec, op], 1e-3), 2))
        print(json.dumps(line), flush=True)
    if not theirs:
        print("not measured, not found: numcodecs")


def main():
    cases = {"engine": engine, "reencode": reencode, "rechunk": rechunk, "archive": archive, "codecs": codecs,
             "references": references, "scan": scan, "survey": survey}
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("case", nargs="*", choices=[[], *cases], default=[])
    ap.add_argument("--rounds", type=int, default=3)
    a = ap.parse_args()
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d %H:%M')}", flush=True)
    for name in a.case or cases:
        cases[name](a.rounds)


if __name__ == "__main__":
    main()
