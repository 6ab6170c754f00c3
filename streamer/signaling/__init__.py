"""Signaling: Socket.IO 2 over Engine.IO 3, over one WebSocket, as the vendor's web client speaks it [seen]."""
