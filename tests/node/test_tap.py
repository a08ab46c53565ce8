"""The door of the node: what may be said on its command line, and what becomes of it before anything is opened."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import platform
import runpy
import sys
import tempfile
import threading
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.python import usage

from dispytw.node import foreground, tap
from dispytw.node.service import CannotServe, NodeConfig
from dispytw.node.tap import Options, makeService
from dispytw.wire.certificates import Files, load_certificate
from dispytw.wire.credentials import INSECURE, Certified, new_secret, secret_credential
from tests.wire.certifying import authority, pair, write, write_pair


def parsed(*words: str) -> Options:
    """The options that these words make."""
    options = Options()
    options.parseOptions(list(words))
    return options


class OptionsCase(unittest.TestCase):
    """A machine with four cores, and a user with a home of his own."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("DISPYTW_", "CREDENTIALS_"))
        }
        environ |= {"XDG_CONFIG_HOME": str(self.root / "config"), "XDG_STATE_HOME": str(self.root / "state")}
        for patch in (mock.patch.dict(os.environ, environ, clear=True), mock.patch("os.cpu_count", return_value=4)):
            patch.start()
            self.addCleanup(patch.stop)

    def refusal(self, *words: str) -> str:
        """Why these words are no command line."""
        with self.assertRaises(usage.UsageError) as caught:
            parsed(*words)
        return str(caught.exception)

    def config(self, *words: str) -> NodeConfig:
        """How the node would be run."""
        return makeService(parsed(*words))._config  # type: ignore[attr-defined, no-any-return]


class Spellings(OptionsCase):
    """One option, many ways to say it."""

    def test_underscores(self) -> None:
        """Are dashes, in names and not in values."""
        for name in ("secret-file", "state-dir"):
            for words in ((f"--{name}", "a_b"), (f"--{name}=a_b",)):
                self.assertEqual("a_b", parsed(*words)[name])
                self.assertEqual("a_b", parsed(words[0].replace("-", "_").replace("__", "--", 1), *words[1:])[name])
        self.assertEqual("_a=b_", parsed("--name=_a=b_")["name"])
        self.assertTrue(parsed("--end_with_stdin")["end-with-stdin"])
        self.assertEqual(2.5, parsed("--zombie_interval", "2.5")["zombie-interval"])
        self.assertEqual(9, parsed("--announce_fd", "9")["announce-fd"])

    def test_values_that_look_like_options(self) -> None:
        """A secret that begins with dashes stays as it is."""
        self.assertEqual("--my_own_secret", parsed("--secret", "--my_own_secret")["secret"])

    def test_dispys_names(self) -> None:
        """--node_port and --ip_addr, and its short ones."""
        for words in (
            ("--node_port", "5"),
            ("--node-port=5",),
            ("--port", "5"),
            ("-p", "4"),
            ("--dispy_port=4",),
            ("--dispy-port", "4"),
        ):
            self.assertEqual(5, parsed(*words)["port"], words)
        for words in (("--ip_addr", "::1"), ("--ip-addr=::1",), ("--host", "::1"), ("-i", "::1")):
            self.assertEqual("::1", parsed(*words)["host"], words)
        self.assertEqual(
            (3, "s", 1), tuple(parsed("-c", "3", "-s", "s", "-d")[name] for name in ("cpus", "secret", "debug"))
        )

    def test_from_the_process_itself(self) -> None:
        """Without words given, those that the process was started with."""
        with mock.patch.object(sys, "argv", ["dispynode", "--node_port", "5"]):
            options = Options()
            options.parseOptions()
        self.assertEqual(5, options["port"])

    def test_sizes(self) -> None:
        """--max_file_size is a number of bytes, or one with a unit; dispy's 10 MB unless told otherwise, 0 for no limit."""
        self.assertEqual(10 * 2**20, self.config("--insecure").max_file_size)
        for said, size in (("0", 0), ("17", 17), ("2k", 2048), ("3M", 3 * 2**20), ("4g", 4 * 2**30), ("1T", 2**40)):
            for option in ("--max_file_size", "--max-file-size"):
                self.assertEqual(size, self.config("--insecure", option, said).max_file_size)
        for wrong in ("", "m", "-1", "1.5m", "10MB", "1x", "ten", "١"):
            self.assertIn("wanted a number of bytes", self.refusal(f"--max_file_size={wrong}"))

    def test_unknown_ones(self) -> None:
        """Are refused by name."""
        self.assertIn("no_such", self.refusal("--no_such"))


