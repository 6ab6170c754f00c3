// The page as the phone: a drawn screen and a tone, offered to whoever sends `init`.
//
// Query: boxid, width, height, fps; scene=calm|busy; codecs=H264,VP8,... in order of preference, H264/4d for one
// profile only, everything else is left out of the offer; leftOut=word,... for lines that are left out of it too;
// inputOpenedBy=phone|client; reconnects=1 to come back to a signaling server that was lost; silent=1 for no audio;
// many=1 to go on with the clients before when another one comes;
// degradation=maintain-resolution|balanced|...; scalability=L3T1|... (VP9 and AV1: spatial and temporal layers).
//
// A test talks to `phone`: await phone.status(), phone.rotate(), phone.goStill(), phone.goOn(), phone.rest(),
// await phone.drawAlone(), await phone.sentCodec(), await phone.scalabilityMode(), phone.offer({iceRestart}), phone.sendInput(hex), phone.close().
'use strict';

const COLUMNS = 44; // of the barcode: 4 sync bits, 32 data bits, 8 check bits

function crc8(bytes) {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1;
  }
  return crc;
}

function barcodeBits(number) {
  const bytes = [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff);
  const bits = [...bytes, crc8(bytes)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return [...('1010' + bits)].map(Number);
}

function canvasOf(width, height) {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  return canvas;
}

class Screen {
  constructor(canvas, { width, height, fps, scene }) {
    this.canvas = canvas;
    Object.assign(canvas, { width, height });
    this.context = canvas.getContext('2d');
    this.strip = canvasOf(COLUMNS, 2);
    this.wallpaper = scene === 'busy' ? busyWallpaper(width + height) : calmWallpaper(width + height);
    this.counter = 0;
    this.interval = 1000 / fps;
    this.due = 0;
    this.isStill = false;
    this.isResting = false; // what is drawn is the same again, the barcode too
    this.stream = canvas.captureStream(0);
    requestAnimationFrame((now) => this.tick(now));
  }

  // A canvas is captured when the browser paints: two pictures drawn between two paints would be one picture sent.
  tick(now) {
    if (!this.isStill && now + 1 >= this.due) {
      this.due = Math.max(this.due + this.interval, now);
      this.draw();
    }
    requestAnimationFrame((next) => this.tick(next));
  }

  rotate() {
    const { width, height } = this.canvas;
    Object.assign(this.canvas, { width: height, height: width });
  }

  draw() {
    const { context, canvas: { width, height }, counter } = this;
    const offset = (counter * 7) % (this.wallpaper.height - Math.max(width, height));
    context.drawImage(this.wallpaper, 0, -offset);
    context.fillStyle = '#e33';
    context.fillRect((counter * 11) % width, height / 3, 90, 90);
    this.drawBarcode();
    this.stream.getVideoTracks()[0].requestFrame();
    if (!this.isResting) this.counter = (counter + 1) >>> 0;
  }

  drawBarcode() {
    const strip = this.strip.getContext('2d');
    if (!this.isResting) this.clock = Date.now() % 2 ** 32;
    for (const [row, number] of [this.counter, this.clock].entries()) {
      barcodeBits(number).forEach((bit, column) => {
        strip.fillStyle = bit ? '#fff' : '#000';
        strip.fillRect(column, row, 1, 1);
      });
    }
    const { width, height } = this.canvas;
    const cell = Math.floor(Math.min(width, height) / 45);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(this.strip, 0, height - 2 * cell, COLUMNS * cell, 2 * cell);
  }
}

function calmWallpaper(side) {
  const canvas = canvasOf(side, 2 * side);
  const context = canvas.getContext('2d');
  const gradient = context.createLinearGradient(0, 0, 0, canvas.height);
  ['#024', '#268', '#024'].forEach((color, i) => gradient.addColorStop(i / 2, color));
  context.fillStyle = gradient;
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}

// Lines of text over coloured blocks: scrolled, every part of the picture changes.
function busyWallpaper(side) {
  const canvas = calmWallpaper(side);
  const context = canvas.getContext('2d');
  context.font = '22px monospace';
  for (let y = 0, seed = 1; y < canvas.height; y += 26) {
    for (let x = 0; x < canvas.width; x += 120) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      context.fillStyle = `hsl(${seed % 360} 60% ${20 + (seed >>> 9) % 50}%)`;
      context.fillRect(x, y, 120, 26);
      context.fillStyle = '#fff';
      context.fillText(seed.toString(36), x + 4, y + 20);
    }
  }
  return canvas;
}

function tone() {
  const context = new AudioContext();
  const oscillator = new OscillatorNode(context, { frequency: 440 });
  const destination = new MediaStreamAudioDestinationNode(context);
  oscillator.connect(destination);
  oscillator.start();
  return destination.stream;
}

// The capabilities that `wanted` names, in its order, and those that belong to any codec.
function videoCodecs(wanted) {
  const all = RTCRtpSender.getCapabilities('video').codecs;
  const helpers = all.filter(({ mimeType }) => ['video/rtx', 'video/red', 'video/ulpfec'].includes(mimeType));
  const chosen = wanted.split(',').flatMap((item) => {
    const [name, profile] = item.split('/');
    return all.filter(({ mimeType, sdpFmtpLine }) =>
      mimeType === `video/${name}` && (!profile || sdpFmtpLine?.includes(`profile-level-id=${profile}`)));
  });
  if (!chosen.length) throw new Error(`this browser sends none of ${wanted}`);
  return [...chosen, ...helpers];
}

