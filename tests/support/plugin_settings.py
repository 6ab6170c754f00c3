"""The plugin's settings, as a command line, an ini file and an environment give them."""

from pathlib import Path
from typing import Any

from streamer.testing.settings import Settings, read_settings


class Config:
    """What the plugin asks of pytest's configuration."""

    def __init__(self, given: dict[str, Any], in_file: dict[str, Any]) -> None:
        self._given, self._in_file = given, in_file
        self.invocation_params = self
        self.dir = Path("/suite")

    def getoption(self, name: str) -> object:
        return self._given.get(name)

    def getini(self, name: str) -> object:
        return self._in_file.get(name, [] if name == "phone_instance" else "")


def settings(
    given: dict[str, Any] | None = None, in_file: dict[str, Any] | None = None, **environment: str
) -> Settings:
    config: Any = Config(given or {}, in_file or {})
    return read_settings(config, environment)
