// Plays what the worker decodes. It keeps 60 ms in hand against jitter, and never more than 200 ms.

const [HELD, MOST] = [0.06 * 48000, 0.2 * 48000];

class Sound extends AudioWorkletProcessor {
  constructor() {
    super();
    this.pieces = [];
    this.held = 0;
    this.isFilling = true;
    this.port.onmessage = ({ data }) => {
      if (data instanceof MessagePort) data.onmessage = (message) => this.put(message.data);
      else this.put(data);
    };
  }

  put(channels) {
    this.pieces.push({ channels, at: 0 });
    this.held += channels[0].length;
    if (this.held > MOST) {
      while (this.held > HELD && this.pieces.length > 1) {
        const { channels: oldest, at } = this.pieces.shift();
        this.held -= oldest[0].length - at;
      }
    }
    if (this.held >= HELD) this.isFilling = false;
  }

  process(_, [output]) {
    let done = 0;
    const wanted = output[0].length;
    while (!this.isFilling && done < wanted && this.pieces.length) {
      const piece = this.pieces[0];
      const count = Math.min(wanted - done, piece.channels[0].length - piece.at);
      output.forEach((channel, index) =>
        channel.set(piece.channels[Math.min(index, 1)].subarray(piece.at, piece.at + count), done));
      piece.at += count;
      this.held -= count;
      done += count;
      if (piece.at === piece.channels[0].length) this.pieces.shift();
    }
    if (done < wanted) this.isFilling = true;
    return true;
  }
}

registerProcessor("sound", Sound);
