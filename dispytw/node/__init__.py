"""The room of a machine that offers slots: the `dispynode` daemon.

`bench` is its mind: slots, who holds the node, what is owed, and the `orders` it gives. `steward` carries them out, with `launcher` and
its neighbours for the processes and the workspace for files. `connections` speaks with schedulers, and `tap` is the door through which
twistd and the `dispynode` command come in. The daemon never runs a user's code; its child processes do (`dispytw.worker`).
"""
