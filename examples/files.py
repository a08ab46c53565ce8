"""Files on their way to nodes: with the cluster, after it was made, and for one job alone.

    dispytw run examples/files.py [NODE …]
"""

import os
import sys
import tempfile

import dispytw as dispy


def init_depends():
    """Called on each node before anything else."""
    import os

    os.environ["GREETING"] = "hello"


def compute(name):
    """Runs in the directory with the files."""
    with open("tables/numbers.txt") as table, open("sent.txt") as sent, open("input.txt") as mine:
        return os.environ["GREETING"], name, sum(map(int, table)), sent.read(), mine.read()


def write(path, text):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    return path


def main():
    nodes = sys.argv[1:] or ["local"]
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        write("tables/numbers.txt", "1\n2\n3\n")
        cluster = dispy.JobCluster(compute, nodes=nodes, depends=["tables", init_depends], dest_path="examples")

        write("sent.txt", "sent later")
        first = cluster.submit("waits", dispy_job_depends=[write("input.txt", "its own input")])
        first()  # by now a node has been found; this job has not seen sent.txt
        for node in cluster.status().nodes:
            assert cluster.send_file("sent.txt", node) == 0

        jobs = []
        for name in ("Ada", "Grace"):
            write("input.txt", f"what {name} needs")  # the same path, another content
            jobs.append(cluster.submit(name, dispy_job_depends=["input.txt"]))
        for job in jobs:
            print(*job(), sep=", ")
        cluster.close()
        os.chdir(os.path.dirname(directory))


if __name__ == "__main__":
    main()
