// The page: its panels and buttons. A worker (player.js) has the connection and draws the phone; without WebCodecs a
// film (film.js) shows it.

import { embed } from "./embed.js";
import { Film } from "./film.js";
import { giveHands } from "./hands.js";
import { NORMAL, REFUSED, STATES, UNAUTHORIZED } from "./states.js";

const $ = (id) => document.getElementById(id);
const EVENTS_LIMIT = 200;
const SPARK = 60; // seconds
const ABOUT = {
  frames_per_second: ["Frames", (v) => `${v.toFixed(0)} /s`],
  bitrate_bps: ["Bit rate", (v) => `${(v / 1e6).toFixed(2)} Mbit/s`],
  packets_lost: ["Packets lost", (v) => `${v}`],
  round_trip_time_s: ["Round trip", (v) => (v === null ? "–" : `${(v * 1000).toFixed(0)} ms`)],
  page_delay_s: ["Page delay", (v) => (v === null ? "–" : `${(v * 1000).toFixed(0)} ms`)],
  jitter_s: ["Jitter", (v) => `${(v * 1000).toFixed(1)} ms`],
  freeze_count: ["Freezes", (v, all) => `${v}, ${all.total_freezes_duration_s.toFixed(1)} s`],
  interruptions: ["Interruptions", (v) => `${v}`],
};

// The token comes in the address's fragment, which browsers send to nobody. It goes from there, so that the history
// does not keep it; it stays in this tab's storage, so that reloading works.
const fragment = new URLSearchParams(location.hash.slice(1).includes("=") ? location.hash.slice(1) : `token=${location.hash.slice(1)}`);
const token = keep("sessionStorage", "token", fragment.get("token") || undefined) ?? "";
history.replaceState(null, "", location.pathname + location.search);
const chosen = new URLSearchParams(location.search).get("phone");

// Returns what a storage has, after putting a value there. A browser may forbid storages to a page in a frame.
function keep(storage, name, value) {
  try {
    if (value !== undefined) window[storage].setItem(name, value);
    return window[storage].getItem(name);
  } catch {
    return value;
  }
}

