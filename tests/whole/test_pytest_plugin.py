"""The pytest plugin in whole runs of pytest, with the plugins that people have beside it, and with none of them."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import av
import pytest

from streamer import emulator
from streamer.timeline import records
from streamer.timeline.records import decode
from tests.support.pytest_runs import Run, run_pytest

pytestmark = [pytest.mark.edge, pytest.mark.timeout(300)]  # whole runs of pytest, on a machine that may be busy
LOOPS = ("-o", "asyncio_default_fixture_loop_scope=function")  # or pytest-asyncio warns

MANY = """
import asyncio
import pytest

SECRET = "hunter2"

def test_passes_and_closes(phone):
    phone.press("HOME")
    phone.close()

@pytest.mark.phone_budget(settled_s=0.5)
def test_has_a_budget_and_no_phone():
    pass

def test_fails(phone):
    with phone.step("open the settings"):
        phone.watched.tap(0.125, 0.2).settled(timeout_s=60)
    with phone.step("wait for what never comes"):
        phone.type(SECRET)
        phone.wait_for_color(0.5, 0.5, "#123456", tolerance=0, timeout_s=3)

@pytest.mark.phone_budget(settled_s=0.0001)
def test_is_over_budget(phone):
    phone.watched.press("HOME").settled(timeout_s=60)

@pytest.mark.phone_budget(settled_s=0.5)
def test_has_a_budget_that_it_does_not_measure(phone):
    pass

@pytest.mark.phone(app="com.example.signin", reset="app")
def test_has_an_app(phone, phone_session, phone_output):
    assert phone is phone_session
    phone.wait_until_still(timeout_s=60)
    (phone_output / "mine.txt").write_text("kept")

@pytest.mark.flaky(reruns=1)
def test_fails_once(phone, tmp_path_factory):
    mark = tmp_path_factory.getbasetemp() / "was here"
    is_first = not mark.exists()
    mark.touch()
    assert not is_first, "the first time"

@pytest.mark.asyncio
async def test_asyncio(async_phone):
    assert asyncio.get_running_loop() is async_phone._loop.check()
    await async_phone.press("HOME")
    assert async_phone.state == "closed", "it is open"

@pytest.mark.anyio
async def test_anyio(async_phone):
    await async_phone.press("HOME")

def test_two_phones(phone, new_phone):
    other = new_phone()
    assert other.instance_id != phone.instance_id
    other.press("HOME")

@pytest.mark.asyncio
async def test_three_phones(async_phone, new_async_phone):
    others = [await new_async_phone(), await new_async_phone()]
    assert asyncio.get_running_loop() is others[0]._loop.check()
    assert len({phone.instance_id for phone in (async_phone, *others)}) == 3
    await asyncio.gather(*(phone.press("HOME") for phone in others))

@pytest.mark.anyio
async def test_another_phone(new_async_phone):
    other = await new_async_phone()
    await other.press("HOME")

async def test_nobody_runs(async_phone):
    pass

@pytest.fixture
def breaks(phone):
    yield
    raise RuntimeError("in the tear-down")

def test_tear_down(breaks):
    pass
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_pytest(
        tmp_path_factory.mktemp("many"),
        MANY,
        *("--html=report/index.html", "--alluredir=allure", "--junitxml=junit.xml", "-rA"),
        *("-p", "no:xdist", "-o", "asyncio_mode=strict", *LOOPS),
    )


def test_what_fails_fails_and_what_passes_passes(run: Run) -> None:
    assert run.counts == {"failed": 5, "passed": 8, "error": 2, "rerun": 1}, run.out
    assert "phone: an emulator with its apps (--phone-instance names a phone of yours)" in run.out
    assert "expected settled_s of at most 0.0001, got 0." in run.out
    assert "expected a measured settled_s, got none" in run.out
    assert "expected a test that uses a phone under the mark phone_budget" in run.out
    assert "expected a test that pytest-asyncio or anyio runs, got another one" in run.out


def test_of_each_failure_an_image_a_video_and_a_timeline_are_kept(run: Run) -> None:
    kept = ["failure.png", "timeline.jsonl", "video.mp4"]
    assert run.kept() == {
        "test_it-test_fails": kept,
        "test_it-test_is_over_budget": kept,
        "test_it-test_has_a_budget_that_it_does_not_measure": kept,
        "test_it-test_has_an_app": ["mine.txt"],
        "test_it-test_fails_once": kept,
        "test_it-test_asyncio": kept,
        "test_it-test_tear_down": kept,
    }


