"""Tests with real processes, real sockets and real signals. Each takes its processes from `daemons`.

A module that has to pass on every supported Python says ``EVERY_PYTHON = True``; the rest run on one.
"""
