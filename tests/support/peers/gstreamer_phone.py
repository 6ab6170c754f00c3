"""GStreamer as the phone's WebRTC, behind the emulator's API and signaling: a stack that shares no code with ours."""

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

from streamer import emulator
from streamer.emulator import Faults
from streamer.emulator.network import Path as NetworkPath
from tests.support.peers.presence import LIMIT_S

X264: Final = (
    "x264enc tune=zerolatency speed-preset=ultrafast bitrate=1000 key-int-max=600 threads=1 ! "
    "video/x-h264,profile=constrained-baseline ! rtph264pay aggregate-mode=zero-latency config-interval=-1 ! "
    "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000,packetization-mode=(string)1,"
    "rtcp-fb-nack-pli=(boolean)true"
)
VP8: Final = (
    "vp8enc deadline=1 cpu-used=8 target-bitrate=1000000 keyframe-max-dist=600 threads=1 ! rtpvp8pay ! "
    "application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000,rtcp-fb-nack-pli=(boolean)true"
)
_SCRIPT: Final = Path(__file__).parent / "gstreamer" / "phone.py"
_PYTHON: Final = "/usr/bin/python3"  # the system's: its packages have GStreamer's bindings
_CHECK: Final = """
import gi
for name, version in (("Gst", "1.0"), ("GstSdp", "1.0"), ("GstWebRTC", "1.0"), ("Nice", "0.1")):
    gi.require_version(name, version)
from gi.repository import Gst
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ("webrtcbin", "nicesrc", "x264enc", "vp8enc", "rtph264pay", "rtpvp8pay")))
"""


def find_gstreamer() -> str | None:
    """Return the Python that has GStreamer, with all that the phone needs; None where there is none."""
    if not Path(_PYTHON).exists():
        return None
    found = subprocess.run([_PYTHON, "-c", _CHECK], capture_output=True, timeout=LIMIT_S, check=False)
    return _PYTHON if found.returncode == 0 else None


class GStreamerPhone:
    """What the emulator has for each client, `PhonePeer`, as a process that speaks lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._heard: dict[str, asyncio.Future[Any]] = {}
        self._hearing = asyncio.create_task(self._hear())
        self.connected = asyncio.Event()
        self.path = NetworkPath(Faults())
        self.input_at = time.monotonic()
        self.is_closed = False

    async def offer(self) -> str:
        """Return its offer, which has its candidates."""
        return str(await self._answer("offer"))

    def candidates(self) -> list[dict[str, Any]]:
        """Return none beside those of the offer."""
        return []

    async def take_answer(self, sdp: str) -> None:
        """Hand the client's answer over."""
        self._tell(answer=sdp)

    async def take_candidate(self, payload: dict[str, Any]) -> None:
        """Hand a candidate of the client's over."""
        self._tell(candidate=payload.get("candidate") or "")

    async def messages(self) -> list[bytes]:
        """Return what the data channel `input` got."""
        self._tell(messages=True)
        return [bytes.fromhex(message) for message in await self._answer("messages")]

    def send(self, frame: bytes) -> None:
        """Send a frame on the data channel `input`."""
        self._tell(send=frame.hex())

    async def scroll(self) -> float:
        """Scroll the page for a second; return when it came to rest, in monotonic seconds."""
        self._tell(scroll=True)
        return float(await self._answer("rests"))

    async def close(self) -> None:
        """End the process."""
        self.is_closed = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
        await self._hearing

    def _tell(self, **message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _answer(self, name: str) -> Any:
        async with asyncio.timeout(LIMIT_S):
            answer = await self._heard.setdefault(name, asyncio.get_running_loop().create_future())
        del self._heard[name]
        return answer

    async def _hear(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            for name, value in json.loads(line).items():
                if name == "connected":
                    self.connected.set()
                else:
                    self._heard.setdefault(name, asyncio.get_running_loop().create_future()).set_result(value)


@contextlib.asynccontextmanager
async def serve_gstreamer(
    python: str, encoder: str, *, announces_input: bool
) -> AsyncGenerator[tuple[emulator.EmulatedPhone, GStreamerPhone]]:
    """Give an emulator whose one client gets GStreamer's stream, and that stream's other end."""
    options = {"encoder": encoder, "announces_input": announces_input}
    process = await asyncio.create_subprocess_exec(
        python, str(_SCRIPT), json.dumps(options), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    gstreamer = GStreamerPhone(process)
    try:
        async with emulator.serve(audio=False) as phone:
            phone.make_peer = lambda: gstreamer  # type: ignore[method-assign,assignment,return-value]
            yield phone, gstreamer
    finally:
        await gstreamer.close()
