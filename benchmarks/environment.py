"""The benchmark's own virtual environment: this checkout, and each of the peers that can be installed. Standard library only."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


class Environment:
    """A virtual environment of the Python that runs this.

    :param path: its directory, made if it is not there.
    :ivar python: its interpreter.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.python = self.path / "bin" / "python"
        self._record = self.path / "installed.json"

    @property
    def runs_this(self) -> bool:
        """Whether this very process runs in it."""
        return Path(sys.prefix) == self.path

    def prepare(self, say: Callable[[str], object]) -> None:
        """Install what is missing. dispytw must be there in the end; a peer that cannot be is written down.

        :raises FileExistsError: when something else is in its place.
        :raises CalledProcessError: when the environment cannot be made, or dispytw not installed.
        """
        if self._installed().get("wanted") == self._wanted():
            return
        if self.path.exists() and any(self.path.iterdir()) and not (self.path / "pyvenv.cfg").exists():
            raise FileExistsError(f"{self.path} is no virtual environment, and not empty: it is left alone; name another")
        say(f"installing into {self.path}")
        venv.create(self.path, with_pip=True, clear=True)
        subprocess.run([*self._pip(), "--editable", str(ROOT)], check=True)
        refused = {}
        for peer in peers(REQUIREMENTS.read_text(encoding="utf-8")):
            done = subprocess.run([*self._pip(), *peer.split()], stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode != 0:
                refused[peer] = reason(done.stderr)
                say(f"{peer}: {refused[peer]}")
        self._record.write_text(json.dumps({"wanted": self._wanted(), "refused": refused}, indent=1), encoding="utf-8")

    @property
    def refused(self) -> dict[str, str]:
        """Peers that could not be installed, and pip's reason."""
        return dict(self._installed().get("refused", {}))

    def _pip(self) -> list[str]:
        return [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]

    def _installed(self) -> dict:
        try:
            return dict(json.loads(self._record.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}

    @staticmethod
    def _wanted() -> str:
        """Changes when there is something to install."""
        wanted = [sys.version.encode(), REQUIREMENTS.read_bytes(), (ROOT / "setup.py").read_bytes()]
        return hashlib.sha256(b"\0".join(wanted)).hexdigest()


def peers(text: str) -> list[str]:
    """The lines of a requirements file, each to be installed by itself so that one cannot keep another out."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def reason(stderr: str) -> str:
    """pip's last error, in one line."""
    lines = [line for line in stderr.splitlines() if line.startswith("ERROR:")] or stderr.splitlines() or ["no reason given"]
    return lines[-1].removeprefix("ERROR:").strip()
