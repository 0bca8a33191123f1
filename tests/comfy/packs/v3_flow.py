"""A pack of schema-based (V3) nodes, found through `comfy_entrypoint`; for tests.

`CALLS` lists every call of an `execute` as (node id, arguments); a test clears it.

Plain: V3Int (value) · V3Add (a, b) · V3Two: two outputs · V3Returns (form): every form that `execute` may return
Outputs: V3Show (value): ui {"text": [...]} · V3Hidden: ui of all hidden values · V3ShowText: ui.PreviewText
Lists: V3List (start, count): is_output_list · V3Sum (values): is_input_list
Lazy: V3Switch, V3SwitchAsync (on, on_true, on_false)
Blocked, expanded: V3Block (value, message) · V3Expand (value) = value + 11 · V3ExpandForbidden: not enabled
Async: V3Meet (value, group, size): waits until `size` of the group are running
Checked: V3Checked (value): under 100 · V3ChangedBy (value, version): fingerprint · V3NotIdempotent
Dynamic: V3Grow (numbers: prefix "n", 1 to 5) · V3GrowNames (parts: x, y, z) · V3Choice (shape: circle, box) ·
V3ChoiceNested · V3Slot (image slot with inputs) · V3Match (two of one type) · V3Multi (int or float)
State: V3Isolated (value, group): whether two calls at a time see each other · V3Progress (steps)
"""

import asyncio
import json
import threading

from comfy_api.latest import ComfyAPISync, ComfyExtension, io, ui

CALLS = []
PATIENCE = 20  # seconds after which a meeting counts as failed
VERSIONS = {}
MEETINGS = {}
BARRIERS = {}


def called(node, *arguments):
    CALLS.append((node.GET_SCHEMA().node_id, *arguments))


class V3Int(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Int",
            display_name="A whole number",
            category="flow",
            description="Gives a number.",
            inputs=[io.Int.Input("value", default=0, min=-100, max=100, tooltip="any")],
            outputs=[io.Int.Output(display_name="number", tooltip="the same")],
        )

    @classmethod
    def execute(cls, value):
        called(cls, value)
        return io.NodeOutput(value)


class V3Add(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Add",
            category="flow",
            inputs=[io.Int.Input("a"), io.Int.Input("b", optional=True, default=0)],
            outputs=[io.Int.Output("sum")],
        )

    @classmethod
    def execute(cls, a, b=0):
        called(cls, a, b)
        return io.NodeOutput(a + b)


class V3Two(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Two",
            category="flow",
            inputs=[io.Int.Input("value")],
            outputs=[io.Int.Output(display_name="less"), io.Int.Output(display_name="more")],
        )

    @classmethod
    def execute(cls, value):
        called(cls, value)
        return io.NodeOutput(value - 1, value + 1)


class V3Returns(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Returns",
            category="flow",
            inputs=[io.Combo.Input("form", options=["output", "tuple", "dict", "none", "blocker", "text"])],
            outputs=[io.Int.Output()],
        )

    @classmethod
    def execute(cls, form):
        from comfy_execution.graph import ExecutionBlocker

        called(cls, form)
        forms = {
            "output": io.NodeOutput(1, ui={"text": ["shown"]}),
            "tuple": (1,),
            "dict": {"result": (1,), "ui": {"text": ["shown"]}},
            "none": None,
            "blocker": ExecutionBlocker("stopped"),
            "text": "no result",
        }
        return forms[form]


class V3Show(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Show", category="flow", inputs=[io.AnyType.Input("value")], outputs=[], is_output_node=True
        )

    @classmethod
    def execute(cls, value):
        called(cls, value)
        return io.NodeOutput(ui={"text": [str(value)]})


class V3ShowText(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3ShowText",
            category="flow",
            inputs=[io.String.Input("value", multiline=True)],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, value):
        called(cls, value)
        return io.NodeOutput(ui=ui.PreviewText(value))


