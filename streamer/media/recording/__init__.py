"""Recordings: access units into files."""
