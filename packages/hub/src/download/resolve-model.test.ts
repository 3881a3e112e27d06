import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { errorCode } from '../../test/support/error-code.js';
import { commitOf, etagOf } from '../../test/support/fake-hub.js';
import { files, partialsIn, setup } from '../../test/support/hub-setup.js';
import { fixturePath } from '../../test/support/paths.js';
import { readModelFolder } from '../files/model-folder.js';
import { openCheckpoint } from '../safetensors/open-checkpoint.js';
import { type DownloadProgress, resolveModel } from './resolve-model.js';

afterEach(() => vi.unstubAllEnvs());

describe('a folder', () => {
  test('is used where it stands, without a request', async () => {
    const path = fixturePath('models/deberta-v2');
    expect(await resolveModel(path, { endpoint: 'http://127.0.0.1:1' })).toBe(path);
    expect(await resolveModel('./packages', { offline: true })).toBe(
      join(process.cwd(), 'packages'),
    );
  });

  test('that is missing, a file, or no possible name is an error of its own', async () => {
    expect(await errorCode(() => resolveModel('./no/such/folder'))).toBe('PEFT_MODEL_FOLDER');
    expect(await errorCode(() => resolveModel('~/no/such/folder'))).toBe('PEFT_MODEL_FOLDER');
    expect(await errorCode(() => resolveModel(fixturePath('models/deberta-v2/config.json')))).toBe(
      'PEFT_MODEL_FOLDER',
    );
    for (const name of [
      '',
      'a/b/c',
      'org/../etc',
      'org/mo del',
      '-x/y',
      'a--b',
      'x'.repeat(97),
      'org/x.git',
    ])
      expect(await errorCode(() => resolveModel(name)), name).toBe('PEFT_MODEL_NAME');
    for (const revision of ['', '../main', 'a//b', '/etc', 'a b'])
      expect(await errorCode(() => resolveModel('org/x', { revision })), revision).toBe(
        'PEFT_HUB_REVISION',
      );
  });
});

describe('a name on the hub', () => {
  test("is downloaded into Python's cache layout, only what is needed, and works", async () => {
    const { hub, cacheDir, options } = await setup();
    const progress: DownloadProgress[] = [];
    const folder = await resolveModel('org/deberta', {
      ...options,
      onProgress: (step) => progress.push(step),
    });
    const commit = commitOf(hub.models['org/deberta']!);
    const repository = join(cacheDir, 'models--org--deberta');
    expect(folder).toBe(join(repository, 'snapshots', commit));
    expect(readFileSync(join(repository, 'refs', 'main'), 'utf8')).toBe(commit);
    expect(readdirSync(folder).sort()).toEqual(files);
    for (const name of files) {
      const content = hub.models['org/deberta']![name]!;
      expect(lstatSync(join(folder, name)).isSymbolicLink()).toBe(true);
      expect(readlinkSync(join(folder, name))).toBe(join('..', '..', 'blobs', etagOf(content)));
      expect(readFileSync(join(folder, name)).equals(Buffer.from(content))).toBe(true);
    }
    expect(partialsIn(cacheDir, 'models--org--deberta')).toEqual([]);

    const total = files.reduce((sum, name) => sum + hub.models['org/deberta']![name]!.length, 0);
    expect(progress.at(-1)).toMatchObject({ doneBytes: total, totalBytes: total });
    expect(
      progress.every((step, i) => i === 0 || step.doneBytes >= progress[i - 1]!.doneBytes),
    ).toBe(true);

    expect(readModelFolder(folder).config).toMatchObject({ model_type: 'deberta-v2' });
    const store = openCheckpoint(folder);
    expect(store.names()).toHaveLength(58);
    store.close();
  });

  test('comes with all shards that its index names', async () => {
    const { options } = await setup();
    const folder = await resolveModel('org/mistral', options);
    const store = openCheckpoint(folder);
    expect(store.names()).toHaveLength(30);
    store.close();
    expect(existsSync(join(folder, 'tokenizer.model'))).toBe(false); // tokenizer.json says it all
  });

  test('is taken from the cache without any request, online or offline, and by its commit', async () => {
    const { hub, options } = await setup();
    const folder = await resolveModel('org/mistral', options);
    const before = hub.requests.length;
    expect(hub.requests.filter(({ origin }) => origin === 'hub')).toHaveLength(2 + 7); // commit, list, seven files
    expect(await resolveModel('org/mistral', options)).toBe(folder);
    expect(await resolveModel('org/mistral', { ...options, offline: true })).toBe(folder);
    expect(
      await resolveModel('org/mistral', {
        ...options,
        revision: commitOf(hub.models['org/mistral']!),
      }),
    ).toBe(folder);
    expect(hub.requests.slice(before)).toEqual([]);
  });

  test('follows the branch when asked to refresh, and shares the files that stayed', async () => {
    const { hub, cacheDir, options } = await setup();
    const old = await resolveModel('org/deberta', options);
    hub.models['org/deberta']!['config.json'] = '{"model_type":"deberta-v2","new":true}';
    expect(await resolveModel('org/deberta', options)).toBe(old);
    const before = hub.requests.length;
    const fresh = await resolveModel('org/deberta', { ...options, refresh: true });
    expect(fresh).not.toBe(old);
    expect(readModelFolder(fresh).config).toMatchObject({ new: true });
    expect(
      hub.requests.slice(before).filter(({ path }) => path.includes('/resolve/')),
    ).toHaveLength(1);
    expect(readdirSync(join(cacheDir, 'models--org--deberta', 'blobs'))).toHaveLength(5);
    expect(await resolveModel('org/deberta', { ...options, offline: true })).toBe(fresh);
  });

  test('gives only the files of the kinds that are asked for, and the others later', async () => {
    const { hub, options } = await setup();
    const folder = await resolveModel('org/deberta', { ...options, files: ['config'] });
    expect(readdirSync(folder)).toEqual(['config.json']);
    expect(await errorCode(() => resolveModel('org/deberta', { ...options, offline: true }))).toBe(
      'PEFT_HUB_OFFLINE',
    );
    expect(await resolveModel('org/deberta', options)).toBe(folder);
    expect(readdirSync(folder).sort()).toEqual(files);
    expect(hub.requests.filter(({ path }) => path.endsWith('/config.json'))).toHaveLength(1);
  });

  test('follows the environment variables', async () => {
    const { hub, cacheDir } = await setup();
    hub.faults.token = 'hf_secret';
    vi.stubEnv('HF_ENDPOINT', `${hub.endpoint}/`);
    vi.stubEnv('HF_HUB_CACHE', cacheDir);
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    expect(await resolveModel('org/mistral')).toContain(cacheDir);
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect(await resolveModel('org/mistral')).toContain(cacheDir);
    expect(await errorCode(() => resolveModel('org/deberta'))).toBe('PEFT_HUB_OFFLINE');
  });

  test('sends the token to the hub and to nobody else', async () => {
    const { hub, options } = await setup();
    hub.faults.token = 'a-token';
    await resolveModel('org/deberta', { ...options, token: 'a-token' });
    for (const { origin, authorization } of hub.requests)
      expect(authorization).toBe(origin === 'hub' ? 'Bearer a-token' : undefined);
    expect(hub.requests.some(({ origin }) => origin === 'storage')).toBe(true);
  });
});
