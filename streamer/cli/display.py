"""What commands show: progress while they run, tables, numbers with their units, a frame in characters."""

import asyncio
import dataclasses
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.live import Live
from rich.table import Table
from rich.text import Text

import streamer
from streamer.cli.output import note, notes, out, styled

LINE_EVERY_S: Final = 60.0  # without a terminal
_BAR: Final = 40  # columns
_REASONS: Final = 3  # how many reasons of interruptions a line names, the most frequent first


@asynccontextmanager
async def live(
    line: Callable[[], Text], *, refresh_per_second: float, is_transient: bool = False
) -> AsyncIterator[None]:
    """Show a line that is redrawn continuously. Without a terminal, print a line each minute.

    A transient line is removed at the end. `line` is called in the event loop, since it reads the session; rich itself
    would call it in a thread.
    """
    is_redrawn = notes.is_terminal
    with Live(console=notes, auto_refresh=False, transient=is_transient) if is_redrawn else nullcontext() as shown:
        work = _add_lines(line) if shown is None else _redraw(shown, line, 1 / refresh_per_second)
        showing = asyncio.create_task(work, name="progress")
        try:
            yield
        finally:
            showing.cancel()
            if shown is not None:
                shown.update(line())


async def _redraw(shown: Live, line: Callable[[], Text], every_s: float) -> None:
    while True:
        shown.update(line(), refresh=True)
        await asyncio.sleep(every_s)


async def _add_lines(line: Callable[[], Text]) -> None:
    while True:
        await asyncio.sleep(LINE_EVERY_S)
        note(" · ".join(" ".join(part.split()) for part in line().plain.splitlines()).replace("━", "").strip())


def progress(session: streamer.Session, recording: streamer.Recording, duration_s: float | None = None) -> Text:
    """Return the progress of a recording: its statistics, the time left, and the reason of an interruption."""
    stats = session.stats()
    parts: list[str | tuple[str, str]] = [
        (f" {stats.state} ", "bold reverse green" if stats.state == "streaming" else "bold reverse yellow"),
        f" {duration(recording.duration_s):>8}",
        f" {stats.frames_per_second:4.1f} fps",
        f" {stats.bitrate_bps / 1e6:5.2f} Mbit/s",
        f" lost {_percent(stats.packets_lost, stats.packets_received)}",
        f" {recording.frames} frames",
        f" {file_size(recording.size_bytes)}",
    ]
    lines = [styled(*parts)]
    if duration_s is not None:
        lines.append(bar(recording.duration_s, duration_s))
    if stats.state == "interrupted":
        lines.append(styled((f" {interruption(session.status)}", "yellow")))
    return Text("\n").join(lines)


def bar(done_s: float, duration_s: float) -> Text:
    """Return a progress bar with the time left."""
    full = round(_BAR * min(done_s / duration_s, 1))
    left = duration(math.ceil(max(duration_s - done_s, 0)))
    return styled(" ", ("━" * full, "green"), ("━" * (_BAR - full), "bright_black"), f"  {left} left")


def duration(seconds: float) -> str:
    """Return a duration in the form of the options: 12.3s (12s for a whole number), 1m30s, 1h05m00s."""
    if seconds < 59.95:
        return f"{seconds}s" if isinstance(seconds, int) else f"{seconds:.1f}s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m{left:02}s" if hours else f"{minutes}m{left:02}s"


def final_stats(session: streamer.Session, *, show: bool, is_pipe: bool = False) -> streamer.Stats:
    """Return the statistics of a session at its end; with `show`, print them too."""
    stats = session.stats()
    if show:
        (notes if is_pipe else out).print(stats_table(stats))
    return stats


def stats_facts(stats: streamer.Stats, *, has_all: bool) -> dict[str, Any]:
    """Return how often, how long and why a stream was interrupted, for JSON; with `has_all`, all statistics too."""
    facts = {
        "interruptions": stats.interruptions,
        "interrupted_s": round(stats.interrupted_s, 3),
        "interruption_reasons": stats.interruption_reasons,
    }
    return {**facts, "stats": dataclasses.asdict(stats)} if has_all else facts


def with_interruptions(words: Text, stats: streamer.Stats) -> Text:
    """Return a command's result, and below it the interruptions of the stream, if any."""
    if stats.interruptions:
        words.append("\n  ").append_text(styled((interruptions(stats), "yellow")))
    return words


def interruptions(stats: streamer.Stats) -> str:
    """Return how often, how long and why a stream was interrupted, in words; empty if it was not."""
    if not stats.interruptions:
        return ""
    counted = Counter(stats.interruption_reasons).most_common(_REASONS)
    reasons = [f"{reason} ({times} times)" if times > 1 else reason for reason, times in counted]
    several = "s" if stats.interruptions > 1 else ""
    return f"{stats.interruptions} interruption{several}, {duration(stats.interrupted_s)}: {'; '.join(reasons)}"


