"""The command `tempera` that the package brings along."""

import os
import pathlib
import sys


def main():
    program = pathlib.Path(__file__).parent / "bin" / "tempera"
    os.execv(program, ["tempera", *sys.argv[1:]])
