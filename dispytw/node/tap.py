"""The door of the node: its options, and the function that builds its service from them."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from dispytw.errors import DispytwError
from dispytw.node.service import CannotServe, NodeConfig, NodeService
from dispytw.wire.certificates import given_certificate
from dispytw.wire.credentials import INSECURE, Credential, credential_from, explicit_secret

NODE_PORT = 51348


def _number(text: str) -> int:
    return int(text)


class Options(usage.Options):
    """What ``dispynode --help`` shows; in names ``-`` and ``_`` are the same."""

    synopsis = "[options]"
    longdesc = "Offers this machine's processors to dispytw programs."

    optParameters: list[list[Any]] = [
        ["cpus", "c", 0, "slots to offer; 0: as many as there are cores, negative: leave that many free", _number],
        ["host", "i", None, "address to listen on (default: 127.0.0.1, or all with a secret of your own or a certificate)"],
        ["port", None, NODE_PORT, "TCP port to listen on; 0: a free one", _number],
        ["dispy-port", "p", None, "base port P as in dispy: listen on P+1", _number],
        ["name", None, None, "name shown to users (default: host name)"],
        ["secret-file", None, None, "file that holds the secret"],
        ["secret", "s", None, "the secret itself; other users of this machine can see it"],
        ["certfile", None, None, "file with the certificate, the same on every machine; beside a secret, both must pass"],
        ["keyfile", None, None, "file with its private key, unless that is in certfile"],
        ["cafile", None, None, "file with a private authority's certificates: others must show one of its, not the same"],
        ["state-dir", None, None, "directory for what the node must remember"],
        ["ping-interval", None, 0.0, "seconds between broadcasts that a free node is here; 0: at start and when freed only", float],
        ["zombie-interval", None, 60.0, "minutes for which jobs of a silent client go on", float],
        ["lease", None, 60.0, "minutes for which computations go on when this daemon is killed", float],
        ["retention", None, 7.0, "days for which results are kept that nobody fetches", float],
        ["durability", None, "normal", "what is kept survives the death of any process (normal), or of the machine (full)"],
        ["announce-fd", None, None, "descriptor on which 'host port' is written once the node listens", _number],
    ]
    optFlags: list[list[Any]] = [
        ["no-discovery", None, "answer no client that looks for nodes by broadcast, and announce nothing"],
        ["insecure", None, "neither encrypt nor ask for a secret"],
        ["end-with-stdin", None, "end when standard input is closed"],
        ["debug", "d", "log more"],
    ]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Accept dispy's spellings: underscores, and --node_port, --ip_addr."""
        super().parseOptions([_respelled(word) for word in (sys.argv[1:] if options is None else options)])

    def postOptions(self) -> None:
        """Check what can be checked before anything is opened."""
        if self["dispy-port"] is not None:
            self["port"] = self["dispy-port"] + 1
        if not 0 <= self["port"] < 65536:
            raise usage.UsageError(f"--port must be from 0 to 65535, not {self['port']}")
        cores = os.cpu_count() or 1
        if self["cpus"] <= 0:
            self["cpus"] += cores
        if self["cpus"] <= 0:
            raise usage.UsageError(f"--cpus leaves no slot: there are {cores} cores")
        if self["ping-interval"] and not 1 <= self["ping-interval"] <= 86400:
            raise usage.UsageError("--ping-interval must be 0 or a number of seconds from 1 to 86400")
        if not self["zombie-interval"] > 0:
            raise usage.UsageError("--zombie-interval must be a number of minutes above 0")
        if not self["lease"] >= 0 or not self["retention"] >= 0:
            raise usage.UsageError("--lease and --retention must not be negative")
        if self["durability"] not in ("normal", "full"):
            raise usage.UsageError("--durability is normal or full")


_NAMES = {"help", "version", *(str(option[0]) for option in (*Options.optParameters, *Options.optFlags))}
_ALIASES = {"--node-port": "--port", "--ip-addr": "--host"}


def _respelled(word: str) -> str:
    """An option in our spelling; anything else, a secret that begins with dashes say, as it stands."""
    name, equals, value = word.partition("=")
    name = name.replace("_", "-")
    name = _ALIASES.get(name, name)
    return name + equals + value if name[2:] in _NAMES else word


def build_service(config: NodeConfig, reactor: Any) -> NodeService:
    """The node's service; nothing is opened before it is started."""
    return NodeService(config, reactor)


def makeService(options: Options) -> IService:
    """The service for twistd.

    :raises usage.UsageError: when there is no usable secret or certificate.
    """
    from twisted.internet import reactor

    try:
        credential, everywhere = _credential(options)
    except (DispytwError, OSError) as error:
        raise usage.UsageError(str(error)) from None
    config = NodeConfig(
        host=options["host"] or ("0.0.0.0" if everywhere else "127.0.0.1"),
        port=options["port"],
        credential=credential,
        cpus=options["cpus"],
        name=options["name"] or platform.node(),
        state_dir=options["state-dir"],
        announce_fd=options["announce-fd"],
        end_with_stdin=bool(options["end-with-stdin"]),
        zombie_interval=options["zombie-interval"] * 60,
        lease=options["lease"] * 60,
        retention=options["retention"] * 24 * 3600,
        survives_power_loss=options["durability"] == "full",
        discoverable=not options["no-discovery"],
        ping_interval=options["ping-interval"] or None,
    )
    return build_service(config, reactor)  # type: ignore[return-value, unused-ignore]


def _credential(options: Options) -> tuple[Credential, bool]:
    """The credential, and whether it is one that lets the node listen on all addresses."""
    certificate = given_certificate(options["certfile"], options["keyfile"], options["cafile"], _warn)
    if options["insecure"]:
        if certificate is not None:
            raise usage.UsageError("--insecure and --certfile contradict each other: leave out one of them")
        return INSECURE, False
    if options["secret"]:
        _warn("a secret on the command line can be seen by others on this machine; use --secret-file")
    chosen = explicit_secret(options["secret"] or "", options["secret-file"])
    return credential_from(options["secret"] or "", options["secret-file"], certificate=certificate), bool(certificate or chosen)


def _warn(text: str) -> None:
    print(f"dispynode: {text}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the node in the foreground until SIGTERM or SIGINT; the ``dispynode`` command."""
    from twisted.internet import reactor

    from dispytw.node.foreground import run

    options = Options()
    try:
        options.parseOptions(arguments)
        service = makeService(options)
    except usage.UsageError as error:
        raise SystemExit(f"dispynode: {error}") from None
    try:
        run(service, reactor, bool(options["debug"]))
    except CannotServe as error:
        raise SystemExit(f"dispynode: {error}") from None


if __name__ == "__main__":
    main()
