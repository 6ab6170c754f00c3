"""Print a phone's audio ports, and the one in force when each of the first pictures came.

python examples/audio_ports.py INSTANCE
"""

import asyncio
import os
import sys

import streamer


async def main(instance_id: str) -> None:
    async with streamer.connect(
        instance_id, endpoint=os.environ["STREAMER_ENDPOINT"], credentials=streamer.credentials_from_environment()
    ) as phone:
        print("internal:", phone.audio_ports.internal)
        print("external:", phone.audio_ports.external)
        async for frame in phone.frames(max_fps=2):
            print(f"picture {frame.sequence} came while the audio port was {frame.audio_port}")
            if frame.sequence >= 30:
                break


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
