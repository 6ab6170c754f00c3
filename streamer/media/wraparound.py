"""Extends counters that wrap around to 0: sequence numbers, RTP timestamps, picture order counts."""


def extend(previous: int, low: int, bits: int) -> int:
    """Return the counter nearest to `previous` whose low `bits` are `low` (the rule of RFC 3711 appendix A)."""
    half = 1 << (bits - 1)
    return previous + (low - previous + half) % (1 << bits) - half
