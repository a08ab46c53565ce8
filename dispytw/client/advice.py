"""What the user is told when something has to be waited for: what was tried, what answered, what to do."""

from __future__ import annotations

from collections.abc import Sequence


def no_node_yet(computation: str, tried: Sequence[tuple[str, str]], jobs: int) -> str:
    """The message for a cluster that has no node.

    :param tried: each address with what came of it.
    :param jobs: how many jobs wait.
    """
    lines = [f"no node for {computation} yet; {jobs} jobs wait. Tried:"]
    lines += [f"  {address}: {state}" for address, state in tried]
    return "\n".join(lines)


def rejection(where: str, text: str) -> str:
    """The message for a node that cannot run the computation; it goes on with the others."""
    return f"{where} is not used: {text.rstrip()}"


def asked_for_nodes(
    patterns: Sequence[str], port: int, asked: Sequence[tuple[str, str]], times: int, answered: int
) -> tuple[str, str]:
    """The line about nodes that were asked for by broadcast.

    :param patterns: the entries that have a star in them.
    :param port: UDP port.
    :param asked: each address that was asked, with what went wrong, or nothing.
    :param times: how often.
    :param answered: how many have answered.
    """
    places = ", ".join(f"{place} ({trouble})" if trouble else place for place, trouble in asked) or "no network"
    text = f"asked {times} {'time' if times == 1 else 'times'} by UDP at {places}, port {port}; "
    if answered:
        return ", ".join(patterns), f"{text}{answered} answered"
    return ", ".join(patterns), (
        f"{text}nobody answered: start 'dispynode' here, or on other machines with a secret that both share; let UDP and TCP port "
        f"{port} pass their firewalls; or name the nodes"
    )
