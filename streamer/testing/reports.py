"""Where what was kept of a test is named: in the terminal, and in the reports of pytest-html and Allure."""

import base64
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pytest

from streamer.errors import StreamerError
from streamer.testing.running import Kept

_PACKAGE: Final = Path(__file__).parents[1]


def cut_traceback(config: pytest.Config, call: pytest.CallInfo[None]) -> None:
    """Let the traceback of an error of streamer end with the line of the test that met it, unless all is wanted."""
    if call.excinfo is None or config.getoption("fulltrace") or not isinstance(call.excinfo.value, StreamerError):
        return
    error = call.excinfo.value
    entries, entry = list[TracebackType](), error.__traceback__
    while entry is not None:
        entries.append(entry)
        entry = entry.tb_next
    while entries and not _is_theirs(Path(entries[-1].tb_frame.f_code.co_filename), config.rootpath):
        entries.pop()
    if not entries:
        return
    for each in reversed(entries):
        entry = TracebackType(entry, each.tb_frame, each.tb_lasti, each.tb_lineno)
    call.excinfo = pytest.ExceptionInfo.from_exception(error.with_traceback(entry))


def _is_theirs(path: Path, root: Path) -> bool:
    return path.is_relative_to(root) and not path.is_relative_to(_PACKAGE) and "site-packages" not in path.parts


def tell(report: pytest.TestReport, kept: Kept, sentence: str | None, folder: Path) -> None:
    """Add what was kept to the report of a test: the sentence of its error, the paths, and how to see the run."""
    if not report.failed:
        return
    lines = [*([sentence] if sentence else []), *kept.problems]
    for path in kept.files:
        is_run = path.suffix == ".jsonl"
        lines.append(f"streamer timeline show {_short(path.parent, folder)}" if is_run else _short(path, folder))
    add_section = getattr(report.longrepr, "addsection", None)  # a sentence alone has none
    if add_section is None:
        report.sections.append(("phone", "\n".join(lines)))
    else:
        add_section("phone", "\n".join(lines))


def attach(config: pytest.Config, report: pytest.TestReport, files: Sequence[Path]) -> None:
    """Attach files to the reports of pytest-html and Allure, if the user has these."""
    html = sys.modules.get("pytest_html")
    if html is not None and (target := config.getoption("htmlpath", default=None)):
        is_whole = bool(config.getoption("self_contained_html", default=False))
        extras: list[Any] = getattr(report, "extras", [])
        report.extras = [*extras, *(_extra(html, path, Path(target).parent, is_whole=is_whole) for path in files)]  # type: ignore[attr-defined]
    allure = sys.modules.get("allure")
    if allure is not None:
        types = {".png": "PNG", ".mp4": "MP4", ".webm": "WEBM", ".jsonl": "TEXT"}
        for path in files:
            kind = getattr(allure.attachment_type, types.get(path.suffix, "TEXT"))
            allure.attach.file(str(path), name=path.name, attachment_type=kind, extension=path.suffix[1:])


def _extra(html: Any, path: Path, folder: Path, *, is_whole: bool) -> Any:
    """Return what pytest-html takes: a link that is relative to its report, or the file itself in base64."""
    if path.suffix == ".jsonl":
        return html.extras.url(_link(path, folder), name=path.name)
    content = base64.b64encode(path.read_bytes()).decode() if is_whole else _link(path, folder)
    if path.suffix == ".png":
        return html.extras.png(content, name=path.name)
    return html.extras.video(content, name=path.name, mime_type=f"video/{path.suffix[1:]}", extension=path.suffix[1:])


def _link(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _short(path: Path, folder: Path) -> str:
    """Return a path as people would give it in `folder`."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
