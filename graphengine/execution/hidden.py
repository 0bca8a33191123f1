"""Hidden inputs: values a node asks for by type and no user can set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from graphengine.execution.dynamic_prompt import DynamicPrompt
from graphengine.node.api import CONTEXT, NodeContext
from graphengine.node.definition import NodeDefinition

_KINDS = frozenset(
    {"UNIQUE_ID", "PROMPT", "DYNPROMPT", "EXTRA_PNGINFO", "AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG", CONTEXT}
)
#: Under which name outputs carry the id of their run: `{"run": ID}`.
RUN_METADATA = "graphengine"
_SECRETS = ("AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG")


@dataclass(frozen=True, slots=True)
class RunExtra:
    """What a caller hands to a run beside the workflow.

    `prompt_id` names the run, `extra_pnginfo` is what saved pictures carry beside the prompt, by default the
    editor's document. `secrets` are tokens by hidden type; they reach nodes that ask for them and nothing else.

    `run_id` is the run's id in the project's history, which saved pictures carry too; `file` is the workflow's,
    `parameters` are the inputs that were set for this run, by "NODE.INPUT", and `replay_of` is the id of the run
    that this one repeats. With `strip_metadata`, which the engine sets, pictures carry none of it
    and no workflow.
    """

    prompt_id: str = ""
    # Any: open-ended documents that are passed on.
    extra_pnginfo: Mapping[str, Any] | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    run_id: str = ""
    file: Path | None = None
    parameters: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    replay_of: str | None = None
    strip_metadata: bool = False


@dataclass(frozen=True, slots=True)
class HiddenValues:
    """Makes the hidden inputs of a run's nodes."""

    prompt: DynamicPrompt
    extra: RunExtra = RunExtra()

    def of(self, context: NodeContext, definition: NodeDefinition) -> dict[str, object]:
        """The hidden inputs of one node, by the name its class gives them; unknown kinds are left out."""
        return {name: self._value(kind, context) for name, kind in definition.hidden.items() if kind in _KINDS}

    def _value(self, kind: str, context: NodeContext) -> object:
        match kind:
            case "UNIQUE_ID":
                return context.node_id
            case "PROMPT":
                return None if self.extra.strip_metadata else self.prompt.open.api
            case "DYNPROMPT":
                return self.prompt
            case "EXTRA_PNGINFO":
                return self._extra_pnginfo()
            case _ if kind in _SECRETS:
                return self.extra.secrets.get(kind)
            case _:
                return context

    # Any: open-ended documents that are passed on.
    def _extra_pnginfo(self) -> Mapping[str, Any]:
        if self.extra.strip_metadata:
            return {}
        drawn = self.prompt.open.drawn
        info: dict[str, Any] = {} if drawn is None else {"workflow": drawn}
        if self.extra.extra_pnginfo is not None:
            given = self.extra.extra_pnginfo
            info = {name: self._open(value) for name, value in given.items()}
        if self.extra.run_id:
            info[RUN_METADATA] = {"run": self.extra.run_id}
        return info

    # Any: as above.
    def _open(self, document: Any) -> Any:
        """A document of a caller without secrets."""
        return self.prompt.open.of_editor(document) if isinstance(document, Mapping) else document
