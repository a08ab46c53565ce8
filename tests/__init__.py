"""The tests mirror the rooms of dispytw, one file for each module; `house` tests its laws, `functional` real processes.

Whoever runs them, pytest or trial, imports this first: from here on the test process cannot send anything off this machine, and
Hypothesis looks for exceptions without a clock. How long an example takes to be made says something of the machine, and of the first
look at Unicode's tables, not of the code.
"""

import sys

from tests import loopback

loopback.install()

if "pytest" in sys.modules or "twisted.trial" in sys.modules:
    from hypothesis import HealthCheck, settings

    settings.register_profile("dispytw", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("dispytw")
