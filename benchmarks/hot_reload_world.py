"""The pack that `hot_reload.py` edits: its texts, random edits of them, and an oracle of what each one means."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: The packs of one file.
SINGLES = ("single_a", "single_b")
#: The largest literal that the workflow may have.
LARGEST = 10**6
_MODULUS = 9973
_HELPERS, _NODES, _CHAINS = 14, 34, 6  # with the package and the module of the output node 50 modules

HELPER = """# {comment}
{imports}
FACTOR = {factor}


def weigh(value):
    return (value * FACTOR{more}) % 9973
"""
NODE = """# {comment}
{imports}
CONSTANT = {constant}


class {name}:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {{
            "required": {{"value": ("INT", {{"default": 0, "min": 0, "max": {largest}}}), {model}}},
            "optional": {{{extra}}},
        }}

    def run(self, value, extra=0, model=None):
        {late}
        loaded = 0 if model is None else 1
        return (({weighed} + extra + CONSTANT + loaded) % 9973,)
{more}"""
MORE = """

class {name}More({name}):
    pass
"""
SHOWS = """# {comment}
class ManyShow:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"value": ("INT", {{"forceInput": True}})}}}}

    def run(self, value):
        return {{"ui": {{"value": [value]}}}}
"""


@dataclass
class Node:
    """A node class: what its text says, and what the workflow gives it."""

    name: str
    uses: int | None  # a helper
    form: str  # how it imports it
    constant: int = 1
    largest: int = LARGEST
    has_extra: bool = True
    has_more: bool = False
    is_mapped: bool = True
    with_model: bool = False
    reads: str | None = None  # the node before it in its chain
    literal: int = 5


@dataclass
class World:
    """What all the sources say, as the oracle knows it."""

    helpers: list[dict[str, Any]]  # factor, name of the module, the helper it uses, the form of that import
    nodes: dict[str, Node]
    comments: Counter[str] = field(default_factory=Counter)
    broken: dict[str, str] = field(default_factory=dict)

    def texts(self) -> dict[str, str]:
        """All files below `custom_nodes`, by path."""
        found = {"many/shows.py": SHOWS.format(comment=self.comments["many/shows.py"])}
        for number, helper in enumerate(self.helpers):
            path = self.helper_path(number)
            imports, more = self.imported(helper["uses"], helper["form"], "below")
            found[path] = HELPER.format(
                comment=self.comments[path],
                imports=imports,
                factor=helper["factor"],
                more=f" + {more}(value)" if more else "",
            )
        for name, node in self.nodes.items():
            found[self.node_path(name)] = self.node_text(node)
        many = [node for name, node in self.nodes.items() if name not in SINGLES]
        mapped = [
            each
            for node in many
            if node.is_mapped
            for each in (node.name, f"{node.name}More")[: 1 + node.has_more]
        ]
        found["many/__init__.py"] = "".join(
            [
                f"# {self.comments['many/__init__.py']}\nfrom .shows import ManyShow\n",
                *(f"from . import {node.name.lower()}\n" for node in many),
                "NODE_CLASS_MAPPINGS = {'ManyShow': ManyShow}\n",
                *(
                    f"NODE_CLASS_MAPPINGS['{name}'] = {name.removesuffix('More').lower()}.{name}\n"
                    for name in mapped
                ),
            ]
        )
        return {path: text + self.broken.get(path, "") for path, text in found.items()}

    def node_text(self, node: Node) -> str:
        """The file of a node."""
        imports, weigh = self.imported(node.uses, node.form, "weigh")
        late = node.form == "late"
        text = NODE.format(
            comment=self.comments[self.node_path(node.name)],
            imports="" if late else imports,
            late=imports if late else "",
            constant=node.constant,
            name=node.name,
            largest=node.largest,
            model='"model": ("MODEL",)' if node.with_model else "",
            extra='"extra": ("INT", {"default": 0})' if node.has_extra else "",
            weighed=f"{weigh}(value)" if weigh else "value",
            more=MORE.format(name=node.name) if node.has_more else "",
        )
        if node.name in SINGLES:
            text += f"\n\nNODE_CLASS_MAPPINGS = {{'{node.name}': {node.name}}}\n"
        return text

    def imported(self, number: int | None, form: str, name: str) -> tuple[str, str]:
        """How a module imports a helper, and how it calls it."""
        if number is None:
            return "", ""
        module = self.helpers[number]["name"]
        match form:
            case "module":
                return f"from . import {module}", f"{module}.weigh"
            case "absolute":
                return f"from graphengine_pack_many.{module} import weigh as {name}", name
        return f"from .{module} import weigh as {name}", name

    def helper_path(self, number: int) -> str:
        """Where a helper is."""
        return f"many/{self.helpers[number]['name']}.py"

    def node_path(self, name: str) -> str:
        """Where a node is."""
        return f"{name}.py" if name in SINGLES else f"many/{name.lower()}.py"

    # What it means

    def weigh(self, number: int | None, value: int) -> int:
        """What a helper makes of a value."""
        if number is None:
            return value
        helper = self.helpers[number]
        below = 0 if helper["uses"] is None else self.weigh(helper["uses"], value)
        return (value * helper["factor"] + below) % _MODULUS

    def given(self, name: str) -> dict[str, int]:
        """The values of a node's inputs."""
        node = self.nodes[name]
        value = node.literal if node.reads is None else self.value(node.reads)
        return {"value": value, "extra": 3 if node.has_extra else 0, "model": int(node.with_model)}

    def value(self, name: str) -> int:
        """What a node gives."""
        node, given = self.nodes[name], self.given(name)
        weighed = self.weigh(node.uses, given["value"])
        return (weighed + given["extra"] + node.constant + given["model"]) % _MODULUS

    def code(self, name: str, texts: dict[str, str]) -> tuple[tuple[str, str], ...]:
        """The files behind a node."""
        paths, number = [self.node_path(name)], self.nodes[name].uses
        while number is not None:
            paths.append(self.helper_path(number))
            number = self.helpers[number]["uses"]
        return tuple((path, texts[path]) for path in paths)

    def calls(self) -> dict[str, tuple[Any, ...]]:
        """What each node of the workflow is called with: code and values."""
        texts = self.texts()
        found: dict[str, tuple[Any, ...]] = {
            name: (name, self.code(name, texts), *self.given(name).values()) for name in self.nodes
        }
        for last in self.lasts():
            found[f"show {last}"] = ("ManyShow", texts["many/shows.py"], self.value(last))
        return found

    def lasts(self) -> list[str]:
        """The ends of the chains."""
        read = {node.reads for node in self.nodes.values()}
        return [name for name in self.nodes if name not in read]

    def is_refused(self) -> bool:
        """Whether the workflow has errors with these sources."""
        return any(
            not node.is_mapped or (node.reads is None and node.literal > node.largest)
            for node in self.nodes.values()
        )

    def workflow(self) -> dict[str, Any]:
        """The workflow over all nodes."""
        document: dict[str, Any] = {
            "loader": {
                "class_type": "CheckpointLoaderSimple",
                "inputs": {"ckpt_name": "graphengine_tiny.safetensors"},
            }
        }
        for name, node in self.nodes.items():
            inputs: dict[str, Any] = {"value": node.literal if node.reads is None else [node.reads, 0], "extra": 3}
            if node.with_model:
                inputs["model"] = ["loader", 0]
            document[name] = {"class_type": name, "inputs": inputs}
        for last in self.lasts():
            document[f"show {last}"] = {"class_type": "ManyShow", "inputs": {"value": [last, 0]}}
        return document


