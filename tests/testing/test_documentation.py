"""What the documents say of the kit holds."""

import re
import tomllib
from pathlib import Path

from graphengine.testing.checks import CHECKS, switched_off
from graphengine.testing.contract import contract_of

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_every_check_has_a_section_and_no_other_code_has() -> None:
    sections = re.findall(r"^## ([a-z_]+)$", (DOCS / "node-checks.md").read_text(), re.MULTILINE)
    assert sections == [*CHECKS]


def test_the_example_of_switching_off_is_read(tmp_path: Path) -> None:
    [block] = re.findall(r"```toml\n(.*?)```", (DOCS / "node-checks.md").read_text(), re.DOTALL)
    assert tomllib.loads(block)
    (tmp_path / "pyproject.toml").write_text(block)
    off = switched_off(tmp_path)
    assert off.wrong == ()
    assert off.of("Twinkle", object)[0].keys() == {"not_deterministic", "network"}


def test_nothing_is_found_in_the_complete_example(tmp_path: Path) -> None:
    text = (DOCS / "testing-nodes.md").read_text()
    blocks = dict(re.findall(r"`([\w/]+\.py)`:\n\n```python\n(.*?)```", text, re.DOTALL))
    assert blocks.keys() == {"__init__.py", "tests/test_sharpness.py"}
    for place, code in blocks.items():
        file = tmp_path / "sharp" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    contract = contract_of(tmp_path / "place", tmp_path / "sharp")
    with contract.engine:
        [report] = contract.check_all()
    assert report.findings == ()
    assert report.calls > 4
