"""Links of guides and notebooks: to other files of the project, and to where it is published."""

import posixpath
import re
import tomllib

from ..places import PROJECT

BRANCH = "main"
SETTING = "address in [tool.dlp_lib] of pyproject.toml"
_ADDRESS = re.compile(r"https://github\.com/[\w-]+/[\w.-]+")
_LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]+)\)")
_BLOCK_OF_CODE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_SCHEME = re.compile(r"[a-z]+:")


def published_address() -> str:
    """Return where this project is published, or "" as long as it is not.

    Raises:
        ValueError: for another address than one of GitHub, as Colab and Binder read from there.
    """
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    return check_address(tomllib.loads(text)["tool"]["dlp_lib"]["address"])


def check_address(address: object) -> str:
    """Return an address, if it is one.

    Raises:
        ValueError: naming the setting.
    """
    if isinstance(address, str) and (not address or _ADDRESS.fullmatch(address)):
        return address
    raise ValueError(f'{SETTING}={address!r}: allowed are "" and https://github.com/OWNER/NAME')


def relink(text: str, source: str, places: dict[str, str], address: str = "") -> str:
    """Return a text in Markdown whose links lead to where the files are now.

    A link to a file that was left behind leads to the published one. Where the project is not
    published, its words stay and the link goes.

    Args:
        text: the Markdown.
        source: the file that it comes from, as a path inside the project.
        places: where files went, by their paths inside the project; both with "/".
        address: as ``published_address`` returns it.
    """

    def moved(link: re.Match) -> str:
        words, goal = link.groups()
        name, mark, anchor = goal.partition("#")
        if not name or _SCHEME.match(goal):
            return link[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), name))
        if file in places:
            here = posixpath.dirname(places[source])
            new = posixpath.relpath(places[file], here or ".")
        elif address:
            new = f"{address}/blob/{BRANCH}/{file}"
        else:
            return words
        return link[0].replace(f"({goal})", f"({new}{mark}{anchor})")

    parts = _BLOCK_OF_CODE.split(text)
    for index in range(0, len(parts), 2):  # what lies between blocks of code
        parts[index] = _LINK.sub(moved, parts[index])
    return "".join(parts)
