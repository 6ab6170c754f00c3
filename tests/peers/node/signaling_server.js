// A real Socket.IO 2 server that plays the signaling server on 127.0.0.1, at a free port.
//
// A client (query authtype, boxid, token) is authorized and gets `start`; a phone (query role=phone, boxid) is what a
// client's `start` finds. A `message` goes to the socket it names in `to`, and arrives there with `from`.
//
// argv: one JSON object. pingInterval, pingTimeout: milliseconds. codes: {token: code of `authorize`}, any other token
// gets -1; without it all are welcome. files: a directory whose files are served over HTTP, as is /socket.io-client.js.
// Faults: status: the HTTP status that a WebSocket upgrade gets; refuse: the text of a middleware's error;
// silentAt: what is never said, of open, connect, authorize, start, pong.
//
// Everything notable is printed, and commands (see below) are read, as JSON lines.
'use strict';

const fs = require('fs');
const http = require('http');
const path = require('path');
const { Socket: EngineSocket } = require('engine.io');
const socketIo = require('socket.io');
const { onCommand, report } = require('./lines');

const options = JSON.parse(process.argv[2] || '{}');
const silent = new Set([options.silentAt]);

// Below Socket.IO's own API: the packets it sends by itself.
const { sendPacket } = EngineSocket.prototype;
EngineSocket.prototype.sendPacket = function (type, data, ...rest) {
  const step = type === 'message' && data === '0' ? 'connect' : type;
  if (!silent.has(step)) sendPacket.call(this, type, data, ...rest);
};

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const file = pathname === '/socket.io-client.js'
    ? require.resolve('socket.io-client/dist/socket.io.js')
    : path.join(options.files || __dirname, path.basename(pathname));
  fs.readFile(file, (error, content) => {
    response.writeHead(error ? 404 : 200, { 'content-type': file.endsWith('.js') ? 'text/javascript' : 'text/html' });
    response.end(content);
  });
});

if (options.status) {
  server.on('upgrade', (request, socket) => {
    report('upgrade');
    socket.end(`HTTP/1.1 ${options.status} as asked\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
  });
} else {
  serveSockets();
}

function serveSockets() {
  const { pingInterval, pingTimeout } = options;
  const io = socketIo(server, { serveClient: false, ...(pingInterval && { pingInterval, pingTimeout }) });
  const phones = new Map();
  let client = null;

  io.engine.on('connection', (connection) => {
    const role = connection.request._query.role || 'client';
    connection.on('packet', ({ type }) => { if (type === 'ping') report('ping', { role }); });
    connection.on('close', (reason) => report('gone', { role, reason }));
  });

  io.use((socket, next) => next(options.refuse && new Error(options.refuse)));

  io.on('connection', (socket) => {
    const { query } = socket.handshake;
    report('connect', query);
    socket.on('disconnect', (reason) => report('disconnect', reason));
    socket.on('message', ({ to, ...message }) => {
      report('message', { to, ...message });
      const receiver = io.sockets.connected[to];
      if (receiver) receiver.emit('message', { ...message, from: socket.id });
    });
    if (query.role === 'phone') {
      phones.set(query.boxid, socket);
    } else {
      client = socket;
      welcome(socket, query);
    }
  });

  function welcome(socket, { token }) {
    const code = options.codes ? options.codes[token] ?? -1 : 0;
    if (!silent.has('authorize')) socket.emit('authorize', { authorized: code === 0, code });
    socket.on('start', (request) => {
      report('start', request);
      const phone = phones.get(request.room);
      if (silent.has('start')) return;
      socket.emit('start', phone
        ? { streamId: phone.id, vcodec: 'h264' }
        : { code: 404, message: 'the phone is not here', times: request.times });
    });
  }

  // All are about the client that came last.
  onCommand({
    emit: (...event) => client.emit(...event),
    emitForAcknowledgement: (...event) => client.emit(...event, () => report('acknowledged')),
    emitIn: (namespace, ...event) => {
      client.client.connect(namespace);
      io.of(namespace).emit(...event);
    },
    silence: (step) => silent.add(step),
    disconnect: () => client.disconnect(),
    close: () => client.conn.close(),
    drop: () => client.conn.transport.socket.terminate(),
  });
}

server.listen(0, '127.0.0.1', () => report('listening', server.address().port));
