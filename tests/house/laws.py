"""The laws. Each takes a house and returns a line for everything in it that breaks the law: ``module:line: what is wrong``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.house import plan
from tests.house.reading import House, Import, Module

Law = Callable[[House], list[str]]


def every_module_is_placed(house: House) -> list[str]:
    """Each room is known, and each module of a layered room stands in a layer."""
    wrong = []
    for module in house.values():
        room, short = module.room, module.name.rpartition(".")[2]
        if room and room not in plan.LAYERS and room not in plan.UNLAYERED:
            wrong.append(f"{module.name}: room {room} is in no list of tests/house/plan.py")
        elif room in plan.LAYERS and short not in plan.LAYERS[room]:
            wrong.append(f"{module.name}: say in tests/house/plan.py whether it is mind, hands, mouth or door")
    return wrong


def imports_follow_the_layers(house: House) -> list[str]:
    """Inside a room nobody imports what stands above: mind <- hands <- mouth <- door."""
    return [
        f"{_at(module, imported)}: a {plan.LAYER_NAMES[mine]} imports {imported.module}, a {plan.LAYER_NAMES[theirs]}"
        for module, imported in _imports_inside(house)
        if house[imported.module].room == module.room
        and (mine := _layer(module)) is not None
        and (theirs := _layer(house[imported.module])) is not None
        and mine < theirs
    ]


def rooms_are_strangers(house: House) -> list[str]:
    """No room imports another, but for the exceptions that the plan names."""
    return [
        f"{_at(module, imported)}: room {module.room or 'of none'} enters {imported.module}"
        for module, imported in _imports_inside(house)
        if not _may_enter(module, house[imported.module])
    ]


def tours_import_nothing(house: House) -> list[str]:
    """A room's ``__init__`` is a tour in prose: whoever imports a module of the room pays for nothing else."""
    return [
        f"{_at(module, imported)}: the tour of room {module.short} imports {imported.module}"
        for module, imported in _imports_inside(house)
        if "." not in module.short and any(other.room == module.short for other in house.values())
    ]


def nothing_imports_the_front_door(house: House) -> list[str]:
    """The front door is for users; the house does not go through it."""
    return [
        f"{_at(module, imported)}: imports from the front door"
        for module, imported in _imports_inside(house)
        if imported.module == plan.PACKAGE
    ]


def imports_make_no_circle(house: House) -> list[str]:
    """No module imports itself by way of others, in functions or outside; the front door's lazy names are not counted."""
    edges = {
        name: {i.module for i in module.imports if i.module in house}
        for name, module in house.items()
        if name != plan.PACKAGE
    }
    reached = {name: _closure(edges, name) for name in edges}
    circles = {tuple(sorted(o for o in reached[n] if n in reached.get(o, ()))) for n in edges if n in reached[n]}
    return [f"import circle: {' <-> '.join(circle)}" for circle in sorted(circles)]


def minds_are_pure(house: House) -> list[str]:
    """A mind, and all it imports, touches no clock, network, file, process, thread or chance."""
    return [
        f"{module.name}: a mind, reaches {outside} by way of {via}"
        for module in house.values()
        if _layer(module) == plan.MIND
        for via, outside in _outside(house, module)
        if outside.partition(".")[0] not in plan.PURE
    ]


def daemons_never_unpickle(house: House) -> list[str]:
    """No daemon module reaches a pickler, the payload module or a worker, however long the way."""
    wrong = []
    for module in house.values():
        if (module.room or module.short) not in plan.DAEMON_ROOMS or _named(module, plan.NEVER_IN_A_DAEMON):
            continue
        for via in sorted(_reached(house, module)):
            if _named(house[via], plan.NEVER_IN_A_DAEMON):
                wrong.append(f"{module.name}: runs in a daemon, reaches {via}")
        for via, outside in _outside(house, module):
            if outside.partition(".")[0] in plan.PICKLERS:
                wrong.append(f"{module.name}: runs in a daemon, reaches {outside} by way of {via}")
    return wrong


def some_run_without_twisted(house: House) -> list[str]:
    """The nouns, the frames, the payload and everything in workers import no Twisted, however long the way."""
    return [
        f"{module.name}: has to run without Twisted, reaches {outside} by way of {via}"
        for module in house.values()
        if module.short in plan.WITHOUT_TWISTED or module.room in plan.WITHOUT_TWISTED - {"wire"}
        for via, outside in _outside(house, module)
        if outside.partition(".")[0] == "twisted"
    ]


def the_reactor_is_passed_in(house: House) -> list[str]:
    """Only doors and the client's bridge import the reactor."""
    return [
        f"{_at(module, imported)}: imports the reactor; take it as an argument"
        for module in house.values()
        if _layer(module) != plan.DOOR and module.short not in plan.REACTOR_OWNERS
        for imported in module.imports
        if imported.module == "twisted.internet.reactor"
    ]


def modules_stay_short(house: House) -> list[str]:
    """A module past 400 lines is a room asking for a wall."""
    return [
        f"{module.name}: {module.lines} lines, more than {plan.LONGEST_MODULE}"
        for module in house.values()
        if module.lines > plan.LONGEST_MODULE
    ]


LAWS: tuple[Law, ...] = (
    every_module_is_placed,
    imports_follow_the_layers,
    rooms_are_strangers,
    tours_import_nothing,
    nothing_imports_the_front_door,
    imports_make_no_circle,
    minds_are_pure,
    daemons_never_unpickle,
    some_run_without_twisted,
    the_reactor_is_passed_in,
    modules_stay_short,
)


def _at(module: Module, imported: Import) -> str:
    return f"{module.name}:{imported.line}"


def _imports_inside(house: House) -> Iterator[tuple[Module, Import]]:
    """Every import of a module of the house by another."""
    for module in house.values():
        for imported in module.imports:
            if imported.module in house and module.name != plan.PACKAGE:
                yield module, imported


def _layer(module: Module) -> int | None:
    return plan.LAYERS.get(module.room, {}).get(module.name.rpartition(".")[2])


def _named(module: Module, names: set[str]) -> bool:
    """Whether the module, or the room it stands in, is among these."""
    return module.short in names or module.room in names


def _may_enter(module: Module, other: Module) -> bool:
    key = module.room or module.short
    theirs = other.room or other.short
    if not theirs or theirs == key or theirs in plan.OPEN_TO_ALL or key in plan.MASTER_KEYS:
        return True
    return _layer(module) == plan.DOOR or other.short in plan.DOORS_BETWEEN_ROOMS.get(module.short, ())


def _reached(house: House, module: Module) -> set[str]:
    """Names of all modules of the house that importing this one runs, packages and itself included, the front door not."""
    edges = {
        name: ({i.module for i in m.imports} | {name.rpartition(".")[0]}) & (house.keys() - {plan.PACKAGE})
        for name, m in house.items()
    }
    return _closure(edges, module.name) | {module.name}


def _outside(house: House, module: Module) -> list[tuple[str, str]]:
    """What importing this module brings in from outside the house: (module of the house that says so, what)."""
    return sorted(
        {
            (via, i.module)
            for via in _reached(house, module)
            for i in house[via].imports
            if not i.module.startswith(plan.PACKAGE)
        }
    )


def _closure(edges: dict[str, set[str]], start: str) -> set[str]:
    """Everything that can be reached from ``start`` over at least one edge."""
    found: set[str] = set()
    waiting = list(edges.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(edges.get(name, ()))
    return found