def test_the_terminal_says_the_error_and_where_to_look(run: Run) -> None:
    lines = (
        r"> +phone\.wait_for_color\(.*\n"
        r"( *\^+\n)?"
        r"E       .*WaitTimeoutError: after .*\n\n"
        r"test_it\.py:20: WaitTimeoutError\n"
        r"-+ phone -+\n"
        r"after 3 s the color at \(0\.5, 0\.5\) was #[0-9a-f]{6}\n"
        r"test-results/test_it-test_fails/failure\.png\n"
        r"test-results/test_it-test_fails/video\.mp4\n"
        r"streamer timeline show test-results/test_it-test_fails\n"
    )
    assert re.search(lines, run.out)


def test_the_video_begins_before_the_test_and_has_a_chapter_for_each_step(run: Run) -> None:
    folder = run.folder / "test-results" / "test_it-test_fails"
    with (folder / "timeline.jsonl").open("rb") as file:
        told = list(decode(file))
    (start,) = (record for record in told if isinstance(record, records.Start))
    (video,) = (record for record in told if isinstance(record, records.Video))
    steps = [record for record in told if isinstance(record, records.Step)]
    end = told[-1]
    assert isinstance(end, records.End)
    assert video.at < start.at < steps[0].at < steps[1].at < end.at
    assert (end.outcome, [step.outcome for step in steps]) == ("failed", ["passed", "failed"])
    assert (end.error or "").startswith("after 3 s the color at (0.5, 0.5) was #")
    with av.open(folder / video.path) as container:
        chapters: list[Any] = container.chapters()
        titles = {chapter["metadata"]["title"]: float(chapter["start"] * chapter["time_base"]) for chapter in chapters}
        length_s = (container.duration or 0) / 1_000_000
        assert sum(1 for _ in container.decode(video=0)) > 1
    assert set(titles) >= {"open the settings", "wait for what never comes"}
    for step in steps:
        assert titles[step.name] == pytest.approx(step.at - video.at, abs=0.1)
    assert video.at + length_s >= end.at - 0.5
    assert {type(record) for record in told} >= {records.Touch, records.Wait, records.Change, records.Measured}


def test_what_was_typed_is_in_no_file(run: Run) -> None:
    named = [path for path in run.folder.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}]
    assert [path for path in named if b"hunter2" in path.read_bytes()] == []
    timeline = (run.folder / "test-results" / "test_it-test_fails" / "timeline.jsonl").read_text()
    assert '"event":"text"' in timeline
    assert '"length":7' in timeline


def test_reports_have_what_was_kept(run: Run) -> None:
    html = (run.folder / "report" / "index.html").read_text()
    assert "../test-results/test_it-test_fails/failure.png" in html
    assert "../test-results/test_it-test_fails/video.mp4" in html
    results = [json.loads(path.read_text()) for path in (run.folder / "allure").glob("*-result.json")]
    (failed,) = (result for result in results if result["name"] == "test_fails")
    assert [step["name"] for step in failed["steps"]] == ["open the settings", "wait for what never comes"]
    names = {each["name"]: run.folder / "allure" / each["source"] for each in failed["attachments"]}
    assert {"failure.png", "video.mp4", "timeline.jsonl"} <= names.keys()
    assert all(path.stat().st_size > 100 for path in names.values())
    (case,) = ET.parse(run.folder / "junit.xml").findall(".//testcase[@name='test_fails']")
    measured = {each.get("name"): float(each.get("value", "nan")) for each in case.findall(".//property")}
    assert measured.keys() == {"phone_first_change_s", "phone_settled_s", "phone_longest_gap_s"}
    assert 0 < measured["phone_first_change_s"] <= measured["phone_settled_s"]


def test_options_come_from_the_environment_and_asyncio_may_be_automatic(tmp_path: Path) -> None:
    run = run_pytest(
        tmp_path,
        """
        import asyncio, pytest

        class TestTogether:
            loops = []

            @pytest.mark.asyncio(loop_scope="class")
            async def test_one(self, async_phone):
                self.loops.append(asyncio.get_running_loop())
                await async_phone.press("HOME")

            @pytest.mark.asyncio(loop_scope="class")
            async def test_two(self, async_phone):
                assert self.loops == [asyncio.get_running_loop()]
                await async_phone.type("hunter2")
                with async_phone.step("fail"):
                    raise ValueError("no")

        async def test_without_a_mark(async_phone):
            await async_phone.press("HOME")

        def test_nothing_is_open(phone):
            assert phone.state == "streaming"
        """,
        *("-o", "asyncio_mode=auto", *LOOPS, "-p", "no:anyio", "--phone-video=off", "--phone-screenshot=on"),
        STREAMER_PHONE_TIMELINE_TEXT="1",
        STREAMER_PHONE_OUTPUT="kept",
    )
    assert run.counts == {"passed": 3, "failed": 1}, run.out
    folders = {folder.name: sorted(path.name for path in folder.iterdir()) for folder in (tmp_path / "kept").iterdir()}
    assert folders == {
        "test_it-TestTogether-test_one": ["screen.png"],
        "test_it-TestTogether-test_two": ["failure.png", "timeline.jsonl"],
        "test_it-test_without_a_mark": ["screen.png"],
        "test_it-test_nothing_is_open": ["screen.png"],
    }
    timeline = (tmp_path / "kept" / "test_it-TestTogether-test_two" / "timeline.jsonl").read_text()
    assert '"text":"hunter2"' in timeline


