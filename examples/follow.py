"""Follows jobs while they run: one by its iterator, all of them by a callback."""

import sys

import dispytw as dispy


def countdown(name, count):
    """The job: says something now and then, a line at a time."""
    for n in range(count, 0, -1):
        print(f"{name}: {n}")
        time.sleep(0.2)  # noqa: F821
    print(f"{name}: lift-off", file=sys.stderr)


def wrote(job, text, is_stderr):
    """Called with whatever jobs write."""
    for line in text.splitlines():
        print(f"{'!' if is_stderr else ' '} job {job.id} | {line}")


if __name__ == "__main__":
    with dispy.JobCluster(countdown, nodes=sys.argv[1:] or None) as cluster:
        for text in cluster.submit("alone", 3).stream():
            print(text, end="")
    with dispy.JobCluster(countdown, nodes=sys.argv[1:] or None, stream=wrote) as cluster:
        for name in ("one", "two"):
            cluster.submit(name, 3)
