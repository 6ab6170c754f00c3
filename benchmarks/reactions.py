"""`python -m benchmarks.reactions`: planted reaction times and dropped frames, as `Action.settled` measures them.

The emulator's slow page answers a touch after a time that is known. What is measured is longer: by the wait for the
phone's next frame, which takes one interval at the most, and by encoding, the network and one packet's way.
"""

import asyncio
from typing import Annotated, Final

import typer

import streamer
from benchmarks.report import Grid, console, print_grid
from streamer import emulator
from streamer.emulator.apps.app import App, Stage
from streamer.emulator.apps.motion import Motion
from streamer.emulator.apps.slow import Slow
from streamer.emulator.device import BUILT_IN
from streamer.watch.response import percentile

_ON_THE_WAY_MS: Final = 20  # drawing, encoding and decrypting, on a busy machine
_ANIMATIONS: Final = {"Play": 1, "Drop 1 frame": 2, "Drop 3 frames": 4}  # the longest gap in frame intervals


def main(
    taps: Annotated[int, typer.Option(min=5, help="How many taps in all, for each share of loss.")] = 200,
    loss: Annotated[str, typer.Option(help="Shares of media packets that are lost, in percent.")] = "0,3",
    fps: Annotated[int, typer.Option(min=1, help="Frames a second.")] = 30,
    reactions: Annotated[str, typer.Option(help="Planted reaction times, in ms.")] = "0,50,100,300,1000",
    width: Annotated[int, typer.Option(min=90, help="Of the screen, in pixels; it is 16 to 9.")] = 360,
) -> None:
    """Tap, and compare what is measured with what was planted."""
    planted_ms = tuple(int(each) for each in reactions.split(","))
    for share in loss.split(","):
        rows, gaps = asyncio.run(_measure(taps // len(planted_ms), float(share) / 100, fps, planted_ms, width))
        headings = (
            "reaction",
            "taps",
            "first change: p50",
            "p90",
            "p99",
            "longest",
            "settled: p50",
            "p90",
            "longest",
            f"within 1 interval and {_ON_THE_WAY_MS}",
        )
        print_grid(Grid(f"{share}% loss, {fps} fps: ms more than planted", headings, rows))
        print_grid(
            Grid(f"{share}% loss: longest gaps", ("animation", "planted, ms", "measured, ms: least", "most"), gaps)
        )
    console.print(f"a frame interval is {1000 / fps:.0f} ms")


async def _measure(
    each: int, loss: float, fps: int, planted_ms: tuple[int, ...], width: int
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    faults, height = emulator.Faults(lose=loss), width * 16 // 9
    async with (
        emulator.serve(
            width=width, height=height, fps=fps, audio=False, screen="apps", reactions_ms=planted_ms, faults=faults
        ) as phone,
        streamer.connect(
            phone.instance_id, endpoint=phone.endpoint, credentials=streamer.Token(phone.tenant_token)
        ) as session,
    ):
        await session.wait_input()
        stage = Stage(width=360.0, height=360.0 * height / width, frame_s=1 / fps)
        await _open(session, "com.example.slow")
        rows: list[tuple[str, ...]] = []
        for reaction_ms, place in _places(Slow(BUILT_IN[4], stage, planted_ms), stage).items():
            first: list[float] = []
            settled: list[float] = []
            for _ in range(each):
                shown = await session.tap(*place).settled(timeout_s=30)
                first.append(1000 * shown.first_change_s - float(reaction_ms))
                settled.append(1000 * shown.settled_s - float(reaction_ms))
            good = sum(0 <= more <= 1000 / fps + _ON_THE_WAY_MS for more in first)
            figures = (
                *(percentile(tuple(first), share) for share in (0.5, 0.9, 0.99, 1)),
                *(percentile(tuple(settled), share) for share in (0.5, 0.9, 1)),
            )
            rows.append((f"{reaction_ms} ms", f"{each}", *(f"{value:.0f}" for value in figures), f"{good}"))
        await _open(session, "com.example.motion")
        gaps: list[tuple[str, ...]] = []
        for name, place in _places(Motion(BUILT_IN[5], stage), stage).items():
            if name in _ANIMATIONS:
                found = [(await session.tap(*place).settled(timeout_s=30)).longest_gap_s * 1000 for _ in range(5)]
                planted = f"{1000 * _ANIMATIONS[name] / fps:.0f}"
                gaps.append((name, planted, f"{min(found):.0f}", f"{max(found):.0f}"))
        return rows, gaps


async def _open(session: streamer.Session, app: str) -> None:
    await session.apps.start(app)
    await session.wait_until_still(timeout_s=30)


def _places(app: App, stage: Stage) -> dict[str, tuple[float, float]]:
    """Return where each button of an app is, in fractions of the screen."""
    return {name: (rect.center[0] / stage.width, rect.center[1] / stage.height) for name, rect in app.buttons().items()}


if __name__ == "__main__":
    typer.run(main)
