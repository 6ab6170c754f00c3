"""The pages of the documentation, and what stands in them: code blocks by language, commands, tables."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
_BLOCK: Final = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_ENDS: Final = {"|", ">", "<", "&&", "||", ";", "&"}


@dataclass(frozen=True, slots=True)
class Block:
    """A code block; `str` gives its page and the line at which it begins."""

    page: str
    line: int
    source: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> list[Block]:
    """Return the blocks of a language, of all pages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            if match[2] == language:
                line = text.count("\n", 0, match.start()) + 2
                found.append(Block(page.relative_to(ROOT).as_posix(), line, match[3]))
    return found


def commands(program: str) -> list[tuple[Block, list[str]]]:
    """Return the words behind a program's name, of each of its calls in shell blocks; `docker run … streamer` too."""
    return [
        (block, words)
        for language in ("sh", "console")
        for block in blocks(language)
        for line in block.source.replace("\\\n", " ").splitlines()
        if (words := _words_of(program, line.removeprefix("$ "))) is not None
    ]


def _words_of(program: str, line: str) -> list[str] | None:
    words = list(_first_command(shlex.split(line, comments=True)))
    if words[:2] == ["docker", "run"] and program in words:
        words = words[len(words) - 1 - words[::-1].index(program) :]
    return words[1:] if words[:1] == [program] else None


def _first_command(words: list[str]) -> Iterator[str]:
    has_begun = False
    for word in words:
        if word in _ENDS:
            return
        has_begun = has_begun or not re.fullmatch(r"[A-Z_]+=.*", word)
        if has_begun:
            yield word


def first_column(text: str, header: str) -> set[str]:
    """Return what stands in backticks in the first column of the table with this header."""
    table = text.partition(header)[2].partition("\n\n")[0]
    return {name for row in table.splitlines()[1:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
