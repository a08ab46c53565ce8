"""The whole house in memory, driven by a seed: what may go wrong goes wrong, and after every step the laws have to hold.

`world` makes a house and a plan of faults out of a seed, and lives through it. `watching` looks over the shoulders of every ledger and bench,
and holds what they do against the tables of ``docs/attempts`` (`tables`). `laws` are what must never be broken. `report` counts what
occurred over many seeds.
"""
