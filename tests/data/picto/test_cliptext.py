"""What drawings say of themselves: read from blocks written here, and refused where it is an attack."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crossbit.data.picto.cliptext import Facts, NotReadable, read_facts
from data.picto.fakes import BLOCK, HEAD

MANY = "".join(f'<!ENTITY x{i} "y">' for i in range(65))


def svg(
    block: str = BLOCK, lead: str = "", rest: str = "<title>not this one</title><ul><li>nor this</li></ul>"
) -> bytes:
    return f"{lead}{HEAD}{block}{rest}</svg>".encode()


def test_block() -> None:
    assert read_facts(svg()) == Facts(
        "Red apple",
        ("fruit", "", "red"),
        "Taken <from> a tree.",
        "Ann Author",
        ("http://web.resource.org/cc/PublicDomain",),
    )


def test_other_namespaces_and_places() -> None:
    other = BLOCK.replace("dc:", "d:").replace("cc:", "c:")
    head = svg(other, rest="").decode().replace("xmlns:dc=", "xmlns:d=").replace("xmlns:cc=", "xmlns:c=")
    assert read_facts(head.encode()).title == "Red apple"
    assert read_facts(svg(f"<g><path/></g>{BLOCK}")).title == "Red apple"  # at the end of the file


def test_without_a_block_nothing_is_said() -> None:
    assert read_facts(svg("")) == Facts()


def test_entities_of_drawing_programs_are_fine() -> None:
    lead = '<!DOCTYPE svg [<!ENTITY ns "http://ns.example/"><!ENTITY who "Ann">]>'
    assert read_facts(svg(BLOCK.replace("Ann Author", "&who; Author"), lead)).author == "Ann Author"


def bomb() -> bytes:
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    return svg(BLOCK.replace("fruit", "&a9;"), f'<!DOCTYPE svg [<!ENTITY a0 "ha">{entities}]>')


def external() -> bytes:
    return svg(BLOCK.replace("fruit", "&x;"), '<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>')


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (bomb, "entities that can grow"),
        (external, "an entity of another file"),
        (lambda: svg("", '<!DOCTYPE svg [<!ENTITY % x SYSTEM "http://example.org/x.dtd">]>'), "another file"),
        (lambda: svg("", f'<!DOCTYPE svg [<!ENTITY x "{"y" * 1025}">]>'), "can grow"),
        (lambda: svg("", f"<!DOCTYPE svg [{MANY}]>"), "can grow"),
        (lambda: svg(BLOCK.replace("fruit", "x" * 10_001)), "characters about itself"),
        (lambda: svg("", rest="<g>" * 501 + "</g>" * 501), "deep"),
        (lambda: svg()[:-20], "no well-formed XML"),
        (lambda: svg().replace(b"apple", b"\xff"), "no well-formed XML"),
        (lambda: b"", "no well-formed XML"),
        (lambda: svg(rest=f"<!--{' ' * (4 << 20)}-->"), "more than 4,194,304 bytes"),
    ],
)
def test_what_is_refused(make: Callable[[], bytes], says: str) -> None:
    with pytest.raises(NotReadable, match=says):
        read_facts(make())