class Values(OptionsCase):
    """What options may say."""

    def test_nothing_said(self) -> None:
        """Every core, dispy's port for nodes, an hour for the jobs of a silent client."""
        options = parsed()
        self.assertEqual((4, 51348, 60.0), (options["cpus"], options["port"], options["zombie-interval"]))
        self.assertEqual([None] * 5, [options[name] for name in ("host", "name", "secret", "state-dir", "announce-fd")])

    def test_cpus(self) -> None:
        """A number of slots, even above that of cores; negative leaves so many free."""
        for said, slots in (("1", 1), ("9", 9), ("0", 4), ("-1", 3), ("-3", 1)):
            self.assertEqual(slots, parsed("--cpus", said)["cpus"], said)
        for said in ("-4", "-5"):
            self.assertEqual("--cpus leaves no slot: there are 4 cores", self.refusal("--cpus", said))
        with mock.patch("os.cpu_count", return_value=None):
            self.assertEqual(1, parsed()["cpus"])

    def test_ports(self) -> None:
        """From 0 to 65535, the one above dispy's base port too."""
        for words, port in ((("--port", "0"), 0), (("--port", "65535"), 65535), (("-p", "65534"), 65535)):
            self.assertEqual(port, parsed(*words)["port"])
        for words, port in ((("--port", "-1"), -1), (("--port=65536",), 65536), (("--dispy_port", "65535"), 65536)):
            self.assertEqual(f"--port must be from 0 to 65535, not {port}", self.refusal(*words))

    def test_zombie_interval(self) -> None:
        """Is a number of minutes above 0."""
        self.assertEqual(0.5, parsed("--zombie-interval=0.5")["zombie-interval"])
        for said in ("0", "-1", "nan"):
            self.assertEqual(
                "--zombie-interval must be a number of minutes above 0", self.refusal(f"--zombie-interval={said}")
            )

    def test_what_outlives_the_daemon(self) -> None:
        """Minutes, days, and how safe it is; nothing of it is negative."""
        config = self.config("--insecure", "--lease=0", "--retention=0.5", "--durability=full")
        self.assertEqual((0.0, 43200.0, True), (config.lease, config.retention, config.survives_power_loss))
        config = self.config("--insecure")
        self.assertEqual((3600.0, 604800.0, False), (config.lease, config.retention, config.survives_power_loss))
        for said in ("--lease=-1", "--retention=-1", "--lease=nan"):
            self.assertEqual("--lease and --retention must not be negative", self.refusal(said))
        self.assertEqual("--durability is normal or full", self.refusal("--durability=half"))

    def test_ping_interval(self) -> None:
        """Seconds, in both spellings; or 0, as by default, for none."""
        for words, seconds in (((), None), (("--ping-interval=0",), None), (("--ping_interval", "1"), 1.0), (("--ping-interval=600",), 600.0)):
            self.assertEqual(seconds, self.config("--insecure", *words).ping_interval)
        for said in ("0.5", "-1", "90000", "nan"):
            self.assertEqual("--ping-interval must be 0 or a number of seconds from 1 to 86400", self.refusal(f"--ping-interval={said}"))

    def test_discovery(self) -> None:
        """A node can be found unless that is not wanted."""
        self.assertTrue(self.config("--insecure").discoverable)
        self.assertFalse(self.config("--insecure", "--no_discovery").discoverable)

    def test_no_numbers(self) -> None:
        """Are refused where numbers are wanted."""
        for name in ("cpus", "port", "dispy-port", "ping-interval", "zombie-interval", "announce-fd"):
            self.assertIn("many", self.refusal(f"--{name}=many"))


