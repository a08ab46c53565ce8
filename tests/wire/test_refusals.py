"""Each refusal says what failed, with whom, and what to do."""

from __future__ import annotations

import unittest

from dispytw.errors import AuthError, VersionError, WireError
from dispytw.wire.greeting import Reason, Refused
from dispytw.wire.refusals import cut_short, explain, refused_by_tls, too_slow

WHERE = "10.0.0.7:51348"


class Words(unittest.TestCase):
    """The texts that people get to read."""

    def test_every_reason(self) -> None:
        """Has a class of its own kind, and names the other end."""
        for reason in Reason:
            for by_peer in (False, True):
                error = explain(Refused(reason, by_peer), WHERE)
                self.assertIsInstance(error, (AuthError, VersionError, WireError))
                self.assertIn(WHERE, str(error))

    def test_wrong_secret(self) -> None:
        """Names the fix; the end that was told says that it was told."""
        error = explain(Refused(Reason.SECRET), WHERE)
        self.assertIsInstance(error, AuthError)
        self.assertIn(f"wrong secret: this end and {WHERE} do not hold the same secret; give both the same", str(error))
        self.assertIn("by secret= or --secret-file", str(error))
        told = explain(Refused(Reason.SECRET, by_peer=True), WHERE)
        self.assertIn(f"wrong secret: it says that this end and {WHERE}", str(told))

    def test_version(self) -> None:
        """Names both versions."""
        error = explain(Refused(Reason.VERSION, version=7), WHERE)
        self.assertIsInstance(error, VersionError)
        self.assertEqual(f"{WHERE} speaks wire version 7, this end 1: install the same dispytw on both", str(error))

    def test_secret_and_none(self) -> None:
        """Names the option."""
        error = explain(Refused(Reason.MODE), WHERE)
        self.assertIsInstance(error, AuthError)
        self.assertIn("start both with --insecure, or neither", str(error))

    def test_certificates(self) -> None:
        """Whose certificate it is depends on who has looked; what is known in detail stands in brackets, and is bounded."""
        for reason in (reason for reason in Reason if Reason.NO_CERTIFICATE <= reason < Reason.OLD_TLS):
            ours, theirs = explain(Refused(reason, detail="x" * 1000), WHERE), explain(Refused(reason, by_peer=True), WHERE)
            self.assertIsInstance(ours, AuthError)
            self.assertRegex(str(ours), rf"^the certificate of {WHERE} is refused: .+ \(x{{200}}\); .+")
            self.assertRegex(str(theirs), rf"^{WHERE} refuses the certificate of this end: [^(]+; .+")

    def test_refused_by_tls(self) -> None:
        """What OpenSSL says, in the words of its several versions, is a refusal if it has to do with certificates or the version."""
        for words, expected in (
            ("tlsv13 alert certificate required", Refused(Reason.NO_CERTIFICATE, True)),
            ("sslv3 alert certificate expired", Refused(Reason.EXPIRED, True)),
            ("ssl/tls alert certificate expired", Refused(Reason.EXPIRED, True)),
            ("tlsv1 alert unknown ca", Refused(Reason.OTHER_AUTHORITY, True)),
            ("ssl/tls alert bad certificate", Refused(Reason.UNFIT, True)),
            ("tlsv1 alert access denied", Refused(Reason.UNFIT, True)),
            ("tlsv1 alert decrypt error", Refused(Reason.NO_KEY, True)),
            ("bad signature", Refused(Reason.NO_KEY)),
            ("unsupported protocol", Refused(Reason.OLD_TLS)),
            ("tlsv1 alert protocol version", Refused(Reason.OLD_TLS)),
            ("ssl/tls alert bad record mac", None),
            ("record layer failure", None),
            ("", None),
        ):
            self.assertEqual(expected, refused_by_tls(words, True), words)
            general = expected is None or expected.reason in (Reason.NO_CERTIFICATE, Reason.OLD_TLS)
            self.assertEqual(expected if general else None, refused_by_tls(words, False), words)

    def test_cut_short(self) -> None:
        """What may be the matter depends on how far it came; what the connection says is bounded."""
        texts = {str(cut_short(WHERE, secure, began, "x" * 1000)) for secure, began in ((1, 0), (1, 1), (0, 1))}
        self.assertEqual(3, len(texts))
        for text in texts:
            self.assertTrue(text.startswith(f"{WHERE} was gone before the greeting was over"))
            self.assertLess(len(text), 400)

    def test_too_slow(self) -> None:
        """Names the seconds."""
        self.assertEqual(f"{WHERE} did not greet within 10 s: is it a dispytw program?", str(too_slow(WHERE, 10.0)))
