// The page as a client of the phone: what Chromium itself makes of the same signaling and the same stream.
//
// Query: boxid, token. A test talks to `receiver`: await receiver.status().
'use strict';

class Receiver {
  constructor() {
    this.boxid = parameters.get('boxid') ?? 'box';
    const token = parameters.get('token') ?? '';
    this.peer = null;
    this.socket = connectSignaling({
      authtype: 'token', boxid: this.boxid, token, sessionid: token, streamingid: crypto.randomUUID(),
    });
    const handle = inOrder(([event, content]) => this[event](content));
    for (const event of ['authorize', 'start', 'message', 'close']) {
      this.socket.on(event, (content) => handle([event, content]));
    }
  }

  authorize({ authorized, code }) {
    if (!authorized) throw new Error(`not authorized, code ${code}`);
    this.socket.emit('start', { room: this.boxid, times: 0 });
  }

  start({ streamId, vcodec, code, message }) {
    if (!streamId) throw new Error(`start was refused with ${code}: ${message}`);
    this.phone = streamId;
    const init = { sole: true, mode: 'app', role: 'master', vcodec, volume: 100 };
    this.socket.emit('message', { to: streamId, type: 'init', data: btoa(JSON.stringify(init)) });
  }

  async message(message) {
    this.peer ??= this.makePeer();
    const content = contentOf(message);
    if (message.type === 'candidate') return this.peer.addCandidate(content);
    await this.peer.addDescription(content);
    return this.peer.describe();
  }

  close({ reason }) {
    throw new Error(`closed by the server: ${reason}`);
  }

  makePeer() {
    const peer = new Peer(this.socket, this.phone);
    const { connection } = peer;
    const stream = new MediaStream();
    document.querySelector('video').srcObject = stream;
    connection.ontrack = ({ track }) => stream.addTrack(track);
    connection.ondatachannel = ({ channel }) => { this.input = channel; };
    return peer;
  }

  async status() {
    const { video, audio } = this.peer ? await this.peer.rtpStatistics('inbound-rtp') : {};
    return { ...this.peer?.states(), input: this.input?.readyState, video, audio };
  }
}

const receiver = new Receiver();
