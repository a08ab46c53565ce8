"""Uses whatever nodes are there: on this machine, on its networks, or the private one of `dispytw run`.

    dispynode &                     # on this machine, or on others with a secret that all share
    python examples/anynodes.py

Which nodes it may be, and how many of their slots, an entry can decide when the node is known. `OnlyLinux("192.168.3.*")` would be asked
about nodes with such an address only.
"""

import collections
import time

import dispytw as dispy


class OnlyLinux(dispy.NodeAllocate):
    """Takes all slots of nodes that run Linux, and none of others."""

    def allocate(self, cluster, ip_addr, name, cpus, avail_info=None, platform=""):
        print(f"found {name}, which runs {platform.partition('-')[0]}")
        return cpus if platform.startswith("Linux") else 0


def compute(n):
    time.sleep(0.01)
    return n


def main():
    cluster = dispy.JobCluster(compute, nodes=[OnlyLinux("*")], ping_interval=30)
    jobs = [cluster.submit(n) for n in range(20)]
    assert sum(job() for job in jobs) == sum(range(20))
    for host, count in collections.Counter(job.ip_addr for job in jobs).items():
        print(f"{count} jobs ran on {host}")
    cluster.close()


if __name__ == "__main__":
    main()