def new_world(rng: random.Random) -> World:
    """A pack as it is at first."""
    forms = ("relative", "module", "absolute")
    helpers = [
        {
            "factor": number + 2,
            "name": f"help{number}",
            "uses": rng.randrange(number) if number and rng.random() < 0.6 else None,
            "form": rng.choice(forms),
        }
        for number in range(_HELPERS)
    ]
    names = [*(f"Many{number}" for number in range(_NODES)), *SINGLES]
    nodes: dict[str, Node] = {}
    for place, name in enumerate(names):
        uses = None if name in SINGLES else place % _HELPERS if place < 28 else None
        reads = names[place - _CHAINS] if place >= _CHAINS else None
        nodes[name] = Node(name, uses, rng.choice((*forms, "late")), reads=reads, with_model=place % 7 == 0)
    return World(helpers, nodes)


Edit = Callable[[World, random.Random], None]


def constant(world: World, rng: random.Random) -> None:
    """Another number in a node."""
    rng.choice(list(world.nodes.values())).constant = rng.randrange(1, 1000)


def factor(world: World, rng: random.Random) -> None:
    """Another number in a helper."""
    rng.choice(world.helpers)["factor"] = rng.randrange(2, 1000)


def comment(world: World, rng: random.Random) -> None:
    """Another comment in any file."""
    world.comments[rng.choice(list(world.texts()))] += 1


def inputs(world: World, rng: random.Random) -> None:
    """An optional input with a default comes or goes."""
    node = rng.choice(list(world.nodes.values()))
    node.has_extra = not node.has_extra


def wider(world: World, rng: random.Random) -> None:
    """Another range, which means nothing to the workflow."""
    node = rng.choice(list(world.nodes.values()))
    node.largest += 1


def narrower(world: World, rng: random.Random) -> None:
    """A range that a literal of the workflow exceeds."""
    rng.choice([node for node in world.nodes.values() if node.reads is None]).largest = 1


def new_node(world: World, rng: random.Random) -> None:
    """A second class beside a node's, or it goes again."""
    node = rng.choice([node for name, node in world.nodes.items() if name not in SINGLES])
    node.has_more = not node.has_more


def deleted_node(world: World, rng: random.Random) -> None:
    """A node of the workflow is mapped no more."""
    rng.choice([node for name, node in world.nodes.items() if name not in SINGLES]).is_mapped = False


def renamed_helper(world: World, rng: random.Random) -> None:
    """A helper under another name, in all that import it."""
    helper = rng.choice(world.helpers)
    helper["name"] = f"{helper['name'].partition('_')[0]}_{rng.randrange(10**6)}"


def no_python(world: World, rng: random.Random) -> None:
    """Text that cannot be compiled."""
    world.broken[rng.choice(list(world.texts()))] = "def broken(:\n"


def failing(world: World, rng: random.Random) -> None:
    """Text that raises when it is imported."""
    what = rng.choice(["import a_module_that_is_nowhere\n", "raise RuntimeError('no')\n", "undefined_name\n"])
    world.broken[rng.choice(list(world.texts()))] = what


EDITS: dict[str, Edit] = {
    "constant in a node": constant,
    "constant in a helper": factor,
    "comment": comment,
    "an input comes or goes": inputs,
    "another range": wider,
    "a range that the workflow exceeds": narrower,
    "a new node, or it goes again": new_node,
    "a node of the workflow is deleted": deleted_node,
    "a helper is renamed": renamed_helper,
    "text that is no Python": no_python,
    "an import that fails": failing,
}


def mend(world: World, rng: random.Random) -> None:
    """Take back what makes the sources unusable, and change something else in the same files."""
    for path in world.broken:
        world.comments[path] += rng.randrange(2)
    world.broken.clear()
    for node in world.nodes.values():
        node.is_mapped = True
        node.largest = max(node.largest, LARGEST)
