"""How pages point at each other: absolute paths on a server, relative files in a static site."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Final, Protocol

#: Ending of a form -> what it is called in ``rel=alternate``.
TWINS: Final = {".json": "application/json", ".md": "text/markdown"}


class Links(Protocol):
    """Makes the addresses on one page; ``path`` begins with a language, ``en/codes/455``."""

    served: bool
    """True where a server answers, so that forms work."""

    def page(self, path: str) -> str:
        """A page."""

    def twin(self, path: str, ending: str) -> str:
        """The same as JSON or Markdown."""

    def file(self, name: str) -> str:
        """A stylesheet or an icon."""

    def whole(self, path: str) -> str:
        """The page with its host, where that is known; else as ``page``."""

    def whole_twin(self, path: str, ending: str) -> str:
        """The same as JSON or Markdown, with its host where that is known."""


class ServerLinks:
    """Below the root of a server, whose address is ``base`` (without a slash at its end)."""

    served = True

    def __init__(self, base: str = "", file_url: Callable[[str], str] = "/static/reference/{}".format) -> None:
        """``file_url`` knows where the server has a stylesheet or an icon."""
        self._base = base.rstrip("/")
        self._file_url = file_url

    def page(self, path: str) -> str:
        """An absolute path."""
        return f"/{path}"

    def twin(self, path: str, ending: str) -> str:
        """The path with the ending of its form."""
        return f"/{path}{ending}"

    def file(self, name: str) -> str:
        """Below the static files."""
        return self._file_url(name)

    def whole(self, path: str) -> str:
        """With the host by which the reader came."""
        return f"{self._base}/{path}"

    def whole_twin(self, path: str, ending: str) -> str:
        """The same for another form of the page."""
        return f"{self._base}/{path}{ending}"


class FileLinks:
    """From one file of a static site to the others; ``base`` is where the site will be, if known."""

    served = False

    def __init__(self, path: str, base: str = "") -> None:
        self._folder = posixpath.dirname(path) or "."
        self._base = base.rstrip("/")

    def _to(self, path: str) -> str:
        return posixpath.relpath(path, self._folder)

    def page(self, path: str) -> str:
        """A relative file."""
        return self._to(f"{path}.html")

    def twin(self, path: str, ending: str) -> str:
        """A relative file."""
        return self._to(f"{path}{ending}")

    def file(self, name: str) -> str:
        """Below ``static``."""
        return self._to(f"static/{name}")

    def whole(self, path: str) -> str:
        """Absolute when the site's place is known."""
        return f"{self._base}/{path}.html" if self._base else self.page(path)

    def whole_twin(self, path: str, ending: str) -> str:
        """The same for another form of the page."""
        return f"{self._base}/{path}{ending}" if self._base else self.twin(path, ending)
