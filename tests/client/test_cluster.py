"""JobCluster: dispy's words, and what each asks of the session."""

from __future__ import annotations

import functools
import inspect
import io
import logging
import os
import shutil
import sys
import tempfile
import threading
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from dispytw.client import cluster as module
from dispytw.client.cluster import JobCluster
from dispytw.client.job import DispyJob
from dispytw.client.nodes import DispyNode, NodeAllocate
from dispytw.errors import (
    CertificateError,
    ClusterClosedError,
    PayloadError,
    ReactorThreadError,
    RecoverFileError,
    ShippingError,
)
from dispytw.values import CANCELLED, Stored
from dispytw.wire.credentials import secret_credential
from dispytw.wire.payload import open_arguments
from tests.client.clustering import SECRET, ClusterTestCase, compute
from tests.wire.certifying import authority, pair, write, write_pair

#: The manual's parameters, in its order.
MANUAL = [
    *("computation", "nodes", "depends", "callback", "cluster_status", "ip_addr", "ext_ip_addr", "port", "node_port"),
    *("recover_file", "dest_path", "loglevel", "setup", "cleanup", "pulse_interval", "ping_interval", "reentrant"),
    *("secret", "keyfile", "certfile"),
]
#: What dispy 4.15 calls otherwise, or has besides, and what dispytw adds, with the defaults.
OURS = {
    **dict.fromkeys(("job_status", "host", "ext_host", "dispy_port")),
    "ipv4_udp_multicast": False, "poll_interval": None, "cafile": None, "isolation": "job", "max_jobs_per_worker": None,
    "start_method": None, "recover": True, "stream": None,
}



def helper() -> int:
    return 1


