"""Which certificates are fit, for which roles, and why the others are not."""

from __future__ import annotations

import datetime
import unittest
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dispytw.wire.certificates import LONGEST_CHAIN, Certificate
from dispytw.wire.greeting import ROLES, Reason, Refused
from dispytw.wire.tls import _own_certificate
from dispytw.wire.verdict import Roles, judge
from tests.wire.certifying import CLIENT, DAY, NOW, SERVER, Issued, authority, issue, new_key, pair

EVERYBODY = frozenset(ROLES)
DIALLED = EVERYBODY - {"client"}
HOST = "node7.cluster.example"


def verdict(own: Certificate, *shown: Issued, dialled: str | None = HOST, now: datetime.datetime = NOW) -> Roles | Refused:
    """What becomes of these."""
    return judge(own, lambda: [each.leaf for each in shown], dialled, now)


def signed_by_sha1(issued: Issued) -> x509.Certificate:
    """The certificate, saying that its signature is by RSA and SHA-1, as old authorities' certificates do."""
    sha256, sha1 = (bytes.fromhex(f"06092a864886f70d0101{last}") for last in ("0b", "05"))
    return x509.load_der_x509_certificate(issued.leaf.public_bytes(serialization.Encoding.DER).replace(sha256, sha1))


class VerdictCase(unittest.TestCase):
    """Tells refusals apart by their details too."""

    def assert_refused(self, reason: Reason, detail: str, result: Roles | Refused) -> None:
        assert isinstance(result, Refused), result
        self.assertEqual((reason, detail), (result.reason, result.detail))


class Pinned(VerdictCase):
    """The same pair at both ends."""

    own = pair().as_certificate()

    def test_our_own(self) -> None:
        """Is fit for every role, whoever has dialled whom."""
        for dialled in (HOST, None):
            self.assertEqual(EVERYBODY, verdict(self.own, pair(), dialled=dialled))

    def test_another(self) -> None:
        """Another pair; another certificate for the same key, name and all; one that ours has issued."""
        renewed = attrs.evolve(pair(), leaf=issue(key=pair().key).leaf)
        for other in (pair("other"), renewed, issue("dispytw:node", HOST, by=pair())):
            self.assert_refused(Reason.OTHER_CERTIFICATE, "", verdict(self.own, other))
            self.assert_refused(Reason.OTHER_CERTIFICATE, "", verdict(self.own, other, pair()))

    def test_dates(self) -> None:
        """Count for our own too: it may expire while a process runs. The limits themselves are inside."""
        leaf = pair().leaf
        begins, ends, second = leaf.not_valid_before_utc, leaf.not_valid_after_utc, datetime.timedelta(seconds=1)
        for now in (begins, ends):
            self.assertEqual(EVERYBODY, verdict(self.own, pair(), now=now))
        self.assert_refused(Reason.EXPIRED, f"on {ends:%Y-%m-%d %H:%M} UTC", verdict(self.own, pair(), now=ends + second))
        self.assert_refused(Reason.TOO_EARLY, f"before {begins:%Y-%m-%d %H:%M} UTC", verdict(self.own, pair(), now=begins - second))

    def test_none(self) -> None:
        """Nothing shown, and what an end shows that has none."""
        self.assert_refused(Reason.NO_CERTIFICATE, "", verdict(self.own))
        key, nameless = _own_certificate()
        self.assert_refused(Reason.NO_CERTIFICATE, "", verdict(self.own, Issued(nameless, key)))


