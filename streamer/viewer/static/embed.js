// In a frame: says to the page around it what happens to the phone, and does what that page asks. Only pages of the
// origins that the server names may have a frame, are told anything, and are heard. None is told the token.

import { REFUSED, STATES, UNAUTHORIZED } from "./states.js";

const TAP_MS = 40;
const STEP_MS = 16;
const TEXT_LIMIT = 1000; // characters, as the server has it: a message of 16 KB ends the page's connection
const ACTS_LIMIT = 100; // that the page around has asked for, and that are not done
const FINGER = 7; // one that the page's own mouse and wheel leave alone
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

class RefusedError extends Error {}

// `send` gives the server a command; `screenshot` resolves to a PNG, or to null. Returns what has to hear the worker's messages.
export function embed(send, screenshot) {
  if (window.parent === window) return () => {};
  document.body.toggleAttribute("data-embedded", true);
  const allowed = document.querySelector("meta[name=embed-from]").content.split(" ").filter(Boolean);
  let around = allowed.length === 1 ? allowed[0] : allowed.find((each) => each === location.ancestorOrigins?.[0]);
  const now = { phone: null, readOnly: true, state: "connecting", reason: null, width: null, height: null };
  let isReady = false, isOver = false;
  let acts = Promise.resolve(), waiting = 0;

  const say = (what, facts) => around && window.parent.postMessage({ from: "streamer", say: what, ...facts }, around);
  const touch = (motion, { x, y }) => send({ do: "touch", motion, finger: FINGER, x, y });

  const commands = {
    async tap({ x, y }) {
      const at = place(x, y);
      touch("down", at);
      await pause(TAP_MS);
      touch("up", at);
    },
    async swipe({ from, to, seconds = 0.3 }) {
      const [begin, end] = [place(from?.x, from?.y), place(to?.x, to?.y)];
      if (!(seconds > 0 && seconds <= 10)) throw new RefusedError("expected seconds above 0, and at most 10");
      const steps = Math.ceil((seconds * 1000) / STEP_MS);
      touch("down", begin);
      for (let step = 1; step <= steps; step += 1) {
        await pause(STEP_MS);
        const part = step / steps;
        touch("move", { x: begin.x + (end.x - begin.x) * part, y: begin.y + (end.y - begin.y) * part });
      }
      touch("up", end);
    },
    press: async ({ key, modifiers = [] }) => send({ do: "press", key, modifiers }),
    async type({ text }) {
      if (typeof text !== "string" || !text || text.length > TEXT_LIMIT) throw new RefusedError(`expected text of 1 to ${TEXT_LIMIT} characters`);
      send({ do: "type", text });
    },
  };

  async function answer(asked) {
    const { do: name, id = null } = asked;
    try {
      if (name === "hello") return isReady ? say("ready", now) : say("state", { state: now.state, reason: now.reason });
      if (name === "screenshot") {
        if (now.width === null) throw new RefusedError("there is no frame yet");
        const blob = await screenshot();
        if (blob === null) throw new RefusedError("the browser cannot make an image of the screen");
        return say("screenshot", { id, blob });
      }
      if (!Object.hasOwn(commands, name)) {
        throw new RefusedError(`expected "do" to be one of hello, screenshot, ${Object.keys(commands).join(", ")}`);
      }
      if (now.readOnly) throw new RefusedError("this viewer only shows the phone: it was started read-only");
      if (waiting >= ACTS_LIMIT) throw new RefusedError(`expected at most ${ACTS_LIMIT} actions at a time`);
      waiting += 1;
      const act = acts.then(() => commands[name](asked)).finally(() => (waiting -= 1)); // one after another
      acts = act.catch(() => {});
      await act;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      say("error", { id, text: Object.hasOwn(commands, name) ? `${name}: ${error.message}` : error.message });
    }
  }

  window.addEventListener("message", ({ source, origin, data }) => {
    if (source !== window.parent || !allowed.includes(origin)) return;
    around = origin;
    if (typeof data === "object" && data !== null && "do" in data) answer(data);
  });

  return (data) => {
    if (data.say === "hello") {
      [now.phone, now.readOnly] = [data.phone, data.readOnly];
      const isNamed = new URLSearchParams(location.search).has("phone");
      if (data.phones.length > 1 && !isNamed) say("error", { id: null, text: "this viewer shows several phones: name one, as in /?phone=…#token" });
    } else if (data.say === "size") {
      [now.width, now.height] = [data.width, data.height];
      if (isReady) say("size", { width: data.width, height: data.height });
    } else if (data.say === "event") {
      const state = STATES[data.kind];
      isOver = data.kind === "closed";
      if (!state) return;
      [now.state, now.reason] = [state, data.reason ?? data.error];
      if (isReady) say("state", { state, reason: now.reason });
      else say("ready", now);
      isReady = true;
    } else if (data.say === "lost" && !isOver) {
      now.state = [UNAUTHORIZED, REFUSED].includes(data.code) ? "closed" : "interrupted";
      now.reason = data.reason || "the viewer does not answer";
      say("state", { state: now.state, reason: now.reason });
    } else if (data.say === "error") {
      say("error", { id: null, text: data.text });
    }
  };
}

function place(x, y) {
  if ([x, y].every((each) => typeof each === "number" && each >= 0 && each <= 1)) return { x, y };
  throw new RefusedError("expected x and y from 0 to 1");
}