class Services(OptionsCase):
    """What the options make."""

    def setUp(self) -> None:
        super().setUp()
        self.secret = new_secret()
        self.secret_file = self.root / "secret"
        self.secret_file.write_text(self.secret)
        self.secret_file.chmod(0o600)

    def test_the_users_secret(self) -> None:
        """Without a secret of its own the node uses the user's, and then it is on loopback only."""
        config = self.config()
        self.assertEqual("127.0.0.1", config.host)
        self.assertEqual(
            secret_credential((self.root / "config/dispytw/secret").read_text().strip()), config.credential
        )

    def test_a_secret_of_its_own(self) -> None:
        """Opens it to all addresses, wherever the secret comes from; unless an address is named."""
        with mock.patch.dict(os.environ, {"DISPYTW_SECRET": self.secret}):
            self.assertEqual("0.0.0.0", self.config().host)
        config = self.config("--secret-file", str(self.secret_file))
        self.assertEqual(("0.0.0.0", secret_credential(self.secret)), (config.host, config.credential))
        self.assertEqual("10.0.0.1", self.config("--secret-file", str(self.secret_file), "--ip_addr", "10.0.0.1").host)

    def test_a_secret_on_the_command_line(self) -> None:
        """Works, with a warning; a file comes before it. Without one there is nothing to warn of."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            config = self.config("--secret", self.secret)
            self.assertIn("can be seen by others on this machine; use --secret-file", said.getvalue())
            self.assertEqual(("0.0.0.0", secret_credential(self.secret)), (config.host, config.credential))
            self.assertEqual(
                config.credential, self.config("-s", "another", "--secret-file", str(self.secret_file)).credential
            )
            said.truncate(0)
            self.config("--secret-file", str(self.secret_file))
        self.assertEqual("", said.getvalue().strip("\0"))

    def test_insecure(self) -> None:
        """Only when said, and still on loopback unless an address is named; no secret is made for it."""
        config = self.config("--insecure", "--secret-file", str(self.secret_file))
        self.assertEqual(("127.0.0.1", INSECURE), (config.host, config.credential))
        self.assertEqual("0.0.0.0", self.config("--insecure", "--host", "0.0.0.0").host)
        self.assertFalse((self.root / "config").exists())

    def test_certificate(self) -> None:
        """Opens it to all addresses; no secret of the user's is made. A secret of its own beside it is asked for as well."""
        certfile, keyfile = write_pair(self.root, pair())
        cafile = write(self.root, "ca", authority().certificate_pem)
        for words, authorities in ((("--certfile", certfile, "--keyfile", keyfile), ()), (("--cafile", cafile), (authority().leaf,))):
            config = self.config("--certfile", certfile, "--keyfile", keyfile, *words)
            self.assertEqual(("0.0.0.0", None), (config.host, config.credential.secret))
            self.assertEqual((pair().leaf, authorities), (config.credential.certificate.leaf, config.credential.certificate.authorities))
        self.assertFalse((self.root / "config").exists())
        both = self.config("--certfile", certfile, "--keyfile", keyfile, "--secret-file", str(self.secret_file)).credential
        self.assertEqual(Certified(load_certificate(Files(certfile, keyfile)), secret_credential(self.secret)), both)

    def test_certificate_in_one_file(self) -> None:
        """As dispy's manual has it; it and the key may be read by nobody else, or there is a warning."""
        both = write(self.root, "dispy.keycert", pair().certificate_pem, pair().key_pem, mode=0o644)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            config = self.config("--certfile", both)
        self.assertEqual(pair().leaf, config.credential.certificate.leaf)
        self.assertEqual(f"dispynode: the private key in {both} can be read by others: chmod 600 {both}\n", said.getvalue())

    def test_no_usable_certificate(self) -> None:
        """Is said in one line, before anything is opened."""
        certfile, keyfile = write_pair(self.root, pair())
        for words, text in (
            (("--keyfile", keyfile), "keyfile is given without certfile: name the file"),
            (("--certfile", certfile), "holds no private key in PEM form: name the key's own file as keyfile"),
            (("--certfile", certfile, "--keyfile", "/none"), "keyfile /none cannot be read: No such file or directory"),
            (("--insecure", "--certfile", certfile, "--keyfile", keyfile), "--insecure and --certfile contradict each other"),
        ):
            with self.assertRaisesRegex(usage.UsageError, text):
                makeService(parsed(*words))

    def test_everything_else(self) -> None:
        """Arrives as it was said; minutes become seconds."""
        config = self.config(
            "--insecure",
            "--name",
            "here",
            "--state-dir",
            "/s",
            "--zombie_interval",
            "2",
            "--announce-fd",
            "9",
            "--cpus=7",
        )
        self.assertEqual(
            ("here", "/s", 120.0, 9, 7),
            (config.name, config.state_dir, config.zombie_interval, config.announce_fd, config.cpus),
        )
        self.assertEqual((51348, False), (config.port, config.end_with_stdin))
        config = self.config("--insecure", "--end-with-stdin", "--port=0")
        self.assertEqual(
            (platform.node(), None, 3600.0, None),
            (config.name, config.state_dir, config.zombie_interval, config.announce_fd),
        )
        self.assertEqual((0, True), (config.port, config.end_with_stdin))

    def test_no_usable_secret(self) -> None:
        """Is said in one line, before anything is opened."""
        self.secret_file.chmod(0o644)
        for words, text in (
            (str(self.secret_file), "can be read by others: chmod 600"),
            (str(self.root / "none"), "No such file"),
        ):
            with self.assertRaisesRegex(usage.UsageError, text):
                makeService(parsed("--secret-file", words))

    def test_nothing_is_opened(self) -> None:
        """twistd forks after it: no thread, no file, no socket may be there, and no state directory yet."""
        self.config("--insecure")  # brings the reactor along, which twistd has by then
        gc.collect()  # what other tests have let go of is closed now, and not meanwhile
        before, threads = sorted(os.listdir("/proc/self/fd")), set(threading.enumerate())
        service = makeService(parsed("--secret-file", str(self.secret_file)))
        self.assertEqual(before, sorted(os.listdir("/proc/self/fd")))
        self.assertLessEqual(set(threading.enumerate()), threads)
        self.assertFalse((self.root / "state").exists())
        self.assertFalse(service.running)  # type: ignore[attr-defined]

    def test_twistd_knows_it(self) -> None:
        """By the name of dispynode, with these options."""
        (found,) = (plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "dispynode")
        self.assertIs(Options, found.options)
        self.assertIs(makeService, found.makeService)


