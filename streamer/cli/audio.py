"""`streamer audio`: decoded audio into a WAV file, or as bare samples to the standard output."""

import asyncio
import contextlib
import math
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.text import Text

from streamer import errors
from streamer.atomic_file import check_writable, unwritable
from streamer.cli.connecting import Connect, connected
from streamer.cli.display import bar, duration, final_stats, live, stats_facts, with_interruptions
from streamer.cli.options import Output
from streamer.cli.output import refuse_terminal, show_result, styled
from streamer.cli.runtime import stop_on_signal
from streamer.media.playback.audio_frames import AudioFrame, AudioIterator, Layout

_CHANNELS: Final[dict[Layout, int]] = {"mono": 1, "stereo": 2}
_WAV_LIMIT: Final = 0xFFFFFFFF - 36  # bytes of samples: its sizes have 32 bits
_AUDIO_LATE_S: Final = 1.0
_METER: Final = 20  # characters


async def save(connect: Connect, output: Path, *, overwrite: bool, **options: Any) -> None:
    """Write the audio into a WAV file, or bare to the standard output."""
    if str(output) == "-":
        await _into_pipe(connect, output, **options)
    elif output.suffix.lower() != ".wav":
        raise errors.ConfigurationError(
            f"expected a file name that ends in .wav, or - for bare samples, got {output.name or '.'!r}"
        )
    else:
        await _into_file(connect, output, overwrite=overwrite, **options)


async def _into_file(
    connect: Connect, output: Path, *, overwrite: bool, rate: int, layout: Layout, **options: Any
) -> None:
    """Write the audio into a WAV file. An existing file stays until there is audio."""
    check_writable(output, overwrite=overwrite)  # before connecting, which may take the phone over from somebody
    mode = "wb" if overwrite else "xb"
    container: wave.Wave_write | None = None
    try:
        with contextlib.ExitStack() as files:

            def write(samples: bytes) -> None:
                nonlocal container
                if container is None:  # an existing file stays until there is audio
                    container = files.enter_context(wave.open(files.enter_context(output.open(mode)), "wb"))
                    container.setnchannels(_CHANNELS[layout])
                    container.setsampwidth(2)
                    container.setframerate(rate)
                container.writeframes(samples)

            recorder = _Recorder(write, rate=rate, layout=layout, limit_bytes=_WAV_LIMIT)
            await _record(connect, output, recorder, **options)
    except OSError as error:
        raise unwritable(output, error) from error


async def _into_pipe(connect: Connect, output: Path, *, rate: int, layout: Layout, **options: Any) -> None:
    """Write bare samples to the standard output; messages go to the error output."""
    refuse_terminal()
    try:
        with open(sys.stdout.fileno(), "wb", closefd=False) as pipe:  # noqa: ASYNC230 - it is open

            def write(samples: bytes) -> None:
                pipe.write(samples)
                pipe.flush()

            await _record(connect, output, _Recorder(write, rate=rate, layout=layout), is_pipe=True, **options)
    except OSError as error:
        raise errors.RecordingError(f"cannot write to standard output: {error.strerror}") from error


async def _record(
    connect: Connect,
    output: Path,
    recorder: "_Recorder",
    *,
    say: Output,
    is_pipe: bool = False,
    duration_s: float | None,
    show_stats: bool,
) -> None:
    async with stop_on_signal() as stopped, connected(connect()) as session:
        audio = session.audio(rate=recorder.rate, layout=recorder.layout)
        stopping = asyncio.ensure_future(stopped.wait())
        stopping.add_done_callback(lambda _: audio.close())
        loop = asyncio.get_running_loop()
        # A phone that plays nothing may send nothing: the time must end anyway.
        over = None if duration_s is None else loop.call_later(duration_s + _AUDIO_LATE_S, audio.close)
        try:
            async with live(lambda: recorder.progress(duration_s), refresh_per_second=10):
                await recorder.take(audio, duration_s)
        finally:
            stopping.cancel()
            if over is not None:
                over.cancel()
            audio.close()
            stats = final_stats(session, show=show_stats and not say.as_json, is_pipe=is_pipe)
    if not recorder.written:
        raise errors.RecordingError(f"no audio came: {output} was not written")
    facts = {
        "output": str(output),
        "duration_s": round(recorder.written / recorder.rate, 3),
        "rate": recorder.rate,
        "layout": recorder.layout,
        "concealed_s": round(recorder.concealed / recorder.rate, 3),
        **stats_facts(stats, has_all=show_stats),
    }
    words = styled(
        (str(output), "bold"),
        f"  {duration(recorder.written / recorder.rate)}  {recorder.rate} Hz  {recorder.layout}",
        f"  {1000 * recorder.concealed / recorder.rate:.0f} ms concealed",
    )
    show_result(facts, with_interruptions(words, stats), as_json=say.as_json, is_pipe=is_pipe)


