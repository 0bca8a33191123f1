import pytest

from graphengine.node.types import compares_itself, fits, fits_as_written


@pytest.mark.parametrize(
    ("given", "wanted", "answer"),
    [
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "MASK", False),
        ("IMAGE", "*", True),
        ("*", "MODEL", True),
        ("MASK", "IMAGE,MASK", True),
        ("IMAGE, LATENT", "LATENT,MASK", True),
        ("IMAGE", "LATENT,MASK", False),
        ("INT", "FLOAT", False),
    ],
)
def test_types_fit_when_they_share_a_member(given: str, wanted: str, answer: bool) -> None:
    assert fits(given, wanted) is answer


class AnyType(str):
    """As packs write it: unequal to nothing, and not hashable."""

    def __ne__(self, other: object) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # that is the point


class OnlyPictures(str):
    """Matches two types, whatever its own text is."""

    def __ne__(self, other: object) -> bool:
        return other not in ("IMAGE", "MASK")

    __hash__ = str.__hash__


class SaysEqual(str):
    """Equal to everything, but unequal to it as well."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class Broken(str):
    """Cannot be compared."""

    def __ne__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = str.__hash__


@pytest.mark.parametrize(
    ("given", "wanted", "answer"),
    [
        (AnyType("ANY"), "MODEL", True),
        ("MODEL", AnyType("ANY"), True),
        (OnlyPictures("*"), "MASK", True),
        (OnlyPictures("*"), "MODEL", False),
        ("MODEL", OnlyPictures("*"), False),
        (OnlyPictures("PICTURE"), "PICTURE,MODEL", True),
        (OnlyPictures("PICTURE"), "*", True),
        (AnyType("ANY"), OnlyPictures("*"), True),
    ],
)
def test_a_type_that_compares_in_its_own_way_decides_on_either_side(given: str, wanted: str, answer: bool) -> None:
    assert fits_as_written(given, wanted) is answer


def test_only_the_author_s_unequal_counts() -> None:
    assert compares_itself(AnyType("*"))
    assert not compares_itself(SaysEqual("ANY"))
    assert not compares_itself("IMAGE")


def test_a_comparison_that_raises_leaves_the_texts_to_decide(caplog: pytest.LogCaptureFixture) -> None:
    assert fits_as_written(Broken("IMAGE"), "IMAGE")
    assert not fits_as_written(Broken("IMAGE"), "MASK")
    assert "comparing the types IMAGE and MASK: no comparison" in caplog.text


def test_matched_types_fit_until_the_run_knows_them() -> None:
    assert fits("COMFY_MATCHTYPE_V3", "IMAGE")
    assert fits("LATENT", "COMFY_MULTITYPED_V3")
