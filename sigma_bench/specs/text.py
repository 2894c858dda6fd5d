"""Text from elsewhere, made harmless to show: names of models, files and classes are data, whatever they hold."""

import unicodedata

_NEVER_SHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Control and formatting characters (terminal escapes, changes of direction), surrogates and what is not assigned."""


def harmless(text: str) -> str:
    """The text with every character that is not shown replaced by its number, such as ``\\x1b``; line ends stay.

    A terminal obeys control characters, and formatting characters let a text read in another order than it has.
    """
    if text.isprintable():
        return text
    return "".join(c if c == "\n" or unicodedata.category(c) not in _NEVER_SHOWN else _number(c) for c in text)


def one_line(text: str) -> str:
    """The same in one line, with single spaces."""
    return harmless(" ".join(text.split()))


def _number(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
