"""The program schedules by itself: each node gets a job when it is ready, and its next one when that has ended. As dispy's example does."""

import queue

import dispytw as dispy


def compute(number):
    """The job: which of the numbers below are prime."""
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, number))


def next_job(node):
    try:
        number = waiting.get_nowait()
    except queue.Empty:
        return
    done.append(cluster.submit_job_id_node(number, node, number))


def status(status, node, job):
    """Called with each change of a job or node, one after another; methods of the cluster may be called from here."""
    if status == dispy.DispyNode.Initialized:
        print(f"node {node.name} is ready, with {node.cpus} CPUs")
        for _ in range(node.cpus):
            next_job(node)
    elif status == dispy.DispyJob.Finished:
        print(f"{job.result} primes below {job.id}, says {job.ip_addr}")
        next_job(node)
    if len(done) == len(NUMBERS) and waiting.empty():
        all_sent.put(True)


NUMBERS = range(1000, 21000, 2000)
waiting, all_sent, done = queue.Queue(), queue.Queue(), []

if __name__ == "__main__":
    for number in NUMBERS:
        waiting.put(number)
    cluster = dispy.JobCluster(compute, cluster_status=status)
    all_sent.get()
    cluster.close()
    print(f"{len(done)} jobs were placed by this program")
