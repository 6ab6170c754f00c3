"""What each codec needs: RTP payloads to access units, parameter sets, libavcodec's limits."""
