"""The bundle: a computation's code, as the client packs it and the supervisor lays it out. Plain msgpack, no pickle in here.

What lives in the user's main program, and in the modules of the functions given to us, travels one definition at a time and meets in one
global namespace. Any other module of the user's travels whole and is imported where it arrives. A *supplement* is a bundle too: code that a
single argument needs and the computation does not.
"""

from __future__ import annotations

from types import CodeType

from dispytw.errors import PayloadError
from dispytw.lighttyping import Any, NamedTuple
from dispytw.wire.late import msgpack

#: Names that the node gives to every job (dispy's manual, "Job functions"); a program's own stand-ins for them stay at home.
JOB_NAMES = frozenset(
    {
        "dispy_job_path",
        "dispy_node_ip_addr",
        "dispy_node_name",
        "dispy_provisional_result",
        "dispy_send_file",
        "dispynode_logger",
    }
)

#: Modules that a job may use without importing them, as under dispy.
JOB_MODULES = frozenset(
    {
        *("copy", "errno", "glob", "hashlib", "io", "marshal", "multiprocessing", "os", "pickle", "platform", "psutil", "re"),
        *("shutil", "signal", "socket", "stat", "struct", "subprocess", "sys", "tempfile", "threading", "time", "traceback"),
    }
)


#: In front of a job's arguments: it has files of its own, and runs in the directory in which the node has put them.
OWN_PLACE = b"o"


class Module(NamedTuple):
    """A module of the user's, whole.

    :param package: whether it may have submodules.
    :param filename: where it came from, for tracebacks.
    :param source: its bytes, as in the file.
    """

    name: str
    package: bool
    filename: str
    source: bytes


class Source(NamedTuple):
    """One definition in source.

    :param name: the name that it defines.
    :param module: the module that it belongs to, and that its class is pickled under.
    :param line: number of the text's first line in the file.
    :param flags: the ``__future__`` flags it was compiled with.
    """

    name: str
    module: str
    filename: str
    line: int
    flags: int
    text: str

    def compiled(self) -> CodeType:
        """Its code, with the line numbers of its file; an indented piece keeps its indentation, as strings in it may span lines."""
        lead = "\n" * (self.line - 2) + "if True:\n" if self.text[:1].isspace() else "\n" * (self.line - 1)
        code: CodeType = compile(lead + self.text, self.filename, "exec", flags=self.flags, dont_inherit=True)
        return code


class Constant(NamedTuple):
    """A value, or a function that only bytecode can tell.

    :param payload: what `dispytw.wire.payload.pack_value` made of it.
    """

    name: str
    payload: bytes


class Import(NamedTuple):
    """``from module import attribute as name``, or ``import module as name`` when the attribute is empty."""

    name: str
    module: str
    attribute: str


class Alias(NamedTuple):
    """``name = target``; the target may be dotted."""

    name: str
    target: str


Entry = Source | Constant | Import | Alias
_KINDS: dict[str, type[Any]] = {"s": Source, "c": Constant, "i": Import, "a": Alias}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}


class Role(NamedTuple):
    """A function that is called: the computation, setup or cleanup.

    :param name: its name in the namespace (may be dotted), or empty when it comes as a payload.
    :param function: payload of the function, when it has no name there.
    :param arguments: payload of ``(args, kwargs)`` for a partial, or empty.
    """

    name: str = ""
    function: bytes = b""
    arguments: bytes = b""


class Bundle(NamedTuple):
    """All code of a computation, or a supplement to it.

    :param home: the module of the user's that the namespace is: ``__main__``, or one of ``modules``.
    :param package: where relative imports in its functions begin.
    :param aliases: names of other modules that the namespace stands for.
    :param modules: the user's modules that travel whole.
    :param imports: modules to import before the entries, because something is reached through them (``xml.dom``).
    :param entries: what makes up the namespace, in this order.
    :param wanted: global names that the code uses and the client does not know; `JOB_MODULES` among them are provided.
    :param instead: of a supplement: names of entries that take the place of what is there, for the time of one job; None where it is for an
        argument, and stays.
    :param initial: how many entries there are before ``init_depends()`` is called, which is among them; 0 for no call.
    """

    home: str = "__main__"
    package: str = ""
    aliases: tuple[str, ...] = ()
    modules: tuple[Module, ...] = ()
    imports: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    wanted: tuple[str, ...] = ()
    initial: int = 0
    instead: tuple[str, ...] | None = None
    computation: Role | None = None
    setup: Role | None = None
    cleanup: Role | None = None


def mentioned(packed: bytes) -> frozenset[str]:
    """Names that jobs are given and that a bundle's bytes have in them: all that its code may use, and perhaps more."""
    return frozenset(name for name in JOB_NAMES if name.encode() in packed)


def encode(bundle: Bundle) -> bytes:
    """A bundle as bytes."""
    roles = [bundle.computation, bundle.setup, bundle.cleanup]
    fields = [
        bundle.home,
        bundle.package,
        bundle.aliases,
        [tuple(module) for module in bundle.modules],
        bundle.imports,
        [[_LETTERS[type(entry)], *entry] for entry in bundle.entries],
        bundle.wanted,
        bundle.initial,
        bundle.instead,
        [None if role is None else tuple(role) for role in roles],
    ]
    return bytes(msgpack().packb(fields, unicode_errors="surrogatepass"))


def decode(packed: bytes) -> Bundle:
    """A bundle from bytes.

    :raises PayloadError: when they are not a bundle.
    """
    try:
        home, package, aliases, modules, imports, entries, wanted, initial, instead, roles = msgpack().unpackb(
            packed, unicode_errors="surrogatepass", use_list=False
        )
        return Bundle(
            home,
            package,
            aliases,
            tuple(Module(*fields) for fields in modules),
            imports,
            tuple(_KINDS[letter](*fields) for letter, *fields in entries),
            wanted,
            initial,
            instead,
            *(None if fields is None else Role(*fields) for fields in roles),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise PayloadError(f"the computation's code cannot be opened: {error}") from error
