#!/usr/bin/env python3
"""A lower floor never includes a higher one.

Reads every #include "..." below src/ and include/ and compares the floors of both files. The
program (src/cli) stands on the public headers alone. A file that lies on no known floor, and a public
header whose floor is not named here, are errors too.
"""
import pathlib
import re
import sys

# Lowest first; floors of one row do not see each other.
ROWS = [
    ["base"],
    ["text", "nd"],
    ["codec"],
    ["store"],
    ["array"],
    ["dataset"],
    ["cf"],
    ["format"],
    ["join"],
    ["op"],
    ["save", "region"],
    ["verify"],
    ["pipeline"],
    ["cli", "serve"],
]
ROW_OF = {floor: row for row, floors in enumerate(ROWS) for floor in floors}
# Public headers that are not named after their floor.
PUBLIC = {"error": "base", "context": "base", "json": "text", "dtype": "nd", "diff": "verify",
          "open": "format", "time": "cf", "virtualize": "save", "survey": "join",
          "scan": "format"}
TOP = "all"  # the header that includes all the others

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


def floor_of(name):
    """name: as in an #include, relative to src/ or include/."""
    parts = name.split("/")
    if name == "chunkmill.h":
        return TOP
    if parts[0] == "chunkmill":
        stem = parts[1].removesuffix(".h")
        return PUBLIC.get(stem, stem if stem in ROW_OF else None)
    return parts[0] if parts[0] in ROW_OF else None


def check(root):
    wrong, nfiles = [], 0
    for base in ("include", "src"):
        for path in sorted((root / base).rglob("*.[ch]")):
            name = path.relative_to(root / base).as_posix()
            mine = floor_of(name)
            nfiles += 1
            if mine is None:
                wrong.append(f"{base}/{name}: on no floor that tools/check_layers.py knows")
                continue
            for target in INCLUDE.findall(path.read_text()):
                theirs = floor_of(target)
                if "/" not in target and target != "chunkmill.h":
                    wrong.append(f'{base}/{name}: "{target}" should be named from the root, FLOOR/...')
                elif theirs is None:
                    wrong.append(f'{base}/{name}: "{target}" is on no known floor')
                elif mine == TOP or mine == theirs:
                    continue
                elif theirs == TOP:
                    if mine not in ("cli", "serve"):
                        wrong.append(f'{base}/{name} ({mine}) includes "{target}", which is everything')
                elif mine in ("cli", "serve") and not target.startswith("chunkmill/"):
                    wrong.append(f'{base}/{name}: "{target}" is not public')
                elif ROW_OF[theirs] >= ROW_OF[mine]:
                    wrong.append(f'{base}/{name} ({mine}) includes "{target}" ({theirs})')
                elif base == "include" and not target.startswith("chunkmill/"):
                    wrong.append(f'{base}/{name}: a public header includes "{target}"')
    return wrong, nfiles


def main():
    root = pathlib.Path(__file__).resolve().parents[1]
    wrong, nfiles = check(root)
    for line in wrong:
        print(f"# {line}")
    print(f"{'not ' if wrong else ''}ok 1 - floors of {nfiles} files\n1..1")
    return bool(wrong) or nfiles == 0


if __name__ == "__main__":
    sys.exit(main())
