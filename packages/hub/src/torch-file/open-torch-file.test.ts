import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { errorCode } from '../../test/support/error-code.js';
import { fixturePath, temporaryFolder } from '../../test/support/paths.js';
import {
  call,
  dict,
  global,
  int,
  legacyTorchFile,
  none,
  pickle,
  type PickleItem,
  storage,
  tensor,
  text,
  tuple,
} from '../../test/support/pickle-builder.js';
import { type ZipItem, zipFile } from '../../test/support/zip-builder.js';
import { openSafetensors } from '../safetensors/open-safetensors.js';
import { readTensor } from '../tensor-values.js';
import { openTorchFile } from './open-torch-file.js';

/** Writes a file and gives its path. */
function saved(bytes: Uint8Array): string {
  const path = join(temporaryFolder(), 'pytorch_model.bin');
  writeFileSync(path, bytes);
  return path;
}

/** A tuple of twice the tuple before, `depth` times. */
const pairs = (depth: number): PickleItem =>
  Buffer.concat([
    Buffer.from(')q\x00', 'latin1'),
    ...Array.from({ length: depth }, () => Buffer.from('h\x00\x86q\x00', 'latin1')),
  ]);
const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
const zipTorchFile = (
  object: PickleItem,
  storages: Record<string, Uint8Array>,
  more: ZipItem[] = [],
) =>
  zipFile([
    { name: 'm/data.pkl', data: pickle(object) },
    ...Object.entries(storages).map(([key, data]) => ({ name: `m/data/${key}`, data })),
    ...more,
  ]);

const shared = storage('FloatStorage', '0', 6);
const object = dict([
  [text('whole'), tensor(shared, 0, [2, 3], [3, 1])],
  [text('transposed'), tensor(shared, 0, [3, 2], [1, 3])],
  [text('column'), tensor(shared, 1, [2], [3])],
  [
    text('row'),
    call(
      global('torch._utils', '_rebuild_parameter'),
      tensor(shared, 3, [1, 3], [99, 1]),
      none,
      none,
    ),
  ],
  [text('scalar'), tensor(storage('LongStorage', '1', 1), 0, [], [])],
  [text('none'), tensor(shared, 0, [0, 4], [4, 1])],
]);
const long = new Uint8Array(BigInt64Array.of(-9n).buffer);

