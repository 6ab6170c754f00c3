"""The table of codecs, one row each.

To add a codec, write one row here, one depacketizer in `media/codecs` and one test. The row says which parameters the
SDP accepts, which files can hold the codec, and what decodes and encodes it.
"""

import enum
import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from streamer.tracks import Kind


class Form(enum.Enum):
    """The form of an access unit's data."""

    ANNEX_B = enum.auto()  # NAL units behind start codes, parameter sets before every keyframe
    OBUS = enum.auto()  # AV1's low-overhead format, with its temporal delimiter
    FRAME = enum.auto()  # the encoder's output, unchanged


@dataclass(frozen=True, slots=True)
class Encoder:
    """One of libavcodec's encoders. Its options make every frame leave at once, and none refer to a later one."""

    name: str
    crf: int  # the default constant quality
    crf_limit: int
    options: dict[str, str]
    bitrate_options: dict[str, str] = field(default_factory=dict)  # instead of `options`, with a mean bit rate


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecInfo:
    """One codec. `name` is the SDP's, in lower case."""

    name: str
    kind: Kind = "video"
    # The SDP's parameters that matter: (name, default, accepted values).
    parameters: tuple[tuple[str, str, frozenset[str]], ...] = ()
    form: Form = Form.FRAME
    containers: frozenset[str]  # suffixes of the files that can hold it
    decoder: str  # libavcodec's
    gpu_decoder: str = ""  # libavcodec's own one, which can decode on a GPU
    size_errno: int | None = None  # the decoder's error for a frame of too many pixels, if it reports no size
    demuxer: str = ""  # libavformat's, for bare access units
    fourcc: bytes = b""  # for the demuxer "ivf"
    encoder: Encoder | None = None

    def accepts(self, parameters: Mapping[str, str]) -> bool:
        """Whether streamer can decode the codec with these parameters of the SDP."""
        return all(parameters.get(name, default).lower() in accepted for name, default, accepted in self.parameters)


# The first codec of a kind is preferred; the others keep the phone's order. Profiles that are not accepted have more
# than 8 bits a sample, or 4:2:2. Modes and transmissions that are not accepted interleave frames.
_ROWS: Final = (
    CodecInfo(
        name="h264",
        parameters=(("packetization-mode", "0", frozenset({"0", "1"})),),
        form=Form.ANNEX_B,
        containers=frozenset({".mp4", ".mkv", ".ts"}),
        decoder="h264",
        gpu_decoder="h264",
        demuxer="h264",
        encoder=Encoder("libx264", 23, 51, {"preset": "veryfast", "tune": "zerolatency", "forced-idr": "1"}),
    ),
    CodecInfo(
        name="h265",
        parameters=(
            ("profile-id", "1", frozenset({"1"})),
            ("tx-mode", "srst", frozenset({"srst"})),
            ("sprop-max-don-diff", "0", frozenset({"0"})),
        ),
        form=Form.ANNEX_B,
        containers=frozenset({".mp4", ".mkv", ".ts"}),
        decoder="hevc",
        gpu_decoder="hevc",
        demuxer="hevc",
        encoder=Encoder(
            "libx265",
            26,
            51,
            {
                "preset": "superfast",
                "tune": "zerolatency",
                "forced-idr": "1",
                "x265-params": "repeat-headers=1:info=0:log-level=error",
            },
        ),
    ),
    CodecInfo(
        name="vp8",
        containers=frozenset({".mkv", ".webm"}),
        decoder="vp8",
        gpu_decoder="vp8",
        size_errno=errno.EINVAL,  # libavcodec 62, as the others
        demuxer="ivf",
        fourcc=b"VP80",
    ),
    CodecInfo(
        name="vp9",
        parameters=(("profile-id", "0", frozenset({"0", "1"})),),
        containers=frozenset({".mp4", ".mkv", ".webm"}),
        decoder="vp9",
        gpu_decoder="vp9",
        size_errno=errno.EINVAL,
        demuxer="ivf",
        fourcc=b"VP90",
        encoder=Encoder(
            "libvpx-vp9",
            32,
            63,
            {
                "deadline": "realtime",
                "cpu-used": "7",
                "lag-in-frames": "0",
                "auto-alt-ref": "0",
                "row-mt": "1",
                "tune-content": "screen",
            },
        ),
    ),
    CodecInfo(
        name="av1",
        parameters=(("profile", "0", frozenset({"0", "1"})),),
        form=Form.OBUS,
        containers=frozenset({".mp4", ".mkv", ".webm"}),
        decoder="libdav1d",  # libavcodec's own "av1" decodes in hardware only
        gpu_decoder="av1",
        size_errno=errno.ERANGE,
        demuxer="obu",
        encoder=Encoder(
            "libsvtav1",
            35,
            63,
            # Not low delay (pred-struct=1): in that, libsvtav1 4.1 waits for itself for ever, once in 500 frames on two
            # busy cores. This is 13 frames behind, in order.
            {"preset": "10", "svtav1-params": "pred-struct=2:rc=0:scm=1:hierarchical-levels=2:lookahead=0"},
            {"svtav1-params": "pred-struct=2:rc=1:scm=1:hierarchical-levels=2:lookahead=0"},
        ),
    ),
    CodecInfo(
        name="opus",
        kind="audio",
        containers=frozenset({".mp4", ".mkv", ".webm", ".ts"}),
        decoder="libopus",  # libavcodec's own gives silence for lost packets
    ),
)
CODECS: Final = {row.name: row for row in _ROWS}
VIDEO_CODECS: Final = tuple(row.name for row in _ROWS if row.kind == "video")
AUDIO_CODECS: Final = tuple(row.name for row in _ROWS if row.kind == "audio")
ENCODERS: Final = {row.name: row.encoder for row in _ROWS if row.encoder is not None}
