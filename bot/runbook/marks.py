"""YAML with the line of every part; what would surprise a reader of the file is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str | int, ...]
LARGEST = 1_000_000
PLAIN = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class MarkedError(ValueError):
    """What is wrong and on which line."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """Plain data, the line of every part, and the problems that do not stop the reading."""

    data: Any
    lines: Mapping[Path, int]
    problems: tuple[MarkedError, ...] = ()

    def line(self, path: Path) -> int:
        """Return the line of the part at ``path``, or of the nearest part around it."""
        return line_of(self.lines, path)


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of ``path`` or of the nearest part around it; 1 if there is none."""
    for length in range(len(path), -1, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def read(text: str, *, tags: bool = False) -> Marked:
    """Read one YAML document; raise ``MarkedError`` where it cannot be read.

    A key given twice is a problem; aliases are refused, because they can make a small file huge.
    With ``tags``, an unknown tag (Ansible has some) leaves its value as it stands.
    """
    if len(text) > LARGEST:
        raise MarkedError("is larger than a megabyte", 1)
    try:
        loader = (_Tagged if tags else yaml.SafeLoader)(text)
        node = loader.get_single_node()
        if node is None:
            raise MarkedError("the file is empty", 1)
        reader = _Reader(loader, tags=tags)
        data = reader.take(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"not readable as YAML: {error.problem or error.context}"
        raise MarkedError(what, mark.line + 1 if mark else 1) from None
    except yaml.YAMLError as error:
        raise MarkedError(f"not readable as YAML: {str(error).splitlines()[0]}", 1) from None
    except RecursionError:
        raise MarkedError("is nested too deeply", 1) from None
    except ValueError as error:
        if isinstance(error, MarkedError):
            raise
        raise MarkedError(f"not readable as YAML: {error}", 1) from None
    return Marked(data=data, lines=reader.lines, problems=tuple(reader.problems))


class _Tagged(yaml.SafeLoader):
    """Reads ``!unsafe text`` as ``text``."""


_Tagged.add_multi_constructor("!", lambda _loader, _suffix, node: node.value)


class _Reader:
    def __init__(self, loader: yaml.SafeLoader, *, tags: bool) -> None:
        self.loader = loader
        self.tags = tags
        self.lines: dict[Path, int] = {}
        self.problems: list[MarkedError] = []
        self.seen: set[int] = set()

    def take(self, node: yaml.Node, path: Path) -> Any:
        line = node.start_mark.line + 1
        if id(node) in self.seen:
            raise MarkedError("aliases (*name) are not read: write the part out", line)
        if isinstance(node, yaml.CollectionNode) and not (self.tags or node.tag in PLAIN):
            raise MarkedError(
                f"not readable as YAML: the tag {node.tag!r} means nothing here", line
            )
        self.seen.add(id(node))
        self.lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.take(item, (*path, n)) for n, item in enumerate(node.value)]
        return self.loader.construct_object(node, deep=True)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key, str) or key_node.tag == "tag:yaml.org,2002:merge":
                raise MarkedError("a key has to be a word", line)
            if key in found:
                first = self.lines[(*path, key)]
                self.problems.append(MarkedError(f"{key!r} is given twice (line {first})", line))
                continue
            self.lines[(*path, key)] = line
            found[key] = self.take(value_node, (*path, key))
        return found
