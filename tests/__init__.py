"""The tests mirror the rooms of dispytw, one file for each module; `house` tests its laws, `functional` real processes.

Whoever runs them, pytest or trial, imports this first: from here on the test process cannot send anything off this machine.
"""

from tests import loopback

loopback.install()
