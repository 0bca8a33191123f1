"""A pack of class-based nodes that use every feature of the executor; for tests.

`CALLS` lists every call of a node's function as (class type, arguments); a test clears it. Async nodes and threads
wait for each other by name, so a test gives every group a name of its own.

Sources: FlowInt (value) · FlowText (value) · FlowList (start, count), FlowEmptyList, FlowPairs: OUTPUT_IS_LIST ·
FlowAnything (value): output of any type
Plain: FlowAdd (a, b) · FlowJoin (a, b) texts · FlowTwo: two outputs · FlowUndeclared: takes **kwargs
Outputs: FlowShow (value): ui {"value": [...]} · FlowShowList: INPUT_IS_LIST · FlowUiAndResult · FlowUiOnly ·
FlowNothing
Lists: FlowSum (values, factor): INPUT_IS_LIST
Lazy: FlowSwitch, FlowSwitchAsync (on, on_true, on_false) · FlowMix (mask, low, high) · FlowUntil (limit, a to d):
several rounds · FlowAsksFor (name, value): asks for the input of that name
Blocked: FlowBlock (value, block, message): silent without message · FlowBlockAll: the whole result ·
FlowBlockOdd (count): a list in which every second item is blocked
Expansion: FlowExpand (value) = value + 1 + 10 · FlowExpandOver (value, limit): only values over the limit ·
FlowCountDown (value, times): by recursion · FlowWhileOpen, FlowWhileClose: a loop over what stands between them ·
FlowWhile (…): the loop's test · FlowExpandOutput: brings an output node · FlowExpandFailing: a node that raises ·
FlowExpandShown: shown as another node · FlowExpandDuplicate (id) · FlowExpandCycle · FlowExpandOntoItself ·
FlowExpandUnknown: a class that no pack has · FlowExpandConstant: a result that is no link
Async: FlowMeet (value, group, size): waits until `size` of the group are running · FlowMeetThreads: the same with
threads · FlowAsyncFail
IS_CHANGED: FlowChangedBy (value, version) · FlowChangedAlways: NaN · FlowChangedRaises · FlowChangedAsync
VALIDATE_INPUTS: FlowChecked (value): under 100 · FlowCheckedAsync · FlowCheckedAll: **kwargs · FlowCheckedTypes:
input_types · FlowRefuses: False
Hidden: FlowHidden: ui of all of them · FlowDynamicPrompt: DYNPROMPT · FlowRawLink (value): rawLink ·
FlowHiddenInput (value): a hidden name of no known kind, which is passed only when the prompt sets it
State: FlowNotIdempotent · FlowRemembers: counts on its instance
Trouble: FlowFail (value, message) · FlowWrongReturn · FlowOutOfMemory (group, times): MemoryError so often ·
FlowProgress (steps): with a preview at each · FlowUntilStopped: works until it is interrupted
"""

import asyncio
import json
import threading
from collections import Counter, defaultdict

CALLS = []
FAILURES = Counter()
ENTERED = defaultdict(int)
STARTED = threading.Event()
PATIENCE = 20  # seconds after which a meeting counts as failed
_ENTERING = threading.Condition()


class AnyType(str):
    """A type name that differs from none, as packs write it."""

    def __ne__(self, other):
        return False

    __eq__ = str.__eq__
    __hash__ = str.__hash__


ANY = AnyType("*")


class _Node:
    """What most of the nodes below have in common."""

    CATEGORY = "flow"
    FUNCTION = "run"
    RETURN_TYPES = ("INT",)
    REQUIRED = {}
    OPTIONAL = {}
    HIDDEN = {}

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": cls.REQUIRED, "optional": cls.OPTIONAL, "hidden": cls.HIDDEN}

    def called(self, *arguments):
        CALLS.append((type(self).__name__, *arguments))


INT = ("INT", {"default": 0, "min": -(10**9), "max": 10**9})
LAZY_INT = ("INT", {"default": 0, "lazy": True})
TEXT = ("STRING", {"default": ""})
FORCED = ("INT", {"forceInput": True})


# Sources


class FlowInt(_Node):
    REQUIRED = {"value": INT}

    def run(self, value):
        self.called(value)
        return (value,)


class FlowText(_Node):
    REQUIRED = {"value": TEXT}
    RETURN_TYPES = ("STRING",)

    def run(self, value):
        self.called(value)
        return (value,)


