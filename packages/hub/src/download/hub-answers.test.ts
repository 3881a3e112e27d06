import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCode, errorOf } from '../../test/support/error-code.js';
import { etagOf } from '../../test/support/fake-hub.js';
import { setup } from '../../test/support/hub-setup.js';
import { resolveModel } from './resolve-model.js';

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
    hub.models['org/flax'] = { 'config.json': '{}', 'flax_model.msgpack': 'x' };
    const error = await errorOf(() => resolveModel('org/flax', options));
    expect(error.code).toBe('PEFT_HUB_FILES');
    expect(error.message).toContain('flax_model.msgpack');
    expect(existsSync(join(cacheDir, 'models--org--flax'))).toBe(false);
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
