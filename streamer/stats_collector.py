"""Collects the counters of a session's parts: for a snapshot, and for the problems that last."""

import asyncio
import time
from typing import Never

from streamer.events import EventHub
from streamer.lasting_problems import LOOK_EVERY_S, LastingProblems
from streamer.media.meters import StreamMeter
from streamer.media.playback.audio import AudioOutput
from streamer.media.playback.video import VideoOutput
from streamer.reconnector import Reconnector
from streamer.stats import Stats


class StatsCollector:
    """Reads the counters of a session's parts. `meter` is a sink of the session's fan-out."""

    def __init__(self, reconnector: Reconnector, frames: VideoOutput, audio: AudioOutput, events: EventHub) -> None:
        self.meter = StreamMeter(
            time.monotonic_ns, lambda: sum(receiver.counters.video_gaps for receiver in reconnector.receivers)
        )
        self._reconnector = reconnector
        self._frames = frames
        self._audio = audio
        self._events = events

    def stats(self, state: str) -> Stats:
        """Return a snapshot of all counters."""
        now_ns = time.monotonic_ns()
        receivers = self._reconnector.receivers
        came = self._reconnector.counters()
        round_trips = [receiver.round_trip for receiver in receivers if receiver.round_trip.is_measured]
        stream, hub, decoder, decoding = self.meter, self._frames.hub, self._frames.counters, self._frames.meter
        audio = self._audio.counters
        return Stats(
            state=state,
            duration_s=stream.duration_s(),
            interruptions=self._events.interruptions.count,
            interrupted_s=self._events.interruptions.total_s(time.monotonic()),
            interruption_reasons=self._events.interruptions.reasons,
            packets_received=came.packets,
            packets_lost=self._reconnector.packets_lost(),
            retransmitted_packets_received=came.recovered,
            packets_malformed=came.malformed,
            packets_unknown=came.unknown_payload_type,
            packets_refused=came.refused,
            packets_duplicated=came.duplicated,
            bytes_received=came.bytes,
            bitrate_bps=8 * stream.bytes.per_second(now_ns),
            jitter_s=max((receiver.jitter_s for receiver in receivers), default=0.0),
            round_trip_time_s=_seconds(round_trips[0].smoothed_ns if round_trips else None),
            nack_count=came.nacks,
            retransmission_requests=came.retransmission_requests,
            pli_count=came.plis,
            fir_count=came.firs,
            frames_received=came.frames,
            frames_lost=came.frames_lost,
            frames_malformed=came.frames_malformed,
            frames_awaiting_keyframe=came.frames_awaiting_keyframe + decoder.passed_over + decoder.awaiting_keyframe,
            frames_per_second=stream.frames.per_second(now_ns),
            freeze_count=stream.freezes.count,
            total_freezes_duration_s=stream.freezes.total_ns / 1e9,
            audio_packets_received=came.audio_packets_received,
            audio_packets_decoded=audio.decoded,
            audio_errors=audio.errors,
            audio_overflows=audio.overflows,
            concealed_audio_s=audio.concealed / 48_000,
            frames_decoded=decoder.decoded,
            frames_not_decoded=self._frames.not_decoded,
            decode_errors=decoder.errors,
            frames_too_large=decoder.too_large,
            frames_corrupt=decoder.corrupt,
            decoder_overflows=decoder.overflows,
            frames_skipped=hub.skipped,
            total_decode_time_s=decoder.decode_ns / 1e9,
            mean_decode_s=_seconds(decoding.decoding.mean(now_ns)),
            mean_delay_s=_seconds(decoding.delay.mean(now_ns)),
            mean_latency_s=_seconds(decoding.latency.mean(now_ns)),
            frame_width=hub.last_size[0] if hub.last_size else None,
            frame_height=hub.last_size[1] if hub.last_size else None,
        )

    async def watch(self) -> Never:
        """Emit a "problem" for what keeps going wrong."""
        lasting = LastingProblems()
        while True:
            came, decoder = self._reconnector.counters(), self._frames.counters
            counts = {
                "packets keep failing authentication: damaged on the way, or not the phone's": came.refused,
                "packets keep coming with payload types that were not negotiated": came.unknown_payload_type,
                "the decoder keeps refusing frames": decoder.errors,
                "frames keep coming damaged": decoder.corrupt,
            }
            for problem in lasting.look(counts):
                self._events.emit("problem", problem)
            await asyncio.sleep(LOOK_EVERY_S)


def _seconds(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e9
