"""Which addresses a cluster's entries mean, and which credential each is dialled with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from dispytw.client.nodes import LOCAL, NODE_PORT, Address, Choices, NodeAllocate, Target, parse_address, split_address
from dispytw.client.wildcards import Wildcard
from dispytw.wire.certificates import Certificate
from dispytw.wire.credentials import credential_from, read_secret_file, secret_credential

#: Set by ``dispytw run`` for its child: the private node, and the file with its secret.
RUN_NODE = "DISPYTW_RUN_NODE"
RUN_SECRET_FILE = "DISPYTW_RUN_SECRET_FILE"


@attrs.frozen
class Targets:
    """What a cluster dials.

    :param targets: addresses with credentials.
    :param choices: which entries decide about the node at an address.
    :param wildcards: entries that stand for whatever is found.
    """

    targets: tuple[Target, ...]
    choices: Choices
    wildcards: tuple[Wildcard, ...] = ()


def find_targets(
    entries: list[NodeAllocate],
    node_port: int,
    secret: str,
    start_private_node: Callable[[], tuple[Address, Any]],
    environ: Mapping[str, str] = os.environ,
    certificate: Certificate | None = None,
) -> Targets:
    """Addresses and credentials for a cluster's entries.

    :param secret: what the program passed; empty for none.
    :param certificate: what the program's certfile holds; None for none. A private node is opened by its own secret all the same.
    :param start_private_node: gives the address and credential of the private node that ``'local'`` means.
    """
    run_node = parse_address(environ[RUN_NODE], NODE_PORT) if RUN_NODE in environ else None
    found: dict[Target, NodeAllocate] = {}
    wildcards: list[Wildcard] = []
    for entry in entries:
        private = entry.host == LOCAL
        if private:
            address, credential = start_private_node()
        elif entry.host == "*" and run_node is not None:
            address, credential = run_node, None
        elif "*" in entry.host:
            credential = credential_from(secret, environ=environ, certificate=certificate)
            pattern, port = split_address(entry.host)
            wildcards.append(Wildcard(pattern, entry.port or port or node_port, entry, credential))
            continue
        else:
            address, credential = parse_address(entry.host, entry.port or node_port), None
        if address == run_node:
            credential, private = secret_credential(read_secret_file(environ[RUN_SECRET_FILE])), True
        credential = credential or credential_from(secret, environ=environ, certificate=certificate)
        found.setdefault(Target(address, credential, private), entry)
    choices = Choices({target.address: entry for target, entry in found.items()}, [each.entry for each in wildcards])
    return Targets(tuple(found), choices, tuple(wildcards))
