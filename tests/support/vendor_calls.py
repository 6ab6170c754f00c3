"""The calls around the stream as tests make them: one of each kind, and a phone of a scripted API."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest

import streamer
from tests.support.cloud_calls import NEVER_S, TENANT_TOKEN, TRUST, TYPED, URL_SIGNATURE
from tests.support.vendor_api import PHONE, VendorApi, serve_vendor_api

Act = Callable[[streamer.CloudPhone], Awaitable[object]]
INSTALL: Final[dict[str, Any]] = {
    "url": f"https://obs.example.com/shop.apk?Signature={URL_SIGNATURE}",
    "package": "com.example.shop",
    "version": "3.2",
    "size_mb": 42,
}
CHANGING: Final[dict[str, tuple[str, Act]]] = {
    "shell": ("sync-command", lambda phone: phone.shell(f"input text {TYPED}")),
    "slow shell": ("async-command", lambda phone: phone.shell(f"input text {TYPED}", wait_s=NEVER_S)),
    "start": ("sync-command", lambda phone: phone.apps.start("com.example.shop")),
    "stop": ("sync-command", lambda phone: phone.apps.stop("com.example.shop")),
    "clear": ("sync-command", lambda phone: phone.apps.clear("com.example.shop")),
    "grant": ("sync-command", lambda phone: phone.apps.grant("com.example.shop", "android.permission.CAMERA")),
    "uninstall": ("sync-command", lambda phone: phone.apps.uninstall("com.example.shop")),
    "install": ("install", lambda phone: phone.apps.install(**INSTALL)),
    "reboot": ("reboot", lambda phone: phone.reboot()),
    "reset": ("batch-reset", lambda phone: phone.reset()),
    "set_video": ("video-setting", lambda phone: phone.set_video(fps=60)),
}
HARMLESS: Final[dict[str, tuple[str, Act]]] = {
    "status": ("batch-query-status", lambda phone: phone.status()),
    "list": ("app-list", lambda phone: phone.apps.list()),
}
CHANGES: Final = [pytest.param(*case, id=name) for name, case in CHANGING.items()]
ALL: Final = [pytest.param(*case, id=name) for name, case in {**CHANGING, **HARMLESS}.items()]


def open_cloud(url: str, credentials: Any = None, **options: Any) -> streamer.Cloud:
    return streamer.Cloud(
        endpoint=url,
        credentials=credentials or streamer.Token(TENANT_TOKEN),
        **{"timeout_s": NEVER_S, "verify": TRUST, "calls_per_minute": 6000, **options},
    )


@pytest.fixture
async def api() -> AsyncIterator[VendorApi]:
    async with serve_vendor_api() as running:
        yield running


@pytest.fixture
async def cloud(api: VendorApi) -> AsyncIterator[streamer.Cloud]:
    async with open_cloud(api.server.url) as opened:
        yield opened


@pytest.fixture
def phone(cloud: streamer.Cloud) -> streamer.CloudPhone:
    return cloud.phone(PHONE)
