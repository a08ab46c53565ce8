"""Certificate and key are read from where they are said to be, and what cannot be used is said at once, with the file and the fix."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from OpenSSL import SSL

from dispytw.errors import CertificateError
from dispytw.wire.certificates import (
    LONGEST_CHAIN,
    LONGEST_FILE,
    MOST_SHOWN,
    Certificate,
    Files,
    given_certificate,
    load_certificate,
    openssl_words,
)
from tests.wire.certifying import DAY, NOW, authority, issue, pair, pem_of, write, write_pair


class InTemporaryDirectory(unittest.TestCase):
    """Gives each test a directory, and the warnings that were given."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        self.warnings: list[str] = []
        self.certfile, self.keyfile = write_pair(self.root, pair())

    def load(self, certfile: str | None, keyfile: str | None = None, cafile: str | None = None) -> Certificate:
        """What an end has that is given these."""
        certificate = given_certificate(certfile, keyfile, cafile, self.warnings.append)
        assert certificate is not None
        return certificate

    def refusal(self, certfile: str | None, keyfile: str | None = None, cafile: str | None = None) -> str:
        """What is said of these, in one line."""
        with self.assertRaises(CertificateError) as caught:
            self.load(certfile, keyfile, cafile)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)


class Loading(InTemporaryDirectory):
    """What can be used."""

    def test_two_files(self) -> None:
        """As dispy's manual has it."""
        loaded = self.load(self.certfile, self.keyfile)
        self.assertEqual(pair().leaf, loaded.leaf)
        self.assertEqual(((), ()), (loaded.chain, loaded.authorities))
        self.assertEqual([], self.warnings)

    def test_one_file(self) -> None:
        """Both in certfile, in either order, with what openssl writes around them."""
        for number, parts in enumerate(((pair().certificate_pem, pair().key_pem), (pair().key_pem, b"Certificate:\n  Data\n", pair().certificate_pem))):
            self.assertEqual(pair().leaf, self.load(write(self.root, f"{number}.keycert", *parts)).leaf)

    def test_kinds_of_keys(self) -> None:
        """EC, RSA and Ed25519; parameters before an EC key do not matter."""
        for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()):
            issued = issue(by=authority(), key=key)
            certfile, keyfile = write_pair(self.root, issued, "kind")
            self.assertEqual(issued.leaf, self.load(certfile, keyfile).leaf)
        parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        self.load(self.certfile, write(self.root, "with-parameters", parameters, pair().key_pem))

    def test_chain_and_authorities(self) -> None:
        """The first of certfile is ours, the others stand between it and an authority; all of cafile are authorities."""
        between = issue(by=authority(), authority=True)
        leaf = issue("dispytw:node", by=between)
        certfile = write(self.root, "chain", leaf.certificate_pem, between.certificate_pem)
        cafile = write(self.root, "authorities", authority().certificate_pem, authority("other").certificate_pem)
        loaded = self.load(certfile, write(self.root, "key", leaf.key_pem), cafile)
        self.assertEqual((leaf.leaf, (between.leaf,)), (loaded.leaf, loaded.chain))
        self.assertEqual((authority().leaf, authority("other").leaf), loaded.authorities)

    def test_nothing_given(self) -> None:
        """No file, or empty names, as options without a value have them, are no certificate."""
        self.assertIsNone(given_certificate(None, None, None, self.fail))
        self.assertIsNone(given_certificate("", "", "", self.fail))

    def test_paths(self) -> None:
        """Are kept, absolute, so that they mean the same after a change of directory; and load the same again."""
        with mock.patch("os.getcwd", return_value=str(self.root)):
            path = Path(os.path.relpath(self.certfile, self.root))
            files = Files(os.path.abspath(path), os.path.abspath("dispy.key"))
        loaded = load_certificate(files)
        self.assertEqual(Files(self.certfile, self.keyfile), loaded.files)
        self.assertEqual(loaded, load_certificate(loaded.files))

    def test_equal(self) -> None:
        """Two are equal if they show and want the same, wherever they lie: one link serves both."""
        copies = write_pair(self.root, pair(), "copy")
        mine, copy = self.load(self.certfile, self.keyfile), self.load(*copies)
        self.assertEqual((mine, hash(mine)), (copy, hash(copy)))
        cafile = write(self.root, "ca", authority().certificate_pem)
        self.assertNotEqual(mine, self.load(self.certfile, self.keyfile, cafile))
        self.assertNotEqual(mine, self.load(*write_pair(self.root, pair("other"), "other")))

    def test_repr(self) -> None:
        """Shows no key, and nothing else but paths."""
        loaded = self.load(self.certfile, self.keyfile)
        self.assertEqual(f"Certificate(files={loaded.files!r})", repr(loaded))


