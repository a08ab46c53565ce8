"""Secrets come from where they should, are stretched once, and stay secret."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

from dispytw.errors import AuthError
from dispytw.wire import credentials
from dispytw.wire.credentials import (
    INSECURE,
    Certified,
    Secret,
    certificate_of,
    credential_from,
    explicit_secret,
    new_secret,
    read_secret_file,
    secret_credential,
    secret_of,
    stretch,
    user_secret,
    user_secret_path,
)
from tests.wire.certifying import pair


class InTemporaryDirectory(unittest.TestCase):
    """Gives each test a directory."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)

    def file(self, content: str | bytes, mode: int = 0o600, name: str = "secret") -> str:
        """A file with this content."""
        path = self.root / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return str(path)


class Stretching(unittest.TestCase):
    """A secret becomes a key."""

    def test_scrypt_for_what_people_make_up(self) -> None:
        """N = 2**15, as RFC 7914 has it."""
        expected = hashlib.scrypt(
            b"abc", salt=b"dispytw secret, stretched once", n=2**15, r=8, p=1, maxmem=2**26, dklen=32
        )
        self.assertEqual(Secret(expected), secret_credential("abc"))

    def test_once(self) -> None:
        """A process stretches a secret once."""
        secret_credential("once only")
        with mock.patch.object(hashlib, "scrypt", side_effect=AssertionError("again")):
            secret_credential("once only")

    def test_generated_secrets_skip_it(self) -> None:
        """160 random bits cannot be guessed; only their exact form is taken for such."""
        with mock.patch.object(hashlib, "scrypt", return_value=b"stretched") as scrypt:
            first, second = new_secret(), new_secret()
            self.assertNotEqual(secret_credential(first), secret_credential(second))
            self.assertEqual(32, len(secret_credential(first).key))
            scrypt.assert_not_called()
            for almost in (first[:-1], first + "a", first.upper(), "dtw1-" + "hunter2!" * 4):
                stretch.cache_clear()
                self.assertEqual(b"stretched", secret_credential(almost).key, almost)
        stretch.cache_clear()

    def test_any_text(self) -> None:
        """Different texts make different keys, whatever their characters."""
        keys = {secret_credential(text).key for text in ("é", "e\u0301", "\udcff")}
        self.assertEqual(3, len(keys))

    def test_none(self) -> None:
        """An empty secret is an error, not a weak secret."""
        self.assertRaises(ValueError, secret_credential, "")

    def test_not_shown(self) -> None:
        """A credential in a log shows nothing."""
        credential = secret_credential(new_secret())
        self.assertEqual("Secret()", repr(credential))
        self.assertEqual("Insecure()", repr(INSECURE))


class SecretFiles(InTemporaryDirectory):
    """A file with a secret."""

    def test_one_newline_is_not_part_of_it(self) -> None:
        """What an editor adds, and no more."""
        for content, secret in (("abc", "abc"), ("abc\n", "abc"), ("abc\n\n", "abc\n"), ("abc\r\n", "abc"), (" a ", " a ")):
            self.assertEqual(secret, read_secret_file(self.file(content)))

    def test_not_text(self) -> None:
        """Any bytes make a secret, and the same one each time."""
        path = self.file(b"\xff\xfe\x01")
        self.assertEqual(secret_credential(read_secret_file(path)), secret_credential(read_secret_file(path)))

    def test_readable_by_others(self) -> None:
        """Refused, with the command that mends it."""
        for mode in (0o640, 0o604, 0o660, 0o602):
            path = self.file("abc", mode)
            with self.assertRaisesRegex(AuthError, f"{path} can be read by others: chmod 600 {path}"):
                read_secret_file(path)

    def test_of_another_user(self) -> None:
        """Refused: it was planted."""
        path = self.file("abc")
        with mock.patch.object(os, "geteuid", return_value=os.geteuid() + 1), mock.patch.object(os, "fstat") as fstat:
            fstat.return_value = mock.Mock(st_uid=os.geteuid() + 1, st_mode=0o100600)
            self.assertRaisesRegex(AuthError, "belongs to another user", read_secret_file, path)

    def test_nothing_in_it(self) -> None:
        """Refused, and so is a file that can be no secret."""
        for content in ("", "\n"):
            self.assertRaisesRegex(AuthError, "is empty", read_secret_file, self.file(content))
        self.assertEqual("x" * 4096, read_secret_file(self.file("x" * 4096)))
        self.assertRaisesRegex(AuthError, "longer than 4096", read_secret_file, self.file("x" * 5000))

    def test_missing(self) -> None:
        """An error that names it."""
        self.assertRaisesRegex(FileNotFoundError, "absent", read_secret_file, str(self.root / "absent"))


