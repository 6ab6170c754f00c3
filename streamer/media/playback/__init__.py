"""Decoded video and audio, for whoever iterates."""
