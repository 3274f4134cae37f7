// What every script here shares: it reads one task from its input, writes one report, and reaches loopback only.
import net from 'node:net';
import { text } from 'node:stream/consumers';

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);
const strangers = [];

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...given) {
  const options = Array.isArray(given[0]) ? given[0][0] : given[0];
  const host = options?.host ?? (typeof given[1] === 'string' ? given[1] : 'localhost');
  if (!options?.path && !LOOPBACK.has(host)) {
    strangers.push(host);
    throw new Error(`A package wants to reach ${host}.`);
  }
  return connect.apply(this, given);
};

/** Every request that went out by `fetch`: its headers and body, and the status and headers of its answer. */
export const requests = [];

const send = globalThis.fetch;
globalThis.fetch = async (address, options = {}) => {
  const headers = Object.fromEntries(new Headers(options.headers ?? address.headers));
  const seen = { url: String(address.url ?? address), headers, body: options.body ?? null };
  requests.push(seen);
  const answer = await send(address, options);
  seen.status = answer.status;
  seen.answer = Object.fromEntries(answer.headers);
  return answer;
};

/** What an error says about itself, as far as somebody reads it. */
export function told(error) {
  return { name: error.name, message: error.message, status: error.status ?? null, code: error.code ?? null };
}

/** Run `script` with the task; its report is the one thing on the standard output. */
export async function run(script) {
  const log = (...words) => process.stderr.write(`${words.join(' ')}\n`);
  Object.assign(console, { log, info: log, warn: log, error: log, debug: log });
  const report = await script(JSON.parse(await text(process.stdin)));
  process.stdout.write(JSON.stringify({ ...report, requests, strangers }));
  process.exitCode = 0;
}
