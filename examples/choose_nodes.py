"""Which nodes are used, how much of each, and what each gets for itself: a NodeAllocate decides when a node is found."""

import re

import dispytw as dispy

GB = 1024**3


class Linux(dispy.NodeAllocate):
    """Linux machines with some memory to spare, one CPU of each left free; each gets a range of its own for setup."""

    ranges = 0

    def allocate(self, cluster, ip_addr, name, cpus, avail_info=None, platform=""):
        if not re.match("Linux", platform) or (avail_info is not None and avail_info.memory < GB // 16):
            return 0  # not this one
        self.setup_args = (Linux.ranges, 1000)
        Linux.ranges += 1
        memory = f", {avail_info.memory / GB:.1f} GB of memory free" if avail_info else ""
        print(f"{name} has {cpus} CPUs{memory}")
        return max(1, cpus - 1)


def setup(number, size):
    """Runs once on each node; what it makes is there in each job."""
    global table
    table = list(range(number * size, (number + 1) * size))
    return 0


def compute(index):
    return table[index]


if __name__ == "__main__":
    with dispy.JobCluster(compute, nodes=[Linux("*")], setup=setup) as cluster:
        jobs = [cluster.submit(index) for index in range(0, 1000, 100)]
        print("the values are", [job() for job in jobs])
