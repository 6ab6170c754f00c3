"""The only place that touches private names of aiortc, aioice and pylibsrtp, each on single objects, never on a class.

Why at all: aiortc's receiver queues every datagram twice, decodes in a queue without a bound and offers no way to the
encoded frames; aioice asks every server before it returns a candidate. `streamer.library_hooks` lists each private
name, why it is needed and what lets it go.
"""