function play(canvas, phone, hear) {
  const worker = new Worker("player.js", { type: "module" });
  const offscreen = canvas.transferControlToOffscreen();
  const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/stream`;
  const forms = ["VideoDecoder" in window && "units", "MediaSource" in window && "mp4", "jpeg"].filter(Boolean);
  const film = new Film(canvas, (data) => take(data), (message) => worker.postMessage(message));
  let wait = 500;
  const take = (data) => {
    if (!canvas.isConnected) return film.end(); // a grid stands in its place
    if (data.say === "film") return film.take(data);
    if (data.say === "size") canvas.style.setProperty("--ratio", data.width / data.height);
    if (data.say === "hello") wait = 500;
    if (data.say === "lost" && ![UNAUTHORIZED, REFUSED, NORMAL].includes(data.code)) {
      setTimeout(() => worker.postMessage({ do: "again" }), wait);
      wait = Math.min(wait * 2, 5000);
    }
    hear(data);
  };
  worker.onmessage = ({ data }) => take(data);
  worker.postMessage({ do: "begin", canvas: offscreen, address, forms, hello: { token, ...(phone && { phone }) } }, [offscreen]);
  const show = () => worker.postMessage({ do: "show", visible: !document.hidden });
  document.addEventListener("visibilitychange", show);
  show();
  return worker;
}

let worker, readOnly = false, isOver = false, saveSeconds = 0;
const send = (message) => readOnly || worker.postMessage(message);
let delays = []; // of the frames drawn since the last statistics, from their arrival in the page on, in seconds
const sparks = Object.fromEntries(["frames_per_second", "bitrate_bps", "round_trip_time_s", "page_delay_s", "jitter_s"].map((name) => [name, []]));

function hear(data) {
  hearEmbedded(data);
  switch (data.say) {
    case "hello":
      if (data.phones.length > 1 && !chosen) return showGrid(data.phones);
      document.title = $("name").textContent = data.phone;
      $("all").hidden = data.phones.length === 1;
      readOnly = data.readOnly;
      document.body.toggleAttribute("data-read-only", readOnly);
      saveSeconds = data.saveSeconds;
      $("save").hidden = !saveSeconds;
      $("save").title = $("save").querySelector("span").textContent = `Save last ${saveSeconds} s`;
      for (const button of document.querySelectorAll("#keys button, #record, #save")) button.disabled = readOnly;
      cover("");
      break;
    case "drawn":
      $("screen").dataset.drawn = data.drawn;
      if (data.delayMs !== undefined) delays.push(data.delayMs / 1000);
      break;
    case "event":
      tellEvent(data);
      break;
    case "stats":
      showStats(data);
      break;
    case "recording":
      $("record").setAttribute("aria-pressed", data.on);
      if (data.on || data.path) tell(data.on ? "Recording on the server." : `Recorded: ${data.path}`);
      break;
    case "saved":
      tell(`Saved: ${data.path}`);
      break;
    case "screenshot":
      screenshots.shift()(data.blob);
      break;
    case "error":
      tell(data.text);
      break;
    case "lost":
      if (isOver) break;
      setState(data.code === UNAUTHORIZED || data.code === REFUSED ? "closed" : "interrupted", "no connection");
      cover(data.reason || "The viewer does not answer. Trying again …");
      break;
  }
}

function setState(state, text = state) {
  $("state").dataset.state = state;
  $("state").textContent = text;
}

function tellEvent({ kind, at, reason, error, retryInS }) {
  const state = STATES[kind];
  if (state) setState(state);
  isOver = kind === "closed";
  if (kind === "interrupted") cover(`Interrupted: ${reason ?? "the phone is silent"}. Connecting again …`);
  if (state === "streaming") cover("");
  if (kind === "closed") cover(error ? `The session has ended: ${error}` : "The session has ended.");
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date(at * 1000).toLocaleTimeString();
  item.append(time, [kind, reason ?? error, retryInS && `next try in ${retryInS.toFixed(1)} s`].filter(Boolean).join(": "));
  $("events").prepend(item);
  while ($("events").children.length > EVENTS_LIMIT) $("events").lastChild.remove();
}

function showStats(stats) {
  stats.page_delay_s = delays.length ? delays.reduce((sum, delay) => sum + delay) / delays.length : null;
  delays = [];
  for (const [name, values] of Object.entries(sparks)) {
    values.push(stats[name] ?? 0);
    if (values.length > SPARK) values.shift();
  }
  if ($("panel").hidden) return;
  $("stats").replaceChildren(...Object.entries(ABOUT).flatMap(([name, [label, format]]) => {
    const [term, line, value] = ["dt", "dd", "dd"].map((tag) => document.createElement(tag));
    term.textContent = label;
    value.textContent = format(stats[name], stats);
    if (sparks[name]) line.append(sparkline(sparks[name]));
    return [term, line, value];
  }));
}

function sparkline(values) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const most = Math.max(...values, 1e-9);
  const at = (index) => 72 - ((values.length - 1 - index) / (SPARK - 1)) * 72; // the newest is at the right
  const points = values.map((value, index) => `${at(index)},${21 - (value / most) * 20}`).join(" ");
  const line = document.createElementNS(svg.namespaceURI, "polyline");
  for (const [key, value] of Object.entries({ points, fill: "none", stroke: "currentColor", "stroke-width": 1.5 })) line.setAttribute(key, value);
  svg.setAttribute("viewBox", "0 0 72 22");
  svg.setAttribute("aria-hidden", "true");
  svg.append(line);
  return svg;
}

function cover(text) {
  $("cover").textContent = text;
}

let hiding;
function tell(text) {
  $("said").textContent = text;
  clearTimeout(hiding);
  hiding = setTimeout(() => ($("said").textContent = ""), 6000);
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

let sound;
async function toggleSound() {
  if (sound) {
    worker.postMessage({ do: "sound", port: null });
    await sound.close();
    sound = undefined;
  } else {
    sound = new AudioContext({ sampleRate: 48000, latencyHint: "interactive" });
    await sound.audioWorklet.addModule("sound.js");
    const node = new AudioWorkletNode(sound, "sound", { outputChannelCount: [2] });
    node.connect(sound.destination);
    const channel = new MessageChannel();
    node.port.postMessage(channel.port1, [channel.port1]);
    worker.postMessage({ do: "sound", port: channel.port2 }, [channel.port2]);
  }
  $("sound").setAttribute("aria-pressed", Boolean(sound));
}

function toggle(id) {
  const button = $(id);
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", pressed);
  return pressed;
}

const NO_SCREENSHOT = "The browser cannot make an image of the screen.";
const screenshots = []; // the callers that wait for one; a caller gets null if the browser cannot make it
function takeScreenshot() {
  worker.postMessage({ do: "screenshot" });
  return new Promise((take) => screenshots.push(take));
}

const tools = {
  sound: toggleSound,
  screenshot: async () => {
    const time = new Date().toISOString().replaceAll(/[-:]|\..*/g, "");
    const blob = await takeScreenshot();
    if (blob) download(blob, `${$("name").textContent}-${time}.png`);
    else tell(NO_SCREENSHOT);
  },
  record: () => send({ do: "record", on: $("record").getAttribute("aria-pressed") !== "true" }),
  save: () => send({ do: "save", seconds: saveSeconds }),
  details: () => ($("panel").hidden = !toggle("details")),
  full: () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else $("phone").requestFullscreen().catch(() => tell("The browser lets nothing here fill the screen."));
  },
  theme: () => {
    const isDark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
      (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = isDark ? "light" : "dark";
    keep("localStorage", "theme", document.documentElement.dataset.theme);
  },
};
const SHORTCUTS = { s: "screenshot", r: "record", i: "details", f: "full", m: "sound" };
const PHONE_KEYS = { b: "BACK", h: "HOME", a: "APP_SWITCH", p: "POWER", ArrowUp: "VOLUME_UP", ArrowDown: "VOLUME_DOWN" };

function showGrid(phones) {
  worker.onmessage = null; // what it has said already is of a page that goes
  worker.postMessage({ do: "end" });
  $("stage").remove();
  for (const tool of document.querySelectorAll(".tools > :not(#theme)")) tool.remove();
  $("state").remove();
  $("panel").hidden = true;
  document.title = $("name").textContent = `${phones.length} phones`;
  $("grid").hidden = false;
  $("grid").classList.toggle("many", phones.length > 6);
  for (const phone of phones) {
    const link = document.createElement("a");
    link.href = `?phone=${encodeURIComponent(phone)}`;
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    const state = document.createElement("span");
    link.append(canvas, phone, " ", state);
    $("grid").append(link);
    play(canvas, phone, (data) => {
      if (data.say === "event" && STATES[data.kind]) state.textContent = STATES[data.kind] === "streaming" ? "" : STATES[data.kind];
      if (data.say === "drawn") canvas.dataset.drawn = data.drawn;
    });
  }
}

if (!("AudioDecoder" in window && "AudioWorkletNode" in window)) { // as on a page without TLS from another machine
  $("sound").disabled = true;
  $("sound").title = "This browser decodes no sound here";
}
document.documentElement.dataset.theme = keep("localStorage", "theme") ?? "";
for (const [id, work] of Object.entries(tools)) $(id).addEventListener("click", work);
for (const button of document.querySelectorAll("#keys button")) button.addEventListener("click", () => send({ do: "press", key: button.dataset.key }));
document.addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key in SHORTCUTS) $(SHORTCUTS[key])?.click(); // a grid has no tools
  else if (key in PHONE_KEYS) send({ do: "press", key: PHONE_KEYS[key] });
  else return;
  event.preventDefault();
});
const hearEmbedded = embed(send, takeScreenshot);
worker = play($("screen"), chosen, hear);
giveHands($("screen"), send);
