"""The API's calls beside a stream, as a program makes them, against the emulator, which reads them by itself."""

import asyncio

import pytest

import streamer
from streamer import emulator
from streamer.emulator import Faults
from tests.support.everywhere import Connect

pytestmark = pytest.mark.edge
LIMIT_S = 60.0
SHOP = "com.example.shop"
SCALE = "global window_animation_scale"


async def test_a_session_drives_the_phones_apps_while_it_streams(connect: Connect) -> None:
    async with (
        emulator.serve(width=180, height=320, fps=10, audio=False) as phone,
        connect(phone, calls_per_minute=1000) as session,
        asyncio.timeout(LIMIT_S),
    ):
        await session.apps.install(url="https://obs.example.com/shop.apk", package=SHOP, version="3.2", size_mb=42)
        await session.apps.start(SHOP)
        await session.apps.start(SHOP, activity=".Main")
        await session.apps.grant(SHOP, "android.permission.CAMERA")
        await session.apps.clear(SHOP)
        await session.apps.stop(SHOP)
        listed = {app.package: app.version for app in await session.apps.list(is_system=False)}
        assert listed[SHOP] == "3.2"
        await session.apps.uninstall(SHOP)
        assert SHOP not in phone.device.packages
        for act in (session.apps.start, session.apps.clear, session.apps.uninstall):
            with pytest.raises(streamer.JobFailedError, match=SHOP):
                await act(SHOP)
        assert (await session.shell("wm size")).output == "Physical size: 180x320"
        assert (await session.shell("echo slow", wait_s=LIMIT_S)).output == "slow"
        async with session.disable_animations():
            assert phone.device.settings[SCALE] == "0"
        assert SCALE not in phone.device.settings
        assert session.state == "streaming"
    with pytest.raises(streamer.ConfigurationError, match="before the block"):
        await session.shell("wm size")


async def test_a_cloud_looks_after_its_phones_without_a_stream() -> None:
    faults = Faults()
    async with (
        emulator.serve_fleet(2, width=180, height=320, audio=False, faults=faults) as fleet,
        streamer.Cloud(
            endpoint=fleet.endpoint, credentials=streamer.Token(fleet.tenant_token), calls_per_minute=1000
        ) as cloud,
        asyncio.timeout(LIMIT_S),
    ):
        instances = await cloud.list()
        assert [(each.instance_id, each.state) for each in instances] == [
            (phone.instance_id, "running") for phone in fleet.phones
        ]
        phone, emulated = cloud.phone(instances[1].instance_id), fleet.phones[1]
        assert (await phone.status()).older_meaning == "running"
        await phone.set_video(fps=60, bitrate_kbps=4000)
        await phone.shell(f"settings put {SCALE} 0.5")
        async with phone.disable_animations():
            assert emulated.device.settings[SCALE] == "0"
        assert emulated.device.settings[SCALE] == "0.5"
        faults.call_reply_lost = True
        with pytest.raises(streamer.CloudUnclearError):
            await phone.shell("echo once")
        faults.call_reply_lost = False
        assert list(emulated.device.commands).count("echo once") == 1
        faults.call_status, faults.call_times = 429, 1
        await phone.reboot()
        await phone.reset()
        assert not emulated.device.settings
        with pytest.raises(streamer.JobFailedError, match="CPS0005"):
            await cloud.phone("nobody").shell("ls")
        with pytest.raises(streamer.CloudRefusalError, match=r"KOOPHONE\.API\.1012"):
            await cloud.phone("nobody").apps.list()
