// Events of streamspot in JavaScript, in Node.js and in a browser: reconnects by itself, takes each event once.

import mqtt from 'mqtt';

const REMEMBERED = 10_000; // ids of events that came; a repetition comes soon or never
const LONGEST = 64 * 1024; // no event is longer

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
  const seen = new Set();
  const client = mqtt.connect(url, {
    clean: !options.clientId,
    keepalive: 10,
    reconnectPeriod: 2000,
    ...options,
  });
  client.on('connect', () => client.subscribe('streamspot/+/+/event', { qos: 1 }));
  client.on('message', (topic, payload) => {
    const event = parse(payload);
    if (event === null || seen.has(event.id)) return;
    seen.add(event.id);
    if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
    onEvent(event.data, topic.split('/')[1]);
  });
  return client;
}

function parse(payload) {
  if (payload.length > LONGEST) return null;
  try {
    const event = JSON.parse(new TextDecoder().decode(payload));
    return event.type.startsWith('io.streamspot.expression.') ? event : null;
  } catch {
    return null; // somebody else's message
  }
}