class Warnings(InTemporaryDirectory):
    """What is used all the same."""

    def test_a_key_that_others_can_read(self) -> None:
        """Is warned about, wherever it is, with the fix."""
        for mode in (0o640, 0o604, 0o644):
            keyfile = write(self.root, f"{mode:o}.key", pair().key_pem, mode=mode)
            self.load(self.certfile, keyfile)
            self.assertEqual(f"the private key in {keyfile} can be read by others: chmod 600 {keyfile}", self.warnings.pop())
        both = write(self.root, "both", pair().certificate_pem, pair().key_pem, mode=0o644)
        self.load(both)
        self.assertIn(f"chmod 600 {both}", self.warnings.pop())

    def test_a_certificate_that_others_can_read(self) -> None:
        """Is as it should be."""
        os.chmod(self.certfile, 0o644)
        self.load(self.certfile, self.keyfile)
        self.assertEqual([], self.warnings)


class Refusing(InTemporaryDirectory):
    """What cannot be used."""

    def test_one_without_the_other(self) -> None:
        """Key or authority without a certificate."""
        self.assertEqual("keyfile is given without certfile: name the file with the certificate of this key as certfile", self.refusal(None, self.keyfile))
        self.assertIn("cafile is given without certfile", self.refusal("", None, self.certfile))

    def test_a_certificate_without_its_key(self) -> None:
        """Says where the key may be."""
        self.assertEqual(
            f"certfile {self.certfile} holds no private key in PEM form: name the key's own file as keyfile", self.refusal(self.certfile)
        )

    def test_missing_files(self) -> None:
        """Each is named."""
        none = str(self.root / "none")
        for name, files in (
            ("certfile", (none, self.keyfile, None)),
            ("keyfile", (self.certfile, none, None)),
            ("cafile", (self.certfile, self.keyfile, none)),
        ):
            self.assertEqual(f"{name} {none} cannot be read: No such file or directory", self.refusal(*files))

    def test_files_that_may_not_be_read(self) -> None:
        """The permission that is missing is named."""
        with mock.patch("builtins.open", side_effect=PermissionError(13, "Permission denied")):
            self.assertEqual(f"certfile {self.certfile} cannot be read: Permission denied", self.refusal(self.certfile, self.keyfile))

    def test_other_files(self) -> None:
        """What holds something else, too much, or is a directory."""
        text, long = write(self.root, "text", b"hello"), write(self.root, "long", b"x" * (LONGEST_FILE + 1))
        self.assertIn(f"certfile {text} holds no certificate in PEM form", self.refusal(text, self.keyfile))
        self.assertIn(f"keyfile {text} holds no private key in PEM form: is it the right file?", self.refusal(self.certfile, text))
        self.assertIn(f"cafile {text} holds no certificate in PEM form", self.refusal(self.certfile, self.keyfile, text))
        self.assertIn(f"certfile {long} is longer than {LONGEST_FILE} bytes", self.refusal(long, self.keyfile))
        self.assertIn(f"keyfile {self.root} cannot be read: Is a directory", self.refusal(self.certfile, str(self.root)))

    def test_swapped(self) -> None:
        """The key where the certificate should be, and the reverse."""
        self.assertIn(f"certfile {self.keyfile} holds no certificate", self.refusal(self.keyfile, self.certfile))

    def test_damaged_files(self) -> None:
        """Base64 that is none. A damaged key is not quoted."""
        certfile = write(self.root, "bad.cert", pair().certificate_pem[:200], b"\n-----END CERTIFICATE-----\n")
        self.assertIn(f"certfile {certfile} is damaged", self.refusal(certfile, self.keyfile))
        lines = pair().key_pem.splitlines(keepends=True)
        keyfile = write(self.root, "bad.key", lines[0], lines[1][10:], *lines[2:])
        said = self.refusal(self.certfile, keyfile)
        self.assertEqual(f"the private key in {keyfile} is damaged, or of an unknown kind: copy it again", said)

    def test_another_key(self) -> None:
        """A key that does not belong to the certificate."""
        keyfile = write(self.root, "other.key", pair("other").key_pem)
        self.assertEqual(
            f"the key in {keyfile} does not belong to the first certificate in {self.certfile}: give both of one pair",
            self.refusal(self.certfile, keyfile),
        )

    def test_encrypted_key(self) -> None:
        """In either form, with the command that decrypts it."""
        old = b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMHc=\n-----END EC PRIVATE KEY-----\n"
        for number, content in enumerate((pem_of(pair().key, b"passphrase"), old)):
            keyfile = write(self.root, f"{number}.key", content)
            self.assertIn(f"the key in {keyfile} is encrypted", said := self.refusal(self.certfile, keyfile))
            self.assertIn(f"openssl pkey -in {keyfile}", said)

    def test_dates(self) -> None:
        """Expired and not yet valid, with the date."""
        certfile, keyfile = write_pair(self.root, issue(begins=NOW - 9 * DAY, ends=NOW - DAY), "old")
        self.assertEqual(
            f"the certificate in {certfile} has expired on {NOW - DAY:%Y-%m-%d %H:%M} UTC: get a new one", self.refusal(certfile, keyfile)
        )
        certfile, keyfile = write_pair(self.root, issue(begins=NOW + DAY), "early")
        self.assertEqual(
            f"the certificate in {certfile} is not valid before {NOW + DAY:%Y-%m-%d %H:%M} UTC: is this machine's clock right?",
            self.refusal(certfile, keyfile),
        )

    def test_what_tls_cannot_use(self) -> None:
        """Keys that are too short or of a wrong kind are found before anybody is dialled."""
        for key in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256K1()), dsa.generate_private_key(2048)):
            certfile, keyfile = write_pair(self.root, issue(key=key), "weak")
            self.assertRegex(self.refusal(certfile, keyfile), f"TLS 1.3 cannot use the certificate in {certfile}: .+; make one with an EC key")

    def test_a_long_chain(self) -> None:
        """Others would not have it."""
        certfile = write(self.root, "long.cert", pair().certificate_pem * (LONGEST_CHAIN + 2))
        self.assertIn(f"holds more than {LONGEST_CHAIN} certificates", self.refusal(certfile, self.keyfile))

    def test_a_big_certificate(self) -> None:
        """It would not get through a handshake."""
        certfile, keyfile = write_pair(self.root, issue(*(f"node{number}.a-rather-long-name.example" for number in range(700))), "big")
        self.assertRegex(self.refusal(certfile, keyfile), rf"the certificates in {certfile} have \d+ bytes, and {MOST_SHOWN} are the most")


class Words(unittest.TestCase):
    """What OpenSSL says."""

    def test_openssl_words(self) -> None:
        """The reasons, and only of its own exceptions."""
        self.assertEqual("a; b", openssl_words(SSL.Error([("lib", "f", "a"), ("lib", "", "b")])))
        for other in (SSL.Error(), SSL.SysCallError(-1, "Unexpected EOF"), ValueError([("x", "y", "z")])):
            self.assertEqual("", openssl_words(other))
