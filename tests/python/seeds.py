"""The seed of tests that make up their inputs: always the same, so that what fails has been changed. CM_SEED gives
another one, CM_SEED=random a new one every time."""
import os
import time


def choose_seed():
    text = os.environ.get("CM_SEED") or "1"
    value = time.time_ns() % 2**31 if text == "random" else int(text)
    print(f"seed {value} (repeat with CM_SEED={value})", flush=True)
    return value
