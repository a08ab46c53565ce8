"""The names of dispy's client manual (4.6), written as `tests.compat.names` writes them."""

from __future__ import annotations

CLUSTER = (
    *("computation", "nodes", "depends", "callback", "cluster_status", "ip_addr", "ext_ip_addr", "port", "node_port", "recover_file"),
    *("dest_path", "loglevel", "setup", "cleanup", "pulse_interval", "ping_interval", "reentrant", "secret", "keyfile", "certfile"),
)
SHARED = (
    *("computation", "nodes", "depends", "ip_addr", "port", "scheduler_node", "scheduler_port", "ext_ip_addr", "dest_path", "loglevel"),
    *("cleanup", "reentrant", "exclusive", "secret", "keyfile", "certfile"),
)
METHODS = {
    "submit": ("*args", "**kwargs", "dispy_job_depends"),
    "submit_node": ("node", "*args", "**kwargs", "dispy_job_depends"),
    "send_file": ("path", "node"),
    "cancel": ("job",),
    "allocate_node": ("node",),
    "node_jobs": ("node",),
    "set_node_cpus": ("node", "cpus"),
    "wait": (),
    "__call__": (),
    "close": (),
    "print_status": (),
}
JOB = (
    *("id", "status", "ip_addr", "result", "stdout", "stderr", "exception", "start_time", "end_time", "__call__"),
    *("Created", "Running", "ProvisionalResult", "Finished", "Cancelled", "Terminated"),
)
ALLOCATE = ("cluster", "ip_addr", "name", "cpus", "avail_info", "platform")

NAMES = sorted(
    {
        *("JobCluster", "SharedJobCluster", "DispyJob", "DispyNode", "DispyNode.Initialized", "DispyNode.avail_info", "NodeAllocate"),
        *("NodeAllocate.allocate", "DispyNodeAvailInfo", "recover_jobs", "dispy_provisional_result", "dispy_send_file"),
        *("dispy_provisional_result(result)", "dispy_send_file(path)"),
        *(f"JobCluster({name})" for name in CLUSTER),
        *(f"SharedJobCluster({name})" for name in SHARED),
        *(f"JobCluster.{method}" for method in METHODS),
        *(f"JobCluster.{method}({name})" for method, names in METHODS.items() for name in names),
        *(f"DispyJob.{name}" for name in JOB),
        *(f"NodeAllocate({name})" for name in ("host", "port", "cpus")),
        *(f"NodeAllocate.allocate({name})" for name in ALLOCATE),
        *(f"DispyNodeAvailInfo.{name}" for name in ("cpu", "memory", "disk", "swap")),
        *(f"recover_jobs({name})" for name in ("recover_file", "timeout", "terminate_pending")),
    }
)
