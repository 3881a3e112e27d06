import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorOf } from '../../test/support/error-code.js';
import { commitOf, fakeHub, type FakeHub } from '../../test/support/fake-hub.js';
import { temporaryFolder } from '../../test/support/paths.js';
import { pushToHub, type PushOptions, type PushPlan } from './push-to-hub.js';

const WEIGHTS = Buffer.alloc(5000, 7);
const TOKEN = 'hf_right';

/** An empty hub, and a folder as fit saves one, with what it must not send. */
async function setUp(): Promise<{ hub: FakeHub; saved: string; options: PushOptions }> {
  const hub = await fakeHub({ models: {} });
  hub.faults.token = TOKEN;
  const saved = temporaryFolder();
  for (const [path, content] of Object.entries({
    'predictor.json': '{}',
    'events.jsonl': '{}',
    'model/config.json': '{}',
    'model/model.safetensors': WEIGHTS,
    'adapter/adapter_config.json': '{"r":8}',
    'adapter/adapter_model.safetensors': WEIGHTS,
    'adapter/README.md': '# card',
    'adapter/notes/private.txt': 'mine',
    'adapter/notes/old/private.txt': 'mine',
  })) {
    mkdirSync(join(saved, path, '..'), { recursive: true });
    writeFileSync(join(saved, path), content);
  }
  symlinkSync('/etc/hostname', join(saved, 'adapter/config.json'));
  return { hub, saved, options: { endpoint: hub.endpoint, token: TOKEN, offline: false } };
}

const writesOf = ({ requests }: FakeHub): string[] =>
  requests.flatMap(({ method, path }) => (method === 'GET' ? [] : [`${method} ${path}`]));

test('the adapter that fit saved goes to a new private repository, and nothing that lies beside it', async () => {
  const { hub, saved, options } = await setUp();
  const plans: PushPlan[] = [];
  const onPlan = (plan: PushPlan): void => {
    expect(writesOf(hub)).toEqual([]);
    plans.push(plan);
  };
  const progress: string[] = [];
  const result = await pushToHub(saved, 'org/new', {
    ...options,
    onPlan,
    onProgress: ({ file, done }) => progress.push(`${file} ${done}`),
  });
  expect(result).toMatchObject({ isNew: true, isPrivate: true, commit: 'c'.repeat(40) });
  expect(result.url).toBe(`${hub.endpoint}/org/new`);
  expect(plans[0]!.files.map(({ path, bytes }) => [path, bytes])).toEqual([
    ['README.md', 6],
    ['adapter_config.json', 7],
    ['adapter_model.safetensors', 5000],
  ]);
  expect(result.leftOut).toEqual(['notes/', 'config.json']);
  expect(hub.uploads.publicNames.size).toBe(0);
  expect(hub.uploads.titles).toEqual(['Upload 3 files']);
  expect(Object.keys(hub.models['org/new']!)).toEqual([
    '.gitattributes',
    'README.md',
    'adapter_config.json',
    'adapter_model.safetensors',
  ]);
  expect(hub.models['org/new']!['adapter_model.safetensors']).toEqual(WEIGHTS);
  expect(progress.at(-1)).toBe('adapter_model.safetensors 1');
  // the storage has addresses that need no token
  const storage = hub.requests.filter(({ origin }) => origin === 'storage');
  expect(storage.map(({ authorization }) => authorization)).toEqual([undefined]);
});

test('what the hub has is not sent again, and other weights there are told', async () => {
  const { hub, saved, options } = await setUp();
  await pushToHub(saved, 'org/there', options);
  const before = writesOf(hub).length;
  const again = await pushToHub(saved, 'org/there', options);
  expect(again.files.every(({ isThere }) => isThere)).toBe(true);
  expect(again.commit).toBeUndefined();
  expect(writesOf(hub)).toHaveLength(before);
  const there = hub.models['org/there']!;
  there['adapter_model.bin'] = 'old';
  there['adapter_config.json'] = '{"r":4}';
  hub.uploads.expectParent = commitOf(there);
  const changed = await pushToHub(saved, 'org/there', { ...options, message: 'Correct the rank' });
  expect(changed.otherWeights).toEqual(['adapter_model.bin']);
  expect(changed.files.filter(({ isThere }) => !isThere).map(({ path }) => path)).toEqual([
    'adapter_config.json',
  ]);
  expect(hub.uploads.titles.at(-1)).toBe('Correct the rank');
  expect(String(there['adapter_config.json'])).toBe('{"r":8}');
});

