"""Tries an installed dispytw from outside its source: twistd lists dispynode, a node started by its command runs one job.

Not a test module: the tox environments ``pkg`` and ``pkg-editable`` run it as a program, with ``python -I``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = Path(sys.executable).parent

PROGRAM = """
import sys
import dispytw as dispy

def compute(n):
    return n * n

if __name__ == "__main__":
    with dispy.JobCluster(compute, nodes=sys.argv[1:]) as cluster:
        job = cluster.submit(7)
        print(job(), job.status == dispy.DispyJob.Finished)
"""


def output_of(*argv: str | Path, env: dict[str, str]) -> str:
    """Standard output of a command that has to succeed within half a minute."""
    done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, text=True, timeout=30, check=True)
    return done.stdout


def one_job(home: Path, env: dict[str, str]) -> str:
    """What the program prints that gives one job to a node."""
    program = home / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    reading, writing = os.pipe()
    argv = [COMMANDS / "dispynode", "--host", "127.0.0.1", "--port", "0", "--announce-fd", str(writing)]
    with subprocess.Popen(argv, env=env, pass_fds=(writing,)) as node, open(reading, encoding="utf-8") as announcement:
        os.close(writing)
        try:
            address = announcement.readline().strip().replace(" ", ":")
            return output_of(sys.executable, program, address, env=env)
        finally:
            node.terminate()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dispytw-") as directory:
        home = Path(directory)
        env = {"HOME": directory, "PATH": os.defpath, "LANG": "C.UTF-8"}
        os.chdir(home)
        listing = output_of(COMMANDS / "twistd", "--help", env=env)
        assert "dispynode " in listing, listing
        for command in ("dispytw", "dispynode", "dispynode.py"):
            assert "options" in output_of(COMMANDS / command, "--help", env=env).lower(), command
        printed = one_job(home, env)
        assert printed == "49 True\n", printed
    import dispytw

    print(f"dispytw {dispytw.__version__} at {Path(dispytw.__file__).parent}: twistd lists dispynode, one job ran")


if __name__ == "__main__":
    main()
