"""Uploads wait in a queue that has an end."""

from threading import Event

from graphengine.cache.remote_uploads import Upload, Uploads


def test_all_that_was_added_is_sent() -> None:
    sent: list[int] = []
    uploads = Uploads(100, 100)
    for number in range(50):
        assert uploads.add(Upload(lambda number=number: sent.append(number)))  # type: ignore[misc]  # bound now
    assert uploads.finish(10) == 0
    assert sorted(sent) == list(range(50))


def test_so_many_wait_and_no_more() -> None:
    released = Event()
    uploads = Uploads(5, 10**6)
    assert [uploads.add(Upload(released.wait)) for _ in range(6)] == [True] * 5 + [False]
    released.set()
    assert uploads.finish(10) == 0
    assert uploads.add(Upload(lambda: None))
    assert uploads.finish(10) == 0


def test_so_many_bytes_wait_and_one_that_is_larger_goes_alone() -> None:
    released = Event()
    uploads = Uploads(100, 10)
    assert uploads.add(Upload(released.wait, 50))
    assert not uploads.add(Upload(lambda: None, 1))
    released.set()
    assert uploads.finish(10) == 0
    assert uploads.add(Upload(lambda: None, 6))


def test_what_is_not_sent_in_time_is_given_up_and_counted() -> None:
    released = Event()
    sent: list[int] = []
    uploads = Uploads(100, 100)
    for _ in range(4):
        uploads.add(Upload(released.wait, 10))
    uploads.add(Upload(lambda: sent.append(1), 10))
    assert uploads.finish(0) == 5
    released.set()
    assert uploads.finish(10) == 0
    assert sent == []
    assert uploads.add(Upload(lambda: sent.append(2), 100))
    assert uploads.finish(10) == 0
    assert sent == [2]
