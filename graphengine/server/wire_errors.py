"""Problems as ComfyUI's error answers: one table of types, and what each error carries.

Types, messages and structure are those that clients know. Where we know more than an exception's text, `details`
says it: the path of a cycle, the node that a link misses.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphengine.errors import Problem
from graphengine.graph.values import coerce
from graphengine.node.definition import Files, InputSpec, NodeDefinition
from graphengine.node.dynamic import live_inputs
from graphengine.node.folders import Folders
from graphengine.node.object_info import definition_to_object_info
from graphengine.workflow.models import Link, NodeId, Workflow

#: Choices up to which an error lists them.
MANY = 20
#: Characters of a value that a text repeats.
LONGEST = 500

# Any: JSON throughout.
Error = dict[str, Any]


def error_answer(type_: str, message: str, details: str = "", node_errors: Error | None = None) -> Error:
    """The body of a refused prompt."""
    error = {"type": type_, "message": message, "details": details, "extra_info": {}}
    return {"error": error, "node_errors": node_errors or {}}


@dataclass(slots=True)
class WireErrors:
    """Writes the problems of one workflow; `raw` is its document as the client sent it."""

    raw: Mapping[str, Any]
    workflow: Workflow
    definitions: Mapping[str, NodeDefinition]
    folders: Folders
    targets: Collection[NodeId]
    _configs: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    _readers: dict[NodeId, tuple[NodeId, str, Any]] = field(default_factory=dict)

    def node_errors(
        self, problems: Sequence[Problem], lost: Mapping[NodeId, Sequence[NodeId]], *, with_cycles: bool
    ) -> Error:
        """The problems by node; `lost` are the outputs that each node's problems cost.

        A cycle belongs to no node, so it is told of here only when the answer has no other place for it
        (`with_cycles`).
        """
        found: Error = {}
        for problem in problems:
            if problem.severity != "error" or problem.node_id is None:
                continue
            if problem.node_id not in self.workflow.nodes or (problem.code == "cycle" and not with_cycles):
                continue
            entry = found.setdefault(
                problem.node_id,
                {
                    "errors": [],
                    "dependent_outputs": list(lost.get(NodeId(problem.node_id), ())),
                    "class_type": self.workflow.nodes[NodeId(problem.node_id)].class_type,
                },
            )
            entry["errors"].extend(self._errors(problem))
        return found

    def details(self, problems: Sequence[Problem], node_errors: Error) -> str:
        """What the answer says at its top: the errors of the outputs themselves, and the paths of cycles."""
        lines = [
            f"{error['message']}: {error['details']}"
            for node_id, entry in node_errors.items()
            if node_id in self.targets
            for error in entry["errors"]
        ]
        circles = [problem for problem in problems if problem.code == "cycle" and problem.severity == "error"]
        return "\n".join([*lines, *(problem.message for problem in circles)])

    def _errors(self, problem: Problem) -> Iterator[Error]:
        build = _BUILDERS.get(problem.code, WireErrors._custom)
        for name in self._input_names(problem):
            yield build(self, problem, name)

    def _input_names(self, problem: Problem) -> Sequence[str]:
        """The inputs that a problem concerns; a node that refused its inputs as a whole refused each it checks."""
        if problem.input_name is not None or problem.code != "refused_by_node":
            return [problem.input_name or ""]
        definition = self._definition(problem)
        named = [name for name in definition.inputs if name in definition.checked_by_node]
        return named or [name for name in definition.inputs if name in self._inputs(problem)] or [""]

    def _missing(self, problem: Problem, name: str) -> Error:
        return _error("required_input_missing", "Required input is missing", name, {"input_name": name})

    def _bad_link(self, problem: Problem, name: str) -> Error:
        message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
        return _error("bad_linked_input", message, name, self._received(problem, name))

    def _mismatch(self, problem: Problem, name: str) -> Error:
        link, wanted = self._inputs(problem).get(name), self._spec(problem, name)
        given = self._type_of(self.workflow.nodes[NodeId(problem.node_id or "")].inputs.get(name))
        extra = {
            "input_name": name,
            "input_config": self._config(problem, name),
            "received_type": given,
            "linked_node": link,
        }
        details = f"{name}, received_type({given}) mismatch input_type({wanted.type if wanted else '*'})"
        return _error("return_type_mismatch", "Return type mismatch between linked nodes", details, extra)

    def _wrong_type(self, problem: Problem, name: str) -> Error:
        value, spec = self._value(problem, name), self._spec(problem, name)
        text = problem.message
        try:
            if spec is not None:
                coerce(spec, value)
        except (ValueError, TypeError, OverflowError) as error:
            text = str(error)
        extra = {**self._received(problem, name), "exception_message": text}
        message = f"Failed to convert an input value to a {spec.type if spec else '*'} value"
        return _error("invalid_input_type", message, f"{name}, {_brief(value)}, {_brief(text)}", extra)

    def _too_small(self, problem: Problem, name: str) -> Error:
        low = self._option(problem, name, "min")
        message = f"Value {self._converted(problem, name)} smaller than min of {low}"
        return _error("value_smaller_than_min", message, name, self._converted_extra(problem, name))

    def _too_large(self, problem: Problem, name: str) -> Error:
        high = self._option(problem, name, "max")
        message = f"Value {self._converted(problem, name)} bigger than max of {high}"
        return _error("value_bigger_than_max", message, name, self._converted_extra(problem, name))

    def _not_in_list(self, problem: Problem, name: str) -> Error:
        config, value = self._config(problem, name) or ["*", {}], self._value(problem, name)
        kind, options = config
        choices = kind if isinstance(kind, list) else list(options.get("options") or ())
        shown = str(choices) if len(choices) <= MANY else f"(list of length {len(choices)})"
        extra = {
            "input_name": name,
            "input_config": config if len(choices) <= MANY else None,
            "received_value": value,
        }
        return _error("value_not_in_list", "Value not in list", f"{name}: '{_brief(value)}' not in {shown}", extra)

    def _file(self, problem: Problem, name: str) -> Error:
        """Model files are choices of a list; pictures are checked by the node that reads them."""
        spec = self._spec(problem, name)
        if spec is not None and isinstance(spec.choices, Files) and spec.choices.kind != "input":
            return self._not_in_list(problem, name)
        return self._custom(problem, name)

    def _custom(self, problem: Problem, name: str) -> Error:
        text = problem.message.removeprefix(f"input {name!r}: ")
        details = f"{name} - {text}" if name else text
        extra = {"input_name": name} if name else {}
        return _error("custom_validation_failed", "Custom validation failed for node", details, extra)

    def _exception(self, problem: Problem, name: str) -> Error:
        """What breaks off the check of a node. It is an inner exception when another node asked for the check."""
        extra: Error = {"exception_type": _EXCEPTIONS.get(problem.code, "ValueError"), "traceback": []}
        text = problem.message
        reader = None if problem.node_id in self.targets else self._reader(problem)
        if reader is None:
            return _error("exception_during_validation", "Exception when validating node", text, extra)
        reader_id, asked, link = reader
        spec = Problem(problem.code, "", reader_id, self.workflow.nodes[reader_id].class_type)
        extra = {
            "input_name": asked,
            "input_config": self._config(spec, asked),
            "exception_message": text,
            **extra,
            "linked_node": link,
        }
        return _error("exception_during_inner_validation", "Exception when validating inner node", text, extra)

    def _reader(self, problem: Problem) -> tuple[NodeId, str, Any] | None:
        """The first node that reads the one with the problem, with its input and the link."""
        if not self._readers:
            for node_id, node in self.workflow.nodes.items():
                for name, value in node.inputs.items():
                    if isinstance(value, Link):
                        self._readers.setdefault(value.source, (node_id, name, self.raw[node_id]["inputs"][name]))
        return self._readers.get(NodeId(problem.node_id or ""))

    def _definition(self, problem: Problem) -> NodeDefinition:
        return self.definitions[self.workflow.nodes[NodeId(problem.node_id or "")].class_type]

    def _spec(self, problem: Problem, name: str) -> InputSpec | None:
        node = self.workflow.nodes[NodeId(problem.node_id or "")]
        return live_inputs(self._definition(problem), node.inputs).get(name)

    def _option(self, problem: Problem, name: str, option: str) -> Any:
        spec = self._spec(problem, name)
        return spec.options.get(option) if spec is not None else None

    def _config(self, problem: Problem, name: str) -> list[Any] | None:
        """The input as `/object_info` describes it: type or choices, and options."""
        spec, definition = self._spec(problem, name), self._definition(problem)
        if spec is None:
            return None
        key = definition.class_type, name
        if key not in self._configs:  # it may list a folder
            described = definition_to_object_info(_only(definition, spec), self.folders)
            config = described["input"]["required" if spec.required else "optional"][name]
            self._configs[key] = config if len(config) > 1 else [*config, {}]
        return self._configs[key]

    def _inputs(self, problem: Problem) -> Mapping[str, Any]:
        inputs = self.raw[problem.node_id or ""].get("inputs")
        return inputs if isinstance(inputs, dict) else {}

    def _value(self, problem: Problem, name: str) -> Any:
        value = self.workflow.nodes[NodeId(problem.node_id or "")].inputs.get(name)
        return self._inputs(problem).get(name) if isinstance(value, Link) else value

    def _received(self, problem: Problem, name: str) -> Error:
        value = self._value(problem, name)
        return {"input_name": name, "input_config": self._config(problem, name), "received_value": value}

    def _converted(self, problem: Problem, name: str) -> Any:
        spec = self._spec(problem, name)
        value = self._value(problem, name)
        return value if spec is None else coerce(spec, value)

    def _converted_extra(self, problem: Problem, name: str) -> Error:
        return {**self._received(problem, name), "received_value": self._converted(problem, name)}

    def _type_of(self, link: object) -> str:
        if not isinstance(link, Link):
            return "*"
        return self.definitions[self.workflow.nodes[link.source].class_type].outputs[link.output].type


#: How each code is written; others are written as a node's own check.
_BUILDERS: Mapping[str, Callable[[WireErrors, Problem, str], Error]] = {
    "missing_input": WireErrors._missing,
    "bad_link": WireErrors._bad_link,
    "type_mismatch": WireErrors._mismatch,
    "wrong_type": WireErrors._wrong_type,
    "too_small": WireErrors._too_small,
    "too_large": WireErrors._too_large,
    "not_in_list": WireErrors._not_in_list,
    "missing_file": WireErrors._file,
    "missing_model": WireErrors._file,
    "file_refused": WireErrors._file,
    "missing_node": WireErrors._exception,
    "missing_output": WireErrors._exception,
    "no_inputs": WireErrors._exception,
    "cycle": WireErrors._exception,
    "check_failed": WireErrors._exception,
    "refused_by_node": WireErrors._custom,
}
#: The exceptions that clients know for what breaks off a check.
_EXCEPTIONS = {
    "missing_node": "KeyError",
    "no_inputs": "KeyError",
    "missing_output": "IndexError",
    "cycle": "RecursionError",
}


def _only(definition: NodeDefinition, spec: InputSpec) -> NodeDefinition:
    """The definition with one input; describing all of them would list every folder."""
    return NodeDefinition(definition.class_type, {spec.name: spec}, ())


def _brief(value: object) -> str:
    """The value in a text; what is too long for one is cut."""
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _error(type_: str, message: str, details: str, extra: Error) -> Error:
    return {"type": type_, "message": message, "details": details, "extra_info": extra}
