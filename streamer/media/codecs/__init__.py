"""What each codec needs: depacketizers, parameter sets, the order of frames. Bytes in, bytes out."""
