"""A test's folder is read, two are compared with their pictures, and pages are whole by themselves."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamer.errors import ConfigurationError
from streamer.replay import Replay, compare_replays, pictures_at, read_replay, write_comparison, write_page
from streamer.timeline.comparison import Pair, first_difference
from streamer.watch.region import Region
from tests.support.runs import BEFORE_S, STEPS, write_run


def compared(good: Replay, bad: Replay, *ignore: Region) -> tuple[Pair, ...]:
    return compare_replays(good, bad, ignore=ignore, least_s=0.3, share=0.3)


def data_of(page: Path) -> Any:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return json.loads(found[1])


def test_a_video_shows_what_it_showed_at_each_moment(tmp_path: Path) -> None:
    video = write_run(tmp_path / "run") / "video.mp4"
    before, moving, rest, end = pictures_at(video, [0.3, BEFORE_S + 0.3, BEFORE_S + 0.6, 60.0])
    assert before is not None
    assert moving is not None
    assert rest is not None
    assert end is not None
    assert [picture.is_at_rest for picture in (before, moving, rest, end)] == [True, False, True, True]
    reds = [int(np.median(picture.pixels[..., 0])) for picture in (before, moving, rest, end)]
    assert reds == pytest.approx([60, 100, 100, 180], abs=6)
    assert pictures_at(video, [-1.0]) == [None]


def test_the_planted_difference_is_found_and_nothing_in_equal_runs(tmp_path: Path) -> None:
    good = read_replay(write_run(tmp_path / "good"))
    equal = read_replay(write_run(tmp_path / "equal"))
    marked = read_replay(write_run(tmp_path / "marked", marked=1))
    slow = read_replay(write_run(tmp_path / "slow", lengths_s=(1.0, 1.0, 2.0)))
    pairs = compared(good, equal)
    assert first_difference(pairs) is None
    assert all(pair.is_picture_compared for pair in pairs)
    pairs = compared(good, marked)
    first = first_difference(pairs)
    assert first is not None
    assert (first.name, first.kinds) == (STEPS[1], ("picture",))
    assert [pair.kinds for pair in pairs] == [(), ("picture",), ()]
    assert first.picture is not None
    x, y, width, height = first.picture.region
    assert (x, y, width, height) == pytest.approx((40 / 96, 100 / 160, 12 / 96, 12 / 160), abs=0.05)
    assert first_difference(compared(good, marked, Region(30, 90, 40, 40))) is None
    first = first_difference(compared(good, slow))
    assert first is not None
    assert (first.name, first.kinds) == (STEPS[2], ("length",))
    write_comparison(good, marked, pairs, tmp_path / "page.html", ignore=())
    data = data_of(tmp_path / "page.html")
    assert list(data["compared"]["pictures"]) == ["good", "bad", "difference"]
    assert all(address.startswith("data:image/png;base64,") for address in data["compared"]["pictures"].values())


def test_a_page_has_the_video_in_it_or_its_name_if_it_is_large(tmp_path: Path) -> None:
    replay = read_replay(write_run(tmp_path / "a run"))
    write_page(replay, tmp_path / "page.html")
    assert data_of(tmp_path / "page.html")["runs"][0]["video"]["source"].startswith("data:video/mp4;base64,")
    write_page(replay, tmp_path / "page.html", embed_limit=0)
    assert data_of(tmp_path / "page.html")["runs"][0]["video"]["source"] == "a%20run/video.mp4"
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://", text)


def test_runs_without_a_video_are_compared_by_length(tmp_path: Path) -> None:
    good = read_replay(write_run(tmp_path / "good", has_video=False))
    slow = read_replay(write_run(tmp_path / "slow") / "timeline.jsonl")
    assert good.video is None
    pairs = compared(good, slow)
    assert not any(pair.is_picture_compared for pair in pairs)
    write_comparison(good, slow, pairs, tmp_path / "page.html", ignore=())
    assert [run["video"] is None for run in data_of(tmp_path / "page.html")["runs"]] == [True, False]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    expected = r"expected a test's folder with timeline\.jsonl, got \S+, which"
    with pytest.raises(ConfigurationError, match=f"{expected} has none: run pytest with --phone-timeline on"):
        read_replay(tmp_path)
    with pytest.raises(ConfigurationError, match=f"{expected} does not exist: check its name"):
        read_replay(tmp_path / "run")
    folder = write_run(tmp_path / "run")
    with pytest.raises(ConfigurationError, match=rf"{expected} holds the folders of 1 tests: .*, such as \S+/run$"):
        read_replay(tmp_path)
    (folder / "video.mp4").write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match=r"cannot decode the video \S+video\.mp4"):
        pictures_at(folder / "video.mp4", [0.0])
    (folder / "timeline.jsonl").write_text("{]")
    with pytest.raises(ConfigurationError, match="in line 1"):
        read_replay(folder)