class FlowList(_Node):
    REQUIRED = {"start": INT, "count": INT}
    OUTPUT_IS_LIST = (True,)

    def run(self, start, count):
        self.called(start, count)
        return (list(range(start, start + count)),)


class FlowEmptyList(_Node):
    OUTPUT_IS_LIST = (True,)

    def run(self):
        self.called()
        return ([],)


class FlowPairs(_Node):
    """A list of texts, and beside it one number that is no list."""

    REQUIRED = {"count": INT}
    RETURN_TYPES = ("STRING", "INT")
    RETURN_NAMES = ("names", "count")
    OUTPUT_IS_LIST = (True, False)

    def run(self, count):
        self.called(count)
        return ([chr(ord("a") + index) for index in range(count)], count)


class FlowAnything(_Node):
    REQUIRED = {"value": (ANY, {})}
    RETURN_TYPES = (ANY,)
    RETURN_NAMES = ("anything",)

    def run(self, value):
        self.called(value)
        return (value,)


# Plain


class FlowAdd(_Node):
    REQUIRED = {"a": INT, "b": INT}

    def run(self, a, b):
        self.called(a, b)
        return (a + b,)


class FlowJoin(_Node):
    REQUIRED = {"a": TEXT, "b": TEXT}
    RETURN_TYPES = ("STRING",)

    def run(self, a, b):
        self.called(a, b)
        return (a + b,)


class FlowTwo(_Node):
    REQUIRED = {"value": INT}
    RETURN_TYPES = ("INT", "INT")
    RETURN_NAMES = ("less", "more")

    def run(self, value):
        self.called(value)
        return (value - 1, value + 1)


class FlowUndeclared(_Node):
    """The names and values of all it is given, declared or not."""

    REQUIRED = {"value": INT}
    RETURN_TYPES = ("STRING",)

    def run(self, **inputs):
        self.called(tuple(sorted(inputs)))
        return (json.dumps(inputs, sort_keys=True),)


# Outputs


class FlowShow(_Node):
    REQUIRED = {"value": (ANY, {})}
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, value):
        self.called(value)
        return {"ui": {"value": [value]}}


class FlowShowList(_Node):
    REQUIRED = {"value": (ANY, {})}
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    INPUT_IS_LIST = True

    def run(self, value):
        self.called(tuple(value))
        return {"ui": {"value": list(value)}}


class FlowUiAndResult(_Node):
    REQUIRED = {"value": INT}
    OUTPUT_NODE = True

    def run(self, value):
        self.called(value)
        return {"ui": {"text": [str(value)], "twice": [2 * value]}, "result": (value + 1,)}


class FlowUiOnly(_Node):
    """Declares an output that it does not give."""

    REQUIRED = {"value": INT}
    OUTPUT_NODE = True

    def run(self, value):
        self.called(value)
        return {"ui": {"text": [str(value)]}}


class FlowNothing(_Node):
    REQUIRED = {"value": (ANY, {})}
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    def run(self, value):
        self.called(value)


# Lists


class FlowSum(_Node):
    REQUIRED = {"values": FORCED, "factor": INT}
    INPUT_IS_LIST = True

    def run(self, values, factor):
        self.called(tuple(values), tuple(factor))
        return (sum(values) * factor[0],)


# Lazy


class FlowSwitch(_Node):
    REQUIRED = {"on": ("BOOLEAN", {"default": True}), "on_true": LAZY_INT, "on_false": LAZY_INT}

    def check_lazy_status(self, on, on_true=None, on_false=None):
        if on and on_true is None:
            return ["on_true"]
        if not on and on_false is None:
            return ["on_false"]
        return []

    def run(self, on, on_true=None, on_false=None):
        self.called(on, on_true, on_false)
        return (on_true if on else on_false,)


class FlowSwitchAsync(FlowSwitch):
    async def check_lazy_status(self, on, on_true=None, on_false=None):
        await asyncio.sleep(0)
        return super().check_lazy_status(on, on_true, on_false)


