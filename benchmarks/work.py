"""The one job that every contestant runs: it gives back what it was given. A small number makes it a no-op, bytes make it an echo."""


def same(argument, seconds=0.0):
    """The argument, after this many seconds. It imports for itself: some contestants ship nothing but its source."""
    if seconds:
        import time

        time.sleep(seconds)
    return argument
