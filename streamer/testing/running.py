"""One test as it runs: the phones that it uses, and what is kept of it."""

import contextlib
import glob
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest

from streamer.testing.settings import SETTINGS, Settings

if TYPE_CHECKING:
    import streamer
    from streamer.testing.witness import Witness
    from streamer.timeline.records import Outcome

NAME_LIMIT: Final = 120  # characters of a folder's name
MEASURED: Final = ("first_change_s", "settled_s", "longest_gap_s")  # what a test may have a budget for

# Runs a function in the event loop of a session, whatever its face.
InLoop: TypeAlias = Callable[[Callable[[], None]], None]


@dataclass(slots=True)
class Kept:
    """What was kept of a test, and what could not be."""

    files: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class RunningTest:
    """A test that uses phones. `run` is 2 for its first repetition."""

    def __init__(self, item: pytest.Item, settings: Settings) -> None:
        self.run = int(getattr(item, "execution_count", 1))  # pytest-rerunfailures counts
        self._nodeid = item.nodeid
        self._settings = settings
        self._witnesses: list[Witness] = []
        self._has_failed = False
        name = folder_name(item.nodeid)
        self.folder = settings.output / (name if self.run == 1 else f"{name}-rerun{self.run - 1}")
        if self.run == 1:  # remove what an earlier pytest has left
            for old in (self.folder, *settings.output.glob(f"{glob.escape(name)}-rerun*")):
                shutil.rmtree(old, ignore_errors=True)

    @contextlib.contextmanager
    def watching(self, session: "streamer.Session", in_loop: InLoop) -> Iterator[None]:
        """Watch a session within the block. `in_loop` runs a function in its event loop."""
        from streamer import golden  # noqa: PLC0415 - pytest starts without these
        from streamer.testing.witness import Witness  # noqa: PLC0415

        golden.defaults.update, golden.defaults.folder = self._settings.update_images, self.folder
        with contextlib.ExitStack() as stack:

            def begin() -> None:
                witness = Witness(session, test=self._nodeid, run=self.run)
                stack.enter_context(witness.watching())
                self._witnesses.append(witness)

            in_loop(begin)
            try:
                yield
            finally:
                golden.defaults.folder = None
                in_loop(stack.close)

    @property
    def measured(self) -> dict[str, float]:
        """The worst of each time that the test has measured so far."""
        found = [record for witness in self._witnesses for record in witness.measured]
        worst = {name: [getattr(record, name) for record in found] for name in MEASURED}
        return {
            name: round(max(each for each in values if each is not None), 4)
            for name, values in worst.items()
            if any(each is not None for each in values)
        }

    def check_budget(self, args: Sequence[object], budget: Mapping[str, object]) -> str | None:
        """Return a sentence about what took longer than the budget allows, or was not measured; None if all is well."""
        if args or not budget:
            return f"expected {', '.join(MEASURED)} by name in the mark phone_budget, got {args or 'nothing'}"
        for name, limit in budget.items():
            if name not in MEASURED or isinstance(limit, bool) or not isinstance(limit, int | float):
                return f"expected seconds for {', '.join(MEASURED)} in the mark phone_budget, got {name}={limit!r}"
        measured = self.measured
        if missing := [name for name in budget if name not in measured]:
            return (
                f"expected a measured {' and '.join(missing)}, got none: ask an action for it, such as "
                "phone.watched.tap(0.5, 0.5).settled()"
            )
        over = [
            f"{name} of at most {limit:g}, got {measured[name]:.3f}"
            for name, limit in budget.items()
            if isinstance(limit, int | float) and measured[name] > limit
        ]
        return f"expected {'; '.join(over)}" if over else None

    def keep(self, report: pytest.TestReport, error: BaseException | None) -> Kept | None:
        """Write what the settings say of a test whose part (set-up, call, tear-down) ended so.

        That is at once if it failed, else at the end. Only its first failure is kept.
        """
        is_first_failure, self._has_failed = report.failed and not self._has_failed, self._has_failed or report.failed
        is_end = report.when == "teardown"
        if not self._witnesses or not (is_first_failure or (is_end and not self._has_failed)):
            return None
        wanted = {
            name
            for name, rule in (
                ("image", self._settings.screenshot),
                ("video", self._settings.video),
                ("timeline", self._settings.timeline),
            )
            if self._is_wanted(rule)
        }
        if not wanted:
            return None
        kept = Kept()
        for number, witness in enumerate(self._witnesses, start=1):
            self._keep_one(witness, "" if number == 1 else f"phone-{number}-", error, wanted=wanted, kept=kept)
        return kept

    def end(self) -> None:
        """Forget everything. An empty folder is removed."""
        self._witnesses.clear()
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _is_wanted(self, rule: str) -> bool:
        if rule in {"on", "off"}:
            return rule == "on"
        return self._has_failed or (rule == "retain-on-failure-and-retries" and self.run > 1)

    def _keep_one(
        self, witness: "Witness", prefix: str, error: BaseException | None, *, wanted: set[str], kept: Kept
    ) -> None:
        from streamer.errors import StreamerError  # noqa: PLC0415 - pytest starts without these
        from streamer.testing import evidence  # noqa: PLC0415

        outcome: Outcome = "failed" if self._has_failed else "passed"
        records = witness.records(outcome, None if error is None else evidence.sentence_of(error))

        def image() -> None:
            path = self.folder / f"{prefix}{'failure' if outcome == 'failed' else 'screen'}.png"
            if evidence.save_image(path, witness.footage, error):
                kept.files.append(path)

        def video() -> None:
            saved = evidence.save_video(self.folder, prefix, witness.footage, records)
            if saved is not None:
                records.append(saved)
                kept.files.append(self.folder / saved.path)

        def timeline() -> None:
            path = self.folder / f"{prefix}timeline.jsonl"
            evidence.save_timeline(path, records, with_text=self._settings.timeline_text)
            kept.files.append(path)

        for what, save in (("image", image), ("video", video), ("timeline", timeline)):
            if what in wanted:
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    save()
                except (StreamerError, OSError) as problem:  # the test's own failure is what counts
                    kept.problems.append(f"the {what} could not be written: {problem}")


def folder_name(nodeid: str) -> str:
    """Return the name of a test's folder: its node id without what file names cannot have."""
    plain = re.sub(r"\.py(?=::)", "", nodeid)
    plain = re.sub(r"::|/|\\|\[", "-", plain.removesuffix("]"))
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", plain).strip(".-_")
    if name != plain or len(name) > NAME_LIMIT:  # else two tests could have the same
        name = f"{name[:NAME_LIMIT]}-{zlib.crc32(nodeid.encode()):08x}"
    return name


RUNNING: Final = pytest.StashKey[RunningTest]()  # of an item


def running_test(item: pytest.Item) -> RunningTest:
    """Return the test that an item is."""
    if RUNNING not in item.stash:
        item.stash[RUNNING] = RunningTest(item, item.config.stash[SETTINGS])
    return item.stash[RUNNING]


def app_of(item: pytest.Item) -> tuple[str | None, bool]:
    """Return the app that a test's `phone` mark names, and whether its data is to be cleared first."""
    settings, marker = item.config.stash[SETTINGS], item.get_closest_marker("phone")
    given = {} if marker is None else dict(marker.kwargs)
    app, reset = given.pop("app", None), given.pop("reset", settings.reset)
    if given or (marker is not None and marker.args) or reset not in {"none", "app", "factory"}:
        pytest.fail("expected app='com.example.shop' and reset='app' or 'none' in the mark phone", pytrace=False)
    return app, reset == "app"
