// How the scripts here talk with the tests: JSON lines, {event, data} out, [command, ...arguments] in.
'use strict';

const readline = require('readline');

exports.report = (event, data = null) => process.stdout.write(`${JSON.stringify({ event, data })}\n`);

// Bytes, for which JSON has no form, come as {"$base64": text}.
const revive = (key, value) => (value && value.$base64 !== undefined ? Buffer.from(value.$base64, 'base64') : value);

exports.onCommand = (commands) => {
  readline.createInterface({ input: process.stdin })
    .on('line', (line) => {
      const [name, ...parameters] = JSON.parse(line, revive);
      commands[name](...parameters);
    })
    .on('close', () => process.exit()); // the test is over, or was killed
};
