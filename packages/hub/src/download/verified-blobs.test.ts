import { readdirSync, readFileSync, realpathSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorOf } from '../../test/support/error-code.js';
import { setup } from '../../test/support/hub-setup.js';
import { resolveModel } from './resolve-model.js';

describe('a file of the cache', () => {
  test('that was spoiled is downloaded again, or named when offline', async () => {
    const { hub, options } = await setup();
    const folder = await resolveModel('org/mistral', options);
    const path = join(folder, 'model-00002-of-00003.safetensors');
    const sound = readFileSync(path);
    const spoiled = Buffer.from(sound);
    spoiled[spoiled.length - 1]! ^= 1;
    writeFileSync(realpathSync(path), spoiled);
    utimesSync(realpathSync(path), 1, 1); // whatever the clock's grain

    const error = await errorOf(() => resolveModel('org/mistral', { ...options, offline: true }));
    expect(error.code).toBe('PEFT_HUB_OFFLINE');
    expect(error.message).toContain('has model-00002-of-00003.safetensors with another content');

    const before = hub.requests.length;
    expect(await resolveModel('org/mistral', options)).toBe(folder);
    expect(readFileSync(path)).toEqual(sound);
    expect(hub.requests.slice(before).filter(({ origin }) => origin === 'storage')).toHaveLength(1);
  });

  test('is hashed once, and what Python downloaded when it is first used', async () => {
    const { options } = await setup();
    const folder = await resolveModel('org/deberta', options);
    const records = join(options.cacheDir!, '.peft-verified');
    const known = readdirSync(records);
    expect(known).toHaveLength(4);
    const path = realpathSync(join(folder, 'config.json'));
    utimesSync(path, 1, 1); // as if another program had put it there
    await resolveModel('org/deberta', { ...options, offline: true });
    expect(readFileSync(join(records, path.split('/').at(-1)!), 'utf8')).toMatch(/ 1000$/);
    expect(readdirSync(records)).toEqual(known);
  });
});
