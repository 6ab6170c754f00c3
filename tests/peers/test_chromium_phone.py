"""Chromium as the phone, behind the npm socket.io server: a WebRTC stack that shares no code with ours."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

import pytest
from chromium_phone import LIMIT_S, PAGES, Chromium, Page, find_chromium

import streamer
from streamer.phone.barcode import read_barcode

INSTANCE_ID: Final = "Q39YyZvI"
DEVICE_ID: Final = "device-1"
