"""Audio on its way from packets to consumers: libopus's packets in, samples in the loop out."""

import asyncio
import fractions
import math
import pickle
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.codec.codec import UnknownCodecError
from hypothesis import given
from hypothesis import strategies as st

from streamer.audio_ports import AudioPort
from streamer.errors import ConfigurationError, IncompatibleLibraryError
from streamer.media.access_unit import AccessUnit
from streamer.media.playback.audio import AudioCounters, AudioDecoder, AudioOutput
from streamer.media.playback.audio_frames import LIMIT, AudioFrame, AudioIterator, Converter, Layout, Pcm, SampleFormat
from tests.support.examples import examples
from tests.support.senders import MS, OPUS, access_unit

LIMIT_S = 20.0
HERTZ = 440
AMPLITUDE = 8000
LOOKAHEAD = 312  # samples by which what is decoded comes later than what was encoded


def tone(samples: int, *, rate: int = 48_000) -> npt.NDArray[np.int16]:
    """Return a sine on the left and half of it on the right, of shape (samples, 2)."""
    left = AMPLITUDE * np.sin(2 * np.pi * HERTZ * np.arange(samples) / rate)
    return np.stack([left, left / 2], axis=1).astype(np.int16)


def encoded(count: int) -> list[bytes]:
    """Return packets of 20 ms of it."""
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format = 48_000, av.AudioLayout("stereo"), av.AudioFormat("s16")
    context.bit_rate = 96_000
    packets: list[bytes] = []
    for number, block in enumerate(np.split(tone(960 * count), count)):
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 960 * number, fractions.Fraction(1, 48_000)
        packets += [bytes(packet) for packet in context.encode(frame)]
    return packets


PACKETS = encoded(60)


def units(numbers: Iterable[int], *, lost_before: Iterable[int] = ()) -> list[AccessUnit]:
    """Return the packets of these numbers as the receiver hands them on."""
    return [
        access_unit(
            PACKETS[number],
            960 * number,
            codec=OPUS,
            discontinuity=number in lost_before,
            arrival_ns=20 * MS * number,
        )
        for number in numbers
    ]


def heard(sequence: Iterable[AccessUnit]) -> tuple[npt.NDArray[np.int16], AudioCounters]:
    counters = AudioCounters()
    decoder = AudioDecoder(counters)
    return np.concatenate([samples for unit in sequence for _, samples, _ in decoder.decode(unit)]), counters


def loudness(samples: npt.NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(samples.astype(float)))))


def test_decoded_audio_is_what_was_encoded() -> None:
    samples, counters = heard(units(range(60)))
    assert samples.shape == (60 * 960, 2)
    difference = samples[4800:].astype(float) - tone(60 * 960)[4800 - LOOKAHEAD : -LOOKAHEAD]
    assert loudness(difference) < loudness(tone(4800)) / 20
    assert counters == AudioCounters(decoded=60)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_lost_packet_is_concealed_by_similar_audio(lost: int) -> None:
    """A tone goes on: silence would be no louder than the noise floor."""
    kept = [*range(20), *range(20 + lost, 40)]
    samples, counters = heard(units(kept, lost_before=[20 + lost]))
    assert len(samples) == 40 * 960
    assert counters == AudioCounters(decoded=40 - lost, concealed=960 * lost)
    for number in range(20, 20 + lost):
        piece = samples[960 * number : 960 * (number + 1)]
        assert loudness(piece) > loudness(samples[: 20 * 960]) / 3
    after = samples[960 * (23 + lost) :].astype(float)
    whole = heard(units(range(40)))[0][960 * (23 + lost) :]
    assert loudness(after - whole) < loudness(whole) / 10  # and the decoder is back in step


def test_a_pause_fades_and_counts_as_no_loss() -> None:
    samples, counters = heard(units([*range(20), 59]))
    assert len(samples) == 60 * 960
    assert counters == AudioCounters(decoded=21)
    assert loudness(samples[40 * 960 : 59 * 960]) < loudness(samples[10 * 960 : 20 * 960]) / 4


@examples(40)
@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(-2000, 4000), st.booleans()), max_size=12))
def test_a_line_has_the_samples_that_its_times_say_whatever_arrives(
    packets: list[tuple[bytes, int, bool]],
) -> None:
    """Law: garbage is counted, never raised; each piece is as long as planned, and follows the one before."""
    decoder = AudioDecoder(AudioCounters())
    rtp_time = 1_000_000
    expected = -1
    for data, step, is_lost in packets:
        rtp_time += step
        for piece, samples, _ in decoder.decode(access_unit(data, rtp_time, codec=OPUS, discontinuity=is_lost)):
            assert samples.shape == (piece.samples, 2)
            assert piece.discontinuity or piece.rtp_time == expected
            expected = piece.rtp_time + piece.samples


def pcm(samples: npt.NDArray[np.int16], rtp_time: int, *, discontinuity: bool = False, lost: bool = False) -> Pcm:
    return Pcm(
        samples=samples,
        rtp_time=rtp_time,
        arrival_ns=rtp_time,
        received_at=0.0,
        captured_ns=rtp_time * 1_000_000_000 // 48_000,
        is_concealed=lost,
        discontinuity=discontinuity,
        audio_port=None,
    )


