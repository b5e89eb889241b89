// Events of streamspot in JavaScript, in Node.js and in a browser: reconnects by itself, takes each event once.

import mqtt from 'mqtt';

const RUNS = 256; // that are remembered; beyond them the one silent for longest is forgotten
const GAPS = 1000; // in the numbers of a run
const LONGEST = 64 * 1024; // no event is longer
const TYPE = /^io\.streamspot\.expression\.\w+\.v1$/; // another version may mean something else

/**
 * Call `onEvent(data, node)` for each event, in the order of arrival; `data` is what docs/mqtt.md describes.
 *
 * @param {string} url Of the broker: mqtt:// or mqtts:// in Node.js, ws:// or wss:// in a browser.
 * @param {(data: object, node: string) => void} onEvent
 * @param {object} [options] Further options of MQTT.js, such as username and password. With a `clientId` of your own
 *   the broker keeps events for you while you are away.
 * @returns {import('mqtt').MqttClient} End it with `end()`.
 */
export function listen(url, onEvent, options = {}) {
  const isNew = memory();
  const client = mqtt.connect(url, {
    clean: !options.clientId,
    keepalive: 10,
    reconnectPeriod: 2000,
    ...options,
  });
  client.on('connect', () => client.subscribe('streamspot/+/+/event', { qos: 1 }));
  client.on('message', (topic, payload) => {
    const data = parse(payload);
    if (data === null || !isNew(`${topic} ${data.run}`, data.seq)) return;
    onEvent(data, topic.split('/')[1]);
  });
  return client;
}

// Remembers which numbers of a run have come, as spans of them: however long the run, a repetition is known.
function memory() {
  const runs = new Map(); // run to spans [first, last], ascending
  return (run, seq) => {
    const spans = runs.get(run) ?? [];
    runs.delete(run); // and set anew, behind all others
    runs.set(run, spans);
    if (runs.size > RUNS) runs.delete(runs.keys().next().value);
    let at = spans.length;
    while (at > 0 && spans[at - 1][0] > seq) at -= 1;
    const [before, after] = [spans[at - 1], spans[at]];
    if (before && seq <= before[1]) return false;
    spans.splice(at, 0, [seq, seq]);
    if (after && after[0] === seq + 1) spans[at][1] = spans.splice(at + 1, 1)[0][1];
    if (before && before[1] === seq - 1) before[1] = spans.splice(at, 1)[0][1];
    if (spans.length > GAPS) spans.shift();
    return true;
  };
}

function parse(payload) {
  if (payload.length > LONGEST) return null;
  try {
    const { type, data } = JSON.parse(new TextDecoder().decode(payload));
    const whole = data.onset.time && (data.phase !== 'offset' || data.offset.time) && Number.isSafeInteger(data.seq);
    return TYPE.test(type) && whole ? data : null;
  } catch {
    return null; // somebody else's message
  }
}
