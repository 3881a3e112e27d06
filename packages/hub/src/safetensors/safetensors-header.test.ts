import { PeftError } from '@peft/errors';
import { STORED_BYTES, type StoredDtype } from '@peft/ops';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errorCode } from '../../test/support/error-code.js';
import { headerLength, parseSafetensorsHeader } from './safetensors-header.js';

const parse = (header: unknown, dataBytes: number) =>
  parseSafetensorsHeader(
    Buffer.from(typeof header === 'string' ? header : JSON.stringify(header)),
    dataBytes,
    'test',
  );
const tensor = (dtype: unknown, shape: unknown, begin: unknown, end: unknown) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe('parseSafetensorsHeader', () => {
  test('gives spans and metadata in the order of the header', () => {
    const header = parse(
      {
        __metadata__: { format: 'pt' },
        b: tensor('F16', [2, 3], 4, 16),
        a: tensor('F32', [], 0, 4),
        empty: tensor('I64', [0, 5], 16, 16),
      },
      16,
    );
    expect(header.metadata).toEqual({ format: 'pt' });
    expect([...header.spans.values()]).toEqual([
      { name: 'b', dtype: 'F16', shape: [2, 3], begin: 4, end: 16 },
      { name: 'a', dtype: 'F32', shape: [], begin: 0, end: 4 },
      { name: 'empty', dtype: 'I64', shape: [0, 5], begin: 16, end: 16 },
    ]);
  });

  test('takes trailing spaces, which pad the data to a multiple of 8, and a file without tensors', () => {
    expect(parse('{}      ', 0).spans.size).toBe(0);
    expect(parse('{"__metadata__":{}}', 0).metadata).toEqual({});
  });

  test('keeps a tensor that is called like a property of every object', () => {
    const header = parse(
      '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"constructor":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
      2,
    );
    expect([...header.spans.keys()]).toEqual(['__proto__', 'constructor']);
  });

  const big = Number.MAX_SAFE_INTEGER;
  test.each<[string, string, unknown, number]>([
    ['is no JSON', 'PEFT_SAFETENSORS_HEADER', '{"a":', 0],
    ['is a list', 'PEFT_SAFETENSORS_HEADER', '[]', 0],
    ['begins with a space', 'PEFT_SAFETENSORS_HEADER', ' {}', 0],
    ['nests without end', 'PEFT_SAFETENSORS_HEADER', `{"a":${'['.repeat(100_000)}`, 0],
    ['has an entry that is no object', 'PEFT_SAFETENSORS_HEADER', { a: 3 }, 0],
    [
      'has an entry without a shape',
      'PEFT_SAFETENSORS_HEADER',
      { a: { dtype: 'F32', data_offsets: [0, 4] } },
      4,
    ],
    [
      'has an entry with more than it should',
      'PEFT_SAFETENSORS_HEADER',
      { a: { ...tensor('F32', [], 0, 4), strides: [] } },
      4,
    ],
    [
      'names a tensor twice',
      'PEFT_SAFETENSORS_DUPLICATE',
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
    ],
    [
      'gives a dtype twice',
      'PEFT_SAFETENSORS_DUPLICATE',
      '{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}',
      1,
    ],
    ['has metadata that is no object', 'PEFT_SAFETENSORS_METADATA', { __metadata__: [] }, 0],
    ['has metadata of numbers', 'PEFT_SAFETENSORS_METADATA', { __metadata__: { step: 3 } }, 0],
    ['has an unknown dtype', 'PEFT_SAFETENSORS_DTYPE', { a: tensor('F6_E2M3', [4], 0, 4) }, 4],
    [
      'has a dtype that every object inherits',
      'PEFT_SAFETENSORS_DTYPE',
      { a: tensor('toString', [4], 0, 4) },
      4,
    ],
    ['has a dtype that is a number', 'PEFT_SAFETENSORS_DTYPE', { a: tensor(4, [4], 0, 4) }, 4],
    ['has a negative size', 'PEFT_SAFETENSORS_SHAPE', { a: tensor('F32', [-1], 0, 4) }, 4],
    [
      'has two negative sizes whose product fits',
      'PEFT_SAFETENSORS_SHAPE',
      { a: tensor('F32', [-1, -1], 0, 4) },
      4,
    ],
    ['has a broken size', 'PEFT_SAFETENSORS_SHAPE', { a: tensor('F32', [0.5, 2], 0, 4) }, 4],
    ['has a size as text', 'PEFT_SAFETENSORS_SHAPE', { a: tensor('F32', ['1'], 0, 4) }, 4],
    [
      'has a size beyond the safe integers',
      'PEFT_SAFETENSORS_SHAPE',
      { a: tensor('U8', [2 ** 53], 0, 4) },
      4,
    ],
    [
      'has a product beyond the safe integers',
      'PEFT_SAFETENSORS_SHAPE',
      { a: tensor('U8', [2 ** 27, 2 ** 27], 0, 4) },
      4,
    ],
    [
      'has a product beyond them and then a zero',
      'PEFT_SAFETENSORS_SHAPE',
      { a: tensor('U8', [big, big, 0], 0, 0) },
      0,
    ],
    ['has bytes beyond them', 'PEFT_SAFETENSORS_SHAPE', { a: tensor('F64', [big], 0, 4) }, 4],
    [
      'has a shape larger than its span',
      'PEFT_SAFETENSORS_SHAPE',
      { a: tensor('F32', [2], 0, 4) },
      4,
    ],
    [
      'has a shape smaller than its span',
      'PEFT_SAFETENSORS_SHAPE',
      { a: tensor('F32', [1], 0, 8) },
      8,
    ],
    [
      'has a span that ends before it begins',
      'PEFT_SAFETENSORS_SHAPE',
      { a: tensor('F32', [1], 8, 4) },
      8,
    ],
    [
      'has one offset',
      'PEFT_SAFETENSORS_OFFSETS',
      { a: { dtype: 'F32', shape: [1], data_offsets: [0] } },
      4,
    ],
    ['has a negative offset', 'PEFT_SAFETENSORS_OFFSETS', { a: tensor('F32', [1], -4, 0) }, 4],
    [
      'has an offset beyond the safe integers',
      'PEFT_SAFETENSORS_OFFSETS',
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[1e300,1e300]}}',
      4,
    ],
    ['passes the end of the data', 'PEFT_SAFETENSORS_OFFSETS', { a: tensor('F32', [2], 0, 8) }, 4],
    [
      'has overlapping tensors',
      'PEFT_SAFETENSORS_OFFSETS',
      { a: tensor('F32', [2], 0, 8), b: tensor('F32', [1], 4, 8) },
      8,
    ],
    [
      'places two tensors on the same bytes',
      'PEFT_SAFETENSORS_OFFSETS',
      { a: tensor('F32', [1], 0, 4), b: tensor('F32', [1], 0, 4) },
      4,
    ],
    [
      'leaves a hole at the beginning',
      'PEFT_SAFETENSORS_OFFSETS',
      { a: tensor('F32', [1], 4, 8) },
      8,
    ],
    [
      'leaves a hole between tensors',
      'PEFT_SAFETENSORS_OFFSETS',
      { a: tensor('F32', [1], 0, 4), b: tensor('F32', [1], 8, 12) },
      12,
    ],
    ['leaves bytes at the end', 'PEFT_SAFETENSORS_OFFSETS', { a: tensor('F32', [1], 0, 4) }, 12],
  ])('refuses a header that %s', async (_, code, header, dataBytes) => {
    expect(await errorCode(() => parse(header, dataBytes))).toBe(code);
  });

  test('accepts every header that tiles the data', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ dtype: dtypes, shape: fc.array(fc.nat(6), { maxLength: 4 }) }), {
          maxLength: 8,
        }),
        fc.infiniteStream(fc.nat()),
        (tensors, order) => {
          let end = 0;
          const entries = tensors.map(({ dtype, shape }, i) => {
            const begin = end;
            end += shape.reduce((product, size) => product * size, STORED_BYTES[dtype]);
            return [`t${i}`, tensor(dtype, shape, begin, end)] as const;
          });
          const shuffled = entries
            .map((entry) => ({ entry, key: order.next().value as number }))
            .sort((a, b) => a.key - b.key);
          expect(
            parse(Object.fromEntries(shuffled.map(({ entry }) => entry)), end).spans.size,
          ).toBe(tensors.length);
        },
      ),
      { seed: 2, numRuns: 300 },
    );
  });

  test('whatever it is given, it refuses with a named error or gives spans that tile the data', () => {
    const size = fc.oneof(fc.nat(12), fc.constantFrom(-1, 0.5, 2 ** 31, 2 ** 53, 1e308, '4', null));
    const entry = fc.oneof(
      {
        weight: 8,
        arbitrary: fc
          .tuple(
            fc.oneof({ weight: 9, arbitrary: dtypes }, { weight: 1, arbitrary: fc.string() }),
            fc.array(size, { maxLength: 3 }),
            size,
            size,
          )
          .map(([dtype, shape, begin, end]) => tensor(dtype, shape, begin, end)),
      },
      { weight: 1, arbitrary: fc.jsonValue() },
    );
    fc.assert(
      fc.property(
        fc.dictionary(fc.oneof(fc.constantFrom('a', 'b', '__metadata__'), fc.string()), entry, {
          maxKeys: 4,
        }),
        fc.nat(40),
        (header, dataBytes) => acceptsOrNames(Buffer.from(JSON.stringify(header)), dataBytes),
      ),
      { seed: 3, numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(40), (bytes, dataBytes) =>
        acceptsOrNames(bytes, dataBytes),
      ),
      { seed: 4, numRuns: 1000 },
    );
  });

  test('one byte changed in a sound header is refused with a named error or leaves one that tiles the data', () => {
    const sound = Buffer.from(
      '{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}}',
    );
    fc.assert(
      fc.property(fc.nat(sound.length - 1), fc.nat(255), (at, byte) => {
        const changed = Uint8Array.from(sound);
        changed[at] = byte;
        acceptsOrNames(changed, 14);
      }),
      { seed: 5, numRuns: 3000 },
    );
  });
});

