"""One TOML table at a time: who asks for a key thereby makes it known; what nobody asked for is a mistake.

Faults are collected, never raised: an operator gets all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import TypeVar

from postroad.errors import SettingsError
from postroad.settings.values import Reader, SeveralFaults, kind

T = TypeVar("T")


class SettingsErrors(SettingsError):
    """Everything that is wrong with the settings; ``errors`` has one SettingsError for each fault."""

    def __init__(self, errors: list[SettingsError]) -> None:
        super().__init__("\n".join(error.message for error in errors), errors[0].hint if len(errors) == 1 else "")
        self.errors = tuple(errors)


class Faults:
    """The faults and warnings of one text, each with its place."""

    def __init__(self, name: str, places: Mapping[str, int]) -> None:
        self.name = name
        self.places = places
        self.errors: list[tuple[int, SettingsError]] = []
        self.warnings: list[str] = []

    def line(self, path: str) -> int:
        """The line of ``path`` or of the table around it; 0 when it is nowhere in the text."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path.rpartition(".")[0]
        return 0

    def place(self, path: str) -> str:
        """``postroad.toml:12``, or the name alone."""
        line = self.line(path)
        return f"{self.name}:{line}" if line else self.name

    def add(self, path: str, message: str, hint: str = "") -> None:
        """Note that what stands at ``path`` cannot be used."""
        self.errors.append((self.line(path), SettingsError(f"{self.place(path)}: {message}", hint)))

    def warn(self, path: str, message: str) -> None:
        """Note that what stands at ``path`` is hardly meant."""
        self.warnings.append(f"{self.place(path)}: {message}" if path else message)

    def raise_any(self) -> None:
        """Raise SettingsErrors, in the order of the lines, when there is a fault."""
        if self.errors:
            raise SettingsErrors([error for _, error in sorted(self.errors, key=lambda pair: pair[0])])


class Table:
    """One table that is being read; ``close()`` when all its keys have been asked for."""

    def __init__(self, values: Mapping[str, object], path: str, faults: Faults) -> None:
        self._values = values
        self._known: list[str] = []
        self.path = path
        self.faults = faults

    def key_path(self, key: str) -> str:
        """``limits.connections``."""
        return f"{self.path}.{key}" if self.path else key

    def _shown(self, key: str) -> str:
        """The path as people write it: without the numbers of arrays."""
        return ".".join(part for part in self.key_path(key).split(".") if not part.isdecimal())

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, read: Reader[T], default: T) -> T:
        """The value of ``key``; the default when it is absent or wrong (the fault is noted)."""
        self._known.append(key)
        if key not in self._values:
            return default
        try:
            return read(self._values[key])
        except SettingsError as fault:
            for one in fault.faults if isinstance(fault, SeveralFaults) else [fault]:
                self.faults.add(self.key_path(key), f"{self._shown(key)}: {one.message}", one.hint)
            return default

    def need(self, key: str, read: Reader[T], default: T, hint: str = "") -> T:
        """Like ``take``, for a key that must be there."""
        if key not in self._values:
            self.faults.add(self.path, f"{self._shown(key)} is missing", hint)
        return self.take(key, read, default)

    def everything(self) -> dict[str, object]:
        """All keys at once, for a table that another room's reader judges."""
        self._known.extend(self._values)
        return dict(self._values)

    def later(self, key: str, harmless: tuple[object, ...], what: str) -> None:
        """A key whose feature does not exist yet: known, but nothing except what changes nothing is accepted."""
        self._known.append(key)
        if key in self._values and self._values[key] not in harmless:
            self.faults.add(self.key_path(key), f"{self._shown(key)}: {what} is not available yet", "remove this line")

    def table(self, key: str, read: Callable[[Table], T]) -> T | None:
        """The sub-table ``key`` read and closed; None when it is absent."""
        self._known.append(key)
        if key not in self._values:
            return None
        value = self._values[key]
        if not isinstance(value, dict):
            self.faults.add(
                self.key_path(key), f"{self._shown(key)} must be a table, not {kind(value)}", f"write [{key}]"
            )
            return None
        return self._read(value, self.key_path(key), read)

    def tables(self, key: str, read: Callable[[Table], T]) -> tuple[T, ...]:
        """The array of tables ``key``, each read and closed."""
        self._known.append(key)
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            shown = self._shown(key)
            self.faults.add(self.key_path(key), f"{shown} must be an array of tables", f"write [[{shown}]]")
            return ()
        return tuple(self._read(one, f"{self.key_path(key)}.{index}", read) for index, one in enumerate(value))

    def _read(self, values: Mapping[str, object], path: str, read: Callable[[Table], T]) -> T:
        table = Table(values, path, self.faults)
        found = read(table)
        table.close()
        return found

    def holds_tables(self, key: str) -> bool:
        """Whether ``key`` is there as an array (of tables); nothing is taken."""
        return isinstance(self._values.get(key), list)

    def close(self) -> None:
        """Note every key that nobody asked for, with the likeliest that was meant."""
        for key in self._strangers():
            close = get_close_matches(key, self._known, n=1, cutoff=0.6)
            meant = f", did you mean `{close[0]}`?" if close else ""
            where = f" in [{self._shown('')[:-1]}]" if self.path else ""
            hint = "" if close else f"known here: {', '.join(sorted(set(self._known)))}"
            self.faults.add(self.key_path(key), f"unknown key `{key}`{where}{meant}", hint)

    def _strangers(self) -> Iterator[str]:
        return (key for key in self._values if key not in self._known)
