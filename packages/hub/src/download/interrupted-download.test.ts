import { existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorOf } from '../../test/support/error-code.js';
import { etagOf } from '../../test/support/fake-hub.js';
import { files, partialsIn, setup } from '../../test/support/hub-setup.js';
import { type DownloadProgress, resolveModel } from './resolve-model.js';

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