class FlowMix(_Node):
    """`low` at mask 0, `high` at mask 1; between them it needs both."""

    REQUIRED = {"mask": ("FLOAT", {"default": 0.5}), "low": LAZY_INT, "high": LAZY_INT}
    RETURN_TYPES = ("FLOAT",)

    def check_lazy_status(self, mask, low, high):
        needed = []
        if low is None and mask < 1:
            needed.append("low")
        if high is None and mask > 0:
            needed.append("high")
        return needed

    def run(self, mask, low, high):
        self.called(mask, low, high)
        return ((low or 0) * (1 - mask) + (high or 0) * mask,)


class FlowUntil(_Node):
    """Asks for one input after the other until their sum reaches the limit."""

    REQUIRED = {"limit": INT}
    OPTIONAL = dict.fromkeys("abcd", LAZY_INT)

    def check_lazy_status(self, limit, **inputs):
        total = 0
        for name in sorted(inputs):
            if inputs[name] is None:
                return [name]
            total += inputs[name]
            if total >= limit:
                break
        return None

    def run(self, limit, **inputs):
        self.called(limit, tuple(sorted(name for name in inputs if inputs[name] is not None)))
        return (sum(value for value in inputs.values() if value is not None),)


class FlowAsksFor(_Node):
    REQUIRED = {"name": TEXT}
    OPTIONAL = {"value": LAZY_INT}

    def check_lazy_status(self, name, value=None):
        return [name]

    def run(self, name, value=None):
        self.called(name, value)
        return (value,)


# Blocked


class FlowBlock(_Node):
    REQUIRED = {"value": (ANY, {}), "block": ("BOOLEAN", {"default": True})}
    OPTIONAL = {"message": TEXT}
    RETURN_TYPES = (ANY,)

    def run(self, value, block, message=""):
        from comfy_execution.graph import ExecutionBlocker

        self.called(value, block)
        return (ExecutionBlocker(message or None) if block else value,)


class FlowBlockAll(_Node):
    REQUIRED = {"value": INT}
    RETURN_TYPES = ("INT", "INT")

    def run(self, value):
        from comfy_execution.graph_utils import ExecutionBlocker

        self.called(value)
        return ExecutionBlocker("nothing of this" if value else None)


class FlowBlockOdd(_Node):
    REQUIRED = {"count": INT}
    OUTPUT_IS_LIST = (True,)

    def run(self, count):
        from comfy_execution.graph import ExecutionBlocker

        self.called(count)
        return ([ExecutionBlocker(None) if index % 2 else index for index in range(count)],)


# Expansion


class FlowExpand(_Node):
    REQUIRED = {"value": INT}

    def run(self, value):
        from comfy_execution.graph_utils import GraphBuilder

        self.called(value)
        graph = GraphBuilder()
        first = graph.node("FlowAdd", a=value, b=1)
        second = graph.node("FlowAdd", a=first.out(0), b=10)
        return {"result": (second.out(0),), "expand": graph.finalize()}


class FlowExpandOver(_Node):
    REQUIRED = {"value": INT, "limit": INT}

    def run(self, value, limit):
        from comfy_execution.graph_utils import GraphBuilder

        self.called(value, limit)
        if value <= limit:
            return (value,)
        graph = GraphBuilder()
        added = graph.node("FlowAdd", a=value, b=100)
        return {"result": (added.out(0),), "expand": graph.finalize()}


class FlowCountDown(_Node):
    """Adds 1 `times` times, each in a node of its own that the one before made."""

    REQUIRED = {"value": INT, "times": INT}

    def run(self, value, times):
        from comfy_execution.graph_utils import GraphBuilder

        self.called(value, times)
        if times <= 0:
            return (value,)
        graph = GraphBuilder()
        added = graph.node("FlowAdd", a=value, b=1)
        rest = graph.node("FlowCountDown", value=added.out(0), times=times - 1)
        return {"result": (rest.out(0),), "expand": graph.finalize()}


class FlowWhileOpen(_Node):
    """The start of a loop: its own link, and the value of this round."""

    REQUIRED = {"value": INT}
    RETURN_TYPES = ("FLOW", "INT")

    def run(self, value):
        self.called(value)
        return ("flow", value)


class FlowWhile(_Node):
    """Whether a loop goes on: while the value is under the limit."""

    REQUIRED = {"value": INT, "limit": INT}
    RETURN_TYPES = ("BOOLEAN",)

    def run(self, value, limit):
        self.called(value, limit)
        return (value < limit,)


