"""Text from file and class names, made harmless for a page."""

import html
import unicodedata

_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, direction marks, broken bytes, breaks


def escape(text: object) -> str:
    """Return text for HTML, inside elements and attributes.

    Signs that cannot be seen, or that turn the direction of a line, are written out: an image
    could otherwise show another name than it has.
    """
    visible = []
    for sign in str(text):
        if unicodedata.category(sign) in _INVISIBLE:
            sign = sign.encode("unicode_escape").decode()
        visible.append(sign)
    return html.escape("".join(visible), quote=True)


def escape_path(path: str) -> str:
    """Return a relative path for HTML; a line may break after each of its folders."""
    return escape(path).replace("/", "/<wbr>")
