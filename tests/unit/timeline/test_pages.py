"""The data of a page: all that the page needs, and nothing that ends its script."""

import json
import re
from typing import Any

from streamer.timeline.comparison import compare
from streamer.timeline.pages import compare_page, show_page
from streamer.timeline.records import Text, Video
from streamer.timeline.runs import run_of
from tests.support.runs import BEGIN, STEPS, records_of

TEMPLATE = '<title><!-- title --></title><script type="application/json">/* data */</script>'


def data_of(page: str) -> Any:
    found = re.fullmatch(r"<title>(.*)</title><script type=\"application/json\">(.*)</script>", page, re.DOTALL)
    assert found
    assert "<" not in found[1] + found[2]
    return json.loads(found[2])


def test_a_page_has_what_happened_in_seconds_since_the_beginning() -> None:
    video = Video(at=BEGIN - 0.5, path="video.mp4", duration_s=4.0)
    run = run_of([*records_of(), video, Text(at=BEGIN + 2.0, length=6)])
    (shown,) = data_of(show_page(TEMPLATE, run, "video.mp4"))["runs"]
    assert shown["video"] == {"source": "video.mp4", "at": -0.5, "duration": 4.0}
    assert shown["duration"] == 3.5
    steps = [entry for entry in shown["entries"] if entry["kind"] == "step"]
    assert [(step["name"], step["at"], step["duration"]) for step in steps] == [
        (name, number, 1.0) for number, name in enumerate(STEPS)
    ]
    touches = [entry for entry in shown["entries"] if entry["kind"] == "touch"]
    assert touches[0]["paths"] == [[[0.25, 0.5, 0.0], [0.25, 0.5, 0.05]]]
    assert {entry["kind"] for entry in shown["entries"]} == {
        *("step", "touch", "wait", "measured", "change", "frames", "key", "interrupted", "text")
    }


def test_a_run_without_a_video_has_none() -> None:
    assert data_of(show_page(TEMPLATE, run_of(records_of()), None))["runs"][0]["video"] is None


def test_a_page_of_two_runs_points_at_the_first_difference() -> None:
    good, bad = run_of(records_of()), run_of(records_of(lengths_s=(1.0, 2.0, 1.0)))
    pairs = compare(good, bad)
    data = data_of(compare_page(TEMPLATE, (good, bad), (None, None), pairs, {"good": "data:image/png;base64,"}))
    assert [run["label"] for run in data["runs"]] == ["Good", "Bad"]
    compared = data["compared"]
    assert compared["first"] == 1
    assert compared["verdict"] == '"find the shoes" took 2.00 s in the bad run, and 1.00 s in the good'
    assert compared["pictures"] == {"good": "data:image/png;base64,"}
    pair = compared["pairs"][1]
    assert pair["kinds"] == ["length"]
    assert pair["bad"] == {"at": 1.0, "end": 3.0, "shownAt": 3.0, "duration": 2.0, "depth": 0}
