#!/usr/bin/env python3
"""Times as text against cftime, every calendar, years -10000 to 10000.

    python test_time_oracle.py

A zone with a one-digit hour (CF section 4.4 has "-6:00") is left out: cftime ignores it. Needs cftime and build/debug/libchunkmill.so (or CM_LIBRARY). Exit status 77 when one is missing.
"""
import datetime
import random
import re
import sys
import warnings

warnings.simplefilter("ignore")
try:
    import cftime
    import numpy as np

    from cm_library import Library
    LIB = Library()
except (ImportError, OSError) as why:
    print(f"1..0 # SKIP {why}")
    sys.exit(77)

from seeds import choose_seed
from tally import FAILED, check

CALENDARS = ["standard", "gregorian", "proleptic_gregorian", "julian", "noleap", "365_day",
             "all_leap", "366_day", "360_day"]
UNITS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1, "milliseconds": 1e-3,
         "microseconds": 1e-6}


def text_of(date):
    sign = "-" if date.year < 0 else ""
    text = (f"{sign}{abs(date.year):04d}-{date.month:02d}-{date.day:02d}"
            f"T{date.hour:02d}:{date.minute:02d}:{date.second:02d}")
    us = date.microsecond
    return text + (f".{us // 1000:03d}" if us and us % 1000 == 0 else f".{us:06d}" if us else "")


def split(text):
    m = re.fullmatch(r"(-?\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)(?:\.(\d+))?", text)
    return [int(x) for x in m.groups()[:6]] + [int((m.group(7) or "0").ljust(6, "0")[:6])]


def one(random_, whole):
    calendar = random_.choice(CALENDARS)
    unit = random_.choice(list(UNITS))
    year = random_.choice([random_.randint(-10000, 10000), random_.randint(1500, 2100)])
    if year == 0:
        year = 1
    zone = random_.choice(["", "", " 12:30:15", " 06:00:00 +02:00", "T00:00:00Z", " 1:2:3.25 -06:30"])
    units = f"{unit} since {year:04d}-{random_.randint(1, 12)}-{random_.randint(1, 28)}{zone}"
    span = random_.choice([10, 1000, 40000]) * 86400 / UNITS[unit]
    value = random_.uniform(-span, span)
    value = int(value) if whole else value
    try:
        want = cftime.num2date(value, units, calendar)
    except (ValueError, OverflowError):
        return False
    have = LIB.time_text(float(value), units, calendar)
    if whole:
        check(have == text_of(want), f"{value} {units} {calendar}: {have}, cftime {text_of(want)}")
        return True
    if have is None:
        check(False, f"{value} {units} {calendar}: not a time, cftime {text_of(want)}")
        return True
    parts = split(have)
    mine = cftime.datetime(*parts, calendar=calendar)
    allowed = 2e-6 + 2 * np.spacing(abs(value)) * UNITS[unit]
    allowed = 1.001e-3 if allowed > 4e-6 and allowed < 1e-3 else allowed
    off = abs((mine - want).total_seconds())
    check(off <= allowed, f"{value!r} {units} {calendar}: {have}, cftime {text_of(want)}")
    return True


def main():
    random_ = random.Random(choose_seed())
    done = sum(one(random_, whole) for whole in [True] * 12000 + [False] * 6000)
    check(done > 15000, f"only {done} values were tested")
    print(f"# {done} values")
    print(("not ok" if FAILED else "ok") + " 1 - times as cftime has them\n1..1")
    return 1 if FAILED else 0


def test_times():
    assert main() == 0


if __name__ == "__main__":
    sys.exit(main())
