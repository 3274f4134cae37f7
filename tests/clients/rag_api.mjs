// LibreChat's calls of a rag_api, with its axios and form-data: uploads, searches, contexts, deletions.
import { createHmac } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import axios from 'axios';
import FormData from 'form-data';

import { run } from './outside.mjs';

const MOST_HITS = 10;
const MIN_RELEVANCE = 0.45; // endpoints.agents.minRelevanceScore

const packed = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token as LibreChat makes one for each call: HS256, the user's id, five minutes. */
function token(id, secret) {
  const now = Math.floor(Date.now() / 1000);
  const signed = `${packed({ alg: 'HS256', typ: 'JWT' })}.${packed({ id, iat: now, exp: now + 300 })}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

class RagApi {
  constructor(url, user, secret) {
    this.url = url; // joined with paths as it is
    this.headers = { Authorization: `Bearer ${token(user, secret)}` };
  }

  async send(path, file_id, file) {
    const form = new FormData();
    form.append('file_id', file_id);
    form.append('file', createReadStream(file));
    const headers = { ...this.headers, accept: 'application/json', ...form.getHeaders() };
    return (await axios.post(`${this.url}${path}`, form, { headers })).data;
  }

  async query(file_id, query, k, more = {}) {
    const headers = { ...this.headers, 'Content-Type': 'application/json' };
    return (await axios.post(`${this.url}/query`, { file_id, query, k, ...more }, { headers })).data;
  }

  async context(file_id) {
    return (await axios.get(`${this.url}/documents/${file_id}/context`, { headers: this.headers })).data;
  }

  async remove(file_id) {
    const headers = { ...this.headers, 'Content-Type': 'application/json', accept: 'application/json' };
    return (await axios.delete(`${this.url}/documents`, { headers, data: [file_id] })).data;
  }
}

/** What the tool `file_search` makes of its answers: relevance is 1 less the distance, ten hits of all files. */
function ranked(answers) {
  const hits = answers.flatMap(({ file_id, pairs }) =>
    pairs.map(([document, distance]) => ({
      file_id,
      filename: document.metadata.source.split('/').pop(),
      content: document.page_content.trim(),
      page: document.metadata.page || null,
      distance,
      relevance: Number((1.0 - distance).toFixed(4)),
    })),
  );
  return hits.sort((one, other) => one.distance - other.distance).slice(0, MOST_HITS);
}

async function status(call) {
  try {
    await call;
    return 200;
  } catch (error) {
    return error.response?.status ?? String(error);
  }
}

async function uploaded(api, files, folder) {
  const answers = [];
  for (const { id, name, text } of files) {
    const path = join(folder, name);
    writeFileSync(path, text);
    answers.push({ name: basename(path), ...(await api.send('/embed', id, path)) });
  }
  return answers;
}

async function replayed({ url, user, other, secret, files, query, entity }, folder) {
  const [api, stranger] = [new RagApi(url, user, secret), new RagApi(url, other, secret)];
  const health = (await fetch(`${url}/health`)).status;
  const uploads = await uploaded(api, files, folder);
  const text = await api.send('/text', files[0].id, join(folder, files[0].name));
  const search = (who) =>
    Promise.all(files.map(async ({ id }) => ({ file_id: id, pairs: await who.query(id, query, 5, { entity_id: entity }) })));
  const hits = ranked(await search(api));
  const attached = await Promise.all(files.map(({ id }) => api.query(id, query, 4)));
  const contexts = await Promise.all(files.map(({ id }) => api.context(id)));
  const foreign = { hits: ranked(await search(stranger)), context: await status(stranger.context(files[0].id)),
                    removal: await status(stranger.remove(files[0].id)) };
  const removed = await api.remove(files[0].id);
  const after = { again: await status(api.remove(files[0].id)), pairs: await api.query(files[0].id, query, 5) };
  const cited = hits.filter(({ relevance }) => relevance >= MIN_RELEVANCE);
  return { health, uploads, text, hits, cited, attached, contexts, foreign, removed, after };
}

await run(async (task) => {
  const folder = mkdtempSync(join(tmpdir(), 'ragstone-uploads-'));
  try {
    return await replayed(task, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