class V3Hidden(io.ComfyNode):
    """Its input has the name of a hidden value."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Hidden",
            category="flow",
            inputs=[io.String.Input("prompt")],
            outputs=[],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt, io.Hidden.auth_token_comfy_org],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, prompt):
        called(cls, prompt)
        hidden = cls.hidden
        return io.NodeOutput(
            ui={
                "text": [prompt],
                "id": [hidden.unique_id],
                "nodes": sorted(hidden.prompt),
                "extra": [hidden.extra_pnginfo],
                "token": [hidden.auth_token_comfy_org is not None],
                "known": [hidden.dynprompt.has_node(hidden.unique_id)],
            }
        )


class V3List(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3List",
            category="flow",
            inputs=[io.Int.Input("start"), io.Int.Input("count", min=0)],
            outputs=[io.Int.Output(is_output_list=True)],
        )

    @classmethod
    def execute(cls, start, count):
        called(cls, start, count)
        return io.NodeOutput(list(range(start, start + count)))


class V3Sum(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Sum",
            category="flow",
            inputs=[io.Int.Input("values", force_input=True)],
            outputs=[io.Int.Output()],
            is_input_list=True,
        )

    @classmethod
    def execute(cls, values):
        called(cls, tuple(values))
        return io.NodeOutput(sum(values))


class V3Switch(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id=cls.__name__,
            category="flow",
            inputs=[
                io.Boolean.Input("on", default=True),
                io.Int.Input("on_true", lazy=True),
                io.Int.Input("on_false", lazy=True),
            ],
            outputs=[io.Int.Output()],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def check_lazy_status(cls, on, on_true=None, on_false=None):
        if on and on_true is None:
            return ["on_true"]
        if not on and on_false is None:
            return ["on_false"]
        return []

    @classmethod
    def execute(cls, on, on_true=None, on_false=None):
        called(cls, on, on_true, on_false)
        return io.NodeOutput(on_true if on else on_false)


class V3SwitchAsync(V3Switch):
    @classmethod
    async def check_lazy_status(cls, on, on_true=None, on_false=None):
        await asyncio.sleep(0)
        return ["on_true"] if on and on_true is None else ["on_false"] if not on and on_false is None else []


class V3Block(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Block",
            category="flow",
            inputs=[io.Int.Input("value"), io.String.Input("message")],
            outputs=[io.Int.Output(), io.Int.Output()],
        )

    @classmethod
    def execute(cls, value, message):
        called(cls, value, message)
        return io.NodeOutput(value, block_execution=message) if message else io.NodeOutput(value, value)


class V3Expand(io.ComfyNode):
    EXPANDS = True

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id=cls.__name__,
            category="flow",
            inputs=[io.Int.Input("value")],
            outputs=[io.Int.Output()],
            enable_expand=cls.EXPANDS,
        )

    @classmethod
    def execute(cls, value):
        from comfy_execution.graph_utils import GraphBuilder

        called(cls, value)
        graph = GraphBuilder()
        first = graph.node("V3Add", a=value, b=1)
        second = graph.node("V3Add", a=first.out(0), b=10)
        return io.NodeOutput(second.out(0), expand=graph.finalize())


class V3ExpandForbidden(V3Expand):
    EXPANDS = False


class V3Meet(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Meet",
            category="flow",
            inputs=[io.Int.Input("value"), io.String.Input("group"), io.Int.Input("size")],
            outputs=[io.Int.Output()],
        )

    @classmethod
    async def execute(cls, value, group, size):
        called(cls, value)
        inside, everybody = MEETINGS.setdefault(group, (set(), asyncio.Event()))
        inside.add(object())
        if len(inside) >= size:
            everybody.set()
        await asyncio.wait_for(everybody.wait(), PATIENCE)
        return io.NodeOutput(value)


class V3Checked(io.ComfyNode):
    """Checks `value` itself, so the range of the declaration does not count."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Checked",
            category="flow",
            inputs=[io.Int.Input("value", min=50, max=60)],
            outputs=[io.Int.Output()],
        )

    @classmethod
    def validate_inputs(cls, value):
        return True if value is None or value < 100 else f"{value} is not under 100"

    @classmethod
    def execute(cls, value):
        called(cls, value)
        return io.NodeOutput(value)


class V3ChangedBy(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3ChangedBy",
            category="flow",
            inputs=[io.Int.Input("value"), io.String.Input("version")],
            outputs=[io.Int.Output()],
        )

    @classmethod
    def fingerprint_inputs(cls, value, version):
        return VERSIONS.get(version, 0)

    @classmethod
    def execute(cls, value, version):
        called(cls, value)
        return io.NodeOutput(value)


class V3NotIdempotent(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3NotIdempotent",
            category="flow",
            inputs=[io.Int.Input("value")],
            outputs=[io.Int.Output()],
            not_idempotent=True,
        )

    @classmethod
    def execute(cls, value):
        called(cls, value)
        return io.NodeOutput(value)


class V3Grow(io.ComfyNode):
    """`numbers` comes as {"n0": 1, "n1": 2}."""

    @classmethod
    def define_schema(cls):
        template = io.Autogrow.TemplatePrefix(io.Int.Input("number"), prefix="n", min=1, max=5)
        return io.Schema(
            node_id="V3Grow",
            category="flow",
            inputs=[io.Autogrow.Input("numbers", template=template)],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, numbers):
        called(cls, tuple(sorted(numbers.items())))
        return io.NodeOutput(json.dumps(numbers, sort_keys=True))


