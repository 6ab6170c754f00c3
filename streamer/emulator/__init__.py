"""An emulator: auth API, signaling and real WebRTC in this process, to try things and to test against.

async with streamer.emulator.serve() as phone:
    async with streamer.connect(
        phone.instance_id, endpoint=phone.endpoint, credentials=streamer.Token(phone.tenant_token)
    ) as session: ...
"""

from streamer.emulator.barcode import Barcode, draw_barcode, read_barcode
from streamer.emulator.faults import Faults
from streamer.emulator.fleet import Fleet, serve_fleet
from streamer.emulator.input_frames import Key, Point, Text, Touch
from streamer.emulator.phone import EmulatedPhone
from streamer.emulator.server import serve

__all__ = [
    "Barcode",
    "EmulatedPhone",
    "Faults",
    "Fleet",
    "Key",
    "Point",
    "Text",
    "Touch",
    "draw_barcode",
    "read_barcode",
    "serve",
    "serve_fleet",
]
