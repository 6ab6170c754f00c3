// Reads the strip of the emulator (streamer/emulator/barcode.py) from what a canvas shows at this moment. Gives the frame's
// counter and when it was drawn, both null if the strip cannot be read, when it was read, and the size in pixels.
async (selector) => {
  const CELLS = 44;
  const crc8 = (bytes) => {
    let crc = 0;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1;
    }
    return crc;
  };
  const shown = document.querySelector(selector);
  const atMs = performance.timeOrigin + performance.now();
  if (!shown || shown.readyState < 2) return { counter: null, clockMs: null, atMs, width: 0, height: 0 }; // a video
  const image = await createImageBitmap(shown);
  const { width, height } = image;
  const cell = Math.floor(Math.min(width, height) / 45);
  const found = { counter: null, clockMs: null, atMs, width, height };
  if (cell < 2 || width < CELLS * cell) return found;
  const strip = new OffscreenCanvas(CELLS * cell, 2 * cell);
  const context = strip.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, cell * 2 - height);
  image.close();
  const { data } = context.getImageData(0, 0, strip.width, strip.height);
  const [counter, clockMs] = [0, 1].map((row) => {
    const bits = Array.from({ length: CELLS }, (_, column) => {
      const x = column * cell + (cell >> 1), y = row * cell + (cell >> 1);
      return data[4 * (y * strip.width + x) + 1] > 127 ? 1 : 0;
    });
    if (bits.slice(0, 4).join("") !== "1010") return null;
    const bytes = [0, 1, 2, 3, 4].map((byte) => parseInt(bits.slice(4 + 8 * byte, 12 + 8 * byte).join(""), 2));
    if (crc8(bytes.slice(0, 4)) !== bytes[4]) return null;
    return ((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) >>> 0;
  });
  return counter === null || clockMs === null ? found : { ...found, counter, clockMs };
}