def interruption(event: streamer.Event) -> str:
    """Return why the stream is interrupted, and when it reconnects."""
    if event.kind != "interrupted":
        return f"reconnecting: {event.kind} …"
    if event.retry_in_s is None:
        return f"interrupted: {event.reason}"
    left_s = round(event.at + event.retry_in_s - time.time())
    return f"interrupted: {event.reason}; reconnecting {f'in {duration(left_s)}' if left_s > 0 else 'now'}"


def stats_table(stats: streamer.Stats) -> Table:
    """Return a session's statistics, one row for each stage."""
    mean_bps = 8 * stats.bytes_received / stats.duration_s if stats.duration_s else 0.0
    rows = {
        "stream": [duration(stats.duration_s), f"{mean_bps / 1e6:.2f} Mbit/s"],
        "packets": [
            f"{stats.packets_received} received",
            f"{stats.packets_lost} lost",
            f"{stats.retransmitted_packets_received} recovered",
            f"{stats.packets_malformed} malformed",
            f"{stats.packets_refused} refused",
        ],
        "network": [f"jitter {_ms(stats.jitter_s)}", f"round trip {_ms(stats.round_trip_time_s)}"],
        "requests": [
            f"{stats.nack_count} NACK for {stats.retransmission_requests} packets",
            f"{stats.pli_count} PLI",
            f"{stats.fir_count} FIR",
        ],
        "frames": [
            f"{stats.frames_received} received",
            f"{stats.frames_lost} lost",
            f"{stats.frames_malformed} malformed",
            f"{stats.frames_awaiting_keyframe} without their keyframe",
        ],
        "interruptions": [interruptions(stats) or "none"],
        "freezes": [f"{stats.freeze_count}", f"{duration(stats.total_freezes_duration_s)} in all"]
        if stats.freeze_count
        else ["none"],
        "audio": [f"{stats.audio_packets_received} packets"],
    }
    if stats.audio_packets_decoded or stats.audio_errors:
        rows["audio"] += [
            f"{stats.audio_packets_decoded} decoded",
            f"{stats.audio_errors} refused",
            f"{stats.audio_overflows} dropped (decoder too slow)",
            f"{_ms(stats.concealed_audio_s)} concealed",
        ]
    if (
        any((stats.frames_decoded, stats.decode_errors, stats.frames_too_large, stats.frames_corrupt))
        or stats.decoder_overflows
    ):
        rows["decoder"] = [
            f"{stats.frames_decoded} decoded",
            f"{stats.decode_errors} refused",
            *([f"{stats.frames_too_large} too large"] if stats.frames_too_large else []),
            *([f"{stats.frames_corrupt} corrupt"] if stats.frames_corrupt else []),
            f"{stats.decoder_overflows} dropped (decoder too slow)",
            f"{stats.frames_skipped} skipped for newer ones",
            *(
                [f"{stats.frames_not_decoded} not decoded, as nobody would see them"]
                if stats.frames_not_decoded
                else []
            ),
        ]
        rows["delays"] = [
            f"decoding {_ms(stats.mean_decode_s)}",
            f"since arrival {_ms(stats.mean_delay_s)}",
            f"since capture {_ms(stats.mean_latency_s)}"
            f"{'' if stats.mean_latency_s is None else ', if both clocks are in step'}",
        ]
    table = facts_table()
    for name, facts in rows.items():
        table.add_row(name, " · ".join(facts))
    return table


def facts_table() -> Table:
    """Return a table for names and what is known of each."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    return table


def entries_table(*columns: str) -> Table:
    """Return a table with a line for each entry of a list."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def half_blocks(frame: npt.NDArray[np.uint8], columns: int = 36) -> Text:
    """Return a frame drawn with two pixels a character cell."""
    height, width = frame.shape[:2]
    rows = max(height * columns // width // 2, 1) * 2
    small = frame[np.arange(rows) * height // rows][:, np.arange(columns) * width // columns]
    text = Text()
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        for (r, g, b), (r2, g2, b2) in zip(upper, lower, strict=True):
            text.append("▀", style=f"rgb({r},{g},{b}) on rgb({r2},{g2},{b2})")
        text.append("\n")
    return text


def file_size(count: int) -> str:
    """Return a size in bytes with its unit."""
    if count >= 1e9:
        return f"{count / 1e9:.2f} GB"
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1000:.1f} ms"


def _percent(part: int, rest: int) -> str:
    return f"{100 * part / (part + rest):.1f} %" if part else "0 %"
