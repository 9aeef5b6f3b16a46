"""Random damage to any file of a data set ends in problems or in an error of ours, never in another exception."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossbit.data import formats
from crossbit.data.formats.content import content
from crossbit.data.formats.losses import inside
from crossbit.errors import CrossbitError
from data.formats.made import MAKERS

HARM = st.tuples(
    st.sampled_from(["cut", "flip", "insert", "remove"]),
    st.floats(0, 1),  # which file
    st.floats(0, 1),  # where in it
    st.binary(min_size=1, max_size=6)
    | st.sampled_from([b"\0" * 600, b'"', b"\n", b"{", b"[[", b"\\ud800", b"\xff\xfe"]),
)


def damage(root: Path, harm: tuple[str, float, float, bytes]) -> None:
    how, which, where, data = harm
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".png")
    file = files[min(int(which * len(files)), len(files) - 1)]
    raw = file.read_bytes()
    at = int(where * len(raw))
    after = {
        "cut": b"",
        "flip": data + raw[at + len(data) :],
        "insert": data + raw[at:],
        "remove": raw[at + len(data) :],
    }
    file.write_bytes(raw[:at] + after[how])


@pytest.mark.parametrize("made", MAKERS)
@given(st.lists(HARM, min_size=1, max_size=3))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_named(
    tmp_path_factory: pytest.TempPathFactory, made: str, harms: list[tuple[str, float, float, bytes]]
) -> None:
    name, maker = MAKERS[made]
    path = maker(tmp_path_factory.mktemp("d") / "toy")
    for harm in harms:
        damage(path if path.is_dir() else path.parent, harm)
    report = formats.validate(name, path)
    assert report.problems or report.manifest is not None
    assert all(problem.message and problem.remedy for problem in report.problems)
    with suppress(CrossbitError):
        found = formats.read(name, path, drop_faulty=True)
        for item in found:
            if inside(item) and not item.path.endswith(".npy"):
                content(found, item)
