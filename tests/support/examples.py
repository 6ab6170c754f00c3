"""How many examples a property is tried with: what a test says is meant for the whole suite."""

from typing import Any, Final

from hypothesis import settings

_WHOLE: Final = 100  # examples, where neither a test nor a profile says anything else


def examples(count: int, **others: Any) -> settings:
    """Return settings for so many examples; a profile with fewer, such as `make quick`'s, takes that share of them."""
    return settings(max_examples=max(count * settings().max_examples // _WHOLE, 1), **others)
