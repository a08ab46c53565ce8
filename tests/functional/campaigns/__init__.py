"""Tests that take longer than five seconds. They run in the tox environments ``campaign-…``, not with the others.

Their classes are decorated with `campaign`.
"""

import os
import unittest

campaign = unittest.skipUnless(os.environ.get("DISPYTW_CAMPAIGN"), "long: run it by tox -e campaign-chaos")
