"""dispy.config: defaults that a program may change before it makes its first cluster.

The names are those of dispy 4.11 and later, the values ours. Ports are numbers, or ``'DispyPort + 1'`` and the like, which follow
`DispyPort`; with ``dispy.config.DispyPort = 9700`` a cluster looks for nodes at 9701, where dispy's own would be.

`MsgTimeout` is accepted and has no effect: what a peer may take is not a limit for one message here, but a heartbeat for the whole link.
So are the multicast groups, as nodes are looked for by broadcast, and `Java`, as a node executes a program's file as it is.
"""

from __future__ import annotations

import re
from typing import Any

#: The first of three ports: the client's, the nodes', the scheduler's.
DispyPort: Any = 51347
ClientPort: Any = "DispyPort"
NodePort: Any = "DispyPort + 1"
SharedSchedulerPort: Any = "DispyPort + 2"
#: Where `dispytw.httpd.DispyHTTPServer` is to listen.
HTTPServerPort: Any = 8181
#: Seconds.
MsgTimeout: Any = 10
#: Bytes of the longest file that jobs may send to the client; 0 for no limit. Each node has its own: ``dispynode --max_file_size``.
MaxFileSize: Any = 10 * 1024 * 1024
IPv4MulticastGroup = "239.255.61.59"
IPv6MulticastGroup = "ff05::b409:3171:9705:5134:6159"
Java = "/usr/bin/java"

_EXPRESSION = re.compile(r"\s*(?:(?:dispy\.config\.)?DispyPort\s*(?P<offset>[+-]\s*\d+)?|(?P<port>\d+))\s*")


def port_of(name: str) -> int:
    """A port as it is set now.

    :param name: `ClientPort`, `NodePort`, `SharedSchedulerPort` or `HTTPServerPort`.
    :raises ValueError: when it has been set to something that is no port.
    """
    value = globals()[name]
    said = _EXPRESSION.fullmatch(str(value))
    if said is None:
        raise ValueError(f"dispy.config.{name} is {value!r}; wanted a port, or 'DispyPort + 1' and the like")
    port = int(said["port"]) if said["port"] else _base() + int((said["offset"] or "0").replace(" ", ""))
    if not 0 < port < 65536:
        raise ValueError(f"dispy.config.{name} is {value!r}, which is port {port}; wanted one from 1 to 65535")
    return port


def _base() -> int:
    if not isinstance(DispyPort, int) or isinstance(DispyPort, bool):
        raise ValueError(f"dispy.config.DispyPort is {DispyPort!r}; wanted a port")
    return DispyPort
