"""Decoded video and audio for a session's iterators."""
