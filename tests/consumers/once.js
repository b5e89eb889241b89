// Print the numbers of the events that a sample takes: node once.js SAMPLE MESSAGES
// SAMPLE is streamspot.js or Node-RED's flow.json; MESSAGES holds a topic and a payload in each line, as JSON.

import { readFileSync } from 'node:fs';

const [sample, file] = process.argv.slice(2);
const taken = [];
let give;
if (sample.endsWith('.json')) {
  const flow = JSON.parse(readFileSync(sample, 'utf8'));
  const once = new Function('msg', 'context', flow.find((one) => one.id === 'ss-once').func);
  const store = new Map();
  const context = { get: (key) => store.get(key), set: (key, value) => store.set(key, value) };
  give = (topic, payload) => {
    const message = once({ topic, payload: JSON.parse(payload) }, context);
    if (message !== null) taken.push(message.payload.seq);
  };
} else {
  const { listen } = await import(sample);
  const client = listen('mqtt://127.0.0.1:1', (data) => taken.push(data.seq), { manualConnect: true });
  give = (topic, payload) => client.emit('message', topic, Buffer.from(payload));
}
for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) give(...JSON.parse(line));
console.log(JSON.stringify(taken));
