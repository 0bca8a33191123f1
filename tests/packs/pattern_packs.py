"""Small packs, one for each way that packs are written: name, files, a node type, its inputs, what it gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NODE = """
class {name}:
    RETURN_TYPES = {types}
    FUNCTION = "run"
    CATEGORY = "patterns"
    @classmethod
    def INPUT_TYPES(cls):
        return {inputs}
{body}
"""


def node(
    name: str, body: str, inputs: str = '{"required": {"value": ("INT", {"default": 1})}}', types: str = '("INT",)'
) -> str:
    """The text of a node class and of its mapping; `body` is indented by one level."""
    text = NODE.format(name=name, types=types, inputs=inputs, body=body)
    return f'{text}\nNODE_CLASS_MAPPINGS = {{"{name}": {name}}}\n'


@dataclass(frozen=True)
class PatternPack:
    """A pack: its files, and what its node gives when it is run with inputs; `ui` is what it shows."""

    name: str
    files: Mapping[str, str]
    class_type: str
    gives: object
    inputs: Mapping[str, object] = field(default_factory=lambda: {"value": 3})


RUN = "    def run(self, value):\n        return ({},)\n"

PATTERNS = (
    PatternPack("single_file.py", {"": node("SingleFile", RUN.format("value + 1"))}, "SingleFile", 4),
    PatternPack("name-with.dots-1.0", {"__init__.py": node("Dotted", RUN.format("value"))}, "Dotted", 3),
    PatternPack(
        "relative_imports",
        {
            "__init__.py": "from .nodes import NODE_CLASS_MAPPINGS\nfrom .nodes.inner import FACTOR\n",
            "nodes/__init__.py": "from .inner import FACTOR\n" + node("Relative", RUN.format("value * FACTOR")),
            "nodes/inner.py": "from ..shared import BASE\nFACTOR = BASE * 2\n",
            "shared.py": "BASE = 5\n",
        },
        "Relative",
        30,
    ),
    PatternPack(
        "sys_path_edit",
        {
            "__init__.py": "import os, sys\nsys.path.append(os.path.join(os.path.dirname(__file__), 'lib'))\n"
            "import pattern_library_of_its_own as own\n" + node("PathEdit", RUN.format("own.twice(value)")),
            "lib/pattern_library_of_its_own.py": "def twice(x):\n    return 2 * x\n",
        },
        "PathEdit",
        6,
    ),
    PatternPack(
        "dynamic_mappings",
        {
            "__init__.py": "import importlib, pathlib\nNODE_CLASS_MAPPINGS = {}\n"
            "for file in sorted(pathlib.Path(__file__).parent.glob('node_*.py')):\n"
            "    module = importlib.import_module(f'.{file.stem}', __name__)\n"
            "    NODE_CLASS_MAPPINGS.update(module.NODE_CLASS_MAPPINGS)\n",
            "node_one.py": node("DynamicOne", RUN.format("value + 10")),
            "node_two.py": node("DynamicTwo", RUN.format("value + 20")),
        },
        "DynamicTwo",
        23,
    ),
    PatternPack(
        "loaded_by_file_location",
        {
            "__init__.py": "import importlib.util, os\n"
            "here = os.path.dirname(__file__)\n"
            "spec = importlib.util.spec_from_file_location('py.x', os.path.join(here, 'x-y.py'))\n"
            "module = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(module)\n"
            "NODE_CLASS_MAPPINGS = {**module.NODE_CLASS_MAPPINGS}\n",
            "x-y.py": node("ByLocation", RUN.format("value - 1")),
        },
        "ByLocation",
        2,
    ),
    PatternPack(
        "kwargs_in_function",
        {"__init__.py": node("Kwargs", "    def run(self, **kwargs):\n        return (sum(kwargs.values()),)\n")},
        "Kwargs",
        3,
    ),
    PatternPack(
        "any_type_hack",
        {
            "__init__.py": "class AnyType(str):\n    def __ne__(self, other):\n        return False\n"
            'any_type = AnyType("*")\n'
            + node("AnyIn", RUN.format("value"), '{"required": {"value": (any_type, {})}}', "(any_type,)")
        },
        "AnyIn",
        3,
    ),
    PatternPack(
        "dict_subclass_inputs",
        {
            "__init__.py": "class Flexible(dict):\n"
            "    def __contains__(self, key):\n        return True\n"
            '    def __getitem__(self, key):\n        return ("INT", {})\n'
            + node(
                "FlexibleIn",
                "    def run(self, **kwargs):\n        return (sum(kwargs.values()),)\n",
                '{"required": {}, "optional": Flexible()}',
            )
        },
        "FlexibleIn",
        7,
        {"a": 3, "b": 4},
    ),
    PatternPack(
        "tuple_subclass_outputs",
        {
            "__init__.py": "class Endless(tuple):\n"
            "    def __getitem__(self, index):\n        return super().__getitem__(0)\n"
            + node("EndlessOut", RUN.format("value"), types='Endless(("INT",))')
        },
        "EndlessOut",
        3,
    ),
    PatternPack(
        "wildcard_literal",
        {"__init__.py": node("Wildcard", RUN.format("value"), '{"required": {"value": ("*",)}}', '("*",)')},
        "Wildcard",
        3,
    ),
    PatternPack(
        "hidden_inputs",
        {
            "__init__.py": node(
                "Hidden",
                "    def run(self, value, unique_id, prompt, extra):\n"
                "        return (f'{unique_id}:{prompt[unique_id][\"class_type\"]}:{value}',)\n",
                '{"required": {"value": ("INT",)}, '
                '"hidden": {"unique_id": "UNIQUE_ID", "prompt": "PROMPT", "extra": "EXTRA_PNGINFO"}}',
                '("STRING",)',
            )
        },
        "Hidden",
        "1:Hidden:3",
    ),
    PatternPack(
        "is_changed_with_unique_id",
        {
            "__init__.py": node(
                "Changed",
                "    @classmethod\n    def IS_CHANGED(cls, **kwargs):\n"
                "        return kwargs['unique_id']\n" + RUN.format("value"),
                '{"required": {"value": ("INT",)}, "hidden": {"unique_id": "UNIQUE_ID"}}',
            ).replace("def run(self, value)", "def run(self, value, unique_id)")
        },
        "Changed",
        3,
    ),
    PatternPack(
        "validate_inputs",
        {
            "__init__.py": node(
                "Validated",
                "    @classmethod\n    def VALIDATE_INPUTS(cls, value):\n"
                "        return True if value < 10 else 'too large'\n" + RUN.format("value"),
            )
        },
        "Validated",
        3,
    ),
    PatternPack(
        "lists",
        {
            "__init__.py": node(
                "Lists",
                "    INPUT_IS_LIST = True\n    OUTPUT_IS_LIST = (True,)\n"
                "    def run(self, value):\n        return ([v + i for v in value for i in range(2)],)\n",
            )
        },
        "Lists",
        [3, 4],
    ),
    PatternPack(
        "lazy_input",
        {
            "__init__.py": node(
                "Lazy",
                "    def check_lazy_status(self, value, other=None):\n"
                "        return ['other'] if value > 5 else []\n"
                "    def run(self, value, other=None):\n        return (value,)\n",
                '{"required": {"value": ("INT",)}, "optional": {"other": ("INT", {"lazy": True})}}',
            )
        },
        "Lazy",
        3,
    ),
    PatternPack(
        "expansion",
        {
            "__init__.py": "from comfy_execution.graph_utils import GraphBuilder\n"
            + node(
                "Expands",
                "    def run(self, value):\n        graph = GraphBuilder()\n"
                "        inner = graph.node('Add', a=value, b=39)\n"
                "        return {'result': (inner.out(0),), 'expand': graph.finalize()}\n",
            )
        },
        "Expands",
        42,
    ),
    PatternPack(
        "async_function",
        {
            "__init__.py": "import asyncio\n"
            + node(
                "Async",
                "    async def run(self, value):\n        await asyncio.sleep(0)\n        return (value * 3,)\n",
            )
        },
        "Async",
        9,
    ),
    PatternPack(
        "ui_and_result",
        {
            "__init__.py": node(
                "Shows",
                "    OUTPUT_NODE = True\n"
                + RUN.format("value").replace("(value,)", "{'ui': {'text': [str(value)]}, 'result': (value,)}"),
            )
        },
        "Shows",
        3,
    ),
    PatternPack(
        "comfy_entrypoint",
        {
            "__init__.py": "from comfy_api.latest import ComfyExtension, io\n"
            "class Third(io.ComfyNode):\n"
            "    @classmethod\n    def define_schema(cls):\n"
            "        inputs, outputs = [io.Int.Input('value')], [io.Int.Output()]\n"
            "        return io.Schema(node_id='Third', inputs=inputs, outputs=outputs)\n"
            "    @classmethod\n    def execute(cls, value):\n        return io.NodeOutput(value + 100)\n"
            "class Extension(ComfyExtension):\n"
            "    async def get_node_list(self):\n        return [Third]\n"
            "async def comfy_entrypoint():\n    return Extension()\n"
        },
        "Third",
        103,
    ),
    PatternPack(
        "sync_entrypoint",
        {
            "__init__.py": "from comfy_api.v0_0_2 import ComfyExtension, io\n"
            "class Plain(io.ComfyNode):\n"
            "    @classmethod\n    def define_schema(cls):\n"
            "        inputs, outputs = [io.Int.Input('value')], [io.Int.Output()]\n"
            "        return io.Schema(node_id='PlainEntry', inputs=inputs, outputs=outputs)\n"
            "    @classmethod\n    def execute(cls, value):\n        return io.NodeOutput(-value)\n"
            "class Extension(ComfyExtension):\n"
            "    async def get_node_list(self):\n        return [Plain]\n"
            "def comfy_entrypoint():\n    return Extension()\n"
        },
        "PlainEntry",
        -3,
    ),
    PatternPack(
        "web_directory",
        {
            "__init__.py": node("WithWeb", RUN.format("value")) + 'WEB_DIRECTORY = "./js"\n',
            "js/extension.js": "export {};\n",
        },
        "WithWeb",
        3,
    ),
    PatternPack(
        "copies_scripts_to_the_web_folder",
        {
            "__init__.py": "import os, shutil, folder_paths, __main__\n"
            "target = os.path.join(folder_paths.base_path, 'web', 'extensions', 'pattern')\n"
            "os.makedirs(target, exist_ok=True)\n"
            "shutil.copy(os.path.join(os.path.dirname(__file__), 'a.js'), target)\n"
            + node("CopiesScripts", RUN.format("value")),
            "a.js": "export {};\n",
        },
        "CopiesScripts",
        3,
    ),
    PatternPack(
        "adds_model_folders",
        {
            "__init__.py": "import os, folder_paths\n"
            "extra = os.path.join(folder_paths.models_dir, 'pattern')\n"
            "folder_paths.add_model_folder_path('pattern_models', extra)\n"
            "folder_paths.folder_names_and_paths['pattern_other'] = ([os.path.dirname(__file__)], {'.txt'})\n"
            + node(
                "ModelFolders",
                "    def run(self, value):\n"
                "        return (len(folder_paths.get_filename_list('pattern_other')) + value,)\n",
            ),
            "one.txt": "",
        },
        "ModelFolders",
        4,
    ),
    PatternPack(
        "server_routes",
        {
            "__init__.py": "from server import PromptServer\nfrom aiohttp import web\n"
            "@PromptServer.instance.routes.get('/pattern/hello')\n"
            "async def hello(request):\n    return web.json_response({'hello': 'pattern'})\n"
            + node(
                "Routed",
                "    def run(self, value):\n"
                "        PromptServer.instance.send_sync('pattern.message', {'value': value})\n"
                "        return (value,)\n",
            )
        },
        "Routed",
        3,
    ),
    PatternPack(
        "derives_from_built_in",
        {
            "__init__.py": "import nodes\n"
            "class Wider(nodes.PreviewImage):\n"
            "    @classmethod\n    def INPUT_TYPES(s):\n        return {'required': {'value': ('INT',)}}\n"
            "    RETURN_TYPES = ('INT',)\n    FUNCTION = 'run'\n"
            "    def run(self, value):\n        return (value if isinstance(self, nodes.SaveImage) else 0,)\n"
            "NODE_CLASS_MAPPINGS = {'Wider': Wider}\n"
        },
        "Wider",
        3,
    ),
    PatternPack(
        "progress_and_interrupt",
        {
            "__init__.py": "import comfy.utils, comfy.model_management as mm\n"
            + node(
                "Progress",
                "    def run(self, value):\n        bar = comfy.utils.ProgressBar(value)\n"
                "        for _ in range(value):\n            mm.throw_exception_if_processing_interrupted()\n"
                "            bar.update(1)\n        return (value,)\n",
            )
        },
        "Progress",
        3,
    ),
    PatternPack(
        "execution_blocker",
        {
            "__init__.py": "from comfy_execution.graph import ExecutionBlocker\n"
            + node(
                "Blocks",
                "    def run(self, value):\n        return (value if value < 5 else ExecutionBlocker(None),)\n",
            )
        },
        "Blocks",
        3,
    ),
    PatternPack(
        "monkeypatch",
        {
            "__init__.py": "import comfy.samplers\n"
            "old = comfy.samplers.calculate_sigmas\n"
            "def calculate_sigmas(*args):\n    return old(*args)\n"
            "comfy.samplers.calculate_sigmas = calculate_sigmas\n" + node("Patches", RUN.format("value"))
        },
        "Patches",
        3,
    ),
    PatternPack(
        "placeholders_at_import",
        {
            "__init__.py": "from comfy.ldm.modules.diffusionmodules.openaimodel import timestep_embedding\n"
            "from comfy_extras.nodes_hypernetwork import load_hypernetwork_patch\n"
            "import comfy.bg_removal_model\n"
            "class Network(comfy.bg_removal_model.BackgroundRemovalModel):\n    pass\n"
            + node("NamesAll", RUN.format("value"))
        },
        "NamesAll",
        3,
    ),
    PatternPack(
        "asks_for_forks",
        {
            "__init__.py": "try:\n    import comfy.cmd.folder_paths as fp\n"
            "except ImportError:\n    import folder_paths as fp\n"
            "import sys\nassert sys.modules['folder_paths'] is fp\n" + node("Forked", RUN.format("value"))
        },
        "Forked",
        3,
    ),
    PatternPack(
        "bare_names_of_comfy",
        {
            "__init__.py": "import model_management\nfrom cli_args import args\n"
            + node("Bare", RUN.format("value if args.cpu in (True, False) else 0"))
        },
        "Bare",
        3,
    ),
    PatternPack(
        "guarded_torchvision",
        {
            "__init__.py": "import torch\ntry:\n    import torchvision.transforms.v2 as T\n"
            "except ImportError:\n    import torchvision.transforms as T\n"
            + node("Torchvision", RUN.format("int(T.CenterCrop(1)(torch.full((1, 3, 3), value)).item())"))
        },
        "Torchvision",
        3,
    ),
    PatternPack(
        "encoded_in_latin_1.py",
        {"": "# -*- coding: latin-1 -*-\n" + node("Latin", RUN.format("len('é') + value"))},
        "Latin",
        4,
    ),
    PatternPack(
        "windows_file.py",
        {"": "\ufeff" + node("Windows", RUN.format("value")).replace("\n", "\r\n")},
        "Windows",
        3,
    ),
)
