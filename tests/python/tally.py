"""What the tests that are scripts share: counting checks, and the hash by which cm_dump tells cells."""

FAILED = []  # what failed, in order
SHOWN = 30  # so many are printed; one mistake tends to fail a thousand times

_done = 0


def check(good, what):
    """Count one check; print and keep what failed. Gives good back."""
    global _done
    _done += 1
    if not good:
        FAILED.append(what)
        if len(FAILED) <= SHOWN:
            print(f"# FAILED: {what}"[:600], flush=True)
    return good


def count():
    """How many checks were made."""
    return _done


def fnv1a(data):
    """The 64-bit hash of bytes, as cm_dump writes it."""
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"
