"""Decoded audio, and the iterators that consumers read it from."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import av
import numpy as np
import numpy.typing as npt

from streamer.audio_ports import AudioPort
from streamer.errors import ConfigurationError
from streamer.mailbox import Recent
from streamer.media.codecs import opus
from streamer.pubsub import Hub, HubIterator

SampleFormat: TypeAlias = Literal["s16", "f32"]
Layout: TypeAlias = Literal["mono", "stereo"]
Samples: TypeAlias = npt.NDArray[np.int16] | npt.NDArray[np.float32]

LIMIT: Final = 250  # how many pieces a consumer may be behind: 5 s of packets of 20 ms
IDLE_AFTER: Final = 3_000  # pieces without a read, a minute: decoding stops until the next read
RATES: Final = range(8_000, 48_001)
_FULL_SCALE: Final = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class Pcm:
    """A piece of audio as the decoder returned it: 48 kHz, 16 bits, stereo."""

    samples: npt.NDArray[np.int16] = field(repr=False)  # of shape (samples, 2)
    rtp_time: int
    arrival_ns: int
    received_at: float
    captured_ns: int | None
    is_concealed: bool
    discontinuity: bool
    audio_port: AudioPort | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AudioFrame:
    """A piece of the phone's audio, as long as one of the phone's packets: usually 20 ms.

    From one `discontinuity` to the next the samples have no gap, and there are exactly as many as `rtp_time` says.
    """

    samples: Samples = field(repr=False)  # of shape (samples, channels); int16, or float32 from -1 to 1
    rate: int  # samples a second
    layout: Layout  # "mono" or "stereo"
    rtp_time: int  # 48 kHz ticks of the first sample, whatever `rate` is, extended: the phone's own clock
    arrival_ns: int  # monotonic, of its datagram; for concealed audio that of the next one
    received_at: float  # the same moment as Unix time in seconds
    captured_at: float | None  # Unix time in seconds on the phone's own clock; None before its first sender report
    concealed: int  # how many of the samples conceal lost packets
    discontinuity: bool  # this is the first piece, or audio is missing before it, or the stream restarted
    audio_port: AudioPort | None = None  # the audio port when this piece came

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of `samples` and `numpy.asarray(frame)`: (samples, channels)."""
        count, channels = self.samples.shape
        return count, channels

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return `samples`, for `numpy.asarray(frame)`.

        `dtype` converts the values without scaling; None keeps their type. `copy=True` always copies; `copy=False`
        raises ValueError if `dtype` needs a copy.
        """
        wanted = self.samples.dtype if dtype is None else np.dtype(dtype)
        if copy is False and wanted != self.samples.dtype:
            raise ValueError(f"cannot give an array of {wanted} without a copy: the samples are {self.samples.dtype}")
        return self.samples.astype(wanted, copy=bool(copy))

    @property
    def duration_s(self) -> float:
        """The length of the piece in seconds."""
        return len(self.samples) / self.rate

    @property
    def peak(self) -> float:
        """The largest sample of any channel, from 0 to 1, which is full scale."""
        return float(np.abs(self._floats()).max())

    @property
    def level_dbfs(self) -> float:
        """The mean level of all channels in dB of full scale: RMS, a full sine is at -3; -inf for silence."""
        power = float(np.square(self._floats()).mean())
        return 10 * math.log10(power) if power else -math.inf

    def _floats(self) -> npt.NDArray[np.float32]:
        if self.samples.dtype == np.float32:
            return np.asarray(self.samples, dtype=np.float32)
        return self.samples.astype(np.float32) / np.float32(_FULL_SCALE)


class Converter:
    """Converts decoded audio into the format of one consumer. Within a line no sample is lost or added.

    libswresample converts to another rate. It holds back 16 samples: they come with the next piece, or from `finish`.
    """

    def __init__(self, sample_format: SampleFormat, *, rate: int, layout: Layout) -> None:
        self._format = sample_format
        self._rate = rate
        self._layout: Layout = layout
        self._resampler: av.AudioResampler | None = None
        self._last: Pcm | None = None
        self._begin = 0  # the RTP time at which the current line begins
        self._taken = 0  # how many of its samples came
        self._given = 0  # how many of its samples were returned
        self._is_new = True  # whether the next piece begins a line

    def convert(self, pcm: Pcm, *, is_new: bool) -> list[AudioFrame]:
        """Return a piece in the consumer's format. If it `is_new`, it begins a line, after the rest of the last one."""
        frames: list[AudioFrame] = []
        if is_new:
            frames = self.finish()
            self._begin, self._taken, self._given, self._is_new = pcm.rtp_time, 0, 0, True
        self._last = pcm
        self._taken += len(pcm.samples)
        if self._rate == opus.CLOCK_RATE:
            return [*frames, self._frame(pcm, pcm.samples)]
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="s16", layout="stereo", rate=self._rate)
        block = av.AudioFrame.from_ndarray(pcm.samples.reshape(1, -1), format="s16", layout="stereo")
        block.sample_rate = opus.CLOCK_RATE
        samples = stereo(self._resampler.resample(block))
        return [*frames, self._frame(pcm, samples)] if len(samples) else frames

    def finish(self) -> list[AudioFrame]:
        """Return the samples that were held back, if any."""
        resampler, self._resampler = self._resampler, None
        if resampler is None or self._last is None:
            return []
        # For a short line the resampler returns too few samples.
        owed = -(-self._taken * self._rate // opus.CLOCK_RATE) - self._given
        samples = exactly(owed, stereo(resampler.resample(None)))
        return [self._frame(self._last, samples)] if len(samples) else []

    def _frame(self, pcm: Pcm, samples: npt.NDArray[np.int16]) -> AudioFrame:
        rtp_time = self._begin + self._given * opus.CLOCK_RATE // self._rate
        captured_ns = pcm.captured_ns
        if captured_ns is not None:
            captured_ns += (rtp_time - pcm.rtp_time) * 1_000_000_000 // opus.CLOCK_RATE
        is_new, self._is_new = self._is_new, False
        self._given += len(samples)
        return AudioFrame(
            samples=self._shaped(samples),
            rate=self._rate,
            layout=self._layout,
            rtp_time=rtp_time,
            arrival_ns=pcm.arrival_ns,
            received_at=pcm.received_at,
            captured_at=None if captured_ns is None else captured_ns / 1e9,
            concealed=len(samples) if pcm.is_concealed else 0,
            discontinuity=is_new,
            audio_port=pcm.audio_port,
        )

    def _shaped(self, samples: npt.NDArray[np.int16]) -> Samples:
        if self._format == "f32":
            floats = np.asarray(samples, dtype=np.float32) / np.float32(_FULL_SCALE)
            is_stereo = self._layout == "stereo"
            return floats if is_stereo else np.asarray(floats.mean(axis=1, keepdims=True), dtype=np.float32)
        if self._layout == "stereo":
            return samples.copy()  # other consumers share them
        return np.asarray(samples.sum(axis=1, keepdims=True, dtype=np.int32) >> 1, dtype=np.int16)


def exactly(count: int, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    """Return exactly `count` samples of stereo: cut off, or with silence appended."""
    if len(samples) >= count:
        return samples[:count]
    return np.concatenate([samples, np.zeros((count - len(samples), 2), np.int16)])


def stereo(blocks: Iterable[av.AudioFrame]) -> npt.NDArray[np.int16]:
    """Return the samples of 16-bit stereo blocks as an array of shape (samples, 2)."""
    arrays = [np.asarray(block.to_ndarray(), dtype=np.int16).reshape(-1, 2) for block in blocks]
    return np.concatenate(arrays) if arrays else np.empty((0, 2), np.int16)


class AudioHub(Hub[Pcm]):
    """Hands decoded audio to every consumer."""

    def iterate(self, sample_format: SampleFormat, *, rate: int, layout: Layout) -> "AudioIterator":
        """Return a new consumer."""
        self.loop.check()
        if sample_format not in {"s16", "f32"}:
            raise ConfigurationError(f'expected the sample format "s16" or "f32", got {sample_format!r}')
        if rate not in RATES:
            raise ConfigurationError(f"expected a rate from {RATES[0]} to {RATES[-1]} Hz, got {rate}")
        if layout not in {"mono", "stereo"}:
            raise ConfigurationError(f'expected the layout "mono" or "stereo", got {layout!r}')
        return AudioIterator(self, Converter(sample_format, rate=rate, layout=layout))


class AudioIterator(HubIterator[Pcm]):
    """An async iterator of audio. It ends when the session does; `aclose` (or `async with`) ends it before.

    One task reads it at a time. A consumer more than 250 pieces behind, 5 s, loses the oldest: `skipped` counts them,
    and the next one has its `discontinuity` set. An iterator that the program drops, such as by `break`, is closed.
    """

    def __init__(self, hub: AudioHub, converter: Converter) -> None:
        super().__init__(hub, Recent(LIMIT, idle_after=IDLE_AFTER))
        self._converter = converter
        self._ready: deque[AudioFrame] = deque()  # converted and not taken: two at most
        self._skipped_seen = -1  # the value of `skipped` at the last piece

    async def __anext__(self) -> AudioFrame:
        """Return the next piece.

        Raises StopAsyncIteration once the session is closed, or the error that ended it.
        """
        while not self._ready:
            pcm = self._take()
            if pcm is not None:
                is_new = pcm.discontinuity or self.skipped != self._skipped_seen
                self._skipped_seen = self.skipped
                self._ready += self._converter.convert(pcm, is_new=is_new)
            elif self._has_ended:
                self._ready += self._converter.finish()
                if not self._ready:
                    self._raise_end()
            else:
                await self._change()
        return self._ready.popleft()
