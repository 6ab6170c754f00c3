"""A page of your own with a phone in it: `index.html` has the viewer in a frame and talks with it.

Set STREAMER_ENDPOINT to the API's URL and STREAMER_AUTH_TOKEN to a tenant token, then:

    python examples/embed/server.py INSTANCE
"""

import argparse
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import streamer
from streamer import sync


def main(instance: str, port: int) -> None:
    endpoint = os.environ.get("STREAMER_ENDPOINT", "")
    credentials = streamer.credentials_from_environment()
    page = Path(__file__).with_name("index.html").read_text(encoding="utf-8")

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page.replace("VIEWER_URL", viewer.url).encode() if self.path == "/" else b"")

    with ThreadingHTTPServer(("127.0.0.1", port), Page) as server:
        origins = [f"http://{host}:{server.server_port}" for host in ("127.0.0.1", "localhost")]
        with (
            sync.connect(instance, endpoint=endpoint, credentials=credentials) as phone,
            phone.view(embed_from=origins) as viewer,
        ):
            print(f"open {origins[0]}", flush=True)
            server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instance", help="the phone's instance id")
    parser.add_argument("--port", type=int, default=8000, help="where the page is served")
    given = parser.parse_args()
    try:
        main(given.instance, given.port)
    except streamer.StreamerError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.strerror}: choose another port than {given.port} with --port")
    except KeyboardInterrupt:
        sys.exit(130)
