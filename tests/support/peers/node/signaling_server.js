// A real Socket.IO 2 server that plays the signaling server on 127.0.0.1, at a free port unless one is named.
//
// A client (query authtype, boxid, token) is authorized and gets `start`; a phone (query role=phone, boxid) is what a
// client's `start` finds. A `message` goes to the socket it names in `to`, and arrives there with `from`.
//
// argv: one JSON object. port. pingInterval, pingTimeout: milliseconds. codes: {token: code of `authorize`}, any other
// token gets -1; without it all are welcome. files: a directory whose files are served over HTTP, as is
// /socket.io-client.js. waits: a `start` whose phone is not there is answered when it has come, and not refused.
// Faults, which the phone never meets, and which the command `fault` sets too: status: the HTTP status that a WebSocket
// upgrade gets; refuse: the text of a middleware's error; silent_at: what is never said, of open, connect, authorize,
// start, offer, answer, pong; drop_at: where the connection is reset; token: how the device token is judged, invalid
// or expired; times: so often the one that is asked for happens, 0 is for ever.
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

const isPhone = ({ url }) => new URL(url, 'http://localhost').searchParams.get('role') === 'phone';
const reset = (connection) => connection.transport.socket._socket.resetAndDestroy();

let happened = 0;
const happens = () => !options.times || ++happened <= options.times;

// Return whether the conversation gets to a step.
function reaches(step, connection) {
  if (isPhone(connection.request)) return true;
  if (options.drop_at === step && happens()) {
    reset(connection);
    return false;
  }
  return options.silent_at !== step || !happens();
}

// Below Socket.IO's own API: the packets it sends by itself.
const { sendPacket } = EngineSocket.prototype;
EngineSocket.prototype.sendPacket = function (type, data, ...rest) {
  const step = type === 'message' && data === '0' ? 'connect' : type;
  if (reaches(step, this)) sendPacket.call(this, type, data, ...rest);
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

const { pingInterval, pingTimeout } = options;
const io = socketIo(server, { serveClient: false, ...(pingInterval && { pingInterval, pingTimeout }) });
const phones = new Map();
const waiting = []; // what to do when a phone has come
let client = null;

const { handleUpgrade } = io.engine;
io.engine.handleUpgrade = function (request, socket, head) {
  if (!options.status || isPhone(request) || !happens()) {
    handleUpgrade.call(this, request, socket, head);
    return;
  }
  report('upgrade');
  socket.end(`HTTP/1.1 ${options.status} as asked\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
};

io.engine.on('connection', (connection) => {
  const role = isPhone(connection.request) ? 'phone' : 'client';
  connection.on('packet', ({ type }) => { if (type === 'ping') report('ping', { role }); });
  connection.on('close', (reason) => report('gone', { role, reason }));
});

io.use((socket, next) => {
  next(options.refuse && !isPhone(socket.request) ? new Error(options.refuse) : undefined);
});

io.on('connection', (socket) => {
  const { query } = socket.handshake;
  report('connect', query);
  socket.on('disconnect', (reason) => {
    report('disconnect', reason);
    if (phones.get(query.boxid) === socket) phones.delete(query.boxid);
  });
  socket.on('message', ({ to, ...message }) => {
    report('message', { to, ...message });
    const step = { init: 'offer', answer: 'answer' }[message.type];
    if (step && !reaches(step, socket.conn)) return;
    const receiver = io.sockets.connected[to];
    if (receiver) receiver.emit('message', { ...message, from: socket.id });
  });
  if (query.role === 'phone') {
    phones.set(query.boxid, socket);
    for (const answer of waiting.splice(0)) answer();
  } else {
    client = socket;
    welcome(socket, query);
  }
});

function judge({ token }) {
  if (options.token && happens()) return options.token === 'expired' ? -2 : -1;
  return options.codes ? options.codes[token] ?? -1 : 0;
}

function welcome(socket, query) {
  const code = judge(query);
  if (reaches('authorize', socket.conn)) socket.emit('authorize', { authorized: code === 0, code });
  socket.on('start', (request) => {
    report('start', request);
    if (reaches('start', socket.conn)) start(socket, request);
  });
}

function start(socket, request) {
  const phone = phones.get(request.room);
  if (phone) {
    socket.emit('start', { streamId: phone.id, vcodec: 'h264' });
  } else if (options.waits) {
    waiting.push(() => start(socket, request));
  } else {
    socket.emit('start', { code: 404, message: 'the phone is not here', times: request.times });
  }
}

// All but `fault` are about the client that came last.
onCommand({
  fault: (name, value) => { options[name] = value; },
  emit: (...event) => client.emit(...event),
  emitForAcknowledgement: (...event) => client.emit(...event, () => report('acknowledged')),
  emitIn: (namespace, ...event) => {
    client.client.connect(namespace);
    io.of(namespace).emit(...event);
  },
  disconnect: () => client.disconnect(),
  close: () => client.conn.close(),
  drop: () => reset(client.conn),
});

server.listen(options.port || 0, '127.0.0.1', () => report('listening', server.address().port));
