import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from threading import Barrier
from typing import Any

from graphengine.node.definition import NodeDefinition
from graphengine.node.files import Files
from graphengine.node.folders import Folders
from graphengine.packs.definitions import SeenByPacks
from graphengine.packs.stand_ins import Surroundings
from tests.packs.place import TWICE, Place, double, shown

FULL = """
import folder_paths
from .helper import seen

class Any(str):
    def __ne__(self, other):
        return False

class Open(dict):
    def __contains__(self, name):
        return True

class Endless(tuple):
    def __getitem__(self, index):
        return tuple.__getitem__(self, min(index, len(self) - 1))

class Full:
    DESCRIPTION = "all that a node can say"
    CATEGORY = "tests"
    RETURN_TYPES = Endless(("INT", Any("*")))
    RETURN_NAMES = ("number", "anything")
    OUTPUT_IS_LIST = (False, True)
    OUTPUT_TOOLTIPS = ("a number", None)
    FUNCTION = "run"
    OUTPUT_NODE = True
    DEPRECATED = EXPERIMENTAL = INPUT_IS_LIST = NOT_IDEMPOTENT = True
    RESOURCES = ("device", "camera")
    CACHEABLE, PURE, READS_FILES = True, True, ("mode",)

    @classmethod
    def INPUT_TYPES(cls):
        seen.append("asked")
        return {
            "required": {
                "mode": (["fast", 2, 2.5, True], {"default": "fast"}),
                "steps": ("INT", {"min": 1, "max": float("inf"), "lazy": True}),
                "lora": (["None"] + folder_paths.get_filename_list("loras"),),
            },
            "optional": Open({
                "any": (Any("*"), {}),
                "grown": ("COMFY_AUTOGROW_V3", {"template": {"prefix": "i", "max": 2,
                          "input": {"required": {"image": ["IMAGE", {}]}}}}),
            }),
            "hidden": {"id": "UNIQUE_ID"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, steps, **others):
        return True

    @classmethod
    def IS_CHANGED(cls, **inputs):
        return "same"

    def check_lazy_status(self, **inputs):
        return []

    async def run(self, **inputs):
        return (1, [2])

NODE_CLASS_MAPPINGS = {"Full": Full}
NODE_DISPLAY_NAME_MAPPINGS = {"Full": "Everything"}
"""


def test_a_definition_is_the_same_from_the_index(place: Place, tmp_path: Path) -> None:
    place.write("full", {"__init__.py": FULL, "helper.py": "seen = []\n"})
    loras = Folders(output=tmp_path / "output", models={"loras": (tmp_path / "loras",)})

    def definition() -> NodeDefinition:
        engine = replace(place.engine(), folders=loras)
        engine.load_packs(["Full"])
        return engine.registry["Full"]

    imported = definition()
    indexed = definition()
    assert "graphengine_pack_full" not in sys.modules
    assert indexed == imported
    assert indexed.inputs["lora"].choices == Files("loras", also=("None",))
    assert list(indexed.code) == ["__init__.py", "helper.py"]
    assert indexed.packages.keys() == {"graphengine-comfy"}
    assert indexed.version == imported.version
    own = indexed.inputs["any"].own_type
    assert own is not None
    assert not own != "IMAGE"  # noqa: SIM202 (only `!=` is the author's)


def test_the_sample_has_something_in_every_field(place: Place) -> None:
    # so that a field that is added and not indexed makes the test above fail
    place.write("full", {"__init__.py": FULL, "helper.py": "seen = []\n"})
    engine = place.engine()
    engine.load_packs(["Full"])
    full = engine.registry["Full"]
    empty = {field.name for field in fields(full) if not getattr(full, field.name)}
    assert empty == {"given_version"}


def test_a_cached_run_imports_no_pack(place: Place) -> None:
    place.write("double", {"__init__.py": double()})
    assert (shown(place.engine()), place.imported()) == (["42"], ["double"])
    assert (shown(place.engine()), place.imported()) == (["42"], [])


def test_a_node_that_runs_imports_its_pack_alone(place: Place) -> None:
    place.write("double", {"__init__.py": double()})
    place.write("other", {"__init__.py": double().replace("Double", "Other")})
    place.engine().load_all_packs()
    assert place.imported() == ["double", "other"]
    assert (shown(place.engine()), place.imported()) == (["42"], ["double"])


def test_validating_and_planning_import_no_pack(place: Place) -> None:
    place.write("double", {"__init__.py": double()})
    place.engine().load_all_packs()
    engine = place.engine()
    assert engine.validate(TWICE) == []
    assert engine.plan(TWICE).steps == ("1", "2")
    assert "Double" in engine.registry
    assert place.imported() == []


def test_a_pack_that_changed_is_indexed_anew(place: Place) -> None:
    place.write("double", {"__init__.py": double()})
    assert shown(place.engine()) == ["42"]
    place.write("double", {"__init__.py": double(factor=300)})
    assert (shown(place.engine()), place.imported()) == (["6300"], ["double"])
    assert (shown(place.engine()), place.imported()) == (["6300"], [])


def test_a_comment_in_another_file_leaves_a_node_cached(place: Place) -> None:
    place.write("double", {"__init__.py": double(), "unused.py": ""})
    shown(place.engine())
    place.write("double", {"unused.py": "# nothing\n"})
    engine = place.engine()
    assert engine.run(TWICE).executed == {}


def test_of_two_packs_with_a_class_the_first_has_it_indexed_or_not(place: Place) -> None:
    place.write("b_second", {"__init__.py": double(factor=100)})
    assert shown(place.engine()) == ["2100"]
    place.write("a_first", {"__init__.py": double(factor=3)})
    assert shown(place.engine()) == ["63"]
    engine = place.engine()
    assert shown(engine) == ["63"]
    assert [problem.code for problem in engine.load_all_packs()] == ["broken_pack"]
    assert engine.registry["Double"].module == "custom_nodes.a_first"


