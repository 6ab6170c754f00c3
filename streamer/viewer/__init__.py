"""The viewer: a live phone in the browser, without transcoding, that can be touched.

from streamer.viewer import view

async with streamer.connect(...) as phone, view(phone) as viewer:
    print(viewer.url)
    await viewer.wait_ended()
"""

from streamer.viewer.server import Viewer, view

__all__ = ["Viewer", "view"]
