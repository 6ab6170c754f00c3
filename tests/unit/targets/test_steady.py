from streamer.targets.matches import Match
from streamer.targets.steady import QUIET_NS, STEADY_NS, Steadiness
from streamer.watch.region import Region
from tests.support.video_frames import video_frame

MS = 1_000_000


def at(x: int) -> Match:
    return Match(region=Region(x, 0, 8, 8), score=1.0, frame=video_frame(width=1024))


def test_a_place_is_steady_once_the_whole_screen_has_rested() -> None:
    steady = Steadiness()
    steady.change(0)
    steady.receive([at(8)], 0)
    assert not steady.is_steady(QUIET_NS - 1)
    assert steady.is_steady(QUIET_NS)


def test_on_a_screen_that_moves_elsewhere_a_place_is_steady_later() -> None:
    steady = Steadiness()
    for time_ns in range(0, STEADY_NS, 16 * MS):
        steady.change(time_ns)
        steady.receive([at(8)], time_ns)
        assert not steady.is_steady(time_ns)
    assert steady.is_steady(STEADY_NS)


def test_a_place_that_moves_is_not_steady() -> None:
    steady = Steadiness()
    for step in range(100):
        steady.change(step * 16 * MS)
        steady.receive([at(3 * step)], step * 16 * MS)
        assert not steady.is_steady(step * 16 * MS)


def test_a_place_that_trembles_by_a_pixel_is_steady() -> None:
    steady = Steadiness()
    steady.receive([at(8)], 0)
    steady.receive([at(9)], 50 * MS)
    assert steady.is_steady(QUIET_NS)


def test_another_number_of_places_begins_anew_and_no_place_is_never_steady() -> None:
    steady = Steadiness()
    steady.receive([at(8)], 0)
    steady.receive([at(8), at(32)], 50 * MS)
    assert not steady.is_steady(QUIET_NS)
    assert steady.is_steady(50 * MS + QUIET_NS)
    steady.receive([], 200 * MS)
    assert not steady.is_steady(10_000 * MS)
