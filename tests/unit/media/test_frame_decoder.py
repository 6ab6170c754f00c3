"""What the decoder makes of streams that declare something unusual."""

import fractions

import av
import numpy as np
import pytest

from streamer.media.frame_decoder import FrameDecoder
from streamer.media.playback.frame_times import frame_of
from streamer.watcher import BlockMeans
from tests.support.access_units import units
from tests.support.senders import drawn


@pytest.mark.parametrize(
    "matrix", ["undef", "bt709", "fcc", "smpte170m", "smpte240m", "YCgCo", "bt2020nc", "bt2020c", "ICtCp"]
)
def test_a_stream_may_declare_any_color_matrix(matrix: str) -> None:
    """libswscale refuses some of them. What they declare must end no iterator and no wait."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 160, 128, "yuv420p"
    encoder.time_base, encoder.thread_count = fractions.Fraction(1, 30), 1
    encoder.options = {"tune": "zerolatency", "x264-params": f"colormatrix={matrix}:annexb=1"}
    data = b"".join(bytes(packet) for packet in [*encoder.encode(drawn(0, (160, 128), noise=False)), *encoder.encode()])
    (decoded,) = FrameDecoder(lambda: None).decode(units([data])[0])
    frame = frame_of(decoded, 0, 0)
    assert abs(frame.to_ndarray("gray").astype(int) - 60).mean() < 20
    assert frame.to_ndarray().shape == (128, 160, 3)
    assert frame.encode("jpeg")[:2] == b"\xff\xd8"
    assert BlockMeans()(decoded.av_frame).dtype == np.uint8
