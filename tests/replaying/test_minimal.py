"""Delta debugging finds the fewest changes that make something bad."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from graphengine.replaying.minimal import Minimizer, Verdict

INDEXES = st.sets(st.integers(0, 30), min_size=1, max_size=4)


@given(st.integers(31, 40), INDEXES)
def test_a_planted_set_is_found(size: int, planted: set[int]) -> None:
    def test(some: Sequence[int]) -> Verdict:
        return "bad" if planted <= set(some) else "good"

    assert Minimizer(range(size), test).causes() == [tuple(sorted(planted))]


@given(st.sets(st.integers(0, 30), max_size=5))
def test_each_of_several_single_causes_is_found(planted: set[int]) -> None:
    def test(some: Sequence[int]) -> Verdict:
        return "bad" if planted & set(some) else "good"

    found = Minimizer(range(31), test).causes()
    assert sorted(found) == [(index,) for index in sorted(planted)]


def test_trials_that_cannot_be_carried_out_hide_nothing() -> None:
    def test(some: Sequence[str]) -> Verdict:
        if "b" in some and "a" not in some:  # b needs a
            return "unclear"
        return "bad" if "b" in some else "good"

    assert Minimizer("abcdef", test).causes() == [("a", "b")]


def test_each_set_is_tried_once_and_told() -> None:
    told: list[tuple[int, str, str, int]] = []

    def test(some: Sequence[str]) -> Verdict:
        return "bad" if "c" in some else "good"

    minimizer = Minimizer(
        "abcd", test, lambda number, some, verdict, left: told.append((number, "".join(some), verdict, left))
    )
    assert minimizer.causes() == [("c",)]
    assert [number for number, *_ in told] == list(range(1, minimizer.trials + 1))
    assert len({some for _, some, *_ in told}) == len(told)
    assert told[0] == (1, "abcd", "bad", 4)
    assert ("c", "bad", 1) in [each[1:] for each in told]


def test_nothing_is_found_where_nothing_is_bad() -> None:
    assert Minimizer("abc", lambda some: "good").causes() == []
    assert Minimizer("", lambda some: "bad").causes() == []
