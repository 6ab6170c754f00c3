from streamer.media.playback.video_frames import VideoFrame
from streamer.targets.matches import Found, Match, in_reading_order
from streamer.targets.query import Query
from streamer.watch.region import Region
from tests.support.video_frames import video_frame

FRAME = video_frame(width=100, height=200)


class Boxes:
    """Finds boxes of ten pixels at given places, wherever they lie wholly in the part to look at."""

    def __init__(self, name: str, *places: tuple[int, int]) -> None:
        self.name = name
        self._places = places

    def find(self, frame: VideoFrame, within: Region | None) -> Found:
        left, top, right, bottom = (within or Region(0, 0, 1.0, 1.0)).pixels(frame.width, frame.height)
        inside = [(x, y) for x, y in self._places if left <= x <= right - 10 and top <= y <= bottom - 10]
        matches = [Match(region=Region(x, y, 10, 10), score=0.9, frame=frame) for x, y in inside]
        return Found(in_reading_order(matches), nearby=() if matches else ("other",))


def places(query: Query) -> list[tuple[int, int]]:
    return [match.center for match in query.look(FRAME).found.matches]


def test_matches_are_in_reading_order() -> None:
    query = Query(Boxes("box", (50, 103), (10, 100), (70, 20), (10, 23)))
    assert places(query) == [(15, 28), (75, 25), (15, 105), (55, 108)]


def test_one_of_several_is_chosen_by_its_number() -> None:
    boxes = Boxes("box", (10, 10), (10, 50), (10, 90))
    assert places(Query(boxes, 0)) == [(15, 15)]
    assert places(Query(boxes, -1)) == [(15, 95)]
    assert places(Query(boxes, 1)) == [(15, 55)]
    sight = Query(boxes, 3).look(FRAME)
    assert sight.found.matches == ()
    assert sight.count == 3
    assert places(Query(boxes, -4)) == []


def test_it_is_looked_for_within_a_region() -> None:
    boxes = Boxes("box", (10, 10), (10, 150))
    assert places(Query(boxes, within=Region(0.0, 0.5, 1.0, 0.5))) == [(15, 155)]


def test_it_is_looked_for_within_another_target() -> None:
    class Dialog(Boxes):
        def find(self, frame: VideoFrame, within: Region | None) -> Found:
            region = Region(0, 100, 100, 60)
            return Found((Match(region=region, score=1.0, frame=frame),))

    boxes = Boxes("box", (10, 10), (10, 120), (10, 170))
    assert places(Query(boxes, within=Query(Dialog("dialog")))) == [(15, 125)]


def test_a_target_around_it_that_is_not_there_once_is_what_is_told() -> None:
    for around in (Query(Boxes("dialog")), Query(Boxes("dialog", (0, 0), (50, 0)))):
        sight = Query(Boxes("box", (10, 10)), within=around).look(FRAME)
        assert sight.query is around


def test_names_say_which_one_is_meant() -> None:
    boxes = Boxes("box.png")
    assert Query(boxes).name == "box.png"
    assert Query(boxes, 0).name == "the first box.png"
    assert Query(boxes, -1).name == "the last box.png"
    assert Query(boxes, 2).name == "number 2 of box.png"
    assert Query(boxes, 0, Query(Boxes("dialog.png"))).name == "the first box.png within dialog.png"
    assert Query(boxes, within=Region(0, 0, 10, 20)).name == "box.png within 10x20 at (0, 0)"


def test_a_match_says_where_and_how_well() -> None:
    match = Match(region=Region(10, 20, 8, 8), score=0.831, frame=FRAME)
    assert str(match) == "0.83 at (14, 24)"
    assert str(Match(region=Region(10, 20, 8, 8), score=0.831, text="Sign up", frame=FRAME)) == (
        '"Sign up" at (14, 24), 0.83'
    )
