// One phone in a worker: takes the WebSocket's messages, decodes, and draws the newest frame at each refresh of the
// screen. The page's own work cannot delay it. Without WebCodecs it hands MP4 fragments to the page (film.js), and
// without Media Source Extensions it draws JPEG images.

const HEADER = 16;
const [VIDEO, AUDIO, JPEG, HEAD, FRAGMENT] = [1, 2, 3, 4, 5];
const [KEYFRAME, DISCONTINUITY, OLD] = [1, 2, 4];
const QUEUE_LIMIT = 12; // frames that wait for the decoder: more, and it goes on with the next keyframe
const PASS_ABOVE = 3, PASS_FOR_MS = 200; // while more frames wait than that, few are drawn: drawing holds the others up
const ARRIVALS_LIMIT = 64;
const ASK_EVERY_MS = 1000;
const STILL_MS = 250; // without a frame: then the screen has come to rest

let canvas, context, socket, address, hello;
let decoder, codec, needsKeyframe = true, askedAt = -ASK_EVERY_MS;
let old = 0; // frames that came before the page did and may still wait for the decoder, beside the others
let audioDecoder, audioPort;
let newest, isScheduled = false;
const arrivals = new Map(); // when the frames came that are not drawn yet, by their timestamps; the newest of them
let forms; // of video that the browser can play, the best first
let show = { do: "show", visible: false };
let drawnAt = -Infinity; // when a frame was drawn last
let drawn = 0, skipped = 0;
let release; // the timer of `releaseHeld`

self.onmessage = ({ data: message }) => {
  switch (message.do) {
    case "begin":
      ({ canvas, address, hello, forms } = message);
      context = canvas.getContext("2d", { alpha: false, desynchronized: true });
      open();
      break;
    case "show":
      ask(message.visible);
      break;
    case "refuse": // the page cannot play what comes
      if (message.form === forms[0] && forms.length > 1) forms.shift();
      ask(show.visible);
      break;
    case "sound":
      hear(message.port);
      break;
    case "screenshot":
      if (forms[0] === "mp4") self.postMessage({ say: "film", what: "screenshot" });
      else canvas.convertToBlob({ type: "image/png" }).catch(() => null).then((blob) => self.postMessage({ say: "screenshot", blob }));
      break;
    case "end":
      socket.onclose = null;
      socket.close();
      self.close();
      break;
    default:
      say(message);
  }
};

function ask(visible) {
  show = { do: "show", visible, form: forms[0] };
  needsKeyframe = true;
  say(show);
}

function open() {
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    socket.send(JSON.stringify(hello));
    say(show);
  };
  socket.onmessage = ({ data }) => (typeof data === "string" ? hearText(JSON.parse(data)) : take(data));
  socket.onclose = ({ code, reason }) => self.postMessage({ say: "lost", code, reason });
}

self.addEventListener("message", ({ data: message }) => message.do === "again" && open());