class V3GrowNames(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.Autogrow.TemplateNames(io.Int.Input("part"), names=["x", "y", "z"], min=2)
        return io.Schema(
            node_id="V3GrowNames",
            category="flow",
            inputs=[io.Autogrow.Input("parts", template=template)],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, parts):
        called(cls, tuple(sorted(parts.items())))
        return io.NodeOutput(json.dumps(parts, sort_keys=True))


class V3Choice(io.ComfyNode):
    """`shape` comes as {"shape": "circle", "radius": 2}."""

    @classmethod
    def define_schema(cls):
        options = [
            io.DynamicCombo.Option("circle", [io.Int.Input("radius", min=1)]),
            io.DynamicCombo.Option("box", [io.Int.Input("width"), io.Int.Input("height", optional=True)]),
            io.DynamicCombo.Option("nothing", []),
        ]
        return io.Schema(
            node_id="V3Choice",
            category="flow",
            inputs=[io.DynamicCombo.Input("shape", options=options)],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, shape):
        called(cls, tuple(sorted(shape.items())))
        return io.NodeOutput(json.dumps(shape, sort_keys=True))


class V3ChoiceNested(io.ComfyNode):
    """`source` may hold a list of numbers that grows."""

    @classmethod
    def define_schema(cls):
        template = io.Autogrow.TemplatePrefix(io.Int.Input("number"), prefix="n", min=0, max=3)
        options = [
            io.DynamicCombo.Option("many", [io.Autogrow.Input("numbers", template=template)]),
            io.DynamicCombo.Option("one", [io.Int.Input("number")]),
        ]
        return io.Schema(
            node_id="V3ChoiceNested",
            category="flow",
            inputs=[io.DynamicCombo.Input("source", options=options)],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, source):
        called(cls, json.dumps(source, sort_keys=True))
        return io.NodeOutput(json.dumps(source, sort_keys=True))


class V3Slot(io.ComfyNode):
    """With something in the slot `start` there is an input `strength`."""

    @classmethod
    def define_schema(cls):
        slot = io.DynamicSlot.Input(io.Int.Input("start"), inputs=[io.Float.Input("strength", default=1.0)])
        return io.Schema(node_id="V3Slot", category="flow", inputs=[slot], outputs=[io.String.Output()])

    @classmethod
    def execute(cls, start=None):
        called(cls, json.dumps(start, sort_keys=True))
        return io.NodeOutput(json.dumps(start, sort_keys=True))


class V3Match(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.MatchType.Template("T", allowed_types=[io.Int, io.String])
        return io.Schema(
            node_id="V3Match",
            category="flow",
            inputs=[
                io.Boolean.Input("first"),
                io.MatchType.Input("a", template=template),
                io.MatchType.Input("b", template=template),
            ],
            outputs=[io.MatchType.Output(template=template, display_name="chosen")],
        )

    @classmethod
    def execute(cls, first, a, b):
        called(cls, first, a, b)
        return io.NodeOutput(a if first else b)


class V3Multi(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Multi",
            category="flow",
            inputs=[io.MultiType.Input("value", types=[io.Int, io.Float])],
            outputs=[io.Float.Output()],
        )

    @classmethod
    def execute(cls, value):
        called(cls, value)
        return io.NodeOutput(float(value))


class V3Isolated(io.ComfyNode):
    """Waits for another call, then gives its own id, which both must still know."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Isolated",
            category="flow",
            inputs=[io.Int.Input("value"), io.String.Input("group")],
            outputs=[io.String.Output()],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, value, group):
        called(cls, value)
        BARRIERS.setdefault(group, threading.Barrier(2)).wait(PATIENCE)
        return io.NodeOutput(cls.hidden.unique_id)


class V3Progress(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="V3Progress", category="flow", inputs=[io.Int.Input("steps")], outputs=[io.Int.Output()]
        )

    @classmethod
    def execute(cls, steps):
        called(cls, steps)
        api = ComfyAPISync()
        for step in range(steps):
            api.execution.set_progress(value=step + 1, max_value=steps)
        return io.NodeOutput(steps)


class Flow(ComfyExtension):
    async def on_load(self):
        CALLS.append(("on_load",))

    async def get_node_list(self):
        return [
            value
            for name, value in list(globals().items())
            if name.startswith("V3") and isinstance(value, type) and issubclass(value, io.ComfyNode)
        ]


async def comfy_entrypoint():
    return Flow()
