"""The examples and the README's first program, run as they stand against an embedded phone."""

import re
import runpy
from pathlib import Path

import pytest

from streamer import phone as embedded

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def instance(phone: embedded.EmbeddedPhone, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STREAMER_ENDPOINT", phone.endpoint)
    monkeypatch.setenv("STREAMER_AUTH_TOKEN", phone.tenant_token)
    monkeypatch.setenv("INSTANCE", phone.instance_id)
    return phone.instance_id


def example(name: str) -> dict[str, object]:
    return runpy.run_path(str(ROOT / "examples" / f"{name}.py"))


async def test_record(instance: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await example("record")["main"](instance, str(tmp_path / "a.mp4"), 1.0)  # type: ignore[operator]
    assert "pictures" in capsys.readouterr().out
    assert (tmp_path / "a.mp4").stat().st_size > 1000


async def test_frames_to_numpy(instance: str, capsys: pytest.CaptureFixture[str]) -> None:
    await example("frames_to_numpy")["main"](instance, 3)  # type: ignore[operator]
    assert capsys.readouterr().out.count("(640, 360, 3)") == 3


async def test_audio_ports(instance: str, capsys: pytest.CaptureFixture[str]) -> None:
    await example("audio_ports")["main"](instance)  # type: ignore[operator]
    assert "external: AudioPort(address='10.83.71.187', port=10030" in capsys.readouterr().out


async def test_viewer(instance: str, phone: embedded.EmbeddedPhone, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window turns with the phone, shows its colours, and closes when it is asked to."""
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    sizes: list[tuple[int, int]] = []
    colours: list[tuple[int, ...]] = []
    flip = pygame.display.flip

    def see() -> None:
        flip()
        window = pygame.display.get_surface()
        sizes.append(window.get_size())
        colours.append(tuple(window.get_at((4, 4)))[:3])
        if len(sizes) == 3:
            phone.rotate()
        if window.get_width() > window.get_height():
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    monkeypatch.setattr(pygame.display, "flip", see)
    await example("viewer")["main"](instance)  # type: ignore[operator]
    assert sizes[0] == (360, 640)
    assert sizes[-1] == (640, 360)
    assert all(max(colour) < 60 for colour in colours)  # the status bar, dark
    assert not pygame.display.get_init()


async def test_the_readmes_program(instance: str, capsys: pytest.CaptureFixture[str]) -> None:
    (program, *others) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for block in others:
        compile(block, "README.md", "exec")
    body, _, last = program.rpartition("asyncio.run(")
    assert last.strip() == "main())"
    names: dict[str, object] = {}
    exec(compile(body, "README.md", "exec"), names)
    await names["main"]()  # type: ignore[operator]
    assert "(640, 360, 3) AudioPort(address='10.83.71.187'" in capsys.readouterr().out
    assert instance


def test_every_file_that_the_readme_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