class Main(OptionsCase):
    """The ``dispynode`` command."""

    def run_main(self, *words: str, run: Callable[..., None]) -> None:
        """Run it, with this in the place of the reactor's run."""
        with mock.patch.object(foreground, "run", run):
            tap.main(list(words))

    def test_it_runs(self) -> None:
        """The service that the options make, in the foreground."""
        ran: list[Any] = []
        self.run_main("--insecure", "--cpus", "3", "--debug", run=lambda *args: ran.append(args))
        self.run_main("--insecure", run=lambda *args: ran.append(args))
        self.assertEqual([(3, True), (4, False)], [(service._config.cpus, debug) for service, _, debug in ran])

    def test_what_cannot_be(self) -> None:
        """Ends it with one line that names the program, and exit status 1."""

        def fails(*_: Any) -> None:
            raise CannotServe("port 1 on ::1 is taken")

        for words, run, text in (
            (("--cpus=many",), self.fail, "dispynode: Parameter type enforcement failed"),
            (("--secret-file", "/nowhere"), self.fail, "dispynode: [Errno 2]"),
            (("--insecure",), fails, "dispynode: port 1 on ::1 is taken"),
        ):
            with self.assertRaises(SystemExit) as caught:
                self.run_main(*words, run=run)
            self.assertTrue(str(caught.exception.code).startswith(text), caught.exception)

    def test_as_a_module(self) -> None:
        """``python -m dispytw.node.tap`` is the same."""
        with mock.patch.object(sys, "argv", ["tap", "--no-such"]), mock.patch.dict(sys.modules):
            sys.modules.pop("dispytw.node.tap")
            with self.assertRaisesRegex(SystemExit, "^dispynode: .*no-such"):
                runpy.run_module("dispytw.node.tap", run_name="__main__")