class FlowWhileClose(_Node):
    """The end of a loop: while `again` it makes everything between the two once more, fed with `value`."""

    REQUIRED = {
        "flow": ("FLOW", {"rawLink": True}),
        "again": ("BOOLEAN", {"forceInput": True}),
        "value": FORCED,
    }
    HIDDEN = {"prompt": "DYNPROMPT", "unique_id": "UNIQUE_ID"}

    def run(self, flow, again, value, prompt, unique_id):
        from comfy_execution.graph_utils import GraphBuilder, is_link

        self.called(again, value)
        if not again:
            return (value,)
        start = flow[0]
        inside = self.between(start, unique_id, prompt)
        graph = GraphBuilder()
        for node_id in sorted(inside):
            node = graph.node(prompt.get_node(node_id)["class_type"], "again" if node_id == unique_id else node_id)
            node.set_override_display_id(node_id)
        copies = {node_id: graph.lookup_node("again" if node_id == unique_id else node_id) for node_id in inside}
        for node_id, copy in copies.items():
            for name, given in prompt.get_node(node_id)["inputs"].items():
                own = is_link(given) and given[0] in copies
                copy.set_input(name, copies[given[0]].out(given[1]) if own else given)
        copies[start].set_input("value", value)
        return {"result": (copies[unique_id].out(0),), "expand": graph.finalize()}

    def between(self, start, end, prompt):
        """The nodes on a way from start to end, both included."""
        from comfy_execution.graph_utils import is_link

        readers, seen, waiting = defaultdict(set), {end}, [end]
        while waiting:
            node_id = waiting.pop()
            for given in prompt.get_node(node_id)["inputs"].values():
                if is_link(given):
                    readers[given[0]].add(node_id)
                    if given[0] not in seen and given[0] != start:
                        waiting.append(given[0])
                    seen.add(given[0])
        inside, waiting = {start}, [start]
        while waiting:
            new = readers[waiting.pop()] - inside
            inside |= new
            waiting.extend(new)
        return inside


class FlowExpandOutput(_Node):
    REQUIRED = {"value": INT}

    def run(self, value):
        from comfy_execution.graph_utils import GraphBuilder

        self.called(value)
        graph = GraphBuilder()
        added = graph.node("FlowAdd", a=value, b=1)
        graph.node("FlowShow", "show", value=added.out(0))
        return {"result": (added.out(0),), "expand": graph.finalize()}


class FlowExpandFailing(_Node):
    REQUIRED = {"message": TEXT}

    def run(self, message):
        from comfy_execution.graph_utils import GraphBuilder

        self.called(message)
        graph = GraphBuilder()
        failing = graph.node("FlowFail", value=1, message=message)
        return {"result": (failing.out(0),), "expand": graph.finalize()}


class FlowExpandShown(_Node):
    """Its child is shown as the node `shown_as`."""

    REQUIRED = {"value": INT, "shown_as": TEXT}

    def run(self, value, shown_as):
        from comfy_execution.graph_utils import GraphBuilder

        self.called(value)
        graph = GraphBuilder()
        added = graph.node("FlowAdd", a=value, b=1)
        added.set_override_display_id(shown_as)
        return {"result": (added.out(0),), "expand": graph.finalize()}


class FlowExpandDuplicate(_Node):
    """Expands into a node with an id of the user's choice, such as one that is taken."""

    REQUIRED = {"id": TEXT}

    def run(self, id):
        self.called(id)
        return {"result": ([id, 0],), "expand": {id: {"class_type": "FlowInt", "inputs": {"value": 1}}}}


class FlowExpandCycle(_Node):
    """Expands into two nodes that read each other."""

    REQUIRED = {"value": INT}

    def run(self, value):
        from comfy_execution.graph_utils import GraphBuilder

        self.called(value)
        graph = GraphBuilder()
        first = graph.node("FlowAdd", a=value)
        second = graph.node("FlowAdd", a=first.out(0), b=1)
        first.set_input("b", second.out(0))
        return {"result": (second.out(0),), "expand": graph.finalize()}


class FlowExpandOntoItself(_Node):
    """Expands into a node that reads the node that made it."""

    REQUIRED = {"value": INT}
    HIDDEN = {"unique_id": "UNIQUE_ID"}

    def run(self, value, unique_id):
        from comfy_execution.graph_utils import GraphBuilder

        self.called(value)
        graph = GraphBuilder()
        added = graph.node("FlowAdd", a=value, b=[unique_id, 0])
        return {"result": (added.out(0),), "expand": graph.finalize()}


