"""Parses the codecs: depacketizers, parameter sets, the order of frames. Bytes in, bytes out."""
