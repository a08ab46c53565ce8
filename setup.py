"""How dispytw is built and installed; tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).parent


def version() -> str:
    """What dispytw/version.py states, read without importing the package: its dependencies are not there yet."""
    found = re.search(r'^VERSION = "([^"]+)"$', (ROOT / "dispytw/version.py").read_text(encoding="utf-8"), re.MULTILINE)
    assert found, "dispytw/version.py states no VERSION"
    return found[1]


setup(
    name="dispytw",
    version=version(),
    description="Runs Python functions and programs on many machines: dispy's API over a Twisted daemon suite",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Framework :: Twisted",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    # Why each of these is needed, and who keeps it up: docs/dependencies.rst.
    install_requires=[
        "twisted[tls]>=24.7",
        "pyopenssl>=24.3",
        "cryptography>=42",
        "service-identity",
        "psutil>=5.9",
        "dill>=0.3.8",
        "msgpack>=1.0.3",
        "spake2>=0.9",
    ],
    extras_require={
        "joblib": ["joblib>=1.3"],
    },
    # Without this line `pip install -e .` hides the plugin from twistd: its finder serves packages by name, and
    # twisted.plugins looks for directories on sys.path.
    package_dir={"": "."},
    # twisted/plugins is a namespace portion, never a package of ours: an __init__.py there would hide Twisted itself.
    packages=find_namespace_packages(
        include=["dispytw", "dispytw.*", "twisted.plugins"], exclude=["*.__pycache__", "*.__pycache__.*"]
    ),
    package_data={"dispytw": ["py.typed"]},
    entry_points={
        "console_scripts": [
            "dispytw = dispytw.cli.main:main",
            "dispynode = dispytw.node.tap:main",
            "dispynode.py = dispytw.node.tap:main",
        ]
    },
    zip_safe=False,
)
