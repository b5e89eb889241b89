// Read a broker as a stranger would: node check.js URL ASYNCAPI
// The document goes through AsyncAPI's own parser, every message that MQTT.js brings through ajv in strict mode, every
// event through CloudEvents' SDK. Prints "listening", then, after the node has stopped, what was found, as JSON.

import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';
import Ajv from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { HTTP } from 'cloudevents';
import mqtt from 'mqtt';

const [url, file] = process.argv.slice(2);
const text = readFileSync(file, 'utf8');
const { document, diagnostics } = await new Parser().parse(text);
const api = JSON.parse(text);
const ajv = formats(new Ajv({ strict: true, strictRequired: true }));
ajv.addKeyword('components');

const channels = Object.entries(api.channels).map(([name, channel]) => {
  const message = api.components.messages[name];
  return {
    name,
    content: message.contentType,
    topic: new RegExp(`^${channel.address.replace(/\{\w+\}/g, '[^/]+')}$`),
    validate: ajv.compile({ ...message.payload, components: api.components }),
  };
});

const found = {
  valid: document !== undefined,
  complaints: diagnostics.filter((one) => one.severity < 2).map((one) => one.message),
  messages: {},
  invalid: [],
  events: 0,
};

const client = mqtt.connect(url, { protocolVersion: 5, reconnectPeriod: 0 });
client.on('message', (topic, payload, packet) => {
  const channel = channels.find((one) => one.topic.test(topic));
  const content = packet.properties?.contentType;
  if (channel === undefined) {
    found.invalid.push(`${topic} is not in the document`);
    return;
  }
  found.messages[channel.name] = (found.messages[channel.name] ?? 0) + 1;
  if (content !== channel.content) found.invalid.push(`${topic} has content type ${content}`);
  const value = channel.content === 'text/plain' ? payload.toString() : JSON.parse(payload);
  if (!channel.validate(value)) found.invalid.push(`${topic}: ${ajv.errorsText(channel.validate.errors)}`);
  if (channel.name === 'event') {
    const event = HTTP.toEvent({ headers: { 'content-type': content }, body: payload.toString() });
    event.validate();
    found.events += event.data.phase === undefined ? 0 : 1;
  }
  if (channel.name === 'nodeStatus' && value === 'stopped') {
    client.end();
    console.log(JSON.stringify(found));
  }
});
client.on('connect', () => client.subscribe(['streamspot/#', 'homeassistant/#'], { qos: 1 }, () => console.log('listening')));
client.on('error', (error) => { throw error; });
