"""The phone's side of WebRTC by GStreamer: webrtcbin with libnice, its own SCTP and its own encoders.

The system's Python runs it, which has the bindings. Its argument is a JSON object: the `encoder` as a piece of a
pipeline that ends with RTP packets, and `announces_input`. It writes and reads lines of JSON. It says {"offer": ...}
and {"connected": true}. It takes "answer", "candidate" and "send", which is bytes as hexadecimal digits. It answers
"scroll" by "rests", when the last movement was (monotonic seconds), and "messages" by what the channel `input` got.
"""

import json
import os
import random
import sys
import threading
import time
from typing import Any

import gi

for name, version in (("Gst", "1.0"), ("GstSdp", "1.0"), ("GstWebRTC", "1.0"), ("Nice", "0.1")):
    gi.require_version(name, version)
from gi.repository import GLib, Gst, GstSdp, GstWebRTC, Nice  # noqa: E402 - only now are their versions known

WIDTH, HEIGHT, FPS = 320, 480, 30
STEPS, STEP = 30, 8  # frames that move after "scroll", and the rows of each
CAPS = f"video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={FPS}/1"


def say(**message: Any) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def page() -> bytes:
    """Return lines of text as bytes of luma, long enough to be scrolled once."""
    chance = random.Random(1)
    rows = [bytes([230]) * WIDTH] * (HEIGHT + STEPS * STEP)
    for top in range(10, len(rows) - 30, 30):
        glyphs = [[chance.random() < 0.4 for _ in range(5 * 25)] for _ in range(8)]
        for row in range(16):
            line = bytearray(rows[0])
            for place, is_ink in enumerate(glyphs[row // 2]):
                left = 10 + place // 5 * 12 + place % 5 * 2
                line[left : left + 2] = bytes([40 if is_ink else 230]) * 2
            rows[top + row] = bytes(line)
    return b"".join(rows)


class Phone:
    """A pipeline that shows a page, which rests or scrolls. Either way the encoder gets 30 frames a second."""

    def __init__(self, encoder: str, *, announces_input: bool) -> None:
        pipeline = f"appsrc name=screen is-live=true do-timestamp=true format=time caps={CAPS} ! {encoder} ! peer."
        self._pipeline = Gst.parse_launch(f"webrtcbin name=peer bundle-policy=max-bundle {pipeline}")
        self._page, self._position, self._moves = page(), 0, 0
        self._screen, self._peer = self._pipeline.get_by_name("screen"), self._pipeline.get_by_name("peer")
        self._messages: list[str] = []
        self._input: Any = None
        local = Nice.Address.new()
        local.set_from_string("127.0.0.1")
        self._ice = self._peer.props.ice_agent  # kept: with the bindings' reference the peer would lose its own
        self._ice.props.agent.add_local_address(local)
        self._peer.connect("on-negotiation-needed", self._make_offer)
        self._peer.connect("notify::ice-gathering-state", self._say_offer)
        self._peer.connect("notify::connection-state", self._say_connected)
        self._peer.connect("on-data-channel", lambda _, channel: self._read(channel))
        self._pipeline.set_state(Gst.State.READY)
        options = Gst.Structure.new_from_string("options,ordered=false,max-retransmits=0")
        channel = self._peer.emit("create-data-channel", "input" if announces_input else "status", options)
        self._read(channel)
        self._pipeline.set_state(Gst.State.PLAYING)
        GLib.timeout_add(1000 // FPS, self._show)

    def _read(self, channel: Any) -> None:
        if channel.props.label == "input":
            self._input = channel
            channel.connect("on-message-data", lambda _, data: self._messages.append(data.get_data().hex()))

    def _make_offer(self, peer: Any) -> None:
        def take(promise: Any) -> None:
            reply = promise.get_reply()  # kept: what it gives is freed with it
            peer.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

        peer.emit("create-offer", None, Gst.Promise.new_with_change_func(take))

    def _say_offer(self, peer: Any, _: object) -> None:
        if peer.props.ice_gathering_state == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            say(offer=peer.props.local_description.sdp.as_text())

    def _say_connected(self, peer: Any, _: object) -> None:
        if peer.props.connection_state == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            say(connected=True)

    def _show(self) -> bool:
        if self._moves:
            self._moves -= 1
            self._position += STEP
            if not self._moves:
                say(rests=time.monotonic())
        luma = self._page[self._position * WIDTH : (self._position + HEIGHT) * WIDTH]
        self._screen.emit("push-buffer", Gst.Buffer.new_wrapped(luma + bytes([128]) * (len(luma) // 2)))
        return True

    def take(self, message: dict[str, Any]) -> bool:
        """Do what a line says."""
        if "answer" in message:
            _, answer = GstSdp.SDPMessage.new_from_text(message["answer"])
            description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, answer)
            self._peer.emit("set-remote-description", description, Gst.Promise.new())
        elif "candidate" in message:
            self._peer.emit("add-ice-candidate", 0, message["candidate"])
        elif "send" in message:
            self._input.emit("send-data", GLib.Bytes.new(bytes.fromhex(message["send"])))
        elif "scroll" in message:
            self._moves = STEPS
        elif "messages" in message:
            say(messages=self._messages)
        return False


def hear(phone: Phone) -> None:
    """Read lines until there are no more."""
    for line in sys.stdin:
        GLib.idle_add(phone.take, json.loads(line))
    os._exit(0)  # nothing is left to be put away, and some versions of the bindings stumble over that


Gst.init(None)
threading.Thread(target=hear, args=(Phone(**json.loads(sys.argv[1])),), daemon=True).start()
GLib.MainLoop().run()
