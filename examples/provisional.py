"""Looks for a number whose square root begins with many nines; each job tells what it has found so far, and the best end the search."""

import sys

import dispytw as dispy


def search(start, stop):
    """The job: tells each number that is better than those before."""
    best, found = 0, None
    for number in range(start, stop):
        digits = f"{number**0.5:.12f}".partition(".")[2]
        nines = len(digits) - len(digits.lstrip("9"))
        if nines > best:
            best, found = nines, number
            dispy_provisional_result((number, nines))  # noqa: F821
    return found, best


def told(job):
    """Called with each provisional result, and with each end."""
    if job.status == dispy.DispyJob.ProvisionalResult:
        number, nines = job.result
        print(f"job {job.id}: the root of {number} begins with {nines} nines behind the point")
        if nines >= 4:
            for other in jobs:
                if other.status in (dispy.DispyJob.Created, dispy.DispyJob.Running, dispy.DispyJob.ProvisionalResult):
                    cluster.cancel(other)


if __name__ == "__main__":
    cluster = dispy.JobCluster(search, nodes=sys.argv[1:] or None, callback=told)
    step = 25_000_000
    jobs = [cluster.submit(start, start + step) for start in range(2, 4 * step, step)]
    cluster.wait()
    print("ended:", *sorted({dispy.DispyJob.Cancelled: "cancelled"}.get(job.status, "finished") for job in jobs))
    cluster.close()
