"""Sphinx settings. `tox -e docs` builds the pages, every warning an error."""

import re
from pathlib import Path

project = "dispytw"
author = "the dispytw developers"
project_copyright = "2026, the dispytw developers"
release = re.search(r'"(.+)"$', (Path(__file__).parents[1] / "dispytw/version.py").read_text(encoding="utf-8").strip())[1]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Python functions and programs on many machines", "fixed_sidebar": True}
nitpicky = True
