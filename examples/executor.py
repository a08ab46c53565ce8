"""The words of concurrent.futures, on many machines.

    dispytw run examples/executor.py [NODE …]

Any function can be submitted; `as_completed` and `wait` are the standard library's own.
"""

import concurrent.futures
import sys

import dispytw


def is_prime(n):
    """By trial division."""
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def describe(n, *, prime):
    """In words."""
    return f"{n} is {'' if prime else 'not '}prime"


def main():
    nodes = sys.argv[1:] or ["local"]
    numbers = [10_000_000_019, 10_000_000_033, 10_000_000_061, 10_000_000_100, 10_000_000_141]
    with dispytw.Executor(nodes) as executor:
        asked = {executor.submit(is_prime, n): n for n in numbers}
        for future in concurrent.futures.as_completed(asked):
            print(executor.submit(describe, asked[future], prime=future.result()).result())
        print(sum(executor.map(is_prime, range(1000), chunksize=100)), "primes below 1000")


if __name__ == "__main__":
    main()
