"""The few numbers and names of `values` that a job's process needs: without the library that values are made with, as that process is
copied for every job, and what it has in memory is what a copy costs."""

from __future__ import annotations

#: How a computation's jobs are kept apart: each in a process of its own, or one after another in workers that are kept.
JOB = "job"
WORKER = "worker"

#: Bytes of a body up to which it travels inside a record; above, it is streamed and kept in a file.
INLINE_LIMIT = 48 * 1024

#: Bytes of a packed exception; a longer one does not come home, its traceback does.
ERROR_LIMIT = 32 * 1024
