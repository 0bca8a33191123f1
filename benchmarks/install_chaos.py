#!/usr/bin/env python3
"""Installs packs in every way that goes wrong, and looks whether the environment is the same after each.

    python benchmarks/install_chaos.py [--installs 60] [--seed 0]

A fresh virtual environment with small packages of well-known names, a wheelhouse, and an index on this machine
that breaks off in the middle. Each kind of failure comes once, then installs that change packages are killed
(SIGKILL, half of them with pip) at random moments, the last half of them while packages change. After each that
was refused, failed or was killed, `pip freeze` and the bytes of all files of the environment must be those of
before, and no pack and no stage may be left; a killed one is undone by the next command.

Printed: each install with its end and seconds, then how many of each, and what was wrong.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.packs.installing.chaos import SCENARIOS, Chaos, Outcome, Scenario, failing_index, killed


def scenarios(count: int, seed: int, seconds: float) -> list[Scenario]:
    """Each kind once, then kills up to `count`; an undisturbed install takes `seconds`."""
    rng = random.Random(seed)
    found = list(SCENARIOS[:count])
    while len(found) < count:
        late = len(found) % 2 == 0
        after = rng.uniform(0.6 if late else 0.1, 0.95) * seconds
        found.append(killed(after, all_of_it=rng.random() < 0.5))
    return found


def measured(chaos: Chaos) -> float:
    """How many seconds an install takes that nobody disturbs."""
    outcomes = [chaos.run(Scenario("undisturbed", killed(0).words, "installed")) for _ in range(3)]
    if any(outcome.wrong for outcome in outcomes):
        raise SystemExit(outcomes[0].said)
    return min(outcome.seconds for outcome in outcomes)


def _reason(outcome: Outcome) -> str:
    """The first line of what was told, for a refused install."""
    told = [line for line in outcome.said.splitlines() if line.startswith("error:")]
    return f": {told[0].removeprefix('error: ')[:150]}" if told and outcome.ending == "refused" else ""


def main() -> int:
    """Run them all; 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--installs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder))
        with failing_index(chaos.folder / "wheels") as index:
            chaos.index = index
            for scenario in scenarios(arguments.installs, arguments.seed, measured(chaos)):
                outcome = chaos.run(scenario)
                outcomes.append(outcome)
                print(
                    f"{outcome.seconds:6.2f} s  {outcome.ending:9}  {outcome.scenario}{_reason(outcome)}",
                    flush=True,
                )
                for wrong in outcome.wrong:
                    print(f"          WRONG: {wrong}\n{outcome.said}", flush=True)
    counts = Counter(outcome.ending for outcome in outcomes)
    wrong = sum(bool(outcome.wrong) for outcome in outcomes)
    ends = ", ".join(f"{count} {ending}" for ending, count in sorted(counts.items()))
    print(f"{len(outcomes)} installs: {ends}; {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
