"""The code examples of dispy's client manual (4.6), word for word, and what is changed so that a test can run them.

A change is there for one of three reasons: an *address* that is another here, a *duration* that would take minutes, or a *correction* without
which it cannot run, on Python 3 or at all.
"""

from __future__ import annotations

import attrs

ADDRESS, DURATION, CORRECTION = "address", "duration", "correction"


@attrs.frozen
class Change:
    """One change.

    :param was: text of the example, found in it as often as it is replaced.
    :param becomes: ``NODE`` in it is the node's address, ``HOST`` and ``PORT`` its parts.
    :param why: one of the three reasons, and what was wrong.
    """

    was: str
    becomes: str
    why: str


@attrs.frozen
class Example:
    """One example.

    :param section: of the manual.
    :param text: word for word, without its indentation.
    :param before: what the manual takes for granted there: imports, a computation.
    :param after: what a reader would do with it next, and what the test looks at.
    :param said: what the whole then prints, as a regular expression.
    """

    section: str
    text: str
    changes: tuple[Change, ...] = ()
    before: str = ""
    after: str = ""
    said: str = ""

    def program(self, node: str) -> str:
        """As a program for a node.

        :raises ValueError: for a change of something that is not there.
        """
        text = self.text
        for change in self.changes:
            if change.was not in text:
                raise ValueError(f"{self.section}: {change.was!r} is not in the example")
            text = text.replace(change.was, change.becomes)
        host, _, port = node.partition(":")
        whole = "\n".join((self.before, text, self.after))
        return whole.replace("NODE", node).replace("HOST", host).replace("PORT", port)


COMPUTE = """
import dispy

def compute(n):
    return n * n
"""
AFTER = """
jobs = [cluster.submit(n) for n in range(5)]
print([job() for job in jobs])
cluster.close()
"""
SQUARES = r"^\[0, 1, 4, 9, 16\]\n$"

RECOVER = Example(
    "(Fault) Recover Jobs",
    """\
import dispy
jobs = recover_jobs('_dispy_20160126112746')
for job in jobs:
    print('Job result: %s' % job.result)
""",
    changes=(Change("= recover_jobs(", "= dispy.recover_jobs(", f"{CORRECTION}: the name was never imported"),),
    said=r"^(Job result: \d+\n){5}$",
)

#: What runs before that, and is killed when its five jobs have been sent.
CRASHED = """
import os, signal, time
import dispy

def compute(n):
    import time
    time.sleep(0.5)
    return n * n

cluster = dispy.JobCluster(compute, nodes=["NODE"], recover_file="_dispy_20160126112746")
jobs = [cluster.submit(n) for n in range(5)]
while any(job.status == dispy.DispyJob.Created for job in jobs):
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""

SSL_COMMANDS = """\
openssl genrsa -out dispy.key 2048
openssl req -new -key dispy.key -out dispy.csr
openssl req -x509 -days 365 -key dispy.key -in dispy.csr -out dispy.cert
"""
#: The two that ask at the terminal who it is for.
SSL_CHANGES = tuple(Change(f"-out dispy.{end}", f"-subj /CN=dispy -out dispy.{end}", f"{CORRECTION}: no terminal") for end in ("csr", "cert"))

#: The manual's sentence 'the client should create cluster with …'.
SSL = Example(
    "SSL (Security / Encryption)",
    "certfile=dispy.cert, keyfile=dispy.key",
    changes=(
        Change("dispy.cert", "'dispy.cert'", f"{CORRECTION}: a path is a string"),
        Change("dispy.key", "'dispy.key'", f"{CORRECTION}: a path is a string"),
    ),
    before=COMPUTE + "cluster = dispy.JobCluster(compute, ['NODE'],",
    after=")" + AFTER,
    said=SQUARES,
)
KEYCERT = attrs.evolve(SSL, text="certfile=dispy.keycert", changes=(Change("dispy.keycert", "'dispy.keycert'", f"{CORRECTION}: likewise"),))

EC2 = "'ec2-x-x-x-x.y.amazonaws.com'"
CLOUD = Example(
    "Cloud Computing",
    "cluster = dispy.JobCluster(compute, nodes=['ec2-x-x-x-x.y.amazonaws.com'])",
    changes=(Change(EC2, "'NODE'", ADDRESS),),
    before=COMPUTE,
    after=AFTER,
    said=SQUARES,
)
CLOUD_BEHIND_A_ROUTER = attrs.evolve(
    CLOUD,
    text="""\
