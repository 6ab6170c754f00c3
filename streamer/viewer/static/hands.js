// Turns mouse, touch, wheel and keys on a canvas into commands.

const FINGERS = 10;
const PINCH = 9; // the finger that mirrors the mouse while Ctrl is held
const WHEEL_RESTS_MS = 120;
const TEXT_LIMIT = 1000; // characters of one message
const KEYS = {
  Enter: "ENTER", Backspace: "DEL", Delete: "FORWARD_DEL", ArrowUp: "DPAD_UP", ArrowDown: "DPAD_DOWN",
  ArrowLeft: "DPAD_LEFT", ArrowRight: "DPAD_RIGHT", Home: "MOVE_HOME", End: "MOVE_END", PageUp: "PAGE_UP",
  PageDown: "PAGE_DOWN", Escape: "BACK",
};

export function giveHands(canvas, send) {
  const fingers = new Map(); // by pointer id
  let moves = new Map(); // the newest place of each finger, sent once a refresh of the screen
  let wheel;

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const within = (value) => Math.min(Math.max(value, 0), 1);
    return { x: within((event.clientX - box.left) / box.width), y: within((event.clientY - box.top) / box.height) };
  };
  const touch = (motion, finger, at) => send({ do: "touch", motion, finger, ...at });
  const mirrored = ({ x, y }) => ({ x: 1 - x, y: 1 - y });

  const flush = () => {
    for (const [finger, at] of moves) touch("move", finger, at);
    moves.clear();
  };
  const move = (finger, at) => {
    if (!moves.size) requestAnimationFrame(flush);
    moves.set(finger, at);
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    event.preventDefault();
    if (event.pointerType === "mouse" && event.button === 2) return send({ do: "press", key: "BACK" });
    if (event.pointerType === "mouse" && event.button === 1) return send({ do: "press", key: "HOME" });
    const used = [...fingers.values()].map(({ finger }) => finger);
    const finger = [...Array(FINGERS - 1).keys()].find((each) => !used.includes(each));
    if (finger === undefined || fingers.has(event.pointerId)) return;
    canvas.setPointerCapture(event.pointerId);
    const pinches = event.pointerType === "mouse" && event.ctrlKey;
    fingers.set(event.pointerId, { finger, pinches });
    touch("down", finger, place(event));
    if (pinches) touch("down", PINCH, mirrored(place(event)));
  });
  canvas.addEventListener("pointermove", (event) => {
    const held = fingers.get(event.pointerId);
    if (!held) return;
    move(held.finger, place(event));
    if (held.pinches) move(PINCH, mirrored(place(event)));
  });
  const lift = (event) => {
    const held = fingers.get(event.pointerId);
    if (!held) return;
    fingers.delete(event.pointerId);
    flush();
    touch("up", held.finger, place(event));
    if (held.pinches) touch("up", PINCH, mirrored(place(event)));
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  // A finger that goes with the wheel, within the screen, and is lifted when the wheel rests.
  const endWheel = () => {
    flush();
    touch("up", 8, wheel.at);
    wheel = undefined;
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    if (!wheel) {
      wheel = { at: place(event) };
      touch("down", 8, wheel.at);
    }
    const { x, y } = wheel.at;
    wheel.at = {
      x: Math.min(Math.max(x - event.deltaX / box.width, 0), 1),
      y: Math.min(Math.max(y - event.deltaY / box.height, 0), 1),
    };
    move(8, wheel.at);
    clearTimeout(wheel.timer);
    wheel.timer = setTimeout(endWheel, WHEEL_RESTS_MS);
  }, { passive: false });

  canvas.addEventListener("keydown", (event) => {
    if (event.altKey || event.metaKey || event.isComposing || event.key === "Tab") return; // shortcuts, and leaving the phone
    if (event.ctrlKey && event.key.length === 1) return; // the browser's; Ctrl+V comes as "paste"
    if (event.key in KEYS) send({ do: "press", key: KEYS[event.key] });
    else if (event.key.length === 1) send({ do: "type", text: event.key });
    else return;
    event.preventDefault();
  });
  canvas.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text/plain");
    for (let at = 0; at < text.length; at += TEXT_LIMIT) send({ do: "type", text: text.slice(at, at + TEXT_LIMIT) });
    event.preventDefault();
  });
}