class UserSecret(InTemporaryDirectory):
    """What all processes of one user share."""

    def setUp(self) -> None:
        super().setUp()
        self.environ = {"HOME": str(self.root)}

    def test_made_at_first_use(self) -> None:
        """In ~/.config, for nobody else, and the same from then on."""
        secret = user_secret(self.environ)
        path = self.root / ".config/dispytw/secret"
        self.assertEqual(secret + "\n", path.read_text())
        self.assertRegex(secret, "^dtw1-[a-z2-7]{32}$")
        self.assertEqual((0o600, 0o700), (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)))
        self.assertEqual(secret, user_secret(self.environ))

    def test_whatever_the_umask(self) -> None:
        """A lax umask opens nothing."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        user_secret(self.environ)
        path = self.root / ".config/dispytw/secret"
        self.assertEqual((0o600, 0o700), (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)))

    def test_config_home(self) -> None:
        """$XDG_CONFIG_HOME stands for ~/.config; a relative one does not count."""
        self.assertEqual("/c/dispytw/secret", user_secret_path({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}))
        self.assertEqual("/h/.config/dispytw/secret", user_secret_path({"XDG_CONFIG_HOME": "c", "HOME": "/h"}))

    def test_first_users_agree(self) -> None:
        """Sixteen at once make one secret, and leave nothing else behind."""
        barrier, found = threading.Barrier(16), []

        def first() -> None:
            barrier.wait()
            found.append(user_secret(self.environ))

        threads = [threading.Thread(target=first) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((16, 1), (len(found), len(set(found))))
        self.assertEqual(["secret"], os.listdir(self.root / ".config/dispytw"))

    def test_another_was_faster(self) -> None:
        """Who finds the file made between looking and linking takes what is there."""
        there = user_secret(self.environ)
        with mock.patch.object(os.path, "exists", return_value=False):
            self.assertEqual(there, user_secret(self.environ))

    def test_opened_to_others(self) -> None:
        """Refused from then on."""
        user_secret(self.environ)
        (self.root / ".config/dispytw/secret").chmod(0o644)
        self.assertRaisesRegex(AuthError, "can be read by others", user_secret, self.environ)


class Choosing(InTemporaryDirectory):
    """Where a secret is taken from, and in which order."""

    def setUp(self) -> None:
        super().setUp()
        self.environ = {"HOME": str(self.root)}

    def test_in_order(self) -> None:
        """File, systemd credential, environment, argument, and then the user's own."""
        self.assertIsNone(explicit_secret(environ=self.environ))
        self.assertEqual(secret_credential(user_secret(self.environ)), credential_from(environ=self.environ))
        self.assertEqual("argument", explicit_secret("argument", environ=self.environ))
        self.environ["DISPYTW_SECRET"] = "variable"
        self.assertEqual("variable", explicit_secret("argument", environ=self.environ))
        self.environ["DISPYTW_SECRET_FILE"] = self.file("named by a variable", name="b")
        self.assertEqual("named by a variable", explicit_secret("argument", environ=self.environ))
        self.environ["CREDENTIALS_DIRECTORY"] = str(self.root)
        self.assertEqual("named by a variable", explicit_secret("argument", environ=self.environ))
        self.file("systemd", name="dispytw_secret")
        self.assertEqual("systemd", explicit_secret("argument", environ=self.environ))
        named = self.file("named", name="d")
        self.assertEqual("named", explicit_secret("argument", named, self.environ))
        self.assertEqual(secret_credential("named"), credential_from("argument", named, self.environ))

    def test_beside_a_certificate(self) -> None:
        """A secret that was chosen must pass as well; the user's own is neither asked for nor made."""
        own = pair().as_certificate()
        alone = credential_from(environ=self.environ, certificate=own)
        self.assertEqual(Certified(own), alone)
        self.assertFalse(os.path.exists(user_secret_path(self.environ)))
        both = credential_from("argument", environ=self.environ, certificate=own)
        self.assertEqual(Certified(own, secret_credential("argument")), both)

    def test_what_is_in_a_credential(self) -> None:
        """Secret, certificate, both, or neither."""
        own, secret = pair().as_certificate(), secret_credential("a")
        for credential, expected in (
            (INSECURE, (None, None)),
            (secret, (secret, None)),
            (Certified(own), (None, own)),
            (Certified(own, secret), (secret, own)),
        ):
            self.assertEqual(expected, (secret_of(credential), certificate_of(credential)))

    def test_systemd_lets_its_user_read(self) -> None:
        """By an ACL, whose mask shows as group bits; never everybody."""
        self.environ["CREDENTIALS_DIRECTORY"] = str(self.root)
        path = self.file("systemd", 0o440, name="dispytw_secret")
        self.assertEqual("systemd", explicit_secret(environ=self.environ))
        os.chmod(path, 0o444)
        self.assertRaises(AuthError, explicit_secret, environ=self.environ)

    def test_a_bad_file_is_not_passed_over(self) -> None:
        """Who names a file gets its secret or an error, never another secret."""
        self.environ["DISPYTW_SECRET_FILE"] = self.file("abc", 0o644)
        self.assertRaises(AuthError, explicit_secret, "argument", environ=self.environ)
        self.assertRaises(OSError, explicit_secret, "argument", str(self.root / "absent"), self.environ)

    def test_the_environment_of_this_process(self) -> None:
        """Is what counts when nothing else is given."""
        with mock.patch.dict(os.environ, {"DISPYTW_SECRET": "from here"}):
            self.assertEqual("from here", credentials.explicit_secret())
