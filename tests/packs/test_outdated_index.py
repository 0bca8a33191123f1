import shutil
from pathlib import Path

import pytest

from graphengine.errors import PackError, ValidationFailed
from graphengine.packs import index, requirements, stand_ins
from graphengine.workflow.models import NodeId
from tests.packs.place import TWICE, Place, double
from tests.workflows import workflow


def test_a_value_that_was_no_choice_when_a_pack_was_indexed_is_asked_again(place: Place) -> None:
    listed = double().replace("'INT'", "sorted(p.stem for p in pathlib.Path(__file__).parent.glob('*.txt'))")
    place.write("double", {"__init__.py": listed, "1.txt": ""})
    place.engine().load_all_packs()
    place.write("double", {"21.txt": ""})
    text = workflow({"1": ("Double", {"value": "21"}), "2": ("Show", {"value": ["1", 0]})})
    engine = place.engine()
    (problem,) = engine.validate(text)
    assert (problem.code, problem.severity) == ("not_in_list", "warning")
    assert "as of when pack 'double' was indexed" in problem.message
    assert place.imported() == []
    assert engine.check(text) == []
    assert place.engine().run(text).ui[NodeId("2")]["text"] == ["42"]
    wrong = workflow({"1": ("Double", {"value": "9"}), "2": ("Show", {"value": ["1", 0]})})
    with pytest.raises(ValidationFailed) as caught:
        place.engine().run(wrong)
    assert [problem.code for problem in caught.value.problems] == ["not_in_list"]


@pytest.mark.parametrize("choices", ["[object()]", "Odd('ODD')", "(['a'], {'how': {1: 2}})"])
def test_what_json_cannot_hold_is_left_to_the_import(place: Place, choices: str) -> None:
    odd = "class Odd(str):\n    def __ne__(self, other):\n        return other != 'INT'\n"
    kind = choices if choices.startswith("([") else f"({choices}, {{}})"
    place.write("double", {"__init__.py": odd + double().replace("('INT', {})", kind)})
    place.engine().load_all_packs()
    engine = place.engine()
    assert "Double" not in engine.registry
    assert [problem.code for problem in engine.validate(TWICE)] == ["pack_not_loaded"]
    engine.load_packs(["Double"])
    assert ("Double" in engine.registry, place.imported()) == (True, ["double"])


def test_a_node_that_cannot_be_read_is_told_although_its_pack_is_indexed(place: Place) -> None:
    broken = double() + "\nclass Broken:\n    pass\nNODE_CLASS_MAPPINGS['Broken'] = Broken\n"
    place.write("double", {"__init__.py": broken})
    place.engine().load_all_packs()
    assert place.engine().load_packs(["Double"]) == []
    assert [problem.code for problem in place.engine().load_packs(["Broken"])] == ["unreadable_node"]


def test_a_pack_that_changes_between_start_and_call_is_not_taken_for_the_old_one(place: Place) -> None:
    place.write("double", {"__init__.py": double()})
    place.engine().load_all_packs()
    engine = place.engine()
    load = engine.registry["Double"].load
    place.write("double", {"__init__.py": double(factor=300)})
    assert load is not None
    with pytest.raises(PackError, match="pack 'double' changed while graphengine runs"):
        load()


def test_a_pack_that_lost_a_node_says_so_when_it_is_called(place: Place) -> None:
    fickle = (
        double() + "\nif pathlib.Path(__file__).with_name('missing').exists():\n    NODE_CLASS_MAPPINGS = {}\n"
    )
    place.write("double", {"__init__.py": fickle})
    place.engine().load_all_packs()
    place.write("double", {"missing": ""})
    load = place.engine().registry["Double"].load
    assert load is not None
    with pytest.raises(PackError, match="pack 'double' has no node 'Double' any more"):
        load()


def test_stand_ins_that_were_edited_make_the_index_of_packs_anew_and_another_key(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("double", {"__init__.py": double()})
    place.engine().run(TWICE)
    before = place.engine()
    assert before.registry["Double"].packages["graphengine-comfy"]
    assert place.imported() == []
    monkeypatch.setattr(requirements, "edited_stand_ins", lambda: "0123456789abcdef")
    index._form.cache_clear()
    engine = place.engine()
    assert "Double" not in engine.registry
    engine.run(TWICE)
    assert place.imported() == ["double"]
    assert engine.registry["Double"].packages["graphengine-comfy"].endswith("+0123456789abcdef")
    monkeypatch.undo()
    index._form.cache_clear()


def test_the_stand_ins_of_a_checkout_are_hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "stand_ins_here").mkdir()
    (tmp_path / "stand_ins_here" / "__init__.py").write_text("A = 1\n")
    monkeypatch.setattr(stand_ins, "_announced", lambda: ["stand_ins_here"])
    first = stand_ins.edited_stand_ins.__wrapped__()
    (tmp_path / "stand_ins_here" / "__init__.py").write_text("A = 2\n")
    second = stand_ins.edited_stand_ins.__wrapped__()
    assert len(first) == len(second) == 16
    assert first != second
    monkeypatch.setattr(stand_ins, "_announced", lambda: ["pytest"])
    assert stand_ins.edited_stand_ins.__wrapped__() == ""


def test_what_is_kept_of_a_pack_that_was_removed_goes_with_the_next_index(place: Place) -> None:
    place.write("double", {"__init__.py": double()})
    place.write("other", {"__init__.py": double().replace("Double", "Other")})
    place.engine().load_all_packs()
    assert {name.name.partition("-")[0] for name in place.cache.iterdir()} == {"double", "other"}
    shutil.rmtree(place.root / "custom_nodes" / "other")
    place.write("double", {"__init__.py": double(factor=3)})
    place.engine().load_all_packs()
    assert {name.name.partition("-")[0] for name in place.cache.iterdir()} == {"double"}