// The value that `look` gives twice in a row, 300 ms apart.
async function settled(look) {
  for (let last = await look(); ;) {
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    const value = await look();
    if (value === last) return value;
    last = value;
  }
}

class Phone {
  constructor() {
    const value = (name, otherwise) => parameters.get(name) ?? otherwise;
    this.codecs = videoCodecs(value('codecs', 'H264'));
    this.leftOut = value('leftOut', '').split(',').filter(Boolean);
    this.opensInput = value('inputOpenedBy', 'phone') === 'phone';
    this.degradation = value('degradation', 'maintain-resolution');
    this.encodings = parameters.has('scalability') ? [{ scalabilityMode: parameters.get('scalability') }] : [];
    this.screen = new Screen(document.querySelector('canvas'), {
      width: Number(value('width', 720)),
      height: Number(value('height', 1280)),
      fps: Number(value('fps', 30)),
      scene: value('scene', 'calm'),
    });
    const audio = parameters.has('silent') ? [] : tone().getTracks();
    this.media = new MediaStream([...this.screen.stream.getTracks(), ...audio]);
    this.peer = null;
    this.input = null;
    this.inputMessages = [];
    this.inits = 0;
    this.socket = connectSignaling({ role: 'phone', boxid: value('boxid', 'box') });
    this.socket.on('message', inOrder((message) => this.receive(message)));
  }

  async receive(message) {
    const content = contentOf(message);
    switch (message.type) {
      case 'init':
        this.inits += 1;
        return this.start(message.from);
      case 'answer':
        return this.peer.addDescription(content);
      case 'candidate':
        return this.peer.addCandidate(content);
      default:
        throw new Error(`the phone got a message of type ${message.type}`);
    }
  }

  async start(client) {
    if (!parameters.has('many')) this.close();
    this.peer = new Peer(this.socket, client);
    const { connection } = this.peer;
    const common = { direction: 'sendonly', streams: [this.media] };
    const video = connection.addTransceiver(this.media.getVideoTracks()[0], { ...common, sendEncodings: this.encodings });
    for (const track of this.media.getAudioTracks()) connection.addTransceiver(track, common);
    video.setCodecPreferences(this.codecs);
    const encoding = video.sender.getParameters();
    encoding.degradationPreference = this.degradation;
    await video.sender.setParameters(encoding);
    if (this.opensInput) {
      this.useInput(connection.createDataChannel('input', { ordered: false, maxRetransmits: 0 }));
    } else {
      // Without any channel there would be no m=application for the client's; a negotiated one is not announced.
      connection.createDataChannel('', { negotiated: true, id: 1022 });
      connection.ondatachannel = ({ channel }) => this.useInput(channel);
    }
    return this.offer();
  }

  useInput(channel) {
    this.input = channel;
    channel.binaryType = 'arraybuffer';
    channel.onmessage = ({ data }) => {
      const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data);
      this.inputMessages.push([...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(''));
      this.inputMessages.splice(0, this.inputMessages.length - 100);
    };
  }

  sendInput(hex) {
    this.input.send(Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16)));
  }

  async offer({ iceRestart = false } = {}) {
    if (iceRestart) this.peer.connection.restartIce();
    await this.peer.describe(this.leftOut);
  }

  rotate() { this.screen.rotate(); }
  goStill() { this.screen.isStill = true; }
  goOn() { this.screen.isStill = false; }

  // Draw the same picture again and again, so that the encoder goes on.
  rest() { this.screen.isResting = true; }

  // Draw one picture onto a still screen and return its counter once it has been sent; Chromium may drop a picture
  // before it encodes it, and then another is drawn.
  async drawAlone() {
    const sent = async () => (await this.peer.rtpStatistics('outbound-rtp')).video.framesSent;
    this.goStill();
    for (let before = await settled(sent); ;) {
      this.screen.draw();
      if (await settled(sent) > before) return this.screen.counter - 1;
    }
  }

  // What leaves the encoder at last, as the browser itself tells.
  async sentCodec() {
    const reports = await this.peer.connection.getStats();
    const { codecId } = [...reports.values()].find(({ type, kind }) => type === 'outbound-rtp' && kind === 'video');
    return reports.get(codecId).mimeType;
  }

  async scalabilityMode() {
    return (await this.peer.rtpStatistics('outbound-rtp')).video.scalabilityMode;
  }

  close() {
    this.peer?.connection.close();
    this.peer = this.input = null;
  }

  async status() {
    const { video, audio } = this.peer ? await this.peer.rtpStatistics('outbound-rtp') : {};
    return {
      signaling: this.socket.connected,
      inits: this.inits,
      counter: this.screen.counter,
      ...this.peer?.states(),
      input: { label: this.input?.label, readyState: this.input?.readyState, messages: this.inputMessages },
      video,
      audio,
      bandwidth: await this.peer?.bandwidth(),
    };
  }
}

const phone = new Phone();
