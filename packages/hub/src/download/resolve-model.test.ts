import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { errorCode, errorOf } from '../../test/support/error-code.js';
import { commitOf, etagOf, type FakeHub, fakeHub } from '../../test/support/fake-hub.js';
import { fixturePath, temporaryFolder } from '../../test/support/paths.js';
import { readModelFolder } from '../files/model-folder.js';
import { openCheckpoint } from '../safetensors/open-checkpoint.js';
import { type DownloadProgress, resolveModel, type ResolveModelOptions } from './resolve-model.js';

const fixtureFiles = (family: string, keep: (name: string) => boolean) =>
  Object.fromEntries(
    readdirSync(fixturePath(`models/${family}`))
      .filter(keep)
      .map((name) => [name, readFileSync(fixturePath(`models/${family}/${name}`))]),
  );

const deberta = () => ({
  'README.md': '# a model',
  'tf_model.h5': 'x',
  ...fixtureFiles('deberta-v2', (name) => !/^(case|expected)/.test(name)),
});
const mistral = () => fixtureFiles('mistral', (name) => !/^(case|expected)/.test(name));
const files = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];

/** A hub with two models, an empty cache, and options that point to both. */
async function setup(): Promise<{ hub: FakeHub; cacheDir: string; options: ResolveModelOptions }> {
  const hub = await fakeHub({ models: { 'org/deberta': deberta(), 'org/mistral': mistral() } });
  const cacheDir = temporaryFolder();
  return {
    hub,
    cacheDir,
    options: { cacheDir, endpoint: hub.endpoint, token: false, retries: 0, retryDelayMs: 1 },
  };
}

const partialsIn = (cacheDir: string, model: string): string[] =>
  readdirSync(join(cacheDir, model, 'blobs')).filter((name) => name.endsWith('.incomplete'));

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

