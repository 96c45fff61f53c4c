#!/usr/bin/env python3
"""Runs `tollgate apply-plan` with the same arguments and the same exit code.

The binary is the one of TOLLGATE_BIN, else the one on PATH, else a build of this repository.
"""

import os
import pathlib
import shutil
import sys


def binary() -> str:
    named = os.environ.get("TOLLGATE_BIN") or shutil.which("tollgate")
    if named:
        return named
    target = pathlib.Path(__file__).resolve().parent.parent / "target"
    for profile in ("release", "debug"):
        built = target / profile / "tollgate"
        if built.is_file():
            return str(built)
    sys.exit("tollgate is neither in TOLLGATE_BIN nor on PATH: build it with `cargo build --release`")


if __name__ == "__main__":
    program = binary()
    os.execv(program, [program, "apply-plan", *sys.argv[1:]])
