"""How a client that recovers jobs comes to what another, which is gone, has left on a bench."""

from __future__ import annotations

from dispytw.errors import RefusedError
from dispytw.node.bench import Bench


def taken_over(bench: Bench, client: bytes, computation: bytes, token: bytes) -> bool:
    """Make a computation, its attempts and its outcomes the client's; whether there is anything of it here.

    :raises RefusedError: the token is not the computation's, or its client is connected.
    """
    opened = bench._opened.get(computation)
    placed = [each for each in bench._placed.values() if each.computation == computation]
    owners = {each.client: each.token for each in placed}
    if opened is not None:
        owners[opened.client] = opened.computation.token
    for owner, right in owners.items():
        if token != right:
            raise RefusedError("the token is not that of the computation")
        if owner != client and bench._clients[owner].gone_since is None:
            raise RefusedError(f"{bench.name_of(owner)} is still connected to this node")
    for each in placed:
        each.client = client
    if opened is not None:
        opened.client = client
    for owner in owners.keys() - {client}:
        _give_way(bench, owner, client)
    return bool(owners)


def _give_way(bench: Bench, owner: bytes, client: bytes) -> None:
    """A client that is gone has one computation less here, and its successor one more; with the last one goes the hold."""
    if any(opened.client == owner for opened in bench._opened.values()):
        return
    if bench.holder == owner:
        bench.holder = client
    if not bench._involves(owner):
        del bench._clients[owner]