describe('a download that stops, or is shared', () => {
  test('keeps what came, and the next call fetches the rest', async () => {
    const { hub, cacheDir, options } = await setup();
    hub.faults.cutAfterBytes = 100_000;
    const error = await errorOf(() => resolveModel('org/deberta', options));
    expect(error.code).toBe('PEFT_HUB_INTERRUPTED');
    expect(error.hint).toBe('Run the command again; it goes on from there.');
    const [partial] = partialsIn(cacheDir, 'models--org--deberta');
    const size = lstatSync(join(cacheDir, 'models--org--deberta', 'blobs', partial!)).size;
    expect(size).toBeGreaterThan(0);
    expect(size).toBeLessThanOrEqual(100_000);
    expect(existsSync(join(cacheDir, 'models--org--deberta', 'refs'))).toBe(false);

    delete hub.faults.cutAfterBytes;
    const before = hub.requests.length;
    const folder = await resolveModel('org/deberta', options);
    expect(hub.requests.slice(before).map(({ range }) => range)).toContain(`bytes=${size}-`);
    for (const name of files)
      expect(
        readFileSync(join(folder, name)).equals(Buffer.from(hub.models['org/deberta']![name]!)),
      ).toBe(true);
    expect(partialsIn(cacheDir, 'models--org--deberta')).toEqual([]);
  });

  test('is tried again by itself as long as bytes arrive', async () => {
    const { hub, options } = await setup();
    hub.faults.cutAfterBytes = 100_000; // three or four connections for each large file
    hub.faults.statuses = [503];
    const folder = await resolveModel('org/deberta', { ...options, retries: 1 });
    expect(
      readFileSync(join(folder, 'model.safetensors')).equals(
        Buffer.from(hub.models['org/deberta']!['model.safetensors']!),
      ),
    ).toBe(true);
    expect(hub.requests.filter(({ range }) => range).length).toBeGreaterThan(3);
  });

  test('goes on with a part that Python left behind, and with a server that ignores the range', async () => {
    for (const ignoreRange of [false, true]) {
      const { hub, cacheDir, options } = await setup();
      hub.faults.ignoreRange = ignoreRange;
      const weights = Buffer.from(hub.models['org/deberta']!['model.safetensors']!);
      const blobs = join(cacheDir, 'models--org--deberta', 'blobs');
      mkdirSync(blobs, { recursive: true });
      writeFileSync(join(blobs, `${etagOf(weights)}.incomplete`), weights.subarray(0, 1234));
      const folder = await resolveModel('org/deberta', options);
      expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
      expect(hub.requests.map(({ range }) => range)).toContain('bytes=1234-');
    }
  });

  test.each([
    ['too long', (weights: Buffer) => Buffer.concat([weights, weights])],
    ['of something else', () => Buffer.alloc(5000)],
    ['of something else and whole', (weights: Buffer) => Buffer.alloc(weights.length)],
  ])('begins again where the part that is there is %s', async (_, makePart) => {
    const { hub, cacheDir, options } = await setup();
    const weights = Buffer.from(hub.models['org/deberta']!['model.safetensors']!);
    const blobs = join(cacheDir, 'models--org--deberta', 'blobs');
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(blobs, `${etagOf(weights)}.incomplete`), makePart(weights));
    const folder = await resolveModel('org/deberta', options);
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true);
  });

  test('ends at once by a signal and keeps what came', async () => {
    const { cacheDir, options } = await setup();
    const controller = new AbortController();
    const onProgress = ({ file }: DownloadProgress) =>
      file === 'model.safetensors' && controller.abort(new Error('enough'));
    await expect(
      resolveModel('org/deberta', {
        ...options,
        onProgress,
        signal: controller.signal,
        retries: 9,
      }),
    ).rejects.toThrow('enough');
    expect(partialsIn(cacheDir, 'models--org--deberta')).toHaveLength(1);
    await expect(
      resolveModel('org/mistral', { ...options, signal: controller.signal }),
    ).rejects.toThrow('enough');
  });

  test('by three at once gives each the whole model', async () => {
    const { hub, options } = await setup();
    const folders = await Promise.all([
      resolveModel('org/deberta', options),
      resolveModel('org/deberta', options),
      resolveModel('org/deberta', options),
    ]);
    expect(new Set(folders).size).toBe(1);
    for (const name of files)
      expect(
        readFileSync(join(folders[0], name)).equals(Buffer.from(hub.models['org/deberta']![name]!)),
      ).toBe(true);
  });
});

describe('what the hub answers wrongly', () => {
  test('content with another hash than the listed one is not kept', async () => {
    const { hub, cacheDir, options } = await setup();
    hub.faults.corrupt = true;
    expect(await errorCode(() => resolveModel('org/deberta', options))).toBe('PEFT_HUB_MISMATCH');
    const large = etagOf(hub.models['org/deberta']!['model.safetensors']!);
    expect(
      readdirSync(join(cacheDir, 'models--org--deberta', 'blobs')).filter((name) =>
        name.startsWith(large),
      ),
    ).toEqual([]);
    hub.faults.corrupt = false;
    await resolveModel('org/deberta', options);
  });

  test('more content than listed is not kept', async () => {
    const { hub, options } = await setup();
    hub.faults.tree = [{ type: 'file', path: 'config.json', size: 5, oid: etagOf('{}') }];
    expect(
      await errorCode(() => resolveModel('org/deberta', { ...options, files: ['config'] })),
    ).toBe('PEFT_HUB_MISMATCH');
  });

  test.each<[string, { modelInfo?: unknown; tree?: unknown }]>([
    ['a commit that is a path', { modelInfo: { sha: '../../../etc' } }],
    ['no commit', { modelInfo: {} }],
    [
      'a hash that is a path',
      { tree: [{ type: 'file', path: 'config.json', size: 2, oid: '../../config' }] },
    ],
    [
      'a size that is no number',
      { tree: [{ type: 'file', path: 'config.json', size: '2', oid: etagOf('{}') }] },
    ],
    [
      'a negative size',
      { tree: [{ type: 'file', path: 'config.json', size: -2, oid: etagOf('{}') }] },
    ],
  ])('%s is refused', async (_, faults) => {
    const { hub, options } = await setup();
    Object.assign(hub.faults, faults);
    expect(await errorCode(() => resolveModel('org/deberta', options))).toBe('PEFT_HUB_RESPONSE');
  });

  test('an index that names a file outside the folder, or one that the hub lacks, is refused', async () => {
    const { hub, options } = await setup();
    const files = hub.models['org/mistral']!;
    files['model.safetensors.index.json'] =
      '{"weight_map":{"a":"../../../../outside.safetensors"}}';
    expect(await errorCode(() => resolveModel('org/mistral', options))).toBe(
      'PEFT_SAFETENSORS_INDEX',
    );
    files['model.safetensors.index.json'] = '{"weight_map":{"a":"none.safetensors"}}';
    expect(await errorCode(() => resolveModel('org/mistral', options))).toBe('PEFT_HUB_FILES');
  });
});

