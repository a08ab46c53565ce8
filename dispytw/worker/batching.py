"""Many calls in one job, one after another; what one raises is its own."""

from __future__ import annotations

from collections.abc import Callable

from dispytw.lighttyping import Any
from dispytw.wire.batches import Answer, Call, pack_answers
from dispytw.wire.payload import pack_result
from dispytw.worker.raising import packed_error
from dispytw.worker.tracebacks import text_of


def perform_calls(function: Callable[..., Any], calls: list[Call], namespace: Any) -> bytes:
    """Call a function for each, and pack what became of them.

    :param namespace: packs results and errors.
    :raises KeyboardInterrupt: when the job is cancelled meanwhile.
    """
    return pack_answers([_answer(function, call, namespace) for call in calls])


def _answer(function: Callable[..., Any], call: Call, namespace: Any) -> Answer:
    args, kwargs = call
    try:
        return Answer(pack_result(function(*args, **kwargs), namespace))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit, too, ends this call only
        return Answer(None, text_of(error), packed_error(error, namespace))