def test_the_phones_of_tests_can_be_watched_in_the_browser(tmp_path: Path) -> None:
    browser = tmp_path / "browser.py"
    browser.write_text(
        "import sys\nwith open('opened', 'a') as file:\n    print(sys.argv[1], file=file)\n", encoding="utf-8"
    )
    run = run_pytest(
        tmp_path,
        """
        import pytest, urllib.request
        from pathlib import Path

        def pages(count):
            urls = Path("opened").read_text().split()
            assert len(urls) == count
            return urls

        def are_open(urls):
            for url in urls:
                with urllib.request.urlopen(url.partition("#")[0]) as reply:
                    assert b"<title>" in reply.read()

        def test_one(phone):
            are_open(pages(1))

        def test_it_stays_open(phone, new_phone):
            new_phone()
            are_open(pages(2))

        def test_the_other_is_closed(phone):
            first, other = pages(2)
            are_open([first])
            with pytest.raises(OSError):
                are_open([other])
            phone.close()

        @pytest.mark.asyncio
        async def test_in_the_loop_of_a_test(async_phone, new_async_phone):
            import asyncio
            await new_async_phone()
            await asyncio.to_thread(are_open, pages(4)[2:])
        """,
        "--phone-show",
        *LOOPS,
        BROWSER=f"{sys.executable} {browser} %s",
    )
    assert run.counts == {"passed": 4}, run.out
    opened = (tmp_path / "opened").read_text(encoding="utf-8").split()
    assert re.findall(r"^phone: demo-phone\S* is at (\S+)$", run.out, re.MULTILINE) == opened


def test_it_needs_no_other_plugin(tmp_path: Path) -> None:
    others = ["asyncio", "anyio", "xdist", "rerunfailures", "html", "metadata", "allure_pytest", "timeout"]
    run = run_pytest(
        tmp_path,
        """
        from PIL import Image
        from streamer import Region

        def test_passes(phone):
            with phone.step("home"):
                phone.press("HOME")

        def test_home(phone):
            from streamer.sync import expect
            phone.press("HOME")
            expect(phone).to_match_image("home.png", ignore=[Region(0.0, 0.0, 1.0, 0.06)], timeout_s=60)

        def test_home_looks_otherwise(phone):
            from streamer.sync import expect
            Image.new("RGB", (180, 320)).save("black.png")
            expect(phone).to_match_image("black.png", update=False, timeout_s=8)
        """,
        "--phone-update-images",
        *(word for other in others for word in ("-p", f"no:{other}")),
    )
    assert run.counts == {"passed": 2, "failed": 1}, run.out
    assert (tmp_path / "home.png").exists()
    images = ["black.actual.png", "black.diff.png", "failure.png"]
    assert run.kept() == {"test_it-test_home_looks_otherwise": [*images, "timeline.jsonl", "video.mp4"]}


@pytest.mark.parametrize(("instances", "is_enough"), [("phone-1,phone-2", True), ("phone-1", False)])
async def test_each_process_has_a_phone_of_its_own(instances: str, is_enough: bool, tmp_path: Path) -> None:
    async with emulator.serve_fleet(2, instance_id="phone", width=180, height=320, fps=20, audio=False) as fleet:
        run = await asyncio.to_thread(
            run_pytest,
            tmp_path,
            """
            import pytest

            @pytest.mark.parametrize("number", range(4))
            def test_phone(phone, worker_id, number):
                assert phone.instance_id == {"gw0": "phone-1", "gw1": "phone-2"}[worker_id]
                phone.press("HOME")
            """,
            *("-n", "2", "-p", "no:asyncio", f"--phone-instance={instances}", f"--phone-endpoint={fleet.endpoint}"),
            *("--phone-reset=factory", "--phone-slowmo=0.01"),
            STREAMER_AUTH_TOKEN=fleet.tenant_token,
        )
    if is_enough:
        assert run.counts == {"passed": 4}, run.out
        assert f"phone: phone-1 at {fleet.endpoint}" in run.out
    else:
        assert run.code == pytest.ExitCode.USAGE_ERROR
        assert "expected a phone for each of 2 processes, got 1" in run.out


def test_pytest_starts_without_what_a_phone_needs() -> None:
    program = (
        "import sys, streamer.testing.plugin, streamer.testing.asyncio_fixtures; "
        "assert not {'aiortc', 'av', 'numpy', 'msgspec', 'streamer.errors'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
