"""A timeline as one static page of HTML, and two runs side by side: data for the template `page.html`."""

import html
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from streamer.timeline.comparison import Pair, first_difference, verdict
from streamer.timeline.records import (
    Change,
    Frames,
    Interrupted,
    Key,
    Measured,
    Message,
    Record,
    Step,
    Text,
    Touch,
    Wait,
)
from streamer.timeline.runs import Run, Stage, name_of

_TITLE: Final = "<!-- title -->"
_DATA: Final = "/* data */"


def show_page(template: str, run: Run, video: str | None) -> str:
    """Return the page of one run. `video` is the address of its video, None if there is none."""
    return _filled(template, run.test, {"runs": [_run(run, video, "")]})


def compare_page(
    template: str,
    runs: tuple[Run, Run],
    videos: tuple[str | None, str | None],
    pairs: tuple[Pair, ...],
    pictures: Mapping[str, str] | None = None,
) -> str:
    """Return the page of two runs. `pictures` are those of the first step whose pictures differ, as addresses."""
    first = first_difference(pairs)
    good, bad = runs
    compared = {
        "verdict": verdict(pairs),
        "first": None if first is None else pairs.index(first),
        "pairs": [_pair(pair, good, bad) for pair in pairs],
        "pictures": dict(pictures or {}),
    }
    shown = [_run(run, video, name) for run, video, name in zip(runs, videos, ("Good", "Bad"), strict=True)]
    return _filled(template, f"{good.test}: two runs", {"runs": shown, "compared": compared})


def _filled(template: str, title: str, data: Mapping[str, Any]) -> str:
    # "</script>" in a name would end the data, and "<!--" would begin a comment.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return template.replace(_TITLE, html.escape(title)).replace(_DATA, text)


def _run(run: Run, video: str | None, label: str) -> dict[str, Any]:
    return {
        "label": label,
        "test": run.test,
        "outcome": run.outcome,
        "error": run.error,
        "begin": run.begin,
        "duration": _rounded(run.end - run.begin),
        "video": video
        and {
            "source": video,
            "at": _rounded(run.video.at - run.begin) if run.video else 0.0,
            "duration": run.video.duration_s if run.video else 0.0,
        },
        "entries": [entry for record in run.records if (entry := _entry(record, run.begin))],
    }


def _entry(record: Record, begin: float) -> dict[str, Any] | None:
    """Return what the page says of a record; None if it says nothing."""
    entry: dict[str, Any] = {"kind": record.event, "at": _rounded(record.at - begin)}
    match record:
        case Step(name=name, depth=depth, outcome=outcome, duration_s=duration_s):
            return entry | {"name": name, "depth": depth, "outcome": outcome, "duration": _rounded(duration_s)}
        case Touch() | Key() | Text() | Message():
            act = entry | {"name": name_of(record), "duration": _rounded(record.duration_s), "error": record.error}
            return act | ({"paths": record.paths} if isinstance(record, Touch) else {})
        case Wait():
            return entry | {
                "name": record.what,
                "duration": _rounded(record.duration_s),
                "outcome": record.outcome,
                "score": record.score,
                "region": record.region,
                "error": record.error,
            }
        case Measured():
            return entry | {"first": record.first_change_s, "settled": record.settled_s, "gap": record.longest_gap_s}
        case Interrupted():
            return entry | {"name": record.reason, "duration": record.duration_s}
        case Frames():
            return entry | {"frames": record.frames, "gap": record.longest_gap_s}
        case Change():
            return entry | {"share": record.share}
    return None


def _pair(pair: Pair, good: Run, bad: Run) -> dict[str, Any]:
    return {
        "name": pair.name,
        "good": _stage(pair.good, good),
        "bad": _stage(pair.bad, bad),
        "kinds": pair.kinds,
        "picture": None if pair.picture is None else asdict(pair.picture),
        "isCompared": pair.is_picture_compared,
    }


def _stage(stage: Stage | None, run: Run) -> dict[str, Any] | None:
    if stage is None:
        return None
    return {
        "at": _rounded(stage.at - run.begin),
        "end": _rounded(stage.end - run.begin),
        "shownAt": _rounded(stage.shown_at - run.begin),
        "duration": _rounded(stage.duration_s),
        "depth": stage.depth,
    }


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
