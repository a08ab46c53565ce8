"""A Twisted application that computes elsewhere, in its own reactor and without a thread.

    dispytw run examples/twistedapp.py [NODE …]
"""

import math
import sys

from twisted.internet import defer, task

import dispytw


def digits(n):
    """How many digits n! has."""
    return len(str(math.factorial(n)))


async def main(reactor):
    nodes = sys.argv[1:] or ["*"]  # under `dispytw run`, its private node
    async with dispytw.TwistedCluster(reactor, digits, nodes) as cluster:
        asked = [cluster.submit(n) for n in range(20, 30)]
        for n, found in zip(range(20, 30), await defer.gatherResults(asked)):
            print(f"{n}! has {found} digits")
        try:
            await cluster.submit(-1)
        except ValueError as error:
            print(f"no factorial of -1: {type(error).__name__}")


if __name__ == "__main__":
    task.react(main)