@examples(40)
@given(
    lengths=st.lists(st.sampled_from([120, 240, 480, 960, 2880]), min_size=1, max_size=20),
    rate=st.sampled_from([8000, 11_025, 16_000, 22_050, 44_100, 47_999, 48_000]),
    layout=st.sampled_from(["mono", "stereo"]),
    sample_format=st.sampled_from(["s16", "f32"]),
    new_at=st.integers(0, 20),
)
def test_a_line_has_the_samples_of_its_duration_at_any_rate(
    lengths: list[int], rate: int, layout: Layout, sample_format: SampleFormat, new_at: int
) -> None:
    """Law: rounded up, whatever the pieces; each says of its first sample when that is; a new line drops nothing."""
    converter = Converter(sample_format, rate=rate, layout=layout)
    frames: list[AudioFrame] = []
    rtp_time, spans = 5000, [0]
    for index, length in enumerate(lengths):
        is_new = index in {0, new_at}
        if is_new and index:
            rtp_time += 1_000_000
            spans.append(0)
        spans[-1] += length
        frames += converter.convert(pcm(np.zeros((length, 2), np.int16), rtp_time), is_new=is_new)
        rtp_time += length
    frames += converter.finish()
    begins = [index for index, frame in enumerate(frames) if frame.discontinuity]
    assert begins[0] == 0
    lines = [frames[begin:end] for begin, end in zip(begins, [*begins[1:], len(frames)], strict=True)]
    assert [sum(len(frame.samples) for frame in line) for line in lines] == [
        -(-span * rate // 48_000) for span in spans
    ]
    for frame in frames:
        assert frame.samples.shape[1] == (1 if layout == "mono" else 2)
        assert frame.samples.dtype == (np.int16 if sample_format == "s16" else np.float32)
        assert frame.captured_at == pytest.approx(frame.rtp_time / 48_000)
    for line in lines:
        given = 0
        for frame in line:
            assert frame.rtp_time == line[0].rtp_time + given * 48_000 // rate
            given += len(frame.samples)


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_a_tone_keeps_its_place_and_its_level_at_any_rate(rate: int) -> None:
    converter = Converter("f32", rate=rate, layout="mono")
    frames = [
        frame
        for number, block in enumerate(np.split(tone(48_000), 50))
        for frame in converter.convert(pcm(block, 960 * number), is_new=number == 0)
    ]
    samples = np.concatenate([frame.samples[:, 0] for frame in frames])[rate // 10 :]
    wanted = tone(rate, rate=rate).mean(axis=1)[rate // 10 :][: len(samples)] / 32_768
    assert np.abs(samples[: len(wanted)] - wanted).max() < 0.001


def test_levels_are_those_of_full_scale() -> None:
    sine = (32_767 * np.sin(2 * np.pi * np.arange(4800) / 48)).astype(np.int16)
    for sample_format in ("s16", "f32"):
        converter = Converter(sample_format, rate=48_000, layout="stereo")
        (full,) = converter.convert(pcm(np.stack([sine, sine], axis=1), 0), is_new=True)
        assert full.level_dbfs == pytest.approx(-3.01, abs=0.02)
        assert full.peak == pytest.approx(1.0, abs=0.001)
        assert full.duration_s == 0.1
        (silent,) = converter.convert(pcm(np.zeros((960, 2), np.int16), 4800), is_new=False)
        assert (silent.level_dbfs, silent.peak) == (-math.inf, 0.0)
    (loudest,) = Converter("s16", rate=48_000, layout="mono").convert(
        pcm(np.full((10, 2), -32_768, np.int16), 0), is_new=True
    )
    assert loudest.samples.min() == -32_768
    assert loudest.peak == 1.0


@pytest.mark.parametrize("sample_format", ["s16", "f32"])
def test_numpy_reads_a_frame_as_an_array_and_another_process_gets_it(sample_format: SampleFormat) -> None:
    (audio,) = Converter(sample_format, rate=48_000, layout="mono").convert(pcm(tone(960), 0), is_new=True)
    assert np.shares_memory(np.asarray(audio), audio.samples)
    assert audio.shape == np.asarray(audio).shape == (960, 1)
    assert not np.shares_memory(np.array(audio, copy=True), audio.samples)
    assert np.asarray(audio, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="cannot give an array of float64 without a copy"):
        audio.__array__(np.dtype(np.float64), copy=False)
    assert np.array_equal(pickle.loads(pickle.dumps(audio)).samples, audio.samples)


@asynccontextmanager
async def sounding() -> AsyncIterator[AudioOutput]:
    audio = AudioOutput("test", audio_port=lambda: AudioPort(address="10.0.0.1", port=10030))
    try:
        yield audio
    finally:
        await audio.aclose()


async def take(iterator: AudioIterator, count: int) -> list[AudioFrame]:
    async with asyncio.timeout(LIMIT_S):
        return [await anext(iterator) for _ in range(count)]


async def rest(iterator: AudioIterator) -> list[AudioFrame]:
    async with asyncio.timeout(LIMIT_S):
        return [frame async for frame in iterator]


async def test_several_consumers_get_the_same_audio_and_it_is_decoded_once() -> None:
    async with sounding() as audio:
        first, second = (
            audio.hub.iterate("s16", rate=48_000, layout="stereo"),
            audio.hub.iterate("f32", rate=16_000, layout="mono"),
        )
        for unit in units([*range(10), *range(12, 20)], lost_before=[12]):
            audio.put(unit)
        frames = await take(first, 20)
        others = await take(second, 20)
        assert audio.counters.decoded == 18
    assert [frame.rtp_time for frame in frames] == [960 * number for number in range(20)]
    assert [frame.concealed for frame in frames] == [0] * 10 + [960] * 2 + [0] * 8
    assert [frame.discontinuity for frame in frames] == [True] + [False] * 19
    assert [frame.arrival_ns // (20 * MS) for frame in frames] == [*range(10), 12, 12, *range(12, 20)]
    assert {frame.audio_port for frame in frames} == {AudioPort(address="10.0.0.1", port=10030)}
    assert sum(frame.concealed for frame in others) == 640
    frames[0].samples[:] = 0  # a consumer's samples are its own
    assert others[0].samples.any()


async def test_nothing_is_decoded_without_listeners_and_a_later_one_begins_a_line() -> None:
    async with sounding() as audio:
        for unit in units(range(5)):
            audio.put(unit)
        iterator = audio.hub.iterate("s16", rate=48_000, layout="stereo")
        for unit in units(range(5, 10)):
            audio.put(unit)
        frames = await take(iterator, 5)
        assert audio.counters.decoded == 5
        iterator.close()
        for unit in units(range(10, 15)):
            audio.put(unit)
        async with audio.hub.iterate("s16", rate=48_000, layout="stereo") as later:
            for unit in units(range(15, 18)):
                audio.put(unit)
            frames += await take(later, 3)
        assert audio.counters.decoded == 8
    assert [frame.rtp_time // 960 for frame in frames] == [*range(5, 10), *range(15, 18)]
    assert [frame.discontinuity for frame in frames] == [True, *[False] * 4, True, *[False] * 2]


async def test_a_slow_listener_loses_the_oldest_audio_and_sees_where() -> None:
    async with sounding() as audio:
        slow, other = (audio.hub.iterate("s16", rate=48_000, layout="stereo") for _ in range(2))
        for unit in units(range(10)):
            audio.put(unit)
        await take(other, 10)
        (first,) = await take(slow, 1)
        for number in range(LIMIT):
            audio.put(access_unit(PACKETS[20], 960 * (10 + number), codec=OPUS, arrival_ns=0))
            await take(other, 1)
        assert slow.skipped == 9
        frames = await take(slow, LIMIT)
    assert first.rtp_time == 0
    assert frames[0].discontinuity
    assert frames[0].rtp_time == 10 * 960
    assert not any(frame.discontinuity for frame in frames[1:])


async def test_an_iterator_gives_what_it_holds_and_then_ends_with_the_sessions_error() -> None:
    audio = AudioOutput("test", audio_port=lambda: None)
    first, second = (audio.hub.iterate("s16", rate=16_000, layout="stereo") for _ in range(2))
    for unit in units(range(3)):
        audio.put(unit)
    await take(first, 3)
    second.close()
    await audio.aclose(ValueError("lost"))
    (tail,) = await take(first, 1)  # what the resampler held back
    assert len(tail.samples) == 16
    with pytest.raises(ValueError, match="lost"):
        await anext(first)
    assert await rest(first) == []
    assert sum(len(frame.samples) for frame in await rest(second)) == 960
    with pytest.raises(ValueError, match="lost"):
        await anext(audio.hub.iterate("s16", rate=48_000, layout="stereo"))


@pytest.mark.parametrize(
    ("fault", "raised"), [(UnknownCodecError("libopus"), IncompatibleLibraryError), (ZeroDivisionError(), None)]
)
async def test_a_failure_of_the_decoder_ends_the_iterators(
    fault: Exception, raised: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(*_: object) -> None:
        raise fault

    async with sounding() as audio:
        monkeypatch.setattr(av.CodecContext, "create", create)
        iterator = audio.hub.iterate("s16", rate=48_000, layout="stereo")
        for unit in units(range(3)):
            audio.put(unit)
        with pytest.raises(raised or type(fault)):
            await take(iterator, 1)
        assert await rest(iterator) == []


@pytest.mark.parametrize(
    ("sample_format", "rate", "layout"),
    [("u8", 48_000, "mono"), ("s16", 7999, "mono"), ("s16", 96_000, "mono"), ("s16", 48_000, "5.1")],
)
async def test_an_impossible_format_is_refused(sample_format: Any, rate: int, layout: Any) -> None:
    async with sounding() as audio:
        with pytest.raises(ConfigurationError, match="expected"):
            audio.hub.iterate(sample_format, rate=rate, layout=layout)
