"""The corridor: everything that is ever said between processes, told here in prose.

**A link** joins two peers. It begins with a *greeting* (`dispytw.wire.greeting`) in which both prove that they hold the same
secret, or that the certificates they have shown are fit (`dispytw.wire.verdict`), or both; then it carries AMP boxes
(`dispytw.wire.limits` makes AMP safe) until it is closed. Either end may ask. An *ask* is an imperative and is answered at once, for
"accepted"; a *tell* is in the past tense, and its answer means "you may forget it". No answer is ever pending for as long as a job
runs. Everything may be said twice: ids are made by the sender, and a duplicate gets the same answer as the first.

**The scheduler gets to know a node.** Its first words are `Introduce`: who am I, which versions do I speak, how often will you
hear from me. The node answers with what it is: name, slots, incarnation; and with how busy it is, which it tells again and again by
`NodeAvailable` to those who want to know. Then `Reconcile`: the scheduler lists the attempts
it believes to be on that node, the node answers for each what it knows (ended, running, handed, never started, unknown) and adds
those that the scheduler did not name. Only now are new jobs given to that node. This happens at every connection, so there is no
second way for a repair. `TakeOver` comes before it when another client's computation, which is gone, is to be brought home.

**A computation arrives.** `OpenComputation` describes it; the answer names the digests of the files that the node lacks. The
scheduler streams those, and only those, and repeats `OpenComputation` until nothing is missing. The node lays the files out, starts a
supervisor, lets it run setup(), and tells `ComputationReady` with the supervisor's generation, or `ComputationFailed` with
the traceback. A node in use by another client answers with `NodeHeldError` and tells `NodeFreed` later.

**Jobs run.** `RunJobs` hands over many attempts at once; the answer names those the node refuses, each with its reason: a refusal
means that the attempt never started. A record may name a timeout, which the node enforces. The node tells `JobsStarted` and
`JobsEnded` as they come; it keeps an outcome until the answer to `JobsEnded` says that it has arrived. `CancelJobs` names
attempts, never jobs, so that a late cancel hits nothing else. A body of more than 48 KiB does not fit a box: it is streamed
*before* the command whose record names it (`dispytw.wire.streams`), so the receiver has it whole when it learns what it is for. A
node may be given more short jobs than it has slots; those that have not begun can be got back by `RecallJobs`, and the node tells
which ones by `JobsGivenBack`. `ListJobs` asks which have begun and not ended.

**The end.** `CloseComputation` runs cleanup() on the node and removes its files. A closed link is noticed at once, a silent one after five
`Heartbeat` s: the node is then *away*, and what becomes of its jobs is decided by the ledger (`dispytw.scheduler.ledger`).

**Inside a node** the daemon and its supervisors exchange frames over a Unix socket (`dispytw.wire.frames`): no AMP, no Twisted.

Modules: `arguments` (AMP types), `limits` (AMP made safe), `nodecommands` and `schedulercommands` (split by who answers),
`streams` and `streamcommands` (bytes beyond a box), `records` (values as msgpack lists), `heartbeat`, `paths`, `greeting`,
`credentials`, `certificates`, `verdict`, `doorway`, `dialling`, `frames`, `spool` (what a supervisor leaves behind), and `payload`, the
only module that pickles and which no daemon imports.
"""

#: Raised whenever two builds could misunderstand each other; both ends say theirs in the greeting's first eight bytes.
WIRE_VERSION = 1