class Parameters(ClusterTestCase):
    """What can be passed, and what is said of mistakes."""

    def test_order(self) -> None:
        """The manual's parameters in the manual's order: a program may pass them by position. Ours go by name only."""
        parameters = inspect.signature(JobCluster).parameters.values()
        self.assertEqual(MANUAL, [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD])
        self.assertEqual(list(OURS), [each.name for each in parameters if each.kind is each.KEYWORD_ONLY])

    def test_defaults(self) -> None:
        """The manual's defaults, but None for lists that calls would share, and for ports, so that it is known which were given."""
        defaults = {name: parameter.default for name, parameter in inspect.signature(JobCluster).parameters.items()}
        manual = {"loglevel": logging.WARNING, "cleanup": True, "reentrant": False, "secret": ""}
        none = dict.fromkeys(set(MANUAL) - {"computation", "depends", *manual})
        self.assertEqual({"computation": inspect.Parameter.empty, "depends": (), **manual, **none, **OURS}, defaults)

    def test_wrong_types(self) -> None:
        """A wrong type, or value, is an error that names the parameter (see tests.client.test_parameters); nothing is started."""
        self.engine = mock.Mock(side_effect=AssertionError("the engine was started"))  # type: ignore[assignment]
        for error, options in (
            (TypeError, {"callback": 5}),
            (TypeError, {"stream": 5}),
            (TypeError, {"nodes": [5]}),
            (TypeError, {"depends": [5]}),
            (TypeError, {"callback": print, "job_status": print}),
            (ValueError, {"pulse_interval": 0.05}),
        ):
            with self.assertRaisesRegex(error, rf"\b{next(iter(options))}\b"):
                self.cluster(**options)  # type: ignore[arg-type]

    def test_wrong_computations(self) -> None:
        """What is neither a function nor a program is an error; a program that is not there, another."""
        for wrong in (5, None, int):
            with self.assertRaisesRegex(TypeError, "a computation is a function or the path of a program"):
                self.cluster(wrong)
        with self.assertRaisesRegex(FileNotFoundError, "there is no program 'no-such-program'"):
            self.cluster("no-such-program")

    def test_names_of_dispy_4_15(self) -> None:
        """By its other name a parameter does the same: the callback is called, nodes are dialled at the port, and looked for at the host."""
        heard: list[DispyJob] = []
        self.session.end(self.cluster(job_status=heard.append, dispy_port=9700).submit(1))
        self.assertEqual(1, len(heard))
        self.assertEqual("node7:9701", str(self.session.opened[0][0][3][0].address))
        self.cluster(nodes="*", host="127.0.0.1")
        self.assertEqual(("127.0.0.1",), self.engine.finder.searches[-1][2])

    def test_without_effect(self) -> None:
        """What has no effect here is accepted; multicast, with a warning."""
        self.cluster(port=51400, ext_ip_addr="router", poll_interval=60)
        with self.assertLogs("dispytw", logging.WARNING) as logged:
            self.cluster(ipv4_udp_multicast=True)
        self.assertIn("nodes are looked for by broadcast", logged.output[0])

    def test_certificates(self) -> None:
        """What nodes are dialled with is what the files hold, and the secret beside it; without files it is the secret alone."""
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        certfile, keyfile = write_pair(directory, pair())
        cafile = write(directory, "ca", authority().certificate_pem)
        secret = secret_credential(SECRET)
        for options, authorities in (({"keyfile": keyfile}, ()), ({"keyfile": Path(keyfile), "cafile": cafile}, (authority().leaf,))):
            self.cluster(certfile=certfile, **options)
            self.cluster(certfile=certfile, secret="", **options)
            both, alone = (self.session.opened[number][0][3][0].credential for number in (-2, -1))
            self.assertEqual((secret, None), (both.secret, alone.secret))
            self.assertEqual([(pair().leaf, authorities)] * 2, [(each.certificate.leaf, each.certificate.authorities) for each in (both, alone)])
        self.cluster()
        self.assertEqual(secret, self.session.opened[-1][0][3][0].credential)

    def test_certificates_that_cannot_be_used(self) -> None:
        """Are said at once; nothing is started. A key that others can read is warned about."""
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        certfile, keyfile = write_pair(directory, pair())
        os.chmod(keyfile, 0o644)
        with self.assertLogs("dispytw", logging.WARNING) as logged:
            self.cluster(certfile=certfile, keyfile=keyfile)
        self.assertIn(f"chmod 600 {keyfile}", logged.output[0])
        self.engine = mock.Mock(side_effect=AssertionError("the engine was started"))  # type: ignore[assignment]
        for options, text in (
            ({"keyfile": keyfile}, "keyfile is given without certfile"),
            ({"certfile": certfile}, "holds no private key"),
            ({"certfile": "none", "keyfile": keyfile}, "none cannot be read: No such file"),
        ):
            with self.assertRaisesRegex(CertificateError, text):
                self.cluster(**options)

    def test_what_cannot_be_sent(self) -> None:
        """A computation that cannot be sent to nodes is an error where it is made."""
        with self.assertRaisesRegex(ShippingError, "module sys has no Python source"):
            self.cluster(compute, depends=[sys])

    def test_isolation(self) -> None:
        """Values that make no sense are errors, which name the parameter and what is wanted."""
        for options, text in (
            ({"isolation": "process"}, "isolation: wanted 'job' or 'worker', not 'process'"),
            ({"isolation": None}, "isolation: wanted"),
            ({"isolation": "worker", "max_jobs_per_worker": 0}, "max_jobs_per_worker: wanted 1 or more, not 0"),
            ({"max_jobs_per_worker": 5}, "max_jobs_per_worker: goes with isolation='worker' only"),
            ({"start_method": "forkserver"}, "start_method: wanted 'fork', 'spawn' or None, not 'forkserver'"),
        ):
            with self.assertRaisesRegex(ValueError, text):
                self.cluster(**options)
        with self.assertRaisesRegex(TypeError, "max_jobs_per_worker.*True"):
            self.cluster(isolation="worker", max_jobs_per_worker=True)
        with self.assertRaisesRegex(ValueError, "isolation: 'worker' keeps a Python process"):
            self.cluster("/bin/true", isolation="worker")
        self.cluster(isolation="worker", max_jobs_per_worker=7, start_method="spawn")
        computation = self.session.opened[-1][0][0]
        self.assertEqual(("worker", 7), (computation.isolation, computation.max_jobs_per_worker))
        self.assertEqual("spawn", computation.start_method)


