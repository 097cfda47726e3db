#!/usr/bin/env python3
"""docs/support.md, made of what the differential tests recorded while they compared.

    tools/make_support.py --check LIST     is the page what the tests recorded? (a test asks this)
    tools/make_support.py --write LIST     make it; refuses when something that is there is gone
    tools/make_support.py --write LIST --drop   though something is gone

LIST: a file with the names of the records, one a line, one file for each test that ran
(build/release/tests/support.txt). tests/python/support.py says what is in them, and has the sections
and types. Exit status 1 when the page is not as it should be.

The page is read back too: what it says is the same set of facts as the records, cell for cell.
"""
import argparse
import collections
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/python"))
sys.dont_write_bytecode = True
import support  # noqa: E402

PAGE = ROOT / "docs/support.md"
NONE = "–"
LETTERS = {letter: oracle for oracle, letter in support.ORACLES.items()}

HEAD = """# What is tested, and against whom

This page is made by the tests (`make support`), of what they compared and found equal, to the bit. A
letter says who was the judge: the program that wrote what chunkmill read, or that read what chunkmill
wrote. **What no test covers, `{none}` or not on this page, is unsupported**, even where it happens to
work. Versions of the judges: [tests/requirements.txt](../tests/requirements.txt).

{letters}

*Byte order* is that of the stored cells; types of one byte have none. The codecs of a row are applied
from left to right.
"""

REFUSED_HEAD = """
## Refused by name

Inputs that the tests make and that chunkmill refuses, each with this message. Other variables of the
same file are read.

| format | what | says |
|---|---|---|
"""


def read_records(list_path):
    """Facts: ("matrix", section, feature, type, order, oracle), ("list", section, feature, oracle),
    ("refused", where, feature, words)."""
    facts = set()
    for name in pathlib.Path(list_path).read_text().split("\n"):
        if not name:
            continue
        for line in pathlib.Path(name).read_text(encoding="utf-8").splitlines():
            r = json.loads(line)
            if r["section"] == "refused":
                facts.add(("refused", r["where"], r["feature"], r["words"]))
            elif "type" in r:
                facts.add(("matrix", r["section"], r["feature"], r["type"], r["order"], r["oracle"]))
            else:
                facts.add(("list", r["section"], r["feature"], r["oracle"]))
    return facts


def row(cells):
    for cell in cells:
        assert "|" not in cell.replace("\\|", ""), f"a bar in {cell}"
    return "| " + " | ".join(cells) + " |\n"


def letters_text(oracles):
    return "".join(x for x in support.ORACLES.values() if LETTERS[x] in oracles) or NONE


def matrix_text(key, facts):
    """One table: features down, types across. Rows of both byte orders that are alike are one."""
    types = support.SECTIONS[key].types
    cells = collections.defaultdict(set)  # (feature, type, order): oracles
    for _, _, feature, dtype, order, oracle in facts:
        cells[feature, dtype, order].add(oracle)
    ordered = any(f[4] for f in facts)
    out = row(["stored as", *(["byte order"] if ordered else []), *types])
    out += "|---" * (len(types) + 1 + ordered) + "|\n"
    for feature in sorted({f[2] for f in facts}, key=lambda f: (f.count(","), f)):
        has = [o for o in ("little", "big") if any((feature, t, o) in cells for t in types)]
        if len(has) == 2 and all(cells.get((feature, t, "little")) == cells.get((feature, t, "big"))
                                 for t in types):
            labels = {"both": "little"}
        else:
            labels = {order: order for order in has} or {"": ""}
        for i, (label, order) in enumerate(labels.items()):
            # what has no byte order stands in the first of two rows
            texts = [letters_text(cells.get((feature, t, order), () if i else cells.get(
                (feature, t, ""), ()))) for t in types]
            out += row([feature, *([label] if ordered else []), *texts])
    return out


def list_text(facts):
    oracles = collections.defaultdict(set)
    for _, _, feature, oracle in facts:
        oracles[feature].add(oracle)
    return "| what | compared with |\n|---|---|\n" + "".join(
        row([feature, letters_text(oracles[feature])]) for feature in sorted(oracles))


def page_text(facts):
    out = HEAD.format(none=NONE, letters=", ".join(
        f"{letter} {oracle}" for oracle, letter in support.ORACLES.items()) + ".")
    for key, section in support.SECTIONS.items():
        mine = [f for f in facts if f[0] != "refused" and f[1] == key]
        if mine:
            out += f"\n## {section.title}\n\n" + (f"{section.text}\n\n" if section.text else "")
            out += matrix_text(key, mine) if section.types else list_text(mine)
    out += REFUSED_HEAD
    for _, where, feature, words in sorted(f for f in facts if f[0] == "refused"):
        out += row([where, feature, words.replace("|", "\\|")])
    return out


def table_facts(key, titles, cells):
    """The facts that one row of a page says."""
    if key == "refused":
        return [("refused", cells[0], cells[1], cells[2].replace("\\|", "|"))]
    if support.SECTIONS[key].types is None:
        return [("list", key, cells[0], LETTERS[x]) for x in cells[1] if x != NONE]
    has_order = titles[1] == "byte order"
    label = cells[1] if has_order else ""
    facts = []
    for dtype, text in zip(titles[1 + has_order:], cells[1 + has_order:]):
        orders = [""] if dtype in support.ORDERLESS else \
            {"both": ["little", "big"], "": [""]}.get(label, [label])
        facts += [("matrix", key, cells[0], dtype, o, LETTERS[x])
                  for o in orders for x in text if x != NONE]
    return facts


def page_facts(text):
    keys = {s.title: k for k, s in support.SECTIONS.items()} | {"Refused by name": "refused"}
    facts, key, titles = set(), None, None
    for line in text.splitlines():
        if line.startswith("## "):
            key, titles = keys.get(line[3:]), None
        elif line.startswith("| ") and key:
            cells = line[2:-2].replace("\\|", "\0").split(" | ")
            cells = [c.replace("\0", "\\|") for c in cells]
            if titles is None:
                titles = cells
            else:
                facts |= set(table_facts(key, titles, cells))
    return facts


def say(title, facts):
    print(f"# {title}: {len(facts)}")
    for fact in sorted(facts)[:20]:
        print("#   " + ", ".join(x for x in fact[1:] if x))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", metavar="LIST")
    parser.add_argument("--write", metavar="LIST")
    parser.add_argument("--drop", action="store_true")
    options = parser.parse_args()
    facts = read_records(options.check or options.write)
    new = page_text(facts)
    if page_facts(new) != facts:
        say("the page would not say what was recorded", page_facts(new) ^ facts)
        return 1
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    said = page_facts(old)
    # what was refused and is read now may go
    lost = {f for f in said - facts if f[0] != "refused" or options.check}
    if lost:
        say("docs/support.md says what no test compared", lost)
    if options.write:
        if lost and not options.drop:
            print("# nothing written; --drop writes it without them")
            return 1
        PAGE.write_text(new, encoding="utf-8")
        print(f"# {len(facts)} facts, {len(facts - said)} new")
        return 0
    if facts - said:
        say("compared, but not in docs/support.md (make support)", facts - said)
    if not facts - said and not lost and new != old:
        print("# docs/support.md says the same in other words: make support")
    print(f"{'ok' if new == old else 'not ok'} 1 - {len(facts)} facts\n1..1")
    return new != old


if __name__ == "__main__":
    sys.exit(main())
