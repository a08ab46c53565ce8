"""Tests of the benchmark itself: ``tox -e bench``. The main suite leaves them out."""
