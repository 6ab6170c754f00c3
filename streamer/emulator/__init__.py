"""An embedded phone: auth API, signaling and real WebRTC in this process, to try things and to test against.

async with streamer.phone.serve() as phone:
    async with streamer.connect(
        phone.instance_id, endpoint=phone.endpoint, credentials=streamer.Token(phone.tenant_token)
    ) as session: ...
"""

from streamer.phone.barcode import Barcode, draw_barcode, read_barcode
from streamer.phone.faults import Faults
from streamer.phone.fleet import Fleet, serve_fleet
from streamer.phone.server import EmbeddedPhone, serve

__all__ = ["Barcode", "EmbeddedPhone", "Faults", "Fleet", "draw_barcode", "read_barcode", "serve", "serve_fleet"]
