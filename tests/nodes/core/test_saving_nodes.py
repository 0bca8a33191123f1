from pathlib import Path

import pytest

from graphengine.errors import FileRefused
from graphengine.node.api import Folders, NodeContext
from graphengine_nodes.core.saving_nodes import SaveText


@pytest.mark.parametrize(
    ("form", "text", "content"),
    [
        ("txt", "a\nb", "a\nb"),
        ("json", '{"a":[1,"\u00e4"]}', '{\n  "a": [\n    1,\n    "\u00e4"\n  ]\n}'),
        ("json", "{no json", "{no json"),
        ("json", "[" * 100_000, "[" * 100_000),
        ("md", "", ""),
    ],
)
def test_a_text_becomes_a_file_and_is_handed_on(form: str, text: str, content: str, tmp_path: Path) -> None:
    answer = SaveText().save(text, NodeContext(folders=Folders(output=tmp_path)), "notes/x", form)
    assert answer["result"] == (text,)
    assert answer["ui"] == {"files": [{"filename": f"x_00001_.{form}", "subfolder": "notes", "type": "output"}]}
    assert (tmp_path / "notes" / f"x_00001_.{form}").read_text("utf-8") == content


def test_a_prefix_that_leads_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="leads out of the output folder"):
        SaveText().save("a", NodeContext(folders=Folders(output=tmp_path)), "../x")
