"""Frames as image files, and files that are there whole or not at all."""

import importlib
import os
import resource
import signal
import stat
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from streamer.atomic_file import check_writable, write_atomically
from streamer.errors import ConfigurationError, RecordingError
from streamer.media.playback.images import encode_image
from tests.support.examples import examples
from tests.support.video_frames import video_frame


def pattern(width: int, height: int) -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 3 % 256, y * 5 % 256, (x + y) * 2 % 256], axis=2).astype(np.uint8)


def read(data: bytes, kind: str) -> npt.NDArray[np.int_]:
    with Image.open(BytesIO(data)) as image:
        image.load()
        assert image.format == kind
        return np.asarray(image.convert("RGB")).astype(int)


@given(st.integers(1, 80), st.integers(1, 80))
@examples(40)
@pytest.mark.parametrize("has_libdeflate", [True, False])
def test_a_png_holds_every_pixel_whatever_the_size(has_libdeflate: bool, width: int, height: int) -> None:
    pixels = pattern(width, height)
    with pytest.MonkeyPatch.context() as patch:
        if has_libdeflate:
            importlib.import_module("deflate")
        else:
            patch.setitem(sys.modules, "deflate", None)  # as if the extra `fast` were not installed
        png = encode_image(pixels, "png")
    assert (read(png, "PNG") == pixels).all()


def test_a_png_has_the_parts_that_its_specification_wants() -> None:
    """Decoders pass over a wrong sum or a part too many, so this reads the file by the specification itself."""
    data, pixels = encode_image(pattern(7, 5), "png"), pattern(7, 5)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    parts, position = [], 8
    while position < len(data):
        size = int.from_bytes(data[position : position + 4])
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + size]
        assert int.from_bytes(data[position + 8 + size : position + 12 + size]) == zlib.crc32(kind + content)
        parts.append((kind, content))
        position += 12 + size
    assert [kind for kind, _ in parts] == [b"IHDR", b"IDAT", b"IEND"]
    assert parts[0][1] == struct.pack("!IIBBBBB", 7, 5, 8, 2, 0, 0, 0)
    rows = np.frombuffer(zlib.decompress(parts[1][1]), np.uint8).reshape(5, 1 + 7 * 3)
    assert set(rows[:, 0].tolist()) == {2}
    assert (np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(5, 7, 3) == pixels).all()


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
@pytest.mark.parametrize("color", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (90, 160, 30)])
def test_a_jpeg_has_the_colours_of_the_frame(size: tuple[int, int], color: tuple[int, int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), color, dtype=np.uint8)
    seen = read(encode_image(pixels, "jpeg"), "JPEG")
    assert seen.shape == pixels.shape
    assert abs(seen - pixels).max() <= 4


def test_a_better_jpeg_is_larger_and_nearer_to_the_frame() -> None:
    pixels = pattern(160, 120)
    made = [encode_image(pixels, "jpeg", quality=quality) for quality in (10, 50, 75, 100)]
    errors = [abs(read(data, "JPEG") - pixels).mean() for data in made]
    assert [len(data) for data in made] == sorted(len(data) for data in made)
    assert errors == sorted(errors, reverse=True)
    assert len(set(map(len, made))) == len(made)


@pytest.mark.parametrize("options", [{"quality": 0}, {"quality": 101}, {"image_format": "gif"}, {"size": (0, 1)}])
def test_an_impossible_image_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        video_frame().encode(**options)


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.jpeg", "JPEG")])
def test_the_name_decides_the_format(tmp_path: Path, name: str, kind: str) -> None:
    video_frame(luma=200).save(tmp_path / name, size=(32, 16))
    assert read((tmp_path / name).read_bytes(), kind).shape == (16, 32, 3)


def test_a_name_of_no_known_format_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ends in \.png, \.jpg or \.jpeg, got 'a\.gif'"):
        video_frame().save(tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


# Files that are there whole or not at all


def test_a_file_is_replaced_and_has_the_usual_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for data in (b"one", b"another"):
        write_atomically(path, data)
        assert path.read_bytes() == data
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == [path, plain]


def test_a_link_goes_on_pointing_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_atomically(tmp_path / "link", b"data")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"data"


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read_back: list[bytes] = []
    reader = threading.Thread(target=lambda: read_back.append(path.read_bytes()))
    reader.start()
    write_atomically(path, b"data")
    reader.join(10)
    assert read_back == [b"data"]
    assert path.is_fifo()


@pytest.mark.parametrize("name", ["missing/a.png", "directory"])
@pytest.mark.parametrize(
    "write", [check_writable, lambda path: write_atomically(path, b"data")], ids=["check", "write"]
)
def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(
        RecordingError, match=f"cannot write .*{name}: (there is no directory .*: create it|Is a directory)"
    ) as caught:
        write(tmp_path / name)
    assert caught.value.reason == "write"
    assert list(tmp_path.iterdir()) == [tmp_path / "directory"]


@pytest.mark.parametrize("data", [None, b"old"])
def test_checking_whether_a_file_can_be_written_leaves_no_trace(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "a.png"
    if data is not None:
        path.write_bytes(data)
    check_writable(path)
    assert [found.read_bytes() for found in tmp_path.iterdir()] == ([] if data is None else [data])


def test_a_full_disk_is_named() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(RecordingError, match="cannot write /dev/full") as caught:
        write_atomically("/dev/full", b"data")
    assert caught.value.reason == "disk-full"


def test_a_file_that_outgrows_the_limit_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(RecordingError, match="File too large"):
            write_atomically(path, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
