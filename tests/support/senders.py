"""Streams that other software made: encoders' access units, aiortc's and libavformat's RTP packets of them."""

import contextlib
import fractions
import functools
import itertools
import os
import queue
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import av
import numpy as np
import numpy.typing as npt
from aiortc.codecs.h264 import H264Encoder
from av.codec.context import Flags
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from streamer.media.access_unit import AccessUnit
from streamer.media.codecs.bits import BitReader, BitWriter, escaped, unescaped
from streamer.media.recording.thread_priority import ordinary_priority
from streamer.tracks import Codec, Track

SIZE = (160, 128)  # of what is sent

P = ParamSpec("P")
T = TypeVar("T")

MS = 1_000_000
VIDEO_CODECS = ("h264", "h265", "vp8", "vp9", "av1")
H264 = Codec(name="h264", clock_rate=90_000)
OPUS = Codec(name="opus", clock_rate=48_000, channels=2)
VIDEO = Track(
    kind="video",
    mid="0",
    codecs={96: H264},
    rtx={97: 96},
    feedback=frozenset({"nack", "nack pli"}),
    reduced_size_rtcp=True,
)
AUDIO = Track(kind="audio", mid="1", codecs={111: OPUS}, reduced_size_rtcp=True)


# libavcodec's encoders, set up as a screen's are: each picture leaves at once, keyframes come on request.
REALTIME_VPX = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"}
ENCODERS = {
    "h265": (
        "libx265",
        {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "forced-idr": "1",
            "x265-params": "repeat-headers=1:info=0:scenecut=0:keyint=1000:pools=none:frame-threads=1:log-level=none",
        },
    ),
    "vp8": ("libvpx", REALTIME_VPX),
    "vp9": ("libvpx-vp9", REALTIME_VPX),
    "av1": ("libsvtav1", {"preset": "12", "svtav1-params": "pred-struct=1:rc=0:force-key-frames=1:keyint=-1:lp=1"}),
}
LIBAV_NAMES = {"h265": "hevc"}  # of codecs, where they are not those of the SDP
_BARS = np.where((np.arange(160) - 4 * np.arange(40)[:, np.newaxis]) // 8 == 0, 200, 60)  # what `drawn` draws
_REFORMATTER = VideoReformatter()  # shared: setting one up takes time
os.environ["SVT_LOG"] = "0"  # libsvtav1 says much, and only this makes it silent


def made_once(make: Callable[P, list[T]]) -> Callable[P, list[T]]:
    """Return a function that encodes a stream once: it is the same each time, and encoding takes long."""
    kept: Any = functools.lru_cache(maxsize=64)(make)
    return lambda *arguments, **options: list(kept(*arguments, **options))


def drawn(number: int, size: tuple[int, int], *, noise: bool) -> av.VideoFrame:
    """Return a picture: noise, or a bar on grey that is elsewhere in each."""
    width, height = size
    if noise:
        image = np.random.default_rng(number).integers(0, 256, (height, width), dtype=np.uint8)
    else:
        image = np.full((height, width), 60, dtype=np.uint8)
        image[:, 4 * number % width : 4 * number % width + 8] = 200
    return _REFORMATTER.reformat(av.VideoFrame.from_ndarray(image, format="gray"), format="yuv420p")


def encoder(
    size: tuple[int, int] = (160, 128), *, slices: int = 1, in_band: bool = True, x264: str = ""
) -> av.VideoCodecContext:
    """Return libx264 set up as a screen's encoder is: each picture leaves at once, keyframes come on request."""
    context = av.VideoCodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = *size, "yuv420p"
    context.framerate, context.time_base = fractions.Fraction(30), fractions.Fraction(1, 90_000)
    context.thread_count = 1
    headers = "annexb=1:repeat-headers=1" if in_band else "annexb=1"
    context.options = {
        "tune": "zerolatency",
        "preset": "ultrafast",
        "forced-idr": "1",
        "x264-params": f"{headers}:slices={slices}:scenecut=0:keyint=1000{x264}",
    }
    if not in_band:
        context.flags |= Flags.global_header
    return context


@made_once
def encoded(
    pictures: int,
    *,
    size: tuple[int, int] = (160, 128),
    slices: int = 1,
    keyframe_every: int = 1000,
    noise: bool = False,
    in_band: bool = True,
    x264: str = "",
) -> list[bytes]:
    """Return the access units of so many pictures, the first of them a keyframe, in Annex B form."""
    context = encoder(size, slices=slices, in_band=in_band, x264=x264)
    return _encoded(context, pictures, size=size, keyframe_every=keyframe_every, noise=noise)


@made_once
def encoded_as(
    codec: str,
    pictures: int,
    *,
    size: tuple[int, int] = (160, 128),
    keyframe_every: int = 1000,
    noise: bool = False,
    pix_fmt: str = "yuv420p",
) -> list[bytes]:
    """Return the access units of so many pictures, the first of them a keyframe, as the codec's encoder makes them."""
    if codec == "h264":
        return encoded(pictures, size=size, keyframe_every=keyframe_every, noise=noise)
    encode = functools.partial(
        _encoded_as, codec, pictures, size=size, keyframe_every=keyframe_every, noise=noise, pix_fmt=pix_fmt
    )
    return _tried_again(encode) if codec == "av1" else encode()


def _tried_again(encode: Callable[[], list[bytes]]) -> list[bytes]:
    """Encode in a thread that is left behind if it stands still: libsvtav1 4.1 rarely waits for itself, for ever."""
    for _ in range(5):
        made: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()
        threading.Thread(target=lambda into: into.put(encode()), args=(made,), daemon=True, name="encode").start()
        with contextlib.suppress(queue.Empty):
            return made.get(timeout=12)
    raise AssertionError("expected an AV1 stream within five times 12 s, got none")


def _encoded_as(
    codec: str, pictures: int, *, size: tuple[int, int], keyframe_every: int, noise: bool, pix_fmt: str
) -> list[bytes]:
    name, options = ENCODERS[codec]
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = *size, pix_fmt
    context.framerate, context.time_base = fractions.Fraction(30), fractions.Fraction(1, 90_000)
    context.thread_count, context.options = 1, options
    with ordinary_priority():
        context.open()
    return _encoded(context, pictures, size=size, keyframe_every=keyframe_every, noise=noise)


def _encoded(
    context: av.VideoCodecContext, pictures: int, *, size: tuple[int, int], keyframe_every: int, noise: bool
) -> list[bytes]:
    units = []
    for number in range(pictures):
        frame = drawn(number, size, noise=noise).reformat(format=context.pix_fmt)
        frame.pts = 3000 * number
        frame.pict_type = PictureType.I if number % keyframe_every == 0 else PictureType.NONE
        units += [bytes(packet) for packet in context.encode(frame)]
    context.encode(None)
    assert len(units) == pictures
    return units


@made_once
def allowing_reordering(
    codec: str, frames: int, *, size: tuple[int, int] = (160, 128), keyframe_every: int = 1000, bidirectional: int = 0
) -> list[tuple[int, bytes]]:
    """Return access units whose parameter sets allow reordering, in decoding order, each with its frame's number.

    With `bidirectional` so many B-frames come between two others. Without, nothing is reordered although it is allowed:
    what hardware encoders make.
    """
    between = bidirectional or 1
    name, options = {
        "h264": (
            "libx264",
            {"x264-params": f"bframes={between}:b-adapt=0:rc-lookahead=0:sync-lookahead=0:annexb=1:repeat-headers=1:"
            "scenecut=0:keyint=1000:weightp=0:threads=1"},
        ),
        "h265": (
            "libx265",
            {"x265-params": f"bframes={between}:b-adapt=0:rc-lookahead={between + 1}:repeat-headers=1:info=0:"
            "scenecut=0:keyint=1000:open-gop=0:pools=none:frame-threads=1:log-level=none"},
        ),
    }[codec]  # fmt: skip
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = *size, "yuv420p"
    context.framerate, context.time_base = fractions.Fraction(30), fractions.Fraction(1, 90_000)
    context.options = {"preset": "ultrafast", "forced-idr": "1", **options}
    made: list[av.Packet[Any]] = []
    with ordinary_priority():
        context.open()
    for number in range(frames):
        frame = drawn(number, size, noise=False)
        frame.pts = number
        if number % keyframe_every == 0:
            frame.pict_type = PictureType.I
        elif not bidirectional:
            frame.pict_type = PictureType.P
        made += context.encode(frame)
    made += context.encode(None)
    assert len(made) == frames
    return [(packet.pts or 0, bytes(packet)) for packet in made]


def number_in(picture: av.VideoFrame) -> int:
    """Return the number, up to 39, of the frame that `drawn` drew 160 pixels wide and an encoder blurred."""
    columns = _REFORMATTER.reformat(picture, format="gray").to_ndarray().astype(int).mean(axis=0)
    return int(np.argmin(np.abs(_BARS - columns).sum(axis=1)))


def decoded(codec: str, units: Iterable[bytes]) -> list[npt.NDArray[np.uint8]]:
    """Return the pictures of a stream as libavcodec decodes it when nothing is hurried, each as its planes."""
    context = av.CodecContext.create({"h265": "hevc", "av1": "libdav1d"}.get(codec, codec), "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count, context.options = 1, {"err_detect": "explode"}
    pictures = itertools.chain.from_iterable(map(context.decode, [*map(av.Packet, units), None]))
    return [picture.to_ndarray().astype(np.uint8) for picture in pictures]


def nal_units(annex_b: bytes) -> list[bytes]:
    """Return the NAL units of an access unit, whatever its start codes, as aiortc finds them."""
    return [bytes(unit) for unit in H264Encoder._split_bitstream(annex_b)]


def content(codec: str, unit: bytes) -> list[bytes]:
    """Return what an access unit holds, so that two can be compared: start codes of either length are the same."""
    return nal_units(unit) if codec in {"h264", "h265"} else [unit]


def is_keyframe(annex_b: bytes) -> bool:
    """Whether an access unit holds an IDR slice."""
    return any(unit[0] & 0x1F == 5 for unit in nal_units(annex_b))


def rtp(
    payload: bytes,
    sequence_number: int,
    rtp_time: int,
    *,
    marker: bool = False,
    payload_type: int = 96,
    ssrc: int = 1,
    extension: bytes = b"",
) -> bytes:
    """Return an RTP packet; `extension` is a header extension with its four bytes of head."""
    first, second = 0x90 if extension else 0x80, marker << 7 | payload_type
    head = struct.pack("!BBHII", first, second, sequence_number & 0xFFFF, rtp_time & 0xFFFFFFFF, ssrc)
    return head + extension + payload


def payloads(unit: bytes) -> list[bytes]:
    """Return the RTP payloads of an access unit as aiortc's packetiser cuts them."""
    return H264Encoder._packetize(iter(nal_units(unit)))


def packets_by_aiortc(
    units: Iterable[bytes], *, sequence_number: int = 65_500, rtp_time: int = 4_294_900_000, ssrc: int = 1
) -> Iterator[list[bytes]]:
    """Yield each access unit's packets, 3000 ticks apart; sequence numbers and times soon wrap."""
    counter = itertools.count(sequence_number)
    for number, unit in enumerate(units):
        cut = payloads(unit)
        yield [
            rtp(payload, next(counter), rtp_time + 3000 * number, marker=position == len(cut), ssrc=ssrc)
            for position, payload in enumerate(cut, start=1)
        ]


def packets_by_libavformat(
    units: Sequence[bytes],
    *,
    codec: str = "h264",
    packet_size: int = 1200,
    mode: int = 1,
    keyframe_every: int = 1000,
) -> list[list[bytes]]:
    """Return each access unit's packets as libavformat's RTP muxer makes them; `mode` is H.264's packetization mode.

    The muxer has to be told which are keyframes: AV1's packets say it.
    """
    written: list[bytes] = []

    class Output:
        def write(self, data: bytes) -> int:
            written.append(bytes(data))
            return len(data)

    flags = "skip_rtcp" if mode else "skip_rtcp+h264_mode0"
    options = {"packetsize": str(packet_size), "rtpflags": flags, "seq": "65500", "strict": "experimental"}
    made: list[list[bytes]] = []
    with av.open(Output(), "w", format="rtp", options=options) as muxer:
        stream = muxer.add_mux_stream(LIBAV_NAMES.get(codec, codec), width=160, height=128)
        for number, unit in enumerate(units):
            packet = av.Packet(unit)
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base = fractions.Fraction(1, 30)
            packet.is_keyframe = number % keyframe_every == 0
            muxer.mux(packet)
            made.append(list(written))
            written.clear()
    return made


def access_unit(
    data: bytes,
    rtp_time: int,
    *,
    codec: Codec = H264,
    keyframe: bool | None = None,
    ssrc: int = 1,
    arrival_ns: int | None = None,
    captured_ns: int | None = None,
    discontinuity: bool = False,
) -> AccessUnit:
    """Return a unit as the receiver would hand it on; by default it came when its RTP time says."""
    video = codec.name != "opus"
    return AccessUnit(
        kind="video" if video else "audio",
        codec=codec,
        data=data,
        rtp_time=rtp_time,
        ssrc=ssrc,
        is_keyframe=(is_keyframe(data) if video else True) if keyframe is None else keyframe,
        discontinuity=discontinuity,
        arrival_ns=rtp_time * 1_000_000_000 // codec.clock_rate if arrival_ns is None else arrival_ns,
        captured_ns=captured_ns,
    )


def without_vui(sps: bytes) -> bytes:
    """Return x264's SPS of the main profile as an encoder writes it that says nothing of how to use it."""
    bits = BitReader(unescaped(sps[1:]))
    assert bits.u(24) >> 16 == 77
    for _ in range(5):
        bits.ue()
    bits.u(1)
    bits.ue()
    bits.ue()
    bits.u(2)
    assert bits.u(1) == 0  # nothing is cropped
    writer = BitWriter()
    writer.u(*bits.since(0))
    writer.u(0, 1)
    return sps[:1] + escaped(writer.payload())


def is_frame(image: npt.NDArray[np.int_], number: int) -> bool:
    """Whether an image shows what was drawn, at its own size or scaled."""
    height, width = image.shape
    drawing = drawn(number, SIZE, noise=False).reformat(width=width, height=height).to_ndarray(format="gray")
    return bool(abs(image - drawing.astype(int)).mean() < 8)
