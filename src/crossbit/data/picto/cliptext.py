"""What a drawing of the Open Clip Art Library says of itself: title, keywords, description and author in its RDF block.

The XML is not trusted: only the block is listened to, declared entities are few and short and name no other file, so nothing
can be made to grow or to be fetched, and what is collected has a size.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.parsers import expat

MAX_BYTES = 4 * 2**20
_MAX_ENTITIES, _MAX_ENTITY = 64, 1024
_MAX_TEXT = 10_000
_MAX_DEPTH = 500


class NotReadable(Exception):  # noqa: N818 - a reason to leave a drawing out, told to nobody but the caller
    """The text is no XML that we read; the argument says why."""


@dataclass(frozen=True)
class Facts:
    """What a drawing says of itself.

    Args:
        licences: addresses of the licences that it names.
    """

    title: str = ""
    keywords: tuple[str, ...] = ()
    description: str = ""
    author: str = ""
    licences: tuple[str, ...] = ()


def read_facts(data: bytes) -> Facts:
    """Read the RDF block of an SVG; empty where there is none.

    Raises:
        NotReadable: it is no XML, too large, too deep, or declares entities as only an attack does.
    """
    if len(data) > MAX_BYTES:
        raise NotReadable(f"more than {MAX_BYTES:,} bytes")
    listener = _Listener()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = listener.start
    parser.EndElementHandler = listener.end
    parser.CharacterDataHandler = listener.characters
    parser.EntityDeclHandler = listener.entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise NotReadable("no well-formed XML") from error
    said = listener.said
    return Facts(
        title=next(iter(said["title"]), ""),
        keywords=tuple(said["li"]),
        description=next(iter(said["description"]), ""),
        author=next(iter(said["author"]), ""),
        licences=tuple(listener.licences),
    )


class _Listener:
    """Collect the texts of elements by their place: `Work/title`, `Work/…/li`, `creator/…/title`."""

    def __init__(self) -> None:
        self.said: dict[str, list[str]] = {"title": [], "li": [], "description": [], "author": []}
        self.licences: list[str] = []
        self._path: list[str] = []
        self._text: list[str] = []
        self._entities = self._length = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name.rpartition("}")[2])
        self._text.clear()
        if len(self._path) > _MAX_DEPTH:
            raise NotReadable(f"elements more than {_MAX_DEPTH} deep")
        if self._path[-1] == "license" and "Work" in self._path:
            self.licences += [value for key, value in attributes.items() if key.endswith("resource") and value]

    def end(self, _name: str) -> None:
        name = self._path.pop()
        if "Work" in self._path:
            text = " ".join("".join(self._text).split())
            if name == "title" and "creator" in self._path:
                self.said["author"].append(text)
            elif (name in ("title", "description") and self._path[-1] == "Work") or (
                name == "li" and "subject" in self._path
            ):
                self.said[name].append(text)
        self._text.clear()

    def characters(self, text: str) -> None:
        if "Work" in self._path:
            self._length += len(text)
            if self._length > _MAX_TEXT:
                raise NotReadable(f"more than {_MAX_TEXT:,} characters about itself")
            self._text.append(text)

    def entity(
        self,
        _name: str,
        _is_parameter: int,
        value: str | None,
        _base: str | None,
        system: str | None,
        _public: str | None,
        _notation: str | None,
    ) -> None:
        self._entities += 1
        if value is None or system is not None:
            raise NotReadable("an entity of another file")
        if self._entities > _MAX_ENTITIES or len(value) > _MAX_ENTITY or "&" in value:
            raise NotReadable("entities that can grow")
