"""A person's browser, as far as the viewer's server sees it: it opens the page of an address, and closes it."""

import json
import sys
from urllib.parse import urlsplit

from websockets.sync.client import connect
from websockets.typing import Origin


def visit(url: str) -> bool:
    """Open the address of a viewer, wait for its first answer, and close it. Stands where `webbrowser.open` does."""
    parts = urlsplit(url)
    origin = Origin(f"{parts.scheme}://{parts.netloc}")
    with connect(f"ws://{parts.netloc}/stream", origin=origin, proxy=None) as page:
        page.send(json.dumps({"token": parts.fragment}))
        page.recv()
    return True


if __name__ == "__main__":
    visit(sys.argv[1])
