"""Tracebacks as the user wants them: without our frames, and never longer than a frame on the wire can carry."""

from __future__ import annotations

import os
import traceback

_OUR_DIRECTORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_MOST = 48 * 1024


def text_of(error: BaseException) -> str:
    """The traceback of an error, beginning at the user's code; encodable as UTF-8 whatever the error says."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(_OUR_DIRECTORY):
        frame = frame.tb_next
    lines = traceback.format_exception(type(error), error, frame)
    return shortened("".join(lines).encode("utf-8", "backslashreplace").decode("utf-8"))


def shortened(text: str) -> str:
    """The text, or its beginning and end when it is longer than 48 K characters."""
    if len(text) <= _MOST:
        return text
    half = _MOST // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
