"""Text from files and users, such as names of models and classes, made safe to show in a terminal or a table."""

import unicodedata

_NEVER_SHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of control and formatting characters, surrogates, and unassigned and private characters."""


def with_visible_controls(text: str) -> str:
    """The text with control, formatting and unassigned characters as numbers, such as ``\\x1b``; line ends are kept.

    Control characters can move a terminal's cursor, and formatting characters can change the order of the shown text.
    """
    if text.isprintable():
        return text
    return "".join(c if c == "\n" or unicodedata.category(c) not in _NEVER_SHOWN else _number(c) for c in text)


def one_line(text: str) -> str:
    """``with_visible_controls`` text in one line, with single spaces."""
    return with_visible_controls(" ".join(text.split()))


def _number(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
