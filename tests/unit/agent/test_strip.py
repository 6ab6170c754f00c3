"""Which frames of a video a strip shows."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from streamer.agent.strip import FRAMES_LIMIT, strip_of
from streamer.errors import RecordingError

FPS = 20
WIDTH, HEIGHT = 32, 64


def write(path: Path, shades: list[int]) -> None:
    """Write a video of plain frames, one for each shade of gray."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "10", "bf": "0", "preset": "ultrafast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, shade in enumerate(shades):
            frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), shade, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def shades_of(strip: bytes) -> list[int]:
    """Return the shade of each frame in a strip."""
    with av.open(io.BytesIO(strip), "r") as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="gray")
    count = (pixels.shape[1] + 6) // (WIDTH + 6)
    return [int(pixels[HEIGHT // 2, (WIDTH + 6) * place + WIDTH // 2]) for place in range(count)]


def test_a_state_of_a_fifth_of_a_second_is_in_the_strip_with_its_time(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(path, [40] * 20 + [200] * 4 + [40] * 26)
    strip, before_end_s = strip_of(path)
    assert shades_of(strip) == pytest.approx([40, 200, 40], abs=4)
    assert before_end_s == pytest.approx([2.5, 1.5, 1.3], abs=0.06)


def test_an_animation_is_shown_evenly_spread_and_rests_come_before_it(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(path, [20] * 20 + list(range(20, 220, 10)) + [220] * 20)
    strip, before_end_s = strip_of(path)
    shades = shades_of(strip)
    assert len(before_end_s) == len(shades)
    assert 3 <= len(shades) <= FRAMES_LIMIT
    assert shades == sorted(shades)
    assert [shades[0], shades[-1]] == pytest.approx([20, 220], abs=12)


def test_there_are_six_frames_at_the_most(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write(path, [shade for shade in range(10, 250, 20) for _ in range(5)])
    strip, before_end_s = strip_of(path)
    assert len(shades_of(strip)) == len(before_end_s) == FRAMES_LIMIT


def test_a_file_without_a_frame_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(RecordingError, match="cannot read a frame"):
        strip_of(path)
