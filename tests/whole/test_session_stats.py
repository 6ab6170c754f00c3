"""The statistics of a session with the emulator."""

import asyncio
import random

import aioice
import pytest

from streamer import emulator
from streamer.media.rtp.driver import ReceiverDriver
from tests.support.everywhere import Connect
from tests.support.waiting import LIMIT_S


async def test_the_statistics_cover_every_stage(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.2)  # each check of consent is a measurement
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        before = session.stats()
        assert (before.frames_decoded, before.mean_decode_s, before.frame_width) == (0, None, None)
        frames = session.frames()
        frame, stats = await anext(frames), session.stats()
        while frame.sequence < 20 or stats.mean_latency_s is None or stats.round_trip_time_s is None:
            frame, stats = await anext(frames), session.stats()
        assert stats.state == "streaming"
        assert 0 < stats.duration_s < LIMIT_S
        assert stats.packets_received >= stats.frames_received + stats.audio_packets_received
        assert stats.bytes_received > stats.packets_received * 12
        assert stats.bitrate_bps > 0
        assert stats.frames_per_second > 0
        assert stats.frames_received >= stats.frames_decoded > frame.sequence
        assert stats.audio_packets_received > 0
        assert stats.pli_count > 0
        assert (stats.packets_lost, stats.nack_count, stats.fir_count, stats.freeze_count) == (0, 0, 0, 0)
        assert (stats.frames_lost, stats.frames_malformed, stats.frames_awaiting_keyframe) == (0, 0, 0)
        assert (stats.decode_errors, stats.decoder_overflows) == (0, 0)
        assert 0 < stats.total_decode_time_s < stats.duration_s
        assert stats.mean_decode_s is not None
        assert stats.mean_delay_s is not None
        assert 0 < stats.mean_decode_s < stats.mean_delay_s
        assert 0 < stats.round_trip_time_s < stats.duration_s
        assert (stats.frame_width, stats.frame_height) == (360, 640)
    assert session.stats().state == "closed"
    assert session.stats().frames_decoded >= stats.frames_decoded


async def test_the_statistics_count_losses_and_retransmissions(
    phone: emulator.EmulatedPhone, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, receive = random.Random(1), ReceiverDriver.on_rtp

    def lose(driver: ReceiverDriver, packets: list[bytes], arrival_ns: int) -> None:
        receive(driver, [packet for packet in packets if chance.random() > 0.1], arrival_ns)

    monkeypatch.setattr(ReceiverDriver, "on_rtp", lose)
    async with connect(phone) as session, asyncio.timeout(LIMIT_S):
        frames, stats = session.frames(), session.stats()
        while stats.retransmitted_packets_received < 5 or stats.round_trip_time_s is None:
            await anext(frames)
            stats = session.stats()
    assert stats.retransmission_requests >= stats.retransmitted_packets_received
    assert stats.retransmission_requests >= stats.nack_count > 0
