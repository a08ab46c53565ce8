"""Map a function over more numbers than anybody wants to hold in memory.

    dispytw run examples/mapping.py [NODE …]

Jobs are made as results are taken: sixteen or so are under way at any time, each with as many calls as take a tenth of a second.
"""

import itertools
import sys

import dispytw


def collatz(n):
    """Steps that n takes to 1."""
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


def main():
    nodes = sys.argv[1:] or ["local"]
    with dispytw.JobCluster(collatz, nodes=nodes) as cluster:
        best = 0
        for number, steps in enumerate(cluster.map(itertools.count(1)), 1):
            if steps > best:
                best = steps
                print(f"{number} takes {steps} steps", flush=True)
            if steps > 200:  # leaving the loop cancels what is under way
                break


if __name__ == "__main__":
    main()