describe('what the user is told', () => {
  test('401 without a token says to set HF_TOKEN, with one to check it', async () => {
    const { hub, options } = await setup();
    hub.faults.token = 'hf_right';
    const without = await errorOf(() => resolveModel('org/deberta', options));
    expect(without.code).toBe('PEFT_HUB_UNAUTHORIZED');
    expect(without.message).toContain('no token was sent');
    expect(without.hint).toContain('Set HF_TOKEN');
    const wrong = await errorOf(() =>
      resolveModel('org/deberta', { ...options, token: 'hf_wrong' }),
    );
    expect(wrong.code).toBe('PEFT_HUB_UNAUTHORIZED');
    expect(wrong.hint).toContain('accept its terms');
    expect(wrong.message + wrong.stack).not.toContain('hf_wrong');
  });

  test('404 says to check the name and the revision', async () => {
    const { options } = await setup();
    const error = await errorOf(() => resolveModel('org/debertra', options));
    expect(error.code).toBe('PEFT_HUB_NOT_FOUND');
    expect(error.hint).toContain('spelling of the name');
    expect(await errorCode(() => resolveModel('org/deberta', { ...options, revision: 'v9' }))).toBe(
      'PEFT_HUB_NOT_FOUND',
    );
  });

  test('a hub that cannot be reached, a status without a meaning, a repository without weights', async () => {
    const { hub, cacheDir, options } = await setup();
    expect(
      await errorCode(() =>
        resolveModel('org/deberta', { ...options, endpoint: 'http://127.0.0.1:1' }),
      ),
    ).toBe('PEFT_HUB_UNREACHABLE');
    hub.faults.statuses = [500];
    expect(await errorCode(() => resolveModel('org/deberta', options))).toBe('PEFT_HUB_STATUS');
    hub.models['org/gguf'] = { 'config.json': '{}', 'model.gguf': 'x' };
    const error = await errorOf(() => resolveModel('org/gguf', options));
    expect(error.code).toBe('PEFT_HUB_FILES');
    expect(error.message).toContain('model.gguf');
    expect(existsSync(join(cacheDir, 'models--org--gguf'))).toBe(false);
  });

  test('offline, whether the cache has nothing or a part', async () => {
    const { options } = await setup();
    const error = await errorOf(() => resolveModel('org/mistral', { ...options, offline: true }));
    expect(error.code).toBe('PEFT_HUB_OFFLINE');
    expect(error.hint).toContain('HF_HUB_OFFLINE');
    const folder = await resolveModel('org/mistral', options);
    rmSync(join(folder, 'model-00002-of-00003.safetensors'));
    expect(
      (await errorOf(() => resolveModel('org/mistral', { ...options, offline: true }))).message,
    ).toContain('missing: weights');
    expect(await resolveModel('org/mistral', options)).toBe(folder);
    expect(existsSync(join(folder, 'model-00002-of-00003.safetensors'))).toBe(true);
  });
});
