"""The whole house in memory, driven by a seed: what may go wrong goes wrong, and after every step the laws have to hold.

`world` makes a house and a plan of `faults` out of a seed, and lives through it. `watching` looks over the shoulders of every ledger and
bench, and holds what they do against the tables of ``docs/attempts`` (`tables`). What must never be broken are `laws`, of one process, and
those of `bothends`, which knows what either end knows; what must come to pass once the trouble is over is in `calm`. `run` counts what
occurred over many seeds.

Some troubles have a module of their own: answers that are lost or somebody's last words (`losing`), commands that are said twice
(`repeating`), disks that are slow (`slowness`).

Whether all this finds anything is seen by `planted`: bugs that the tests plant, and that have to be found.
"""