test('an interrupted push goes on with the files that are missing', async () => {
  const { hub, saved, options } = await setUp();
  writeFileSync(join(saved, 'adapter/more.safetensors'), Buffer.alloc(2000, 1));
  hub.uploads.failAtUpload = 1;
  const error = await errorOf(() => pushToHub(saved, 'org/cut', options));
  expect(error.code).toBe('PEFT_HUB_STATUS');
  expect(Object.keys(hub.models['org/cut']!)).toEqual(['.gitattributes']);
  hub.uploads.failAtUpload = undefined;
  const puts = (): number => writesOf(hub).filter((write) => write.startsWith('PUT')).length;
  const before = puts();
  const { isNew } = await pushToHub(saved, 'org/cut', options);
  expect([isNew, puts() - before]).toEqual([false, 1]);
  expect(Object.keys(hub.models['org/cut']!)).toHaveLength(5);
});

test('a dry run sends nothing, and asks no hub without a token', async () => {
  const { hub, saved, options } = await setUp();
  const asked = await pushToHub(saved, 'org/dry', { ...options, dryRun: true });
  expect(asked).toMatchObject({ isNew: true, commit: undefined });
  expect(writesOf(hub)).toEqual([]);
  hub.requests.length = 0;
  const offline = await pushToHub(saved, 'org/dry', { ...options, dryRun: true, offline: true });
  expect(offline).toMatchObject({ isNew: undefined, isPrivate: true });
  expect(offline.files).toHaveLength(3);
  expect(hub.requests).toEqual([]);
});

test('a model that is one file is sent alone', async () => {
  const { hub, saved, options } = await setUp();
  writeFileSync(join(saved, 'tuned.gguf'), 'GGUF');
  await pushToHub(join(saved, 'tuned.gguf'), 'org/one', options);
  expect(Object.keys(hub.models['org/one']!)).toEqual(['.gitattributes', 'tuned.gguf']);
  const other = await errorOf(() => pushToHub(join(saved, 'events.jsonl'), 'org/one', options));
  expect(other.code).toBe('PEFT_PUSH_FOLDER');
});

test('further files go along where they are named', async () => {
  const { hub, saved, options } = await setUp();
  await pushToHub(saved, 'org/more', { ...options, include: ['notes/old', 'README.md'] });
  expect(Object.keys(hub.models['org/more']!)).toContain('notes/old/private.txt');
  expect(Object.keys(hub.models['org/more']!)).not.toContain('notes/private.txt');
  const error = await errorOf(() =>
    pushToHub(saved, 'org/more', { ...options, include: ['../predictor.json'] }),
  );
  expect(error.code).toBe('PEFT_PUSH_INCLUDE');
});

test('everyone sees only what was meant for everyone', async () => {
  const { hub, saved, options } = await setUp();
  await pushToHub(saved, 'org/open', { ...options, private: false });
  expect([...hub.uploads.publicNames]).toEqual(['org/open']);
  const error = await errorOf(() => pushToHub(saved, 'org/open', options));
  expect(error.code).toBe('PEFT_PUSH_PUBLIC');
});

test('what cannot be sent is refused before anything is', async () => {
  const { hub, saved, options } = await setUp();
  const codeOf = async (folder: string, name: string, more: PushOptions = {}): Promise<string> =>
    (await errorOf(() => pushToHub(folder, name, { ...options, ...more }))).code;
  expect(await codeOf(join(saved, 'none'), 'org/x')).toBe('PEFT_PUSH_FOLDER');
  expect(await codeOf(join(saved, 'adapter/notes'), 'org/x')).toBe('PEFT_PUSH_FOLDER');
  expect(await codeOf(saved, 'x')).toBe('PEFT_MODEL_NAME');
  expect(await codeOf(saved, 'org/x', { offline: true })).toBe('PEFT_HUB_OFFLINE');
  expect(await codeOf(saved, 'org/x', { token: 'right' })).toBe('PEFT_HUB_UNAUTHORIZED');
  expect(await codeOf(saved, 'org/x', { token: 'hf_wrong' })).toBe('PEFT_HUB_UNAUTHORIZED');
  mkdirSync(join(saved, 'base-adapter'));
  const stacked = await errorOf(() => pushToHub(saved, 'org/x', options));
  expect(stacked.hint).toContain('peft merge');
  expect(writesOf(hub)).toEqual([]);
});
