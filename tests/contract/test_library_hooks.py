"""The table of private names: each is in the installed libraries and in use, and no other is in use."""

import re
from collections.abc import Iterable

import pytest

from streamer import library_hooks as hooks
from streamer.errors import IncompatibleLibraryError
from tests.support.private_names import users

NAMES = [name for hook in hooks.HOOKS for name in hook.names]


@pytest.mark.parametrize("name", NAMES)
def test_a_private_name_has_the_expected_place_and_shape(name: str) -> None:
    assert hooks.found_as(name) == name


def test_each_private_name_has_one_row() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_the_tables_list_exactly_the_private_names_in_use() -> None:
    used: dict[str, set[str]] = {}
    of_modules = users()
    for module, names in of_modules.items():
        used.setdefault(module.partition("/")[0], set()).update(names)
    for user in ("rtc", "emulator", "signaling"):
        known = private_names(name for hook in hooks.HOOKS if user in hook.users for name in hook.names)
        assert used.pop(user, set()) - known == set(), user
    assert not used
    every = set().union(*of_modules.values())
    # One name is copied and not called: its counterpart derives the same key.
    assert private_names(NAMES) - every == {"_setup_srtp"}


def private_names(names: Iterable[str]) -> set[str]:
    return set(re.findall(r"(?<![A-Za-z0-9_])_(?!_)\w+", " ".join(names)))


@pytest.mark.parametrize(
    "name",
    [
        "aioice.ice:Connection.vanished(self)",
        "aioice.ice:Connection._vanished",
        "aioice.stun:TransactionTimeout._vanished",  # a class without an `__init__` in Python
        "aioice.vanished:Connection._queue",
    ],
)
def test_a_changed_library_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(hooks, "HOOKS", (hooks.Hook("aioice 9", "a test", "never", (name,)),))
    hooks.check_hooks.cache_clear()
    try:
        hooks.check_hooks("signaling")
        with pytest.raises(IncompatibleLibraryError, match=re.escape(name) + ", found nothing.*pip install 'aioice"):
            hooks.check_hooks("rtc")
    finally:
        hooks.check_hooks.cache_clear()


def test_a_method_with_changed_parameters_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.Connection.sort_check_list", lambda self, order: None)
    hooks.check_hooks.cache_clear()
    try:
        with pytest.raises(
            IncompatibleLibraryError, match=r"sort_check_list\(self\), found .*\(self, order\) in aioice"
        ):
            hooks.check_hooks("rtc")
    finally:
        hooks.check_hooks.cache_clear()
