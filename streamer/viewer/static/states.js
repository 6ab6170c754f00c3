// What the server's events and close codes mean for a page.

export const [UNAUTHORIZED, REFUSED, NORMAL] = [4401, 4403, 1000];
export const STATES = { // by kind of event; the other kinds change no state
  connecting: "connecting", streaming: "streaming", resumed: "streaming", interrupted: "interrupted", closed: "closed",
};
