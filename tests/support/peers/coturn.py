"""A real coturn: a TURN server that can be killed, stopped and started again."""

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Final

from tests.support.peers.presence import LIMIT_S
from tests.support.tls import make_certificate

USER: Final = "viewer"
PASSWORD: Final = "correct-horse"


class Coturn:
    """A turnserver on a loopback address, which can be killed and started again."""

    def __init__(self, program: str, directory: Path, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port, self.tls_port = _free_port(host), _free_port(host)
        self.certificate, key = make_certificate(directory, host)
        config = directory / "turnserver.conf"
        config.write_text(
            f"listening-ip={host}\nrelay-ip={host}\nlistening-port={self.port}\n"
            f"tls-listening-port={self.tls_port}\ncert={self.certificate}\npkey={key}\n"
            f"lt-cred-mech\nuser={USER}:{PASSWORD}\nrealm=example.test\nallow-loopback-peers\nno-cli\n"
            f"userdb={directory / 'turndb'}\npidfile={directory / 'turnserver.pid'}\nlog-file=stdout\n"
        )
        if host == "::1":  # who asks for a relay does not say of which family it is to be
            config.write_text(f"{config.read_text()}allocation-default-address-family=keep\n")
        self._command = (program, "-c", str(config))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; return when it listens."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        await _wait_listening(self.host, self.port, self._process)
        await _wait_listening(self.host, self.tls_port, self._process)

    async def kill(self) -> None:
        """Kill it, if it runs; return when it is gone."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def url(self, way: str) -> str:
        """Return its URL over "udp", "tcp" or "tls"."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if way == "tls":
            return f"turns:{host}:{self.tls_port}?transport=tcp"
        return f"turn:{host}:{self.port}?transport={way}"


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tcp:
        tcp.bind((host, 0))
        return int(tcp.getsockname()[1])


async def _wait_listening(host: str, port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(LIMIT_S):
        while True:
            assert process.returncode is None, "turnserver has ended"
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.05)  # it tells nobody when it listens
