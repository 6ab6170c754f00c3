"""What the people at a page do reaches the phone, in the order in which they do it."""

from collections.abc import AsyncIterator

import pytest

from streamer.viewer.hands import WAITING_LIMIT, Hands
from streamer.viewer.messages import Motion, Press, RefusedError, Touch, Type
from tests.support.unconnected_phone import Link, UnconnectedPhone, places
from tests.support.waiting import until

DOWN, UP, MOVE = 0, 1, 2


class Person:
    """A phone, the hands of a page, and the errors that the page gets."""

    def __init__(self) -> None:
        self.phone = UnconnectedPhone()
        self.errors: list[str] = []
        self.hands = Hands(self.phone.session, self._hear)

    async def _hear(self, error: Exception) -> None:
        self.errors.append(str(error))

    def touch(self, motion: Motion, x: float, y: float, finger: int = 0) -> None:
        self.hands.do(Touch(finger, motion, x, y))


@pytest.fixture
async def person() -> AsyncIterator[Person]:
    person = Person()
    async with person.hands:
        yield person


async def test_a_finger_goes_where_the_page_says(person: Person) -> None:
    person.touch("down", 0.25, 0.5)
    person.touch("move", 0.5, 0.5)
    person.touch("up", 0.75, 1.0)
    await until(lambda: len(person.phone.touches) == 4)
    expected = [(DOWN, 0.25, 0.5), (MOVE, 0.5, 0.5), (MOVE, 0.75, 1.0), (UP, 0.75, 1.0)]
    assert places(person.phone.touches) == expected


async def test_two_fingers_are_two_on_the_phone(person: Person) -> None:
    person.touch("down", 0.25, 0.5, finger=4)
    person.touch("down", 0.75, 0.5, finger=9)
    await until(lambda: len(person.phone.touches) == 2)
    assert len({finger for _, finger, *_ in person.phone.touches}) == 2
    person.touch("up", 0.25, 0.5, finger=4)
    await until(lambda: person.phone.touches[-1][0] == UP)
    assert person.phone.touches[-1][1] == person.phone.touches[0][1]


async def test_a_finger_goes_down_again_after_it_has_gone_up(person: Person) -> None:
    for x in (0.25, 0.75):
        person.touch("down", x, 0.5)
        person.touch("up", x, 0.5)
    await until(lambda: len(person.phone.touches) == 6)
    actions = [(action, x) for action, x, _ in places(person.phone.touches) if action != MOVE]
    assert actions == [(DOWN, 0.25), (UP, 0.25), (DOWN, 0.75), (UP, 0.75)]


async def test_a_finger_that_goes_down_twice_is_lifted_first(person: Person) -> None:
    person.touch("down", 0.25, 0.5)
    person.touch("down", 0.75, 0.5)
    await until(lambda: len(person.phone.touches) == 3)
    assert [(action, x) for action, x, _ in places(person.phone.touches)] == [(DOWN, 0.25), (UP, 0.25), (DOWN, 0.75)]


async def test_a_finger_that_is_not_down_does_nothing(person: Person) -> None:
    person.touch("move", 0.25, 0.5)
    person.touch("up", 0.25, 0.5)
    person.touch("down", 0.75, 0.5)
    await until(lambda: person.phone.touches)
    assert places(person.phone.touches) == [(DOWN, 0.75, 0.5)]


async def test_a_page_that_is_closed_lifts_its_fingers() -> None:
    person = Person()
    async with person.hands:
        person.touch("down", 0.25, 0.5)
        await until(lambda: person.phone.touches)
    assert places(person.phone.touches) == [(DOWN, 0.25, 0.5), (UP, 0.25, 0.5)]


async def test_keys_and_texts_come_in_their_order(person: Person) -> None:
    for item in (Press("A", ("SHIFT",)), Type("hi"), Press("ENTER")):
        person.hands.do(item)
    await until(lambda: len(person.phone.keys) == 5)
    shift, a, h, i, enter = 59, 29, 36, 37, 66
    assert person.phone.keys == [(shift, 1), (a, 1), (h, 0), (i, 0), (enter, 0)]


async def test_what_the_phone_refuses_is_told_and_the_hands_go_on(person: Person) -> None:
    for item in (Press("NO_KEY"), Type("é"), Press("HOME")):
        person.hands.do(item)
    await until(lambda: person.phone.keys == [(3, 0)])
    refused_key, refused_text = person.errors
    assert "NO_KEY" in refused_key
    assert "type" in refused_text


async def test_a_finger_whose_connection_is_lost_waits_for_its_next_way_down(person: Person) -> None:
    person.touch("down", 0.25, 0.5)
    await until(lambda: person.phone.touches)
    second = Link()
    person.phone.replace_link(second)
    for motion in ("move", "move", "up"):
        person.touch(motion, 0.5, 0.5)
    await until(lambda: person.errors)
    person.touch("down", 0.75, 0.5)
    await until(lambda: len(second.inputs) >= 2)
    assert len(person.errors) == 1
    assert "lost" in person.errors[0]


async def test_what_is_too_much_is_refused_but_places_on_the_way_are_left_out(person: Person) -> None:
    person.phone.replace_link(None)
    for _ in range(WAITING_LIMIT):
        person.hands.do(Press("A"))
    with pytest.raises(RefusedError, match="the phone is slower than the hands"):
        person.hands.do(Press("A"))
    for _ in range(2 * WAITING_LIMIT):
        person.touch("move", 0.5, 0.5)
    with pytest.raises(RefusedError, match="the phone is slower than the hands"):
        person.touch("up", 0.5, 0.5)
