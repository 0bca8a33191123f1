"""A small run of benchmarks/install_chaos.py: after each failure and each kill everything is as before."""

import pytest

from tests.packs.installing.chaos import SCENARIOS, Chaos, Scenario, failing_index, killed

SOME = ("numpy would be older", "install.py fails after packages changed", "network is lost in the middle")


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Chaos:
    return Chaos(tmp_path_factory.mktemp("chaos"))


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.name in SOME], ids=lambda scenario: scenario.name)
def test_a_refused_install_leaves_the_environment_as_it_was(chaos: Chaos, scenario: Scenario) -> None:
    with failing_index(chaos.folder / "wheels") as index:
        chaos.index = index
        outcome = chaos.run(scenario)
    assert (outcome.ending, outcome.wrong) == ("refused", ()), outcome.said


@pytest.mark.parametrize("seconds", [1.0, 2.0, 3.0])
def test_a_killed_install_is_undone_by_the_next_command(chaos: Chaos, seconds: float) -> None:
    outcome = chaos.run(killed(seconds, all_of_it=seconds == 2.0))
    assert outcome.wrong == (), outcome.said