class FlowExpandUnknown(_Node):
    REQUIRED = {"value": INT}

    def run(self, value):
        from comfy_execution.graph_utils import GraphBuilder

        self.called(value)
        graph = GraphBuilder()
        unknown = graph.node("FlowThatNobodyWrote", value=value)
        return {"result": (unknown.out(0),), "expand": graph.finalize()}


class FlowExpandConstant(_Node):
    """Expands into a node that nothing reads, and gives a plain value beside it."""

    REQUIRED = {"value": INT}

    def run(self, value):
        from comfy_execution.graph_utils import GraphBuilder

        self.called(value)
        graph = GraphBuilder()
        graph.node("FlowAdd", a=value, b=1)
        return {"result": (value,), "expand": graph.finalize()}


# Async


class FlowMeet(_Node):
    REQUIRED = {"value": INT, "group": TEXT, "size": INT}
    WAITING = {}

    async def run(self, value, group, size):
        self.called(value)
        inside, everybody = self.WAITING.setdefault(group, (set(), asyncio.Event()))
        inside.add(object())
        if len(inside) >= size:
            everybody.set()
        await asyncio.wait_for(everybody.wait(), PATIENCE)
        return (value,)


class FlowMeetThreads(_Node):
    REQUIRED = {"value": INT, "group": TEXT, "size": INT}

    def run(self, value, group, size):
        self.called(value)
        with _ENTERING:
            ENTERED[group] += 1
            _ENTERING.notify_all()
            if not _ENTERING.wait_for(lambda: ENTERED[group] >= size, PATIENCE):
                raise TimeoutError(f"{ENTERED[group]} of {size} came")
        return (value,)


class FlowAsyncFail(_Node):
    REQUIRED = {"message": TEXT}

    async def run(self, message):
        self.called(message)
        await asyncio.sleep(0)
        raise ValueError(message)


# IS_CHANGED


class FlowChangedBy(_Node):
    """Runs again when `VERSIONS[version]` differs, which no input shows."""

    REQUIRED = {"value": INT, "version": TEXT}
    VERSIONS = Counter()

    @classmethod
    def IS_CHANGED(cls, value, version):
        return cls.VERSIONS[version]

    def run(self, value, version):
        self.called(value)
        return (value,)


class FlowChangedAlways(_Node):
    REQUIRED = {"value": INT}

    @classmethod
    def IS_CHANGED(cls, value):
        return float("nan")

    def run(self, value):
        self.called(value)
        return (value,)


class FlowChangedRaises(FlowChangedAlways):
    @classmethod
    def IS_CHANGED(cls, value):
        raise RuntimeError("cannot tell")


class FlowChangedAsync(FlowChangedAlways):
    @classmethod
    async def IS_CHANGED(cls, value):
        await asyncio.sleep(0)
        return "the same"


# VALIDATE_INPUTS


class FlowChecked(_Node):
    """Checks `value` itself, so the range of the declaration does not count."""

    REQUIRED = {"value": ("INT", {"default": 0, "min": 50, "max": 60}), "other": INT}

    @classmethod
    def VALIDATE_INPUTS(cls, value):
        return True if value is None or value < 100 else f"{value} is not under 100"

    def run(self, value, other):
        self.called(value, other)
        return (value,)


class FlowCheckedAsync(FlowChecked):
    @classmethod
    async def VALIDATE_INPUTS(cls, value):
        await asyncio.sleep(0)
        return True if value is None or value < 100 else f"{value} is not under 100"


class FlowCheckedAll(FlowChecked):
    @classmethod
    def VALIDATE_INPUTS(cls, **inputs):
        large = sorted(name for name, value in inputs.items() if isinstance(value, int) and value >= 100)
        return f"too large: {large}" if large else True


class FlowCheckedTypes(_Node):
    """Takes a link of any type but STRING."""

    REQUIRED = {"value": INT}
    RETURN_TYPES = (ANY,)

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return "no texts" if input_types.get("value") == "STRING" else True

    def run(self, value):
        self.called(value)
        return (value,)


class FlowRefuses(_Node):
    REQUIRED = {"value": INT}

    @classmethod
    def VALIDATE_INPUTS(cls, value):
        return False

    def run(self, value):
        self.called(value)
        return (value,)


