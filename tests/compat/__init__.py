"""dispy's names beside ours: docs/compatibility.csv, held to dispy's own package and to the manual.

`names` reads a package, dispy-4.15.2.txt is what it found in dispy's, `manual` lists what the manual names. The tests here need no dispy, but for
one, which the tox environment ``compat`` runs.
"""
