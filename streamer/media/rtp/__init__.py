"""RTP and RTCP: packets in, access units and feedback out."""
