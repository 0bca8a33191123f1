"""How a run is carried out: how much at once, how long a node may take, how often it is tried."""

from dataclasses import dataclass

from graphengine.errors import SettingsError
from graphengine.node.api import PreviewMethod


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`jobs` nodes run at once, coroutines not counted.

    A node that takes longer than `node_timeout` seconds fails; one that raises is called again, `retries` times at
    most. `previews` is how samplers show their steps.

    Raises:
        SettingsError: a value is out of range.
    """

    jobs: int = 1
    node_timeout: float | None = None
    retries: int = 0
    previews: PreviewMethod = "auto"

    def __post_init__(self) -> None:
        if not 1 <= self.jobs <= 256:
            raise SettingsError(f"cannot run {self.jobs} jobs at once", hint="use a number from 1 to 256")
        if self.node_timeout is not None and not self.node_timeout > 0:
            raise SettingsError(f"a node cannot take {self.node_timeout} seconds", hint="use more than 0 seconds")
        if not 0 <= self.retries <= 100:
            raise SettingsError(f"cannot retry {self.retries} times", hint="use a number from 0 to 100")
