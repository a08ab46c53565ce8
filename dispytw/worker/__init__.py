"""What runs in a node's child processes: no Twisted, no secret, and nothing here is imported by a daemon.

Read it in the order of a job's life. `supervisor` is the program that the daemon executes, once for each computation: a loop around
a selector. Who speaks to it is `daemonlink`; what is said are the frames of `dispytw.wire.frames`. It opens the computation's code with
`namespace` (which puts the names of `jobfunctions` beside it) and runs setup().

`jobs` forks a worker for each attempt, into a place of `slots` with two outputs (`capture`). `descriptors` sees to it that a child
keeps nothing of the supervisor's. In the child, `performer` is everything a worker does, up to its last word, with `tracebacks` for what
went wrong.

A job that speaks while it runs does so by `speaking`; the supervisor's side of it is `hearing`, with an `ear` for what is said, and
`following` for what is written.

Back in the supervisor `tree` finds and kills what a job left behind, and `ending` judges, from the worker's word and its wait status,
how the attempt ended. `timers` is the loop's clock.
"""
