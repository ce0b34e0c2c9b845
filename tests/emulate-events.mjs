// Starts the npm package emulate as Slack, with an events subscription, which its command line cannot.
// usage: node emulate-events.mjs DIST PORT EVENTS_URL SEED.json
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [dist, port, url, seed] = process.argv.slice(2);
const at = (name) => pathToFileURL(path.resolve(dist, name));
const isSlack = (name) =>
  /^dist-.*\.js$/.test(name) && fs.readFileSync(path.join(dist, name), 'utf8').includes('slackPlugin');
const { slackPlugin } = await import(at(fs.readdirSync(dist).find(isSlack)));
const { register } = slackPlugin;
slackPlugin.register = (app, store, webhooks, ...rest) => {
  webhooks.register({ url, events: ['*'], active: true, owner: 'slack' });
  return register(app, store, webhooks, ...rest);
};
const { createEmulator } = await import(at('api.js'));
const slack = JSON.parse(fs.readFileSync(seed, 'utf8'));
await createEmulator({ service: 'slack', port: Number(port), seed: { slack } });
console.log('ready');
