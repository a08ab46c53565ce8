"""Jobs write files on their nodes and send them home: tables of squares, under tables/ in the directory of this program."""

import os
import sys

import dispytw as dispy


def table(first, last):
    """The job: a file with its own name, as all of them arrive in one place."""
    path = f"tables/{first}-{last}.txt"
    os.makedirs("tables", exist_ok=True)
    with open(path, "w") as file:
        file.writelines(f"{n} {n * n}\n" for n in range(first, last))
    return path, dispy_send_file(path)  # noqa: F821


if __name__ == "__main__":
    with dispy.JobCluster(table, nodes=sys.argv[1:] or None) as cluster:
        jobs = [cluster.submit(n, n + 1000) for n in range(0, 5000, 1000)]
        for job in jobs:
            path, sent = job()
            assert sent == 0, job.stderr
            print(f"{path}: {os.path.getsize(path)} bytes from {job.ip_addr}")
