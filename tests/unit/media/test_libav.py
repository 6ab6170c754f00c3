"""Which decoder is opened, on machines without a GPU. What a GPU does was not tested."""

import logging

import av
import pytest

import streamer
from streamer.codec_table import CODECS, VIDEO_CODECS
from streamer.errors import ConfigurationError
from streamer.media import libav
from streamer.media.frame_decoder import FrameDecoder
from streamer.media.libav import cuda_problem, open_decoder
from tests.support.access_units import STREAM, units

NO_GPU = r'expected an NVIDIA GPU for decoder="cuda", and libavcodec cannot use one \(.*\): install its driver'


@pytest.fixture
def without_gpu() -> None:
    if cuda_problem() is None:
        pytest.skip("this machine has a GPU")


@pytest.mark.usefixtures("without_gpu")
@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_cuda_without_a_gpu_is_one_clear_error(codec: str) -> None:
    with pytest.raises(ConfigurationError, match=NO_GPU):
        open_decoder(codec, "cuda")


@pytest.mark.usefixtures("without_gpu")
@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_auto_without_a_gpu_is_the_cpu_and_the_log_says_so_once(codec: str, caplog: pytest.LogCaptureFixture) -> None:
    cuda_problem.cache_clear()
    with caplog.at_level(logging.INFO, "streamer.decode"):
        contexts = [open_decoder(codec, "auto") for _ in range(3)]
    assert [context.is_hwaccel for context in contexts] == [False] * 3
    assert {context.name for context in contexts} == {open_decoder(codec).name}
    assert [record.message.partition(" (")[0] for record in caplog.records] == ["= no NVIDIA GPU to decode on"]


@pytest.mark.usefixtures("without_gpu")
def test_a_gpu_that_takes_no_decoder_leaves_auto_to_the_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A GPU may be there and full, or too old for a codec."""
    monkeypatch.setattr(libav, "cuda_problem", lambda: None)
    decoder = FrameDecoder(lambda: None, "auto")
    assert sum(len(decoder.decode(unit)) for unit in units()) == len(STREAM)
    assert "the GPU cannot decode h264" in caplog.text
    with pytest.raises(ConfigurationError, match=NO_GPU):
        open_decoder("h264", "cuda")


@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_libavcodec_has_a_decoder_for_the_gpu(codec: str) -> None:
    named = av.Codec(CODECS[codec].gpu_decoder, "r")
    assert any(config.device_type.name == "cuda" for config in named.hardware_configs or ())


@pytest.mark.usefixtures("without_gpu")
async def test_connecting_with_cuda_and_no_gpu_sends_nothing() -> None:
    connecting = streamer.connect("demo-phone", endpoint="http://192.0.2.1", credentials="token", decoder="cuda")
    with pytest.raises(ConfigurationError, match=NO_GPU):
        async with connecting:
            pass
