"""The viewer: a live phone in the browser, without transcoding, that can be touched.

`Session.view` shows one phone, `view` shows several:

async with streamer.viewer.view(phone, other) as viewer:
    print(viewer.url)
    await viewer.wait_ended()
"""

from streamer import Viewer
from streamer.viewer.server import view

__all__ = ["Viewer", "view"]
