"""What the user is told when something has to be waited for: what was tried, what answered, what to do."""

from __future__ import annotations

from collections.abc import Sequence


def no_node_yet(computation: str, tried: Sequence[tuple[str, str]], jobs: int, note: str) -> str:
    """The message for a cluster that has no node.

    :param tried: each address with what came of it.
    :param jobs: how many jobs wait.
    :param note: a line about how the addresses were chosen, or empty.
    """
    lines = [f"no node for {computation} yet; {jobs} jobs wait. Tried:"]
    lines += [f"  {address}: {state}" for address, state in tried]
    if note:
        lines.append(f"  ({note})")
    return "\n".join(lines)


def rejection(where: str, text: str) -> str:
    """The message for a node that cannot run the computation; it goes on with the others."""
    return f"{where} is not used: {text.rstrip()}"
