// A real socket.io-client 2, over WebSocket alone: it prints each event that comes and emits what it is told to.
//
// argv: the server's URL; the query as a JSON object.
'use strict';

const connect = require('socket.io-client');
const { onCommand, report } = require('./lines');

const [url, query] = process.argv.slice(2);
const socket = connect(url, { query: JSON.parse(query), transports: ['websocket'], reconnection: false });

const { onevent } = socket;
socket.onevent = function (packet) {
  report(...packet.data);
  onevent.call(this, packet);
};
socket.on('connect', () => report('connect', socket.id));
socket.on('pong', () => report('pong'));
socket.on('error', (error) => report('error', String(error)));
for (const failure of ['connect_error', 'disconnect']) {
  socket.on(failure, (reason) => report(failure, String(reason)));
}

onCommand({ emit: (...event) => socket.emit(...event) });
