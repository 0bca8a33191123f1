import logging
from hashlib import sha256
from typing import Any

import pytest

from tests.packs.place import Place, double, shown


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-20],
        lambda content: b"",
        lambda content: content.replace(b"Double", b"Treble"),
        lambda content: b"\xff" * 100,
        lambda content: content.partition(b"\n")[2],
    ],
)
def test_a_damaged_index_is_a_miss(place: Place, damage: Any, caplog: pytest.LogCaptureFixture) -> None:
    place.write("double", {"__init__.py": double()})
    shown(place.engine())
    (record,) = place.records("index")
    whole = record.read_bytes()
    record.write_bytes(damage(whole))
    with caplog.at_level(logging.WARNING):
        assert (shown(place.engine()), place.imported()) == (["42"], ["double"])
    assert [entry.getMessage() for entry in caplog.records] == [
        "the index of pack 'double' is damaged; it is made anew when the pack is imported"
    ]
    assert record.read_bytes() == whole


@pytest.mark.parametrize("kind", ["files", "words"])
@pytest.mark.parametrize("content", [b"", b"{}", b'{"format":1,"files":{"a":[1]},"version":1,"words":3}', b"\xff"])
def test_damaged_records_of_the_source_are_made_anew(
    place: Place, kind: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    place.write("double", {"__init__.py": double()})
    shown(place.engine())
    (record,) = place.records("files")
    record.with_suffix(f".{kind}").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        engine = place.engine()
        assert engine.packs.mentioning(engine.custom, ["Double"])
        assert shown(engine) == ["42"]
    assert len(caplog.records) == 1


def test_an_index_of_another_format_or_python_does_not_count(place: Place) -> None:
    place.write("double", {"__init__.py": double()})
    shown(place.engine())
    (record,) = place.records("index")
    for old, new in [(b'{"form":"1 3.', b'{"form":"999 3.'), (b'{"form":"1 3.', b'{"form":"1 2.')]:
        rest = record.read_bytes().partition(b"\n")[2].replace(old, new, 1)
        record.write_bytes(sha256(rest).hexdigest().encode() + b"\n" + rest)
        assert (shown(place.engine()), place.imported()) == (["42"], ["double"])


def test_a_cache_folder_that_cannot_be_written_costs_only_time(place: Place) -> None:
    place.cache.write_text("a file where the folder would be")
    place.write("double", {"__init__.py": double()})
    for _ in range(2):
        assert shown(place.engine()) == ["42"]
        assert place.engine().load_all_packs() == []
