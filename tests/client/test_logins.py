"""What opens a node, in a recover file."""

from __future__ import annotations

import shutil
import tempfile
import unittest
from pathlib import Path

import msgpack

from dispytw.client.logins import login_entry, login_from
from dispytw.errors import WireError
from dispytw.wire.certificates import Files, load_certificate
from dispytw.wire.credentials import INSECURE, Certified, secret_credential
from tests.wire.certifying import pair, write_pair


class Logins(unittest.TestCase):
    """There and back."""

    def test_there_and_back(self) -> None:
        """Every kind of credential is one again."""
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        certfile, keyfile = write_pair(directory, pair())
        certificate = load_certificate(Files(certfile, keyfile))
        secret = secret_credential("made up by somebody")
        for credential in (secret, INSECURE, Certified(certificate), Certified(certificate, secret)):
            entry = msgpack.unpackb(msgpack.packb(login_entry(credential)))
            self.assertEqual(credential, login_from(entry))

    def test_no_secret(self) -> None:
        """The secret itself is not written down."""
        self.assertNotIn(b"made up", msgpack.packb(login_entry(secret_credential("made up by somebody"))))

    def test_nonsense(self) -> None:
        """Is an error that names the kind."""
        for entry in (["Handshake", 1], [], None):
            with self.assertRaisesRegex(WireError, "a login of a kind that is not known here"):
                login_from(entry)