class Issuing(VerdictCase):
    """A private authority: who has issued a certificate."""

    own = issue("dispytw:client", by=authority()).as_certificate(authority())

    def test_by_our_authority(self) -> None:
        """Is fit."""
        self.assertEqual({"node"}, verdict(self.own, issue("dispytw:node", by=authority())))

    def test_by_any_of_several(self) -> None:
        """Each certificate in the cafile counts."""
        own = pair().as_certificate(authority("other"), authority())
        for name in ("other", "ours"):
            self.assertEqual({"node"}, verdict(own, issue("dispytw:node", by=authority(name))))

    def test_by_others(self) -> None:
        """Another authority, nobody else, an authority that only has our authority's name: OpenSSL says why."""
        namesake = Issued(authority().leaf, new_key())
        for other, words in (
            (issue("dispytw:node", by=authority("other")), "unable to get local issuer certificate"),
            (issue("dispytw:node"), "self-signed certificate"),
            (issue("dispytw:node", by=namesake), "certificate signature failure"),
        ):
            self.assert_refused(Reason.OTHER_AUTHORITY, words, verdict(self.own, other))

    def test_our_own_is_not_enough(self) -> None:
        """With a cafile it is the authority that counts, not that both show the same."""
        self.assert_refused(Reason.OTHER_AUTHORITY, "self-signed certificate", verdict(pair().as_certificate(authority()), pair()))

    def test_with_others_between(self) -> None:
        """They are shown along; without them nobody can tell."""
        between = issue(by=authority(), authority=True)
        leaf = issue("dispytw:node", by=between)
        self.assertEqual({"node"}, verdict(self.own, leaf, between))
        self.assert_refused(Reason.OTHER_AUTHORITY, "unable to get local issuer certificate", verdict(self.own, leaf))

    def test_between_is_no_authority(self) -> None:
        """A node's certificate issues nothing, though our authority has issued it."""
        node = issue("dispytw:node", by=authority())
        refused = verdict(self.own, issue("dispytw:client", by=node), node)
        assert isinstance(refused, Refused)
        self.assertEqual(Reason.OTHER_AUTHORITY, refused.reason)

    def test_one_of_those_between_as_authority(self) -> None:
        """It is trusted as it stands, and with it nothing else that was issued above it."""
        between = issue(by=authority(), authority=True)
        own = pair().as_certificate(between)
        self.assertEqual({"node"}, verdict(own, issue("dispytw:node", by=between)))
        self.assertIsInstance(verdict(own, issue("dispytw:node", by=authority()), authority()), Refused)

    def test_dates_of_those_between(self) -> None:
        """Count as well."""
        for reason, begins, ends, words in (
            (Reason.EXPIRED, NOW - 9 * DAY, NOW - DAY, "certificate has expired"),
            (Reason.TOO_EARLY, NOW + DAY, NOW + 9 * DAY, "not yet valid"),
        ):
            between = issue(by=authority(), authority=True, begins=begins, ends=ends)
            refused = verdict(self.own, issue("dispytw:node", by=between), between)
            assert isinstance(refused, Refused)
            self.assertEqual(reason, refused.reason)
            self.assertIn(words, refused.detail)
        between = issue(by=authority(), authority=True, ends=NOW + 5 * DAY)
        for days, expected in ((4, {"node"}), (6, Refused(Reason.EXPIRED))):
            self.assertEqual(expected, verdict(self.own, issue("dispytw:node", by=between), between, now=NOW + days * DAY))

    def test_too_weak(self) -> None:
        """A short RSA key, or a signature over a digest that is broken, anywhere but in the cafile itself."""
        short = issue("dispytw:node", by=authority(), key=rsa.generate_private_key(65537, 1024))
        self.assert_refused(Reason.UNFIT, "an RSA key of 1024 bits is too short", verdict(self.own, short))
        by_rsa = issue(authority=True, key=rsa.generate_private_key(65537, 2048))
        old = Issued(signed_by_sha1(by_rsa), by_rsa.key)
        self.assert_refused(Reason.UNFIT, "signed by means of sha1", verdict(self.own, old))
        self.assert_refused(Reason.UNFIT, "signed by means of sha1", verdict(self.own, issue("dispytw:node", by=by_rsa), old))
        trusting = pair().as_certificate(old)
        self.assertEqual({"node"}, verdict(trusting, issue("dispytw:node", by=by_rsa), old))

    def test_too_many(self) -> None:
        """A long chain is not looked into."""
        leaf = issue("dispytw:node", by=authority())
        self.assertEqual({"node"}, verdict(self.own, leaf, *[authority()] * LONGEST_CHAIN))
        self.assert_refused(
            Reason.UNFIT, f"it comes with more than {LONGEST_CHAIN} others", verdict(self.own, leaf, *[authority()] * (LONGEST_CHAIN + 1))
        )