# Hidden


class FlowHidden(_Node):
    """Shows what it was given: ids of the prompt, the extra data, and whether there are tokens, but not which."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    HIDDEN = {
        "me": "UNIQUE_ID",
        "document": "PROMPT",
        "extra": "EXTRA_PNGINFO",
        "token": "AUTH_TOKEN_COMFY_ORG",
        "key": "API_KEY_COMFY_ORG",
        "dynamic": "DYNPROMPT",
    }

    def run(self, me, document, extra, token, key, dynamic):
        self.called(me, token, key)
        return {
            "ui": {
                "id": [me],
                "nodes": sorted(document),
                "extra": [extra],
                "tokens": [token is not None, key is not None],
                "known": [dynamic.has_node(me)],
            }
        }


class FlowDynamicPrompt(_Node):
    REQUIRED = {"value": INT}
    RETURN_TYPES = ("STRING",)
    HIDDEN = {"me": "UNIQUE_ID", "prompt": "DYNPROMPT"}

    def run(self, value, me, prompt):
        facts = {
            "id": me,
            "class": prompt.get_node(me)["class_type"],
            "parent": prompt.get_parent_node_id(me),
            "display": prompt.get_display_node_id(me),
            "real": prompt.get_real_node_id(me),
            "original": me in prompt.get_original_prompt(),
        }
        self.called(me)
        return (json.dumps(facts),)


class FlowRawLink(_Node):
    """The link as a text."""

    REQUIRED = {"value": ("INT", {"rawLink": True, "forceInput": True})}
    RETURN_TYPES = ("STRING",)

    def run(self, value):
        self.called(tuple(value))
        return (json.dumps(value),)


class FlowHiddenInput(_Node):
    """What it is given under the hidden name `more`, which only expansions set."""

    REQUIRED = {"value": INT}
    HIDDEN = {"more": (ANY,)}
    RETURN_TYPES = ("STRING",)

    def run(self, value, **given):
        self.called(value)
        return (json.dumps(given),)


# State


class FlowNotIdempotent(_Node):
    """Two of them with the same inputs are both called."""

    REQUIRED = {"value": INT}
    NOT_IDEMPOTENT = True

    def run(self, value):
        self.called(value)
        return (value,)


class FlowRemembers(_Node):
    """How often this instance was called; instances live as long as their node stays in the prompts."""

    REQUIRED = {"value": INT}

    def __init__(self):
        self.count = 0

    def run(self, value):
        self.count += 1
        self.called(value, self.count)
        return (self.count,)


# Trouble


class FlowFail(_Node):
    REQUIRED = {"value": INT, "message": TEXT}

    def run(self, value, message):
        self.called(value)
        raise ValueError(message)


class FlowWrongReturn(_Node):
    REQUIRED = {"value": INT}

    def run(self, value):
        self.called(value)
        return value


class FlowOutOfMemory(_Node):
    REQUIRED = {"group": TEXT, "times": INT}

    def run(self, group, times):
        self.called(group)
        FAILURES[group] += 1
        if FAILURES[group] <= times:
            raise MemoryError("cannot allocate 1 TB")
        return (FAILURES[group],)


class FlowProgress(_Node):
    REQUIRED = {"steps": INT}

    def run(self, steps):
        from comfy.utils import ProgressBar
        from PIL import Image

        self.called(steps)
        bar = ProgressBar(steps)
        for step in range(steps):
            bar.update_absolute(step + 1, steps, ("JPEG", Image.new("RGB", (64, 32), "red"), 32))
        return (steps,)


class FlowUntilStopped(_Node):
    """Sets `STARTED`, then works until the run is interrupted."""

    REQUIRED = {"value": INT}

    def run(self, value):
        from comfy.model_management import throw_exception_if_processing_interrupted

        self.called(value)
        STARTED.set()
        pause = threading.Event()
        for _ in range(PATIENCE * 1000):
            throw_exception_if_processing_interrupted()
            pause.wait(0.001)
        raise TimeoutError("nobody interrupted it")


NODE_CLASS_MAPPINGS = {
    name: value
    for name, value in list(globals().items())
    if name.startswith("Flow") and isinstance(value, type) and issubclass(value, _Node)
}
NODE_DISPLAY_NAME_MAPPINGS = {"FlowAdd": "Add (flow)"}
