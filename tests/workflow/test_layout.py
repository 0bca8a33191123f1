"""Where the boxes of a graph go."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from graphengine.workflow.layout import Layout, layered_layout
from tests.workflow.properties import PATIENT

Links = list[tuple[int, int]]
SIZE = (100.0, 50.0)


def lay(count: int, links: Links) -> Layout[int]:
    return layered_layout(dict.fromkeys(range(count), SIZE), links, gap=(20.0, 10.0))


graphs = st.integers(1, 12).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=30),
    )
)


def test_a_chain_is_a_row() -> None:
    places = lay(3, [(0, 1), (1, 2)]).positions
    assert places == {0: (0.0, 0.0), 1: (120.0, 0.0), 2: (240.0, 0.0)}


def test_a_loader_that_only_the_end_reads_stands_beside_it() -> None:
    places = lay(5, [(0, 1), (1, 2), (2, 3), (4, 3)]).positions
    assert places[4][0] == places[2][0]


def test_a_link_over_several_columns_passes_each_beside_its_boxes() -> None:
    layout = lay(4, [(0, 1), (1, 2), (2, 3), (0, 3)])
    assert [x for x, _ in layout.bends[0, 3]] == [120.0, 220.0, 240.0, 340.0]
    assert layout.bends[0, 3][0][1] not in range(int(layout.positions[1][1]), int(layout.positions[1][1]) + 50)


def test_links_that_cross_in_order_of_declaration_are_uncrossed() -> None:
    places = lay(6, [(0, 5), (1, 4), (2, 3)]).positions
    assert (places[0][1] < places[1][1]) == (places[5][1] < places[4][1])
    crossed = lay(4, [(0, 3), (1, 2), (0, 2), (0, 3), (1, 2)]).positions
    assert (crossed[0][1] < crossed[1][1]) == (crossed[3][1] < crossed[2][1])


def test_a_circle_is_laid_out_as_well() -> None:
    places = lay(3, [(0, 1), (1, 2), (2, 0), (1, 1)]).positions
    assert len({x for x, _ in places.values()}) == 3


def test_links_to_absent_boxes_do_not_matter() -> None:
    assert lay(2, [(0, 1), (0, 7), (9, 1)]).positions == lay(2, [(0, 1)]).positions


def test_no_box_is_no_layout() -> None:
    assert lay(0, []) == Layout({}, {}, (0.0, 0.0))


def test_many_long_links_do_without_bends() -> None:
    count = 400
    layout = lay(count, [(0, n) for n in range(1, count)] + [(n, n + 1) for n in range(1, count - 1)])
    assert len(layout.positions) == count
    assert not layout.bends


@PATIENT
@given(graphs)
def test_boxes_never_overlap_and_all_are_within_the_size(graph: tuple[int, Links]) -> None:
    layout = lay(*graph)
    for (left, top), (other_left, other_top) in combinations(layout.positions.values(), 2):
        assert abs(left - other_left) >= 100 or abs(top - other_top) >= 50 - 1e-6
    for left, top in layout.positions.values():
        assert -1e-6 <= left <= layout.size[0] - 100 + 1e-6
        assert -1e-6 <= top <= layout.size[1] - 50 + 1e-6


@PATIENT
@given(graphs)
def test_links_of_a_graph_without_circles_lead_to_the_right(graph: tuple[int, Links]) -> None:
    count, links = graph
    forward = [(min(link), max(link)) for link in links]
    places = lay(count, forward).positions
    assert all(places[source][0] < places[target][0] for source, target in forward if source != target)
