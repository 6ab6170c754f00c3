"""Decodes audio once for all consumers, and only while at least one listens."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from av.codec.codec import UnknownCodecError

from streamer.audio_ports import AudioPort
from streamer.codec_table import CODECS
from streamer.errors import IncompatibleLibraryError
from streamer.media.access_unit import AccessUnit
from streamer.media.codecs import opus
from streamer.media.playback.audio_frames import AudioHub, Pcm, exactly, stereo
from streamer.media.playback.concealment import Continuity, Step
from streamer.media.worker import Worker
from streamer.own_loop import OwnLoop

INBOX_LIMIT: Final = 250  # packets: 5 s; one more is dropped, and concealed like a lost one

Heard = tuple[Step, npt.NDArray[np.int16], bool]  # True: it conceals a packet that was lost or refused


@dataclass(slots=True)
class AudioCounters:
    """The counters of one decoder. The thread writes all but the last."""

    decoded: int = 0  # packets
    errors: int = 0  # packets that the decoder refused, or that are malformed
    concealed: int = 0  # samples that conceal lost packets
    overflows: int = 0  # packets dropped because decoding was slower than the stream


class AudioOutput:
    """A sink that decodes audio for the consumers of `hub`. `aclose` ends the decoder's thread and the iterators.

    `audio_port` is called for each piece.
    """

    def __init__(self, name: str, *, audio_port: Callable[[], AudioPort | None], loop: OwnLoop | None = None) -> None:
        self.counters = AudioCounters()
        self.hub = AudioHub(self._watch, loop=loop)
        self._name = name
        self._audio_port = audio_port
        self._worker: Worker[tuple[AccessUnit, bool]] | None = None
        self._is_new = True  # whether packets came while nobody listened
        self._has_lost = False  # whether the last packet was dropped
        self._decoder = AudioDecoder(self.counters)

    def put(self, unit: AccessUnit) -> None:
        """Decode an audio packet, if anybody listens."""
        if unit.kind != "audio":
            return
        if self._worker is None or not self.hub.is_watched:
            self._is_new = True
            return
        if self._has_lost:
            unit = replace(unit, discontinuity=True)
        self._has_lost = not self._worker.put((unit, self._is_new))
        self.counters.overflows += self._has_lost
        self._is_new = self._is_new and self._has_lost

    async def aclose(self, error: BaseException | None = None) -> None:
        """End the iterators, with `error` if there is one, and the thread."""
        self.hub.end(error)
        if self._worker is not None:
            await self._worker.aclose()

    def _watch(self, watched: bool) -> None:
        if watched and self._worker is None:
            self._worker = Worker(f"decode audio {self._name}", self._work, lambda: None, limit=INBOX_LIMIT)

    def _work(self, item: tuple[AccessUnit, bool]) -> None:
        unit, is_new = item
        if is_new:
            self._decoder = AudioDecoder(self.counters)
        try:
            heard = self._decoder.decode(unit)
        except Exception as error:  # noqa: BLE001 - our own bugs, too, must end the iterators
            self.hub.loop.call_soon(self.hub.end, error)
            return
        if heard:
            self.hub.loop.call_soon(self._publish, unit, heard)

    def _publish(self, unit: AccessUnit, heard: list[Heard]) -> None:
        received_at = time.time() - (time.monotonic_ns() - unit.arrival_ns) / 1e9
        for step, samples, is_concealed in heard:
            captured_ns = unit.captured_ns
            if captured_ns is not None:
                captured_ns += (step.rtp_time - unit.rtp_time) * 1_000_000_000 // opus.CLOCK_RATE
            self.hub.publish(
                Pcm(
                    samples=samples,
                    rtp_time=step.rtp_time,
                    arrival_ns=unit.arrival_ns,
                    received_at=received_at,
                    captured_ns=captured_ns,
                    is_concealed=is_concealed,
                    discontinuity=step.discontinuity,
                    audio_port=self._audio_port(),
                )
            )


class AudioDecoder:
    """Decodes the packets of one stream in order, and conceals what is missing between them.

    libopus conceals: it fades into the background noise of the audio. Left out: in-band FEC. libavcodec does not offer
    it, and a phone's audio, music at a high rate, is encoded without it.

    `decode` raises IncompatibleLibraryError if libavcodec lacks libopus.
    """

    def __init__(self, counters: AudioCounters) -> None:
        self._counters = counters
        self._continuity = Continuity()
        self._context: av.AudioCodecContext | None = None
        self._last = b"\xfc"  # the last packet; before the first, full band and stereo

    def decode(self, unit: AccessUnit) -> list[Heard]:
        """Return the pieces up to the end of a packet; their samples have the shape (samples, 2)."""
        malformed = self._continuity.malformed
        heard = [self._hear(step) for step in self._continuity.take(unit)]
        self._counters.errors += self._continuity.malformed - malformed
        return heard

    def _hear(self, step: Step) -> Heard:
        if step.discontinuity:
            self._context = None
        is_lost = step.is_lost
        if step.unit is not None:
            try:
                samples = self._decoded(step.unit.data)[step.skipped :]
            except av.FFmpegError:
                self._counters.errors += 1
                is_lost = True
            else:
                self._counters.decoded += 1
                self._last = step.unit.data
                return step, exactly(step.samples, samples), False
        if is_lost:
            self._counters.concealed += step.samples
        return step, self._conceal(step.samples), is_lost

    def _conceal(self, count: int) -> npt.NDArray[np.int16]:
        parts = [self._decoded(packet) for packet in opus.concealment_packets(count, like=self._last)]
        return exactly(count, np.concatenate(parts))

    def _decoded(self, packet: bytes) -> npt.NDArray[np.int16]:
        if self._context is None:
            try:
                context = av.CodecContext.create(CODECS["opus"].decoder, "r")
            except UnknownCodecError as error:
                raise IncompatibleLibraryError(
                    f"expected a libavcodec with libopus, found none in av {av.__version__}: install av from a wheel"
                ) from error
            assert isinstance(context, av.AudioCodecContext)  # noqa: S101 - what "libopus" is
            context.sample_rate, context.layout = opus.CLOCK_RATE, av.AudioLayout("stereo")
            context.format = av.AudioFormat("s16")
            self._context = context
        return stereo(self._context.decode(av.Packet(packet)))
