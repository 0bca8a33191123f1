import pytest

from graphengine.node.types import fits


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
