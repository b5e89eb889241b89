// Print finished expressions: node print.js mqtt://127.0.0.1:1883

import { listen } from './streamspot.js';

const client = listen(
  process.argv[2] ?? 'mqtt://127.0.0.1:1883',
  (data, node) => {
    if (data.phase !== 'offset') return;
    console.log(node, data.stream, data.kind, data.onset.time, data.offset.time, data.intensity);
  },
  { clientId: `print-${process.pid}`, clean: true },
);
client.on('error', (error) => console.error(error.message));
process.on('SIGINT', () => client.end());
