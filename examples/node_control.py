"""Nodes while a program runs: fewer of their CPUs, what runs there, a setup anew, and an early good-bye."""

import threading
import time

import dispytw as dispy


def compute(seconds):
    time.sleep(seconds)
    return seconds


def status(status, node, job):
    if status == dispy.DispyNode.Initialized:
        print(f"{node.name} is ready")
        nodes.append(node)
        ready.set()
    elif status == dispy.DispyNode.Closed:
        print(f"{node.name} is closed")
        closed.set()
    elif status == dispy.DispyJob.Running:
        running.set()


nodes, ready, running, closed = [], threading.Event(), threading.Event(), threading.Event()

if __name__ == "__main__":
    cluster = dispy.JobCluster(compute, cluster_status=status)
    ready.wait()
    node = nodes[0]
    print(f"{cluster.set_node_cpus(node, 1)} CPU is used from now on")
    jobs = [cluster.submit_node(node, 0.2) for _ in range(2)]
    running.wait()
    print(f"{len(cluster.node_jobs(node))} job runs there; the node says {len(cluster.node_jobs(node, from_node=True))}")
    ready.clear()
    closed.clear()
    cluster.resetup_node(node)  # when the job that runs has ended: cleanup, allocate, setup
    ready.wait()
    print("the jobs:", [job() for job in jobs])
    closed.clear()
    cluster.close_node(node)
    closed.wait()
    try:
        cluster.submit_node(node, 1)
    except LookupError as error:
        print(error)
    cluster.close()