describe('headerLength', () => {
  const prefix = (length: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(length);
    return bytes;
  };

  test('is bounded by the file and by 100 MB', async () => {
    expect(headerLength(prefix(2n), 10, 'test')).toBe(2);
    expect(headerLength(prefix(100_000_000n), 200_000_000, 'test')).toBe(100_000_000);
    for (const [length, fileSize] of [
      [100_000_001n, 200_000_000],
      [3n, 10],
      [0n, 10],
      [1n, 10],
      [2n ** 64n - 1n, 10],
      [2n ** 63n, 10],
    ] as const) {
      expect(await errorCode(() => headerLength(prefix(length), fileSize, 'test'))).toBe(
        'PEFT_SAFETENSORS_HEADER',
      );
    }
    expect(await errorCode(() => headerLength(new Uint8Array(7), 7, 'test'))).toBe(
      'PEFT_SAFETENSORS_HEADER',
    );
  });
});

const dtypes = fc.constantFrom(...(Object.keys(STORED_BYTES) as StoredDtype[]));

function acceptsOrNames(json: Uint8Array, dataBytes: number): void {
  let header;
  try {
    header = parseSafetensorsHeader(json, dataBytes, 'test');
  } catch (error) {
    if (error instanceof PeftError && error.code.startsWith('PEFT_SAFETENSORS_')) return;
    throw error;
  }
  const covered = new Uint8Array(dataBytes);
  for (const { dtype, shape, begin, end } of header.spans.values()) {
    expect(end - begin).toBe(shape.reduce((product, size) => product * size, STORED_BYTES[dtype]));
    for (let byte = begin; byte < end; byte += 1) covered[byte]! += 1;
  }
  expect(covered.every((count) => count === 1)).toBe(true);
}