class Opening(ClusterTestCase):
    """What the session is told of a new cluster."""

    def test_opened(self) -> None:
        """Its computation, files, nodes and rules."""
        cluster = self.cluster(nodes=["node7", NodeAllocate("node8", 51400)], node_port=51500, reentrant=True, pulse_interval=2)
        ((computation, files, end, targets), options), = self.session.opened
        self.assertEqual((cluster.uid, "compute", None), (computation.uid, computation.name, computation.program))
        self.assertIs(cluster.view, end)
        self.assertEqual(["node7:51500", "node8:51400"], [str(target.address) for target in targets])
        self.assertEqual({"reentrant": True, "pulse_interval": 2, "search": 1}, options)
        self.assertEqual([len(body.data) for body in files.values()], [computation.bundle.size])
        self.assertIs(cluster, self.engine.clusters[cluster.uid])
        self.assertEqual("compute", cluster.name)

    def test_wildcards(self) -> None:
        """They are looked for, where and how often the program wants; nothing is dialled before something is found."""
        self.cluster(nodes=["10.0.*", "node7"], ip_addr="127.0.0.1", ping_interval=5)
        ((*_, targets), options) = self.session.opened[0]
        self.assertEqual((["node7:51348"], 1), ([str(target.address) for target in targets], options["search"]))
        ((wildcards, choices, hosts, ping_interval),) = self.engine.finder.searches
        self.assertEqual([("10.0.*", 51348, secret_credential(SECRET))], [(w.pattern, w.port, w.credential) for w in wildcards])
        self.assertEqual((("127.0.0.1",), 5), (hosts, ping_interval))
        self.assertIs(choices, self.session.opened[0][0][2].placing.choices)

    def test_star(self) -> None:
        """Nothing named means whatever is found."""
        self.cluster(nodes=None)
        ((wildcards, _, hosts, ping_interval),) = self.engine.finder.searches
        self.assertEqual((["*"], (), None), ([each.pattern for each in wildcards], hosts, ping_interval))

    def test_local(self) -> None:
        """'local' is the private node."""
        self.cluster(nodes="local")
        self.assertEqual([("127.0.0.1:40002", "credential")], [(str(t.address), t.credential) for t in self.session.opened[0][0][3]])

    def test_two_of_one_function(self) -> None:
        """Two clusters of one function are two computations."""
        self.assertNotEqual(self.cluster().uid, self.cluster().uid)

    def test_files(self) -> None:
        """A file that the computation needs goes by its path, not through memory."""
        with tempfile.NamedTemporaryFile(suffix=".dat") as file:
            file.write(b"12345")
            file.flush()
            self.cluster(depends=[file.name])
            bodies = self.session.opened[0][0][1].values()
            self.assertIn(Stored(file.name, 5), bodies)

    def test_setup_and_cleanup(self) -> None:
        """Both may be functions or partials of them."""
        self.cluster(setup=functools.partial(compute, 3), cleanup=compute)

    def test_loglevel(self) -> None:
        """It is the level of our logger."""
        self.cluster(loglevel=logging.ERROR)
        self.assertEqual(logging.ERROR, logging.getLogger("dispytw").level)

    def test_words_for_the_user(self) -> None:
        """What the session says to the user is a warning."""
        with self.assertLogs("dispytw", "WARNING") as heard:
            self.cluster().view.say("no node for compute yet")
        self.assertEqual(["no node for compute yet"], [each.getMessage() for each in heard.records])


class Submitting(ClusterTestCase):
    """submit and cancel."""

    def test_submit(self) -> None:
        """A job that knows when it was submitted, its arguments packed, in the order of the calls."""
        cluster = self.cluster()
        jobs = [cluster.submit(n, plus=1) for n in range(3)]
        self.assertEqual([(cluster.uid, job._uid, job) for job in jobs], [(c, uid, job) for c, uid, _, job in self.session.submitted])
        packed = [open_arguments(body.data) for _, _, body, _ in self.session.submitted]
        self.assertEqual([((n,), {"plus": 1}) for n in range(3)], packed)
        self.assertEqual(3, len({job._uid for job in jobs}))
        self.assertGreaterEqual(jobs[0].submit_time, cluster.view.began)

    def test_ids(self) -> None:
        """Jobs are counted on, over all clusters of the program."""
        ids = [cluster.submit(1).id for cluster in (self.cluster(), self.cluster()) for _ in range(2)]
        self.assertEqual(list(range(ids[0], ids[0] + 4)), ids)

    def test_what_cannot_be_packed(self) -> None:
        """An argument that cannot be packed raises where the mistake is, names itself, and is no job."""
        cluster = self.cluster()
        with self.assertRaisesRegex(PayloadError, r"argument 2, a .*lock,? cannot be sent"):
            cluster.submit(1, threading.Lock())
        self.assertEqual(([], 0), (self.session.submitted, cluster.status().jobs_pending))

    def test_programs(self) -> None:
        """A program's arguments are strings."""
        cluster = self.cluster("true")
        cluster.submit("a", 5)
        self.assertTrue(cluster.is_program)
        self.assertIn(b"a", self.session.submitted[0][2].data)
        with self.assertRaisesRegex(TypeError, "argument 1 of a program must be a string"):
            cluster.submit(None)

    def test_dependencies_of_a_job(self) -> None:
        """The computation does not get them as an argument; what cannot be one is said at once."""
        cluster = self.cluster()
        for depends in ([], None, [helper]):
            cluster.submit(1, dispy_job_depends=depends, plus=2)
        for _, _, body, _ in self.session.submitted:
            self.assertEqual(((1,), {"plus": 2}), open_arguments(body.data, lambda code: None))
        with self.assertRaisesRegex(FileNotFoundError, r"dispy_job_depends\[0\]: there is no file 'none'"):
            cluster.submit(1, dispy_job_depends=["none"])
        self.assertEqual((3, 3), (len(self.session.submitted), cluster.status().jobs_pending))

    def test_ctrl_c(self) -> None:
        """Ctrl-C does not break a submission in two."""
        self.cluster().submit(1)
        self.assertEqual(1, self.engine.shielded)

    def test_cancel(self) -> None:
        """0 while the job has not ended, -1 afterwards, and TypeError for what is no job."""
        cluster = self.cluster()
        job = cluster.submit(1)
        self.assertEqual(0, cluster.cancel(job))
        self.session.end(job)
        self.assertEqual(-1, cluster.cancel(job))
        with self.assertRaisesRegex(TypeError, "cancel: wanted a job that submit returned, not 5"):
            cluster.cancel(5)  # type: ignore[arg-type]

    def test_results(self) -> None:
        """A job's result is opened by its cluster."""
        job = self.cluster().submit(1)
        self.session.end(job)
        self.assertEqual((7, 7), (job(), job.result))

    def test_callback(self) -> None:
        """The callback gets the very job that submit returned."""
        heard: list[DispyJob] = []
        cluster = self.cluster(callback=heard.append)
        job = cluster.submit(1)
        self.session.end(job)
        self.assertEqual(1, len(heard))
        self.assertIs(job, heard[0])