cluster = dispy.JobCluster(compute, nodes=['ec2-x-x-x-x.y.amazonaws.com'],
                           ext_ip_addr='router.ip.address')
""",
)

PROVISIONAL = Example(
    "Provisional/Intermediate Results",
    """\
import random, dispy

def compute(n): # executed on nodes
    import random, time, socket
    name = socket.gethostname()
    cur_best = 1
    for i in xrange(0, n):
        r = random.uniform(0, 1)
        if r <= cur_best:
            # possible result
            dispy_provisional_result((name, r))
            cur_best = r
        time.sleep(0.1)
    # final result
    return (name, cur_best)

def job_callback(job): # executed at the client
    if job.status == dispy.DispyJob.ProvisionalResult:
        if job.result[1] < 0.005:
            # acceptable result; terminate jobs
            print('%s computed: %s' % (job.result[0], job.result[1]))
            # 'jobs' and 'cluster' are created in '__main__' below
            for j in jobs:
                if j.status in [dispy.DispyJob.Created, dispy.DispyJob.Running,
                                dispy.DispyJob.ProvisionalResult]:
                    cluster.cancel(j)

if __name__ == '__main__':
    cluster = dispy.JobCluster(compute, callback=job_callback)
    jobs = []
    for n in range(4):
        job = cluster.submit(random.randint(50,100))
        if job is None:
            print('creating job %s failed!' % n)
            continue
        job.id = n
        jobs.append(job)
    cluster.wait()
    cluster.print_status()
    cluster.close()
""",
    changes=(
        Change("xrange", "range", f"{CORRECTION}: Python 3 has no xrange"),
        Change("time.sleep(0.1)", "time.sleep(0.005)", DURATION),
        Change("random.uniform(0, 1)", "(0.001 if i == 20 else random.uniform(0.1, 1))", f"{DURATION}: chance decides how long it takes"),
        Change("JobCluster(compute, ", "JobCluster(compute, nodes=['NODE'], ", ADDRESS),
    ),
    said=r"computed: 0\.001\n(.*\n)*Total job time: ",
)

FILTER = Example(
    "NodeAllocate",
    """\
class FilterNodeAllocate(dispy.NodeAllocate):
   def allocate(self, cluster, ip_addr, name, cpus, avail_info=None, platform=''):
       # use only nodes that have 1GB of memory and 100GB of disk space available
       # and run Linux 64-bit
       GB = 1024 ** 3
       if (isinstance(avail_info, dispy.DispyNodeAvailInfo) and
           avail_info.memory > GB and avail_info.disk > (100 * GB) and
           re.match('Linux.*x86_64', platform)):
           return cpus # use all available CPUs on this node
       else:
           return 0 # don't use this node
cluster = dispy.JobCluster(compute, nodes=[FilterNodeAllocate('*)])
""",
    changes=(
        Change("'*)", "'HOST', PORT)", f"{ADDRESS}, and a {CORRECTION}: a quotation mark is missing"),
        Change("> GB", "> GB / 1000", f"{ADDRESS}: another machine"),
        Change("100 * GB", "GB / 1000", f"{ADDRESS}: another machine"),
        Change("Linux.*x86_64", "Linux", f"{ADDRESS}: another machine"),
    ),
    before=COMPUTE + "import re\n",
    after=AFTER,
    said=SQUARES,
)

SEND_FILE = Example(
    "Transferring Files",
    """\
def compute(n):
    # ... generate "file.dat"
    dispy_send_file("file.dat")
    # ... computation may continue, possibly send more files
    return result
""",
    changes=(
        Change('# ... generate "file.dat"', "with open('file.dat', 'w') as file: file.write('seven')", f"{CORRECTION}: it is left out"),
        Change('dispy_send_file("file.dat")', 'result = dispy_send_file("file.dat")', f"{CORRECTION}: no result is made"),
    ),
    before="import dispy",
    after="print(dispy.JobCluster(compute, nodes=['NODE']).submit(1)())\nprint(open('file.dat').read())",
    said=r"^0\nseven\n$",
)

CLOUD_BY_SSH = attrs.evolve(
    CLOUD,
    text="""\
cluster = dispy.JobCluster(compute, nodes=['ec2-x-x-x-x.y.amazonaws.com'],
                           ip_addr='127.0.0.1')
""",
)