class _Recorder:
    """Writes audio with `write`, half a second at a time, and shows its level."""

    def __init__(
        self, write: Callable[[bytes], None], *, rate: int, layout: Layout, limit_bytes: int | None = None
    ) -> None:
        self.rate = rate
        self.layout: Layout = layout
        self.written = 0  # samples
        self.concealed = 0
        self._write = write
        self._limit = None if limit_bytes is None else limit_bytes // (2 * _CHANNELS[layout])
        self._pending: list[bytes] = []
        self._taken = 0  # samples, those that are pending too
        self._last: AudioFrame | None = None
        self._peak = 0.0  # since the meter was last shown

    async def take(self, audio: AudioIterator, duration_s: float | None) -> None:
        """Write the audio until it ends, or for `duration_s`."""
        wanted = None if duration_s is None else round(duration_s * self.rate)
        try:
            async for frame in audio:
                await self._add_silence(frame, wanted)
                left = len(frame.samples) if wanted is None else wanted - self._taken
                self._add(frame.samples[:left])
                self.concealed += min(frame.concealed, left)
                self._last, self._peak = frame, max(self._peak, frame.peak)
                if self._taken - self.written >= self.rate / 2:
                    await self._flush()
                if self._taken == wanted:
                    break
        finally:
            await self._flush()

    def progress(self, duration_s: float | None) -> Text:
        """Return the level, and the progress if there is an end."""
        meter = self.meter()
        return meter if duration_s is None else Text("\n").join([meter, bar(self._taken / self.rate, duration_s)])

    def meter(self) -> Text:
        """Return the level in one line."""
        if self._last is None:
            return styled(" no audio yet")
        peak, self._peak = self._peak, 0.0
        peak_dbfs = 20 * math.log10(peak) if peak else -math.inf
        full = max(min(round(_METER * (1 + peak_dbfs / 60)), _METER), 0) if peak else 0  # from -60 dBFS on
        return styled(
            f" {duration(self._taken / self.rate):>8}  ",
            ("█" * full, "green" if peak < 0.9 else "red"),
            ("░" * (_METER - full), "dim"),
            f"  {self._last.level_dbfs:6.1f} dBFS  peak {peak_dbfs:6.1f}",
            f"  concealed {1000 * self.concealed / self.rate:.0f} ms",
        )

    async def _add_silence(self, frame: AudioFrame, wanted: int | None) -> None:
        """Fill a long pause of the phone with silence."""
        if not frame.discontinuity or self._last is None:
            return
        since_s = (frame.arrival_ns - self._last.arrival_ns) / 1e9 - self._last.duration_s
        missing = max(round(since_s * self.rate), 0)
        if wanted is not None:
            missing = min(missing, wanted - self._taken)
        while missing:
            count = min(missing, self.rate)
            self._add(np.zeros((count, _CHANNELS[self.layout]), np.int16))
            await self._flush()
            missing -= count

    def _add(self, samples: npt.NDArray[Any]) -> None:
        if self._limit is not None and self._taken + len(samples) > self._limit:
            raise errors.RecordingError("a WAV file holds at most 4 GB: use a lower --rate, --layout mono, or -o -")
        self._taken += len(samples)
        self._pending.append(np.asarray(samples, dtype="<i2").tobytes())

    async def _flush(self) -> None:
        pending, self._pending = b"".join(self._pending), []
        if pending:
            await asyncio.to_thread(self._write, pending)
        self.written = self._taken