class Ending(ClusterTestCase):
    """wait and close."""

    def test_wait(self) -> None:
        """True when all jobs have ended, False when the time was over first."""
        cluster = self.cluster()
        job = cluster.submit(1)
        self.assertIs(False, cluster.wait(0))
        self.session.end(job)
        self.assertIs(True, cluster.wait(0))
        self.assertIs(True, cluster.wait())
        self.assertIsNone(cluster())

    def test_where_waiting_would_never_end(self) -> None:
        """wait, close and job() are refused there."""
        cluster = self.cluster()
        job = cluster.submit(1)
        self.engine.refusal = ReactorThreadError("cluster compute")
        for wait in (cluster.wait, cluster, cluster.close, job):
            self.assertRaises(ReactorThreadError, wait)

    def test_close(self) -> None:
        """Closing is told to the session once; a closed cluster takes no jobs, and says so."""
        cluster = self.cluster()
        self.assertIs(True, cluster.close())
        self.assertIs(True, cluster.close())
        self.assertEqual(([cluster.uid], {}), (self.session.closed, self.engine.clusters))
        with self.assertRaisesRegex(ClusterClosedError, "cluster compute is closed"):
            cluster.submit(threading.Lock())

    def test_shutdown(self) -> None:
        """Closes; twice is once."""
        cluster = self.cluster()
        cluster.shutdown()
        cluster.shutdown()
        self.assertEqual([cluster.uid], self.session.closed)

    def test_recover_file(self) -> None:
        """It is there from the beginning, learns of ids, and is removed before the nodes are told that the cluster is closed."""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "rec")
            cluster = self.cluster(recover_file=path, recover=True)
            self.assertEqual([path], [each.view.file.path for each in self.engine.clusters.values()])
            before = os.path.getsize(path)
            cluster.submit(1).id = "mine"
            self.assertGreater(os.path.getsize(path), before)
            there: list[bool] = []
            self.session.close_cluster = lambda uid: there.append(os.path.exists(path))  # type: ignore[method-assign, assignment]
            cluster.close(terminate=True)
            self.assertEqual(([False], []), (there, os.listdir(directory)))

    def test_read_results(self) -> None:
        """What is read is delivered."""
        cluster = self.cluster()
        job = cluster.submit(1)
        self.session.end(job)
        self.assertEqual((1, 7, 0), (cluster.view.unread, job(), cluster.view.unread))

    def test_no_recover_file(self) -> None:
        """Either way of wanting none is understood; a name and none is a contradiction."""
        for options in ({"recover": False}, {"recover": True, "recover_file": False}):
            self.assertIsNone(self.cluster(**options).view.file.path)
        with self.assertRaisesRegex(TypeError, "recover_file='x' names a file, recover=False wants none"):
            self.cluster(recover_file="x", recover=False)

    def test_no_place_for_a_recover_file(self) -> None:
        """Is an error, and no cluster is made."""
        with self.assertRaisesRegex(RecoverFileError, "/no/such/rec cannot be made: No such file or directory"):
            self.cluster(recover_file="/no/such/rec", recover=True)
        self.assertEqual(([], {}), (self.session.opened, self.engine.clusters))

    def test_close_in_time(self) -> None:
        """close(timeout) with jobs left is False, and the cluster goes on."""
        cluster = self.cluster()
        job = cluster.submit(1)
        self.assertIs(False, cluster.close(timeout=0))
        self.assertEqual(([], []), (self.session.closed, self.session.given_up))
        self.session.end(job)
        self.assertIs(True, cluster.close(timeout=0))

    def test_terminate(self) -> None:
        """close(terminate=True) gives up what is left at once, or after the timeout, and then closes."""
        for options in ({"terminate": True}, {"terminate": True, "timeout": 0}):
            cluster = self.cluster()
            job = cluster.submit(1)
            self.assertIs(True, cluster.close(**options))  # type: ignore[arg-type]
            self.assertEqual((cluster.uid, "close(terminate=True)"), self.session.given_up[-1])
            self.assertEqual((CANCELLED, True), (job.status, job.finish.is_set()))
            self.assertEqual(cluster.uid, self.session.closed[-1])

    def test_terminate_without_jobs(self) -> None:
        """Where none is left there is nothing to give up."""
        self.cluster().close(terminate=True)
        self.assertEqual([], self.session.given_up)

    def test_closed_while_arguments_are_packed(self) -> None:
        """A cluster that another thread closes meanwhile refuses the job: none is left without an end."""
        cluster = self.cluster()

        def closes(*_: Any) -> Any:
            cluster.close()
            return SimpleNamespace(data=b"")

        with mock.patch.object(module, "pack_job", closes), self.assertRaises(ClusterClosedError):
            cluster.submit(1)
        self.assertEqual(([], 0), (self.session.submitted, cluster.status().jobs_pending))

    def test_with(self) -> None:
        """``with`` closes at its end, whatever is raised, and lets it through."""
        with self.cluster() as cluster:
            self.assertEqual([], self.session.closed)
        self.assertEqual([cluster.uid], self.session.closed)
        with self.assertRaises(ZeroDivisionError), self.cluster() as cluster:
            raise ZeroDivisionError
        self.assertEqual(cluster.uid, self.session.closed[-1])

    def test_with_and_results_that_were_not_read(self) -> None:
        """An exception leaves the file until it is known whether the program fails by it; a cluster without a file is closed."""
        with tempfile.TemporaryDirectory() as directory:
            for name, unread in (("rec", True), (None, False)):
                options = {"recover": True, "recover_file": os.path.join(directory, name)} if name else {}
                with self.assertRaises(ZeroDivisionError), self.cluster(**options) as cluster:
                    self.session.end(cluster.submit(1))
                    raise ZeroDivisionError
                self.assertEqual((unread, not unread), (cluster.uid in self.engine.unread, cluster.uid in self.session.closed))
                with self.assertRaises(ClusterClosedError):
                    cluster.submit(2)
            self.assertEqual(["rec"], os.listdir(directory))
            next(iter(self.engine.clusters.values())).view.file.remove()

    def test_with_and_ctrl_c(self) -> None:
        """Ctrl-C in it does not wait for jobs there; the end of the program does."""
        with self.assertRaises(KeyboardInterrupt), self.cluster() as cluster:
            cluster.submit(1)
            raise KeyboardInterrupt
        self.assertEqual([], self.session.closed)


class Showing(ClusterTestCase):
    """status and print_status."""

    def test_status(self) -> None:
        """The nodes that were found, and how many jobs have not ended."""
        cluster = self.cluster()
        cluster.submit(1)
        cluster.view.nodes[b"n"] = node = DispyNode("10.0.0.7", "node7", 4)
        status = cluster.status()
        self.assertEqual(([node], 1), tuple(status))
        self.assertEqual(([node], 1), (status.nodes, status.jobs_pending))

    def test_print_status(self) -> None:
        """The table, with the wall time that was passed or the cluster's own; by dispy's other name as well."""
        cluster = self.cluster()
        cluster.submit(1)
        cluster.view.nodes[b"n"] = DispyNode("10.0.0.7", "node7", 4)
        cluster.view.began -= 500
        for printed, wall in ((lambda: cluster.print_status(20.0), "20.000"), (cluster.print_status, "50"), (cluster.stats, "50")):
            with redirect_stdout(io.StringIO()) as out:
                printed()
            self.assertIn("10.0.0.7:51348 (node7)", out.getvalue())
            self.assertIn("Jobs pending: 1", out.getvalue())
            self.assertIn(f"wall time: {wall}", out.getvalue())
