// What phone.js and receiver.js share: the message forms of the signaling, and ICE candidates in both directions.
'use strict';

const parameters = new URLSearchParams(location.search);

let fault = null; // the first thing that went wrong: chromium_phone.Page.wait_for raises it
addEventListener('error', ({ error }) => { fault ??= error; });
addEventListener('unhandledrejection', ({ reason }) => { fault ??= reason; });

// Return `handle` so that it works off its calls one after the other, in the order they came.
function inOrder(handle) {
  let work = Promise.resolve();
  return (argument) => {
    work = work.then(() => handle(argument)).catch((error) => { fault ??= error; });
  };
}

function connectSignaling(query) {
  const reconnection = parameters.has('reconnects');
  return io(location.origin, { query, transports: ['websocket'], reconnection, reconnectionDelayMax: 1000 });
}

// Every message's content comes as `payload` or, base64 of its JSON, as `data`.
function contentOf(message) {
  return message.payload ?? JSON.parse(atob(message.data));
}

class Peer {
  constructor(socket, to, iceServers = []) {
    this.connection = new RTCPeerConnection({ iceServers });
    this.candidates = []; // those that came before the description they belong to
    this.send = (type, payload) => socket.emit('message', { to, type, payload });
    this.connection.onicecandidate = ({ candidate }) => {
      if (candidate?.candidate) {
        this.send('candidate', { label: candidate.sdpMLineIndex, id: candidate.sdpMid, candidate: candidate.candidate });
      }
    };
  }

  // `leftOut` is a list of words: the lines with one of them are not sent.
  async describe(leftOut = []) {
    await this.connection.setLocalDescription();
    const { type, sdp } = this.connection.localDescription;
    const lines = sdp.split('\r\n').filter((line) => !leftOut.some((word) => line.includes(word)));
    this.send(type, { type, sdp: lines.join('\r\n') });
  }

  async addDescription(description) {
    await this.connection.setRemoteDescription(description);
    for (const candidate of this.candidates.splice(0)) {
      await this.connection.addIceCandidate(candidate);
    }
  }

  async addCandidate({ label, id, candidate }) {
    const init = { sdpMLineIndex: label, sdpMid: id, candidate };
    if (this.connection.remoteDescription) {
      await this.connection.addIceCandidate(init);
    } else {
      this.candidates.push(init);
    }
  }

  states() {
    const { connectionState, iceConnectionState, iceGatheringState, signalingState } = this.connection;
    return { connectionState, iceConnectionState, iceGatheringState, signalingState };
  }

  // What this side believes it may send, in bits per second.
  async bandwidth() {
    const reports = [...(await this.connection.getStats()).values()];
    return reports.find((r) => r.availableOutgoingBitrate)?.availableOutgoingBitrate;
  }

  // The statistics of one type ('outbound-rtp', 'inbound-rtp'), by kind.
  async rtpStatistics(type) {
    const reports = [...(await this.connection.getStats()).values()];
    return Object.fromEntries(reports.filter((r) => r.type === type).map((r) => [r.kind, r]));
  }
}
