"""The room of a machine that offers slots: the `dispynode` daemon.

`bench` is its mind, with `tenancy`: slots, who holds the node, what is owed, and the `orders` it gives. `steward` carries them out:
`launcher`, `supervision` and `supervisorlink` are for the processes, `workspace`, `store` and `placing` for files, `telling` for what
clients hear, `keeper` and `journal` for what is owed to them. `adoption` takes over what outlives a daemon, `leftovers` ends the rest.

What running jobs say goes through the `spokesman`, whose mind is `remarks`.

`connections` speaks with schedulers, and `tap` is the door through which twistd and the `dispynode` command come in. The daemon never
runs a user's code; its child processes do (`dispytw.worker`).
"""
