// Reads a librechat.yaml as LibreChat does at its start, and names what it would reject or silently drop.
import yaml from 'js-yaml';
import { configSchema } from 'librechat-data-provider';

import { run } from './outside.mjs';

/** The keys of `given` that are not in `read`: a schema that is not strict drops what it does not know. */
function dropped(given, read, path = '') {
  if (given === null || typeof given !== 'object') return [];
  return Object.keys(given).flatMap((key) => {
    const here = path ? `${path}.${key}` : key;
    return read !== null && typeof read === 'object' && key in read ? dropped(given[key], read[key], here) : [here];
  });
}

await run(({ text }) => {
  const given = yaml.load(text);
  const read = configSchema.strict().safeParse(given);
  const errors = read.success ? [] : read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  return { errors, dropped: read.success ? dropped(given, read.data) : [], read: read.data ?? null };
});
