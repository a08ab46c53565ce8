"""A job that fails twice, one that would never end, and one that goes first.

    dispytw run examples/options.py

Options are chosen with ``cluster.options(…)``, so that the computation's own keywords stay its own.
"""

import os
import tempfile
import time

import dispytw as dispy


def download(number, marks):
    """Works the third time only."""
    tried = len(os.listdir(marks))
    open(os.path.join(marks, str(tried)), "w").close()
    if tried < 2:
        raise ConnectionError(f"download {number} broke off")
    return f"download {number} is there"


def main():
    marks = tempfile.mkdtemp()
    with dispy.JobCluster(download) as cluster:
        job = cluster.options(retries=5, backoff=0.2).submit(1, marks)
        print(job(), f"after {job.attempts} attempts")

    with dispy.JobCluster(time.sleep) as cluster:
        job = cluster.options(timeout=0.5).submit(3600)
        job()
        print(job.reason)

        queued = [cluster.submit(0.01) for _ in range(5)]
        urgent = cluster.options(priority=10).submit(0)
        urgent()
        print("the urgent one has ended, of the others", sum(job.end_time is not None for job in queued), "or a few more")

    for name in os.listdir(marks):
        os.unlink(os.path.join(marks, name))
    os.rmdir(marks)


if __name__ == "__main__":
    main()
