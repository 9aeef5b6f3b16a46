"""One self-contained HTML page of questions and ranked pictures: what `search --open`, `search --html` and the demo write.

The page loads nothing: pictures are embedded as data URIs, and a content policy forbids the rest. Texts are escaped, stand in
their own direction (`dir=auto`) and carry their language; a picture's name is its alternative text.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from crossbit.cli.show import printable
from crossbit.errors import MediaError


@dataclass(frozen=True)
class Answer:
    """One ranked picture.

    Args:
        picture: the file.
        name: what it is called, such as its caption; empty: the file's name.
        score: higher is better; None where there is none.
        path: what to show as its place; empty hides it.
        note: why it was found.
        right: whether it is what was asked for, where that is known.
        link: whether a click opens the file.
        maps: words of the question, each with a PNG that shows what part of the picture it goes with.
    """

    picture: Path
    name: str = ""
    score: float | None = None
    path: str = ""
    note: str = ""
    right: bool | None = None
    link: bool = False
    maps: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True)
class Section:
    """A question with its answers, best first.

    Args:
        question: the words that were asked; may be empty when a picture was.
        answers: best first.
        language: ISO 639-1 code of the question; marks the text for screen readers and is shown.
        note: a remark beside the question, such as "no training name was in this language".
        translation: what the question means, for readers of the page's own language.
        asked: the picture that was asked with.
    """

    question: str
    answers: Sequence[Answer]
    language: str = ""
    note: str = ""
    translation: str = ""
    asked: Path | None = None


@dataclass(frozen=True)
class SheetTable:
    """A table of measures above the answers; the first column names the row, the others stand to the right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""


@dataclass
class _Pictures:
    """Reads and shrinks every file once, however often it is an answer."""

    edge: int
    seen: dict[Path, str] = field(default_factory=dict)

    def tag(self, path: Path, alt: str) -> str:
        if path not in self.seen:
            self.seen[path] = _data_uri(path, self.edge)
        uri = self.seen[path]
        if not uri:
            return f'<div class="blank" role="img" aria-label="{escape(alt)}">cannot be read</div>'
        return f'<img src="{uri}" alt="{escape(alt)}" loading="lazy" decoding="async">'


def write_sheet(
    path: str | Path,
    title: str,
    sections: Sequence[Section],
    *,
    tables: Sequence[SheetTable] = (),
    lead: str = "",
    foot: str = "",
    edge: int = 256,
) -> Path:
    """Write the page, whole or not at all, and give its path.

    Args:
        path: the file to write; its folder is made.
        title: heading and title of the page.
        sections: in the order of the page.
        tables: shown between lead and sections.
        lead: a sentence under the title.
        foot: a sentence at the end, such as the commands to try next; line breaks are kept.
        edge: pixels of the longer side of an embedded picture.
    """
    pictures = _Pictures(edge)
    body = [
        f"<header><h1 dir=auto>{escape(title)}</h1>",
        f'<p class="lead" dir=auto>{escape(lead)}</p>' if lead else "",
        "</header>",
        *(_table(table) for table in tables),
        *(_section(section, pictures) for section in sections),
        f"<footer dir=auto>{escape(foot).replace(chr(10), '<br>')}</footer>" if foot else "",
    ]
    template = Path(__file__).with_name("sheet.html").read_text(encoding="utf-8")
    page = template.replace("{title}", escape(title)).replace("{body}", "\n".join(filter(None, body)))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(page, encoding="utf-8", errors="backslashreplace")
    partial.replace(path)
    return path


def _section(section: Section, pictures: _Pictures) -> str:
    lang = f' lang="{escape(section.language)}"' if section.language else ""
    marks = "".join(
        f'<span class="{kind}">{escape(text)}</span>'
        for kind, text in (("mark", section.language), ("mark new", section.note))
        if text
    )
    words = f"<q dir=auto{lang}>{escape(section.question)}</q>" if section.question else "Pictures like this one"
    heading = [f"<h2>{words}{marks}</h2>"]
    if section.translation:
        heading.append(f'<p class="means" dir=auto>{escape(section.translation)}</p>')
    if section.asked is not None:
        name = printable(section.asked.name)
        heading.append(
            f'<figure class="asked">{pictures.tag(section.asked, name)}<figcaption>asked with</figcaption></figure>'
        )
    if not section.answers:
        return f'<section>{"".join(heading)}<p class="means">Nothing was found.</p></section>'
    top = max((answer.score for answer in section.answers if answer.score is not None), default=0.0)
    answers = "\n".join(_answer(rank, answer, top, pictures) for rank, answer in enumerate(section.answers, start=1))
    return f'<section>{"".join(heading)}<ol class="answers">\n{answers}\n</ol></section>'


def _answer(rank: int, answer: Answer, top: float, pictures: _Pictures) -> str:
    name = answer.name or printable(answer.picture.name)
    picture = pictures.tag(answer.picture, name)
    if answer.link:
        picture = f'<a href="{escape(Path(os.path.abspath(answer.picture)).as_uri())}">{picture}</a>'
    lines = [f'<b dir=auto title="{escape(name)}">{escape(name)}</b>']
    if answer.score is not None:
        width = 100 * max(answer.score, 0.0) / top if top > 0 else 0.0
        lines.append(f'<span class="score"><i style="width:{width:.0f}%"></i></span><small>{answer.score:.3f}</small>')
    if answer.note:
        lines.append(f"<small dir=auto>{escape(answer.note)}</small>")
    if answer.path:
        lines.append(f'<code dir=ltr title="{escape(answer.path)}">{escape(answer.path)}</code>')
    if answer.maps:
        lines.append(f'<span class="maps">{"".join(_map(word, png) for word, png in answer.maps)}</span>')
    kind = ' class="right"' if answer.right else ""
    sign = '<span class="sign">✓<span class="hidden"> what was asked for</span></span>' if answer.right else ""
    mark = f'<span class="rank">{rank}</span>{sign}'
    return f"<li{kind}><figure>{mark}{picture}<figcaption>{''.join(lines)}</figcaption></figure></li>"


def _map(word: str, png: bytes) -> str:
    uri = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    alt = f"where “{escape(word)}” is"
    return f'<span><img src="{uri}" alt="{alt}" loading="lazy"><small dir=auto>{escape(word)}</small></span>'


def _table(table: SheetTable) -> str:
    head = "".join(f"<th scope=col>{escape(str(cell))}</th>" for cell in table.header)
    rows = "\n".join(
        "<tr>"
        + "".join(
            f"<td dir=auto>{escape(str(cell))}</td>" if place else f"<th scope=row dir=auto>{escape(str(cell))}</th>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in table.rows
    )
    note = f'<p class="means" dir=auto>{escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="measures"><h3 dir=auto>{escape(table.title)}</h3><div class="wide" tabindex=0>'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>{note}</div>"
    )


_KINDS = ((b"\x89PNG", "png"), (b"\xff\xd8", "jpeg"), (b"RIFF", "webp"), (b"GIF8", "gif"))


def _data_uri(path: Path, edge: int) -> str:
    """Give the picture as a data URI, or "" when it cannot be read any more: the answer still shows its name and place."""
    from crossbit.media.image import thumbnail

    try:
        data = thumbnail(path, edge)
    except (MediaError, OSError):
        return ""
    kind = next(name for start, name in _KINDS if data.startswith(start))
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