class Naming(VerdictCase):
    """A private authority: whom a certificate is for."""

    own = issue("dispytw:client", by=authority()).as_certificate(authority())

    def shown(self, *names: str, dialled: str | None = HOST, **options: Any) -> Roles | Refused:
        """What becomes of one for these names."""
        return verdict(self.own, issue(*names, by=authority(), **options), dialled=dialled)

    def test_roles(self) -> None:
        """Those that it names and no other, whatever hosts it names beside them."""
        for dialled in (HOST, "10.0.0.1", None):
            self.assertEqual({"node"}, self.shown("dispytw:node", dialled=dialled))
            self.assertEqual({"client", "node"}, self.shown("dispytw:node", "dispytw:client", HOST, dialled=dialled))
            self.assertEqual({"client"}, self.shown("dispytw:client", HOST, dialled=dialled))

    def test_host_names(self) -> None:
        """The one that was dialled, or a pattern for it: such an end may be whatever is dialled, and no client."""
        for names in ((HOST,), ("other.example", HOST), ("*.cluster.example",)):
            self.assertEqual(DIALLED, self.shown(*names))
        self.assertEqual(DIALLED, self.shown(HOST, dialled=HOST.upper() + "."))

    def test_addresses(self) -> None:
        """Are dialled too, with or without a zone."""
        for name, dialled in (("10.0.0.7", "10.0.0.7"), ("fe80::1", "fe80::1%eth0"), ("::1", "0:0::1")):
            self.assertEqual(DIALLED, self.shown(name, dialled=dialled))

    def test_other_names(self) -> None:
        """Another host, a pattern that goes too far, an address for a name, a name for an address, none at all, and no name at all."""
        for names, dialled in (
            (("node8.cluster.example",), HOST),
            (("*.example",), HOST),
            (("10.0.0.7",), HOST),
            (("10.0.0.8",), "10.0.0.7"),
            ((HOST,), "10.0.0.7"),
            ((HOST,), "*"),
            ((), HOST),
        ):
            self.assert_refused(Reason.OTHER_NAME, f"it names neither {dialled!r} nor a role", self.shown(*names, dialled=dialled))

    def test_who_has_dialled_needs_a_role(self) -> None:
        """By its host it cannot be known."""
        for names in ((), (HOST,), ("127.0.0.1",)):
            self.assert_refused(Reason.OTHER_NAME, "it names no role", self.shown(*names, dialled=None))

    def test_uses(self) -> None:
        """An extendedKeyUsage must have what TLS asks of its end; without one everything is allowed."""
        for uses, dialled, name in (((CLIENT,), HOST, "serverAuth"), ((SERVER,), None, "clientAuth")):
            refused = self.shown("dispytw:node", uses=uses, dialled=dialled)
            self.assert_refused(Reason.UNFIT, f"{name} is not in its extendedKeyUsage", refused)
        for uses in ((SERVER, CLIENT), (x509.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)):
            for dialled in (HOST, None):
                self.assertEqual({"node"}, self.shown("dispytw:node", uses=uses, dialled=dialled))

    def test_what_cannot_be_read(self) -> None:
        """An extension of a form that it must not have, or an error on the way, is a refusal and nothing else."""
        key = new_key()
        builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(authority().leaf.subject).public_key(key.public_key())
        builder = builder.serial_number(1).not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
        garbage = x509.UnrecognizedExtension(x509.ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"garbage")
        leaf = builder.add_extension(garbage, critical=False).sign(authority().key, hashes.SHA256())
        self.assertIsInstance(verdict(self.own, Issued(leaf, key)), Refused)

        def fails() -> Any:
            raise RuntimeError("deep")

        self.assert_refused(Reason.UNFIT, "it cannot be read (RuntimeError)", judge(self.own, fails, HOST))
