"""Streams with frames that no later one refers to, and streams without."""

import fractions
import functools

import av

from streamer.media.access_unit import AccessUnit
from tests.support.access_units import coded_units
from tests.support.senders import drawn

FRAMES = 24
LAYERS = "ts_number_layers=2:ts_target_bitrate=150,300:ts_rate_decimator=2,1:ts_periodicity=2:ts_layer_id=0,1"
REALTIME = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"}
STREAMS = {  # the codec, libavcodec's encoder and its options, and which of the frames are needless
    "B-frames": ("h264", "libx264", {"bf": "2", "x264-params": "b-adapt=0:b-pyramid=0:scenecut=0:annexb=1"}, 15),
    "H.264 baseline": ("h264", "libx264", {"tune": "zerolatency", "x264-params": "annexb=1"}, 0),
    "VP8 layers": (
        "vp8",
        "libvpx",
        REALTIME | {"error-resilient": "partitions", "ts-parameters": f"{LAYERS}:ts_layering_mode=2"},
        12,
    ),
    "VP8 layers that share probabilities": (
        "vp8",
        "libvpx",
        REALTIME | {"ts-parameters": f"{LAYERS}:ts_layering_mode=2"},
        0,
    ),
    "VP8": ("vp8", "libvpx", REALTIME, 0),
    "VP9 layers": (
        "vp9",
        "libvpx-vp9",
        REALTIME | {"error-resilient": "default", "ts-parameters": f"{LAYERS}:ts_layering_mode=2"},
        12,
    ),
    "VP9 layers, not resilient": (
        "vp9",
        "libvpx-vp9",
        REALTIME | {"ts-parameters": f"{LAYERS}:ts_layering_mode=2"},
        0,
    ),
    "VP9": ("vp9", "libvpx-vp9", REALTIME, 0),
}


@functools.cache
def stream(name: str) -> tuple[AccessUnit, ...]:
    codec, encoder, options, _ = STREAMS[name]
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 160, 128, "yuv420p"
    context.time_base, context.framerate = fractions.Fraction(1, 30), fractions.Fraction(30)
    context.bit_rate, context.gop_size, context.thread_count, context.options = 300_000, 1000, 1, options
    data = []
    for number in range(FRAMES):
        frame = drawn(number, (160, 128), noise=False)
        frame.pts = number
        data += [bytes(packet) for packet in context.encode(frame)]
    data += [bytes(packet) for packet in context.encode(None)]
    return tuple(coded_units(codec, data, keyframe_every=1000))
