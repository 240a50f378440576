"""What commands print: it survives any encoding, and an interruption is one sentence."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys

# What a console that lacks a sign shows in its place; any other sign becomes its number.
PLAIN = {"≥": ">=", "≤": "<=", "−": "-", "–": "-", "×": "x", "→": "->", "…": "...", "·": "*"}
_HANDLER = "dlp_lib.plain"
AGAIN = "What is finished is stored: run it again to go on."


def accept_any_encoding() -> None:
    """Have this process print signs that its output cannot encode by plain ones, without an error.

    A pipe on Windows, for instance, has the encoding cp1252, which lacks "≥".
    """
    codecs.register_error(_HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # None where there is no console
            stream.reconfigure(errors=_HANDLER)


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Return what stands in place of the signs that cannot be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    plain = ""
    for sign in signs:
        escaped = sign.encode("ascii", "backslashreplace").decode("ascii")
        plain += PLAIN.get(sign, escaped)
    return plain, error.end


def say(*values: object) -> None:
    """Print a line of a long run, which goes on even where nobody reads it any more."""
    try:
        print(*values, flush=True)
    except OSError:  # the reader has ended, as `head` does
        sink = os.open(os.devnull, os.O_WRONLY)
        with contextlib.suppress(OSError, ValueError):
            os.dup2(sink, sys.stdout.fileno())


def sentence_of(error: BaseException) -> str:
    """Return one sentence for what ended a command from outside.

    Args:
        error: a KeyboardInterrupt or an OSError.
    """
    if isinstance(error, KeyboardInterrupt):
        return f"stopped by Ctrl-C. {AGAIN}"
    text = str(error)
    if AGAIN[-20:] in text:  # it says already what to do
        return text
    if error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    return f"{text}. {AGAIN}"
