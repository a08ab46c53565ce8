"""The ``dispytw`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dispytw.cli.run import run_program
from dispytw.version import VERSION


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dispytw", description="Run Python functions and programs on many machines.")
    parser.add_argument("--version", action="version", version=f"dispytw {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a program with a private node on this machine",
        description="Starts a private node on loopback, runs the program with it in place of '*', ends the node again.",
    )
    run.add_argument("--cpus", type=int, default=0, help="slots of the private node (default: as many as cores)")
    run.add_argument("program", help="path of the Python program")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; ends with the exit code of what it ran."""
    options = _parser().parse_args(arguments)
    sys.exit(run_program(options.program, options.arguments, options.cpus))


if __name__ == "__main__":
    main()
