"""Where every module stands. A new module of a layered room is written down here, or the laws say so.

Inside a room imports point one way: a mind knows nobody, hands know minds, the mouth knows hands and minds, the door all of them.
"""

from __future__ import annotations

PACKAGE = "dispytw"

MIND, HANDS, MOUTH, DOOR = range(4)
LAYER_NAMES = ("mind", "hands", "mouth", "door")

#: Of each layered room, its modules by layer. In the client the mouth is what says dispy's words to the user.
LAYERS: dict[str, dict[str, int]] = {
    "scheduler": {
        **dict.fromkeys(("attendance", "entries", "ledger", "orders", "placement", "policy"), MIND),
        **dict.fromkeys(("dispatcher", "earshot", "journal", "neighbours", "outfitting"), HANDS),
        "connections": MOUTH,
        "tap": DOOR,
    },
    "node": {
        **dict.fromkeys(("bench", "orders", "remarks", "tenancy"), MIND),
        **dict.fromkeys(("adoption", "availability", "herald", "keeper", "spokesman", "telling"), HANDS),
        **dict.fromkeys(("hardening", "journal", "launcher", "leftovers", "statedir", "steward", "workspace"), HANDS),
        **dict.fromkeys(("neighbours", "placing", "store", "supervision", "supervisorlink"), HANDS),
        "connections": MOUTH,
        **dict.fromkeys(("foreground", "service", "tap"), DOOR),
    },
    "client": {
        **dict.fromkeys(("advice", "chunking", "lookup", "nodes", "remains", "report", "wildcards"), MIND),
        **dict.fromkeys(("attention", "awaiting", "futures", "joberrors", "mapping", "notebook", "progress"), HANDS),
        **dict.fromkeys(("bridge", "callbacks", "clusterend", "dialer", "engine", "finding", "job", "keeper"), HANDS),
        **dict.fromkeys(("bodies", "compaction", "fetching", "ids", "keeping", "logger", "logins", "recoverfile", "recoverlog"), HANDS),
        **dict.fromkeys(("enrolled", "nodedesk", "nodemethods", "nodeview", "placing", "variants"), HANDS),
        **dict.fromkeys(("feeds", "incoming", "listening", "output", "remarks", "snapshot"), HANDS),
        **dict.fromkeys(("options", "parameters", "privatenode", "programs", "resolving", "session", "speech", "targets", "view"), HANDS),
        **dict.fromkeys(
            ("collecting", "definitions", "depends", "modules", "references", "scopes", "shipped", "sources"), HANDS
        ),
        **dict.fromkeys(("callables", "jobpacking", "luggage", "sending"), HANDS),
        **dict.fromkeys(("cluster", "clusterfiles", "executor", "inapp", "live", "recovery", "sharedcluster"), MOUTH),
    },
    "discovery": {"beacon": MIND, "interfaces": MIND, "udp": HANDS},
    "relay": {"pairing": MIND, "connections": MOUTH, "tap": DOOR},
}

#: Rooms without layers. Their own laws stand elsewhere.
UNLAYERED = {"wire", "worker", "cli", "monitor"}

#: What any module may import.
OPEN_TO_ALL = {"lighttyping", "plain", "values", "errors", "version", "config", "wire", "discovery"}

#: Who may enter which other room: JobCluster *is* a scheduler that lives in the client.
DOORS_BETWEEN_ROOMS = {
    "client.fetching": {"scheduler.connections"},
    "client.listening": {"scheduler.dispatcher"},
    "client.nodedesk": {"scheduler.dispatcher", "scheduler.ledger", "scheduler.orders"},
    "client.sending": {"scheduler.ledger", "scheduler.outfitting"},
    "client.session": {
        "scheduler.connections",
        "scheduler.dispatcher",
        "scheduler.ledger",
        "scheduler.orders",
        "scheduler.policy",
    }
}

#: Who may enter every room, besides the doors.
MASTER_KEYS = {"cli", "joblib", "testing", "inmemory", "inmemorycluster", "inmemoryjobs"}

#: Everything a mind may import, and whatever it imports in turn, besides modules of the house.
PURE = {
    "__future__", "abc", "attr", "attrs", "bisect", "collections", "dataclasses", "enum", "functools", "heapq",
    "ipaddress", "itertools", "math", "msgpack", "operator", "re", "struct", "types", "typing",
}  # fmt: skip

PICKLERS = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill"}

#: Rooms whose modules run in daemons, except for what only workers and clients import.
DAEMON_ROOMS = {"wire", "scheduler", "node", "discovery", "relay"}
NEVER_IN_A_DAEMON = {"wire.batches", "wire.payload", "worker"}

#: What runs without Twisted, itself and everything it imports.
WITHOUT_TWISTED = {"errors", "values", "version", "wire", "wire.batches", "wire.frames", "wire.payload", "wire.spool", "worker"}

#: Who may import the reactor, besides the doors.
REACTOR_OWNERS = {"client.bridge"}

LONGEST_MODULE = 400

#: Modules with no test file of their own, and why.
NOT_MIRRORED = {
    **dict.fromkeys(("inmemory", "inmemorycluster", "inmemoryjobs"), "parts of dispytw.testing; tests/test_testing.py shows them at work"),
    "plain": "constants",
    "worker.voice": "a value without behaviour",
    "worker.__main__": "what tests/worker/test_supervisor.py starts",
    "version": "one constant; tests/house/test_metadata.py compares it with the package's",
    "client.clusterend": "a protocol without behaviour",
    "client.enrolled": "values and a protocol without behaviour",
    "scheduler.orders": "values without behaviour",
    "node.orders": "values without behaviour",
    "node.neighbours": "interfaces without behaviour",
    "scheduler.neighbours": "interfaces without behaviour",
}
