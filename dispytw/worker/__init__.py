"""What runs in a node's child processes: no Twisted, no secret, and nothing here is imported by a daemon.

Read it in the order of a job's life. `__main__` is the program that the daemon executes, once for each computation. It forks its
`zygote`, in which the `computation` lives: that opens the code with `namespace` (which puts the names of `jobfunctions` beside it) and
runs setup(). What these import, every process that runs a job has in memory and pays for, so it is little (`dispytw.plain` has the few
values that they need). Then it is the `supervisor`, a loop around a selector. Who speaks to it is `daemonlink`; what is said are the
frames of `dispytw.wire.frames`.

`jobs` gives each attempt to the process (`server`) that serves one of its `slots` (with two outputs, `capture`; the same from inside
is `servedslot`, and `slotwords` what the two say). `servers` has such processes forked by the zygote: `serving` is what all
of them do, `forker` the kind that forks a worker for each job, `keptperformer` the kind that runs jobs itself. `forking` is the fork, and
`descriptors` sees to it that a child keeps nothing of the supervisor's; `stillborn` counts those that never get so far, and `cancelling` is
how a job that runs is cancelled. Where servers are fresh processes, `spawning` starts them, `handover` packs for them what setup() has
left, and `spawned` is their program. In a forked worker, `performer` is everything that it does, up to its last word (`words`), with
`masks` for the signals that it lets through, and `tracebacks` for what went wrong.

A job that speaks while it runs does so by `speaking` (`voice` is what it has to know, `nodelog` the logger it is given); the supervisor's
side of it is `hearing`, with an `ear` for what is said, and `following` for what is written.

`tree` finds and kills what a job left behind. Back in the supervisor `serverwords` is what is understood of what servers say, `ending`
judges from a worker's word and its wait status how the attempt ended, `gathering` holds what is to be told for a moment, `pace` knows how
many jobs a server may be given ahead, `sources` is what the loop sleeps over, and `timers` its clock.
"""
