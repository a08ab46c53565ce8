"""How pytest runs these tests.

- A pytest-twisted test leaves the reactor running, and trial cannot start it a second time: trial's and unittest's classes go first.
- ``--portable`` leaves out the functional tests, and those of rooms where nothing depends on the Python's version, whose module does not say
  ``EVERY_PYTHON = True``; and others that say False. That these rooms work everywhere is shown by a walk through a real node.
- A test that tries to leave this machine fails, even if it swallowed the error.
- Child processes that are left at the end fail the run.
- When a test with daemons fails, their logs are part of its report.
- A node that tests have in common ends with their module.
"""

from __future__ import annotations

import os
import unittest
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests import loopback
from tests.functional import daemons

#: What one Python shows for all.
ONCE = [Path(__file__).parent / name for name in ("functional", "cli", "client", "compat", "discovery", "node", "scheduler", "simulation", "wire")]

#: Of each child process that was seen to outlive a test: the first such test.
outlived: dict[int, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--portable", action="store_true", help="what every Python has to pass: see EVERY_PYTHON"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Trial's way of testing first, whatever order the tests were written in; the order among each kind stays."""
    if config.getoption("--portable"):
        left_out = [item for item in items if not _is_portable(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _is_portable(item)]
    items.sort(key=lambda item: not _is_case(item))


def _is_case(item: pytest.Item) -> bool:
    cls = getattr(item, "cls", None)
    return cls is not None and issubclass(cls, unittest.TestCase)


def _is_portable(item: pytest.Item) -> bool:
    by_place = not any(place in item.path.parents for place in ONCE)
    return bool(getattr(getattr(item, "module", None), "EVERY_PYTHON", by_place))


@pytest.fixture(autouse=True)
def stays_on_this_machine() -> Iterator[None]:
    """Fails a test that tried to send something elsewhere."""
    loopback.trespasses.clear()
    yield
    if loopback.trespasses:
        pytest.fail("; ".join(loopback.trespasses))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.when == "call":
        logs = daemons.logs_of_the_last_test()
        if report.failed and logs:
            report.sections.append(("daemons and programs", logs))
    if report.when == "teardown":
        for pid in _children():
            outlived.setdefault(pid, item.nodeid)
    return report


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What the tests of a module had in common ends with the last of them; what is wrong with it is that one's error."""
    if nextitem is None or nextitem.path != item.path:
        daemons.end_in_common()


def _children() -> list[int]:
    """Pids of this process's children, read from /proc: cheap enough to look after every test."""
    found = []
    for thread in os.listdir("/proc/self/task"):
        try:
            found += map(int, Path(f"/proc/self/task/{thread}/children").read_text().split())
        except FileNotFoundError:  # the thread has just ended, or the kernel does not tell
            pass
    return found


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the run if a child process is left, naming it and the first test that it outlived."""
    left = [child for child in psutil.Process().children(recursive=True) if child.is_running()]
    _, left = psutil.wait_procs(left, timeout=2)
    for child in left:
        after = outlived.get(child.pid, "an unknown test")
        print(f"\nleft behind: process {child.pid} ({_said_by(child)}), first seen after {after}")
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _said_by(process: psutil.Process) -> str:
    try:
        return f"{process.status()}: {' '.join(process.cmdline()) or process.name()}"
    except psutil.NoSuchProcess:
        return "gone by now"
