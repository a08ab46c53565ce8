"""What a run's figures belong to: the machine, the Python, the versions, and how busy it was."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import ssl
import time
from pathlib import Path

PACKAGES = ("dispytw", "twisted", "pyopenssl", "cryptography", "msgpack", "dispy", "pycos", "distributed", "dask", "ray")


def described() -> dict[str, str]:
    """Facts in the order in which they are shown."""
    return {
        "when": time.strftime("%Y-%m-%d"),
        "processor": f"{os.cpu_count()} × {_value('/proc/cpuinfo', 'model name')}",
        "memory": f"{int(_value('/proc/meminfo', 'MemTotal').split()[0]) / (1 << 20):.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": platform.python_version(),
        "OpenSSL": ssl.OPENSSL_VERSION.split()[1],
        "packages": ", ".join(f"{name} {version}" for name, version in _versions()),
    }


def load() -> str:
    """Processes that wanted a CPU, on average over the last minute: what else the machine had to do."""
    return f"{os.getloadavg()[0]:.2f}"


def _value(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in PACKAGES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue  # a peer that this Python cannot have
    return found
