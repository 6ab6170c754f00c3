"""The public names: each is one thing, found without importing anything before it is used."""

import importlib
import importlib.metadata
import subprocess
import sys

import pytest

import streamer


@pytest.mark.parametrize("name", streamer.__all__)
def test_a_public_name_means_the_same_wherever_it_is_looked_for(name: str) -> None:
    homes = [vars(importlib.import_module(home)) for home in streamer._HOMES]
    assert all(home[name] is getattr(streamer, name) for home in homes if name in home)
    assert name in dir(streamer)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'streamer' has no attribute 'conect'"):
        streamer.conect  # type: ignore[attr-defined]  # noqa: B018 - it is looked for


def test_the_version_is_that_of_the_package() -> None:
    assert streamer.__version__ == importlib.metadata.version("koophone-streamer")


@pytest.mark.edge
def test_a_module_is_imported_alone() -> None:
    program = "import sys; from streamer import errors; assert not {'aiortc', 'asyncio', 'av'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.edge
def test_nothing_is_imported_before_a_name_is_used() -> None:
    program = "import sys, streamer; assert not {'aiortc', 'asyncio', 'av', 'typing'} & sys.modules.keys()"
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"], check=True
    )