describe('openTorchFile', () => {
  test("reads PyTorch's own file with the numbers of the safetensors file beside it", () => {
    const expected = openSafetensors(fixturePath('models/deberta-v2/model.safetensors'));
    const store = openTorchFile(fixturePath('models/deberta-v2/pytorch_model.bin'));
    expect(new Set(store.names())).toEqual(new Set(expected.names()));
    for (const name of expected.names()) {
      expect(readTensor(store.get(name)!)).toEqual(readTensor(expected.get(name)!));
      expect(store.get(name)!.file!.byteOffset % 64).toBe(0); // PyTorch aligns storages
    }
    store.close();
    expected.close();
  });

  test.each([
    ['zip', zipTorchFile(object, { 0: floats(1, 2, 3, 4, 5, 6), 1: long })],
    [
      'older',
      legacyTorchFile(object, [
        { key: '1', length: 1, data: long },
        { key: '0', length: 6, data: floats(1, 2, 3, 4, 5, 6) },
      ]),
    ],
  ])('reads views of one storage from a file of the %s layout', async (_, bytes) => {
    const store = openTorchFile(saved(bytes));
    const values = (name: string) => [...readTensor(store.get(name)!).values];
    expect(store.names()).toEqual(['whole', 'transposed', 'column', 'row', 'scalar', 'none']);
    expect(values('whole')).toEqual([1, 2, 3, 4, 5, 6]);
    expect(values('transposed')).toEqual([1, 4, 2, 5, 3, 6]);
    expect(values('column')).toEqual([2, 5]);
    expect(values('row')).toEqual([4, 5, 6]);
    expect(values('scalar')).toEqual([-9n]);
    expect(values('none')).toEqual([]);
    expect(store.get('row')!.file).toBeDefined();
    expect(store.get('transposed')!.file).toBeUndefined(); // its bytes do not lie in the file in this order
    expect(store.get('transposed')!.read(4, 8)).toEqual(floats(4, 2));
    expect(await errorCode(() => store.get('transposed')!.read(20, 8))).toBe('PEFT_TENSOR_RANGE');
    store.close();
  });

  const one = { 0: floats(1, 2, 3, 4, 5, 6), 1: long };
  const only = (of: PickleItem, offset: number, shape: number[], strides: number[]) =>
    zipTorchFile(dict([[text('x'), tensor(of, offset, shape, strides)]]), one);
  test.each<[string, Uint8Array]>([
    ['is neither layout', Buffer.from('a text')],
    ['is a pickle of something else', pickle(int(3))],
    ['has no pickle', zipFile([{ name: 'm/data/0', data: floats(1) }])],
    ['has two pickles', zipTorchFile(object, one, [{ name: 'n/data.pkl', data: pickle(int(1)) }])],
    [
      'has a pickle with a wrong checksum',
      zipFile([{ name: 'm/data.pkl', data: pickle(dict([])), lie: { crc32: 1 } }]),
    ],
    [
      'is compressed',
      zipFile([
        {
          name: 'm/data.pkl',
          data: deflateRawSync(pickle(dict([]))),
          lie: { method: 8, size: pickle(dict([])).length },
        },
      ]),
    ],
    [
      'is big-endian',
      zipTorchFile(object, one, [{ name: 'm/byteorder', data: Buffer.from('big') }]),
    ],
    // a name (T, T) of T = (T, T) and so on: written out it would be 2⁶⁴ pairs
    ['has a name of pairs of pairs without end', zipTorchFile(dict([[pairs(64), none]]), one)],
    ['holds a tensor instead of a dict', zipTorchFile(tensor(shared, 0, [6], [1]), one)],
    ['holds something else than tensors', zipTorchFile(dict([[text('step'), int(3)]]), one)],
    [
      'has a name that is no text',
      zipTorchFile(dict([[int(1), tensor(shared, 0, [6], [1])]]), one),
    ],
    ['lacks a storage', zipTorchFile(object, { 1: long })],
    ['has a storage that is too short', zipTorchFile(object, { 0: floats(1), 1: long })],
    [
      'has a storage of an unknown type',
      zipTorchFile(dict([[text('x'), tensor(storage('Size', '0', 6), 0, [6], [1])]]), one),
    ],
    ['has a tensor past the end of its storage', only(shared, 0, [7], [1])],
    ['has a tensor whose offset is past the end', only(shared, 6, [1], [1])],
    ['has a stride past the end', only(shared, 0, [2], [6])],
    [
      'has a stride of 0 that makes much of little',
      only(shared, 0, [1_000_000_000, 1_000_000_000], [0, 0]),
    ],
    ['has a negative offset', only(shared, -1, [1], [1])],
    ['has a negative size', only(shared, 0, [-1, -6], [1, 1])],
    ['has a negative stride', only(shared, 5, [6], [-1])],
    ['has strides of other axes', only(shared, 0, [6], [1, 1])],
    [
      'has a tensor without a storage',
      zipTorchFile(dict([[text('x'), tensor(none, 0, [6], [1])]]), one),
    ],
    [
      'has a storage that is a view',
      zipTorchFile(
        dict([
          [
            text('x'),
            tensor(storage('FloatStorage', '0', 6, tuple(text('v'), int(0), int(6))), 0, [6], [1]),
          ],
        ]),
        one,
      ),
    ],
    [
      'is of the older layout and cut',
      legacyTorchFile(object, [
        { key: '0', length: 6, data: floats(1, 2, 3, 4, 5, 6) },
        { key: '1', length: 1, data: long.subarray(1) },
      ]),
    ],
    [
      'is of the older layout and lies about a length',
      legacyTorchFile(object, [
        { key: '0', length: 7, data: floats(1, 2, 3, 4, 5, 6, 7) },
        { key: '1', length: 1, data: long },
      ]),
    ],
    [
      'is of the older layout and names a storage twice',
      legacyTorchFile(object, [
        { key: '0', length: 6, data: floats(1, 2, 3, 4, 5, 6) },
        { key: '0', length: 6, data: floats(1, 2, 3, 4, 5, 6) },
      ]),
    ],
  ])('refuses a file that %s', async (_, bytes) => {
    expect(await errorCode(() => openTorchFile(saved(bytes)))).toBe('PEFT_TORCH_FILE');
  });

  test('runs nothing', async () => {
    const attack = call(global('os', 'system'), text('touch pwned'));
    expect(
      await errorCode(() => openTorchFile(saved(zipTorchFile(dict([[text('x'), attack]]), one)))),
    ).toBe('PEFT_PICKLE_FORBIDDEN');
    expect(await errorCode(() => openTorchFile(saved(legacyTorchFile(attack, []))))).toBe(
      'PEFT_PICKLE_FORBIDDEN',
    );
    expect(await errorCode(() => openTorchFile(saved(pickle(attack))))).toBe(
      'PEFT_PICKLE_FORBIDDEN',
    );
  });
});