def test_packs_whose_names_differ_in_a_hyphen_are_two(place: Place) -> None:
    place.write("a-b", {"__init__.py": double(factor=3)})
    place.write("a_b", {"__init__.py": double(factor=5).replace("Double", "Fivefold")})
    engine = place.engine()
    assert engine.load_all_packs() == []
    made = {name: engine.registry[name].load for name in ("Double", "Fivefold")}
    assert {name: load().run(None, 2) for name, load in made.items() if load} == {
        "Double": (6,),
        "Fivefold": (10,),
    }


def test_a_pack_that_was_removed_is_not_known_any_more(place: Place) -> None:
    place.write("double", {"__init__.py": double()})
    shown(place.engine())
    (place.root / "custom_nodes/double/__init__.py").unlink()
    engine = place.engine()
    assert place.records("index")
    assert "Double" not in engine.registry
    assert [problem.code for problem in engine.validate(TWICE)] == ["unknown_node"]


SCHEMA = """
from comfy_api.latest import ComfyExtension, io

class Negate(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Double", display_name="Minus", inputs=[io.Int.Input("value")],
                         outputs=[io.Int.Output()])

    @classmethod
    def execute(cls, value):
        return io.NodeOutput(-value)

class Extension(ComfyExtension):
    async def get_node_list(self):
        return [Negate]

async def comfy_entrypoint():
    return Extension()
"""


def test_schema_based_nodes_are_indexed_as_well(place: Place) -> None:
    place.write("minus", {"__init__.py": SCHEMA, "unused.py": ""})
    assert shown(place.engine()) == ["-21"]
    engine = place.engine()
    assert (shown(engine), "graphengine_pack_minus" in sys.modules) == (["-21"], False)
    double = engine.registry["Double"]
    assert (double.display_name, list(double.code)) == ("Minus", ["__init__.py"])
    load = double.load
    assert load is not None
    assert load().__name__ == "Negate"


def test_a_pack_that_several_threads_need_is_imported_once(place: Place) -> None:
    counted = "with pathlib.Path(__file__).with_name('times').open('a') as times:\n    times.write('x')\n"
    place.write("double", {"__init__.py": double() + counted})
    place.engine().load_all_packs()
    load = place.engine().registry["Double"].load
    assert load is not None
    start = Barrier(4)

    def together() -> type[Any]:
        start.wait()
        return load()

    with ThreadPoolExecutor(4) as pool:
        classes = [future.result() for future in [pool.submit(together) for _ in range(4)]]
    assert len(set(classes)) == 1
    assert (place.root / "custom_nodes/double/times").read_text() == "xx"


def test_a_failed_import_leaves_nothing_for_the_next_try(place: Place) -> None:
    place.write("double", {"__init__.py": "from .factor import FACTOR\n" + double(), "factor.py": "TYPO = 2\n"})
    engine = place.engine()
    assert [problem.code for problem in engine.load_packs(["Double"])] == ["broken_pack"]
    place.write("double", {"factor.py": "FACTOR = 2\n"})
    assert engine.load_packs(["Double"]) == []
    assert shown(engine) == ["42"]


def test_a_node_type_with_quotes_in_its_name_is_found_in_the_source(place: Place) -> None:
    named = double().replace(
        '{"Double": Double}', """{"It's": Double, 'Say "x"': Double, "Two words, |pipe": Double}"""
    )
    place.write("double", {"__init__.py": named})
    engine = place.engine()
    wanted = {"It's", 'Say "x"', "Two words, |pipe"}
    assert engine.packs.mentioning(engine.custom, {*wanted, "Two"}) == {engine.custom[0]: wanted}


def test_a_second_process_imports_no_installed_pack(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from graphengine.engine import Engine\nfrom graphengine.settings import Settings\n"
        "with Engine.from_settings(Settings(packs=Path(sys.argv[1]))) as engine:\n"
        "    print('CaseConverter' in engine.registry, 'checkpoints' in engine.folders.models, sep=',', end=',')\n"
        "print([m for m in sys.modules if m.startswith('graphengine_nodes')] != [])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    told = [
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        ).stdout.strip()
        for _ in range(2)
    ]
    assert told == ["True,True,True", "True,True,False"]


def asking(name: str, other: str) -> str:
    """A pack with a node, that asks for the nodes of the others while it is imported."""
    asked = (
        "import nodes\n"
        f"FOUND = nodes.NODE_CLASS_MAPPINGS.get({other!r})\n"
        "LISTED = [name for name, node_class in nodes.NODE_CLASS_MAPPINGS.items() if name.startswith('Pack')]\n"
    )
    return asked + double().replace("Double", name)


def test_packs_that_ask_for_each_others_nodes_are_imported_once(place: Place) -> None:
    place.write("one", {"__init__.py": asking("PackOne", "PackTwo")})
    place.write("two", {"__init__.py": asking("PackTwo", "PackOne")})
    place.write("three", {"__init__.py": double().replace("Double", "PackThree")})
    place.engine().load_all_packs()
    engine = place.engine()
    engine.packs.surroundings = Surroundings(engine.folders, SeenByPacks(engine.registry))
    load = engine.registry["PackOne"].load
    assert load is not None
    assert load().__name__ == "PackOne"
    one, two = (vars(sys.modules[f"graphengine_pack_{name}"]) for name in ("one", "two"))
    assert (one["FOUND"].__name__, two["FOUND"]) == ("PackTwo", None)
    assert (one["LISTED"], two["LISTED"]) == (["PackTwo"], [])
    assert place.imported() == ["one", "two"]
