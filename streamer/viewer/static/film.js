// Where the browser has no WebCodecs, a <video> over the canvas plays MP4 fragments of one frame each by Media Source
// Extensions. It decides when a frame is shown: now. Each frame lasts until the next one comes, so that playing never
// runs out of buffer, and a still screen shows its last frame. It never seeks: Chromium 156 drops such long frames then.

const CLOCK = 90_000;
const TIME_AT = 60; // in a fragment
const STEP_S = 91 / CLOCK; // between frames that came together: Chromium drops a frame within 1 ms of another
const AHEAD_S = 0.1; // frames that came together and would be shown later than this are played faster
const FASTEST = 16; // that browsers play
const BEHIND_MS = 300; // a frame that is not on the screen this long after it came: begin again with a keyframe
const GROUP_LIMIT = 24e6; // bytes from one keyframe to the next: the buffer is emptied up to the last keyframe
const FAILURES_LIMIT = 3;

export class Film {
  // `hear` gets "drawn", "size" and "screenshot", as from the worker; `ask` asks the worker.
  constructor(canvas, hear, ask) {
    Object.assign(this, { canvas, hear, ask, drawn: 0, skipped: 0, failures: 0, wanted: 0 });
  }

  take(message) {
    if (this.isOver) return;
    if (message.what === "screenshot") return this.hasBegun ? this.screenshot() : (this.wanted += 1);
    if (message.what === "type") {
      if (!message.type || !MediaSource.isTypeSupported(message.type)) return this.refuse();
      this.type = message.type;
      if (!this.video) this.begin();
    }
    if (!this.video) return;
    if (message.what === "head") this.head = message;
    if (message.what === "fragment") this.judge(message);
    this.queue.push(message);
    this.pump();
  }

  begin() {
    const video = (this.video = document.createElement("video"));
    const source = new MediaSource();
    Object.assign(video, { muted: true, playsInline: true, className: "film", ariaHidden: "true" });
    Object.assign(this, { queue: [], waiting: [], time: 0, keyframe: 0, removed: 0, bytes: 0, hasBegun: false });
    source.addEventListener("sourceopen", () => {
      URL.revokeObjectURL(video.src);
      this.buffer = source.addSourceBuffer(this.type);
      this.buffer.addEventListener("updateend", () => this.pump());
      this.pump();
    });
    video.addEventListener("error", () => this.video === video && this.fail());
    video.addEventListener("waiting", () => this.video === video && this.hasBegun && this.askKeyframe());
    video.addEventListener("resize", () => {
      const [width, height] = [video.videoWidth, video.videoHeight];
      video.style.setProperty("--ratio", width / height);
      this.hear({ say: "size", width, height });
    });
    const presented = (_, { mediaTime }) => {
      if (this.video !== video) return;
      this.present(mediaTime);
      video.requestVideoFrameCallback(presented);
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(presented);
    else video.addEventListener("timeupdate", () => this.present(video.currentTime));
    video.src = URL.createObjectURL(source);
    this.canvas.after(video);
  }

  // Append what waits, up to the next change of the stream; frames that came together go together.
  pump() {
    if (!this.buffer || this.buffer.updating || this.video.error) return;
    const parts = [];
    try {
      while (this.queue.length) {
        const { what, type, body } = this.queue[0];
        if (what === "type") {
          if (parts.length) break;
          this.buffer.changeType?.(type);
        } else {
          if (what === "fragment") this.place(this.queue[0]);
          parts.push(body);
        }
        this.queue.shift();
      }
      if (parts.length) this.buffer.appendBuffer(parts.length === 1 ? parts[0] : joined(parts));
      else if (this.keyframe > this.removed && this.video.currentTime > this.keyframe) {
        this.removed = this.keyframe;
        this.buffer.remove(0, this.removed);
      }
    } catch {
      this.fail(); // such as a full buffer
      return;
    }
    if (this.video.paused) this.video.play().catch(() => {}); // a hidden tab may have paused it
  }

  // See whether the frames before this one are on the screen in time, and whether the buffer holds too much.
  judge(message) {
    const { body, isKeyframe } = message;
    const isBehind = this.waiting.length > 0 && performance.now() - this.waiting[0].cameAt > BEHIND_MS;
    if (isKeyframe && isBehind) {
      this.skipped += this.waiting.length;
      this.end();
      this.begin();
      this.queue.push(this.head);
    }
    this.bytes = body.length + (isKeyframe ? 0 : this.bytes);
    if (!isKeyframe && (isBehind || this.bytes > GROUP_LIMIT)) this.askKeyframe();
    message.cameAt = performance.now();
  }

  // Say when a frame is shown.
  place({ body, isKeyframe, isOld, timestamp, cameAt }) {
    const { video } = this;
    const ticks = Math.ceil(Math.max(this.time + STEP_S, video.currentTime) * CLOCK - 0.01);
    this.time = ticks / CLOCK;
    new DataView(body.buffer, body.byteOffset).setBigUint64(TIME_AT, BigInt(ticks));
    if (isKeyframe) this.keyframe = this.time;
    if (video.requestVideoFrameCallback && !isOld) this.waiting.push({ time: this.time, timestamp, cameAt });
    const aheadS = this.time - video.currentTime;
    if (aheadS < AHEAD_S) return;
    clearTimeout(this.hurry);
    video.playbackRate = FASTEST;
    this.hurry = setTimeout(() => (video.playbackRate = 1), (aheadS * 1000) / FASTEST);
  }

  present(mediaTime) {
    const shown = this.waiting.filter(({ time }) => time <= mediaTime + STEP_S / 2);
    this.waiting = this.waiting.slice(shown.length);
    this.skipped += Math.max(shown.length - 1, 0);
    this.drawn += 1;
    this.failures = 0;
    this.hasBegun = true;
    const { timestamp, cameAt } = shown.at(-1) ?? {};
    const delayMs = cameAt && performance.now() - cameAt;
    this.hear({ say: "drawn", drawn: this.drawn, skipped: this.skipped, timestamp, delayMs });
    for (; this.wanted > 0; this.wanted -= 1) this.screenshot();
  }

  askKeyframe() {
    const now = performance.now();
    if (now - (this.askedAt ?? -Infinity) < 1000) return;
    this.askedAt = now;
    this.ask({ do: "refresh" });
  }

  // Begin again with the last keyframe; if that does not help, in another form.
  fail() {
    this.end();
    this.failures += 1;
    if (this.failures > FAILURES_LIMIT) this.refuse();
    else this.ask({ do: "show", visible: !document.hidden });
  }

  refuse() {
    this.isOver = true;
    this.end();
    this.ask({ do: "refuse", form: "mp4" });
    for (; this.wanted > 0; this.wanted -= 1) this.ask({ do: "screenshot" });
  }

  end() {
    clearTimeout(this.hurry);
    this.video?.remove();
    this.video?.removeAttribute("src");
    this.video?.load();
    this.video = this.buffer = undefined;
    this.hasBegun = false;
  }

  screenshot() {
    const canvas = document.createElement("canvas");
    canvas.width = this.video.videoWidth;
    canvas.height = this.video.videoHeight;
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    canvas.toBlob((blob) => this.hear({ say: "screenshot", blob }), "image/png");
  }
}

function joined(parts) {
  const all = new Uint8Array(parts.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
