"""Random damage to any file of a data set ends in problems or in an error of ours, never in another exception."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossbit.data import formats
from crossbit.data.formats.arrow import batches
from crossbit.data.formats.content import content
from crossbit.data.formats.faults import Notes
from crossbit.data.formats.hf import _media
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


@pytest.mark.parametrize("where", [0.91796875, 0.921875])
def test_offsets_and_names_of_media_that_are_damaged(tmp_path: Path, where: float) -> None:
    """Offsets that fall, and a name that is no text, which Arrow itself does not look at."""
    name, maker = MAKERS["hf saved"]
    path = maker(tmp_path / "toy")
    damage(path, ("flip", 0.5, where, b"\x01"))
    report = formats.validate(name, path)
    assert report.problems


def test_rows_whose_media_have_names_of_other_bytes_are_noted(tmp_path: Path) -> None:
    cells = pa.array([{"bytes": b"x", "path": "a.png"}, {"bytes": b"y", "path": "b.png"}])
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.binary())])
    raw = cells.cast(kind).to_pylist()
    raw[1]["path"] = b"\xff.png"
    odd = pa.array(raw, kind).view(cells.type)
    (tmp_path / "toy").mkdir()
    with pa.ipc.new_stream(str(tmp_path / "toy" / "data-00000-of-00001.arrow"), pa.schema([("image", odd.type)])) as to:
        to.write_batch(pa.record_batch([odd], ["image"]))
    notes = Notes(limit=5)
    batch = next(batches(tmp_path / "toy" / "data-00000-of-00001.arrow"))
    assert _media(batch, "image", 5, tmp_path, notes) == ([1, 1], ["a.png", None])
    assert "row 6: holds the byte 0xff" in notes.problems[0].message
