"""How packs are imported, as the user has it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImportPolicy:
    """`timeout` is how many seconds the import of a pack may take, None any. `prestartup` are the packs whose
    `prestartup_script.py` is run before; with `every_prestartup` all of them.
    """

    timeout: float | None = 300.0
    prestartup: frozenset[str] = frozenset()
    every_prestartup: bool = False

    def runs_prestartup(self, pack: str) -> bool:
        """Whether the script of a pack is run."""
        return self.every_prestartup or pack in self.prestartup