function say(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function hearText(message) {
  if (message.say !== "format") self.postMessage(message);
  else if (forms[0] === "mp4") self.postMessage({ say: "film", what: "type", type: message.type });
  else {
    codec = message.codec;
    const refuse = () => self.onmessage({ data: { do: "refuse", form: "units" } });
    VideoDecoder.isConfigSupported(config()).then(({ supported }) => supported || refuse(), refuse);
  }
}

function config() {
  return { codec, optimizeForLatency: true };
}

function take(data) {
  const view = new DataView(data);
  const [channel, flags, timestamp] = [view.getUint8(0), view.getUint8(1), Number(view.getBigInt64(8))];
  const body = new Uint8Array(data, HEADER);
  if (channel === VIDEO && forms[0] === "units") decode(body, flags, timestamp);
  else if (channel === AUDIO) decodeAudio(body, timestamp);
  else if (channel === JPEG) createImageBitmap(new Blob([body], { type: "image/jpeg" })).then((image) => put(image, timestamp));
  else if (channel === HEAD && forms[0] === "mp4") self.postMessage({ say: "film", what: "head", body });
  else if (channel === FRAGMENT && forms[0] === "mp4" && follows(flags)) {
    const [isKeyframe, isOld] = [KEYFRAME, OLD].map((flag) => (flags & flag) !== 0);
    self.postMessage({ say: "film", what: "fragment", body, isKeyframe, isOld, timestamp }, [data]);
  }
}

// Whether a decoder can go on with a frame that has these flags.
function follows(flags) {
  const isKeyframe = (flags & KEYFRAME) !== 0;
  if (flags & DISCONTINUITY && !isKeyframe) needsKeyframe = true;
  if (needsKeyframe && !isKeyframe) {
    skipped += 1;
    askKeyframe();
    return false;
  }
  needsKeyframe = false;
  return true;
}

function decode(data, flags, timestamp) {
  const waiting = decoder?.state === "configured" ? decoder.decodeQueueSize : 0;
  if (waiting <= QUEUE_LIMIT) old = 0;
  if (flags & OLD) old += 1;
  else if (waiting > QUEUE_LIMIT && !needsKeyframe) {
    if (flags & KEYFRAME || waiting > QUEUE_LIMIT + old) {
      skipped += waiting;
      decoder.close();
      needsKeyframe = true;
    } else askKeyframe(); // what came before the page did takes long: a new keyframe is there sooner
  }
  const begins = needsKeyframe;
  if (!follows(flags)) return;
  if (!(flags & OLD)) arrivals.set(timestamp, performance.now());
  if (arrivals.size > ARRIVALS_LIMIT) arrivals.delete(arrivals.keys().next().value);
  if (begins || decoder?.state !== "configured" || decoder.codec !== codec) configure();
  decoder.decode(new EncodedVideoChunk({ type: flags & KEYFRAME ? "key" : "delta", timestamp, data }));
  decoder.held += 1;
  clearTimeout(release);
  release = setTimeout(releaseHeld, STILL_MS);
}

// A decoder of a stream that reorders keeps the last frames of a screen that has come to rest. After it has given them
// up, it begins again with a keyframe.
function releaseHeld() {
  if (decoder.state !== "configured" || decoder.held === 0) return;
  if (decoder.decodeQueueSize > 0) {
    release = setTimeout(releaseHeld, STILL_MS);
    return;
  }
  needsKeyframe = true;
  decoder.flush().catch(() => {}); // it is closed meanwhile
}

function configure() {
  if (decoder && decoder.state !== "closed") decoder.close();
  const made = new VideoDecoder({
    output: (frame) => {
      made.held -= 1;
      if (isPassedOver()) pass(frame);
      else put(frame, frame.timestamp);
    },
    error: () => {
      needsKeyframe = true;
      askKeyframe();
    },
  });
  decoder = Object.assign(made, { codec, held: 0 }); // frames that it has got, and not given
  decoder.configure(config());
}

// Whether enough frames wait behind one that it need not be drawn.
function isPassedOver() {
  return decoder.state === "configured" && decoder.decodeQueueSize > PASS_ABOVE && performance.now() - drawnAt < PASS_FOR_MS;
}

function pass(frame) {
  frame.close();
  skipped += 1;
}

function askKeyframe() {
  const now = performance.now();
  if (now - askedAt < ASK_EVERY_MS) return;
  askedAt = now;
  say({ do: "refresh" });
}

function put(image, timestamp) {
  if (newest) {
    newest.image.close();
    skipped += 1;
  }
  newest = { image, timestamp };
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(draw);
}

function draw() {
  isScheduled = false;
  const { image, timestamp } = newest;
  newest = undefined;
  const width = image.displayWidth ?? image.width;
  const height = image.displayHeight ?? image.height;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    self.postMessage({ say: "size", width, height });
  }
  context.drawImage(image, 0, 0, width, height);
  image.close();
  drawn += 1;
  drawnAt = performance.now();
  const delayMs = arrivals.has(timestamp) ? performance.now() - arrivals.get(timestamp) : undefined;
  for (const each of arrivals.keys()) if (each <= timestamp) arrivals.delete(each);
  self.postMessage({ say: "drawn", drawn, skipped, timestamp, delayMs });
}

function hear(port) {
  audioPort = port;
  audioDecoder?.close();
  audioDecoder = undefined;
  if (!port || !("AudioDecoder" in self)) return;
  audioDecoder = new AudioDecoder({
    output: (audio) => {
      const channels = [0, Math.min(1, audio.numberOfChannels - 1)].map((planeIndex) => {
        const samples = new Float32Array(audio.numberOfFrames);
        audio.copyTo(samples, { planeIndex, format: "f32-planar" });
        return samples;
      });
      audio.close();
      audioPort?.postMessage(channels, channels.map((each) => each.buffer));
    },
    error: () => {
      audioDecoder = undefined; // it is closed, and must not be closed again
      hear(audioPort);
    },
  });
  audioDecoder.configure({ codec: "opus", sampleRate: 48000, numberOfChannels: 2 });
}

function decodeAudio(data, timestamp) {
  audioDecoder?.decode(new EncodedAudioChunk({ type: "key", timestamp, data }));
}
