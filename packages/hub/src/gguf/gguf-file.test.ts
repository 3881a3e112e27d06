import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readFloat32 } from '../tensor-values.js';
import { BLOCK_TYPES } from './blocks/block-types.js';
import { openGgufCheckpoint } from './gguf-checkpoint.js';
import type { GgufEntry } from './gguf-value.js';
import { openGguf } from './open-gguf.js';
import { writeGguf } from './write-gguf.js';

let folder = '';
let sound = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'peft-gguf-test-'));
  sound = join(folder, 'sound.gguf');
  await writeGguf(sound, METADATA, TENSORS);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const METADATA: readonly GgufEntry[] = [
  { key: 'general.architecture', type: 'string', value: 'llama' },
  { key: 'llama.block_count', type: 'u32', value: 1 },
  { key: 'llama.attention.head_count', type: 'u32', value: 2 },
  { key: 'llama.rope.freq_base', type: 'f32', value: 0.5 },
  { key: 'some.big', type: 'u64', value: 2 ** 40 },
  { key: 'some.small', type: 'i64', value: -3 },
  { key: 'some.flag', type: 'bool', value: true },
  { key: 'some.words', type: 'string', value: ['a', 'é', ''] },
  { key: 'some.numbers', type: 'i16', value: [1, -2] },
];
const values = Float32Array.from({ length: 8 * 32 }, (_, i) => i);
const TENSORS = [
  { name: 'blk.0.attn_q.weight', type: BLOCK_TYPES.F32, shape: [8, 32], data: () => values },
  { name: 'token_embd.weight', type: BLOCK_TYPES.Q8_0, shape: [8, 32], data: () => values },
  { name: 'odd.bias', type: BLOCK_TYPES.F32, shape: [3], data: () => values.slice(0, 3) },
];

test('a file gives back what was written, in the types that it was written in', () => {
  const file = openGguf(sound);
  for (const { key, value } of METADATA) expect(file.metadata.get(key), key).toEqual(value);
  expect([...file.tensors.values()].map(({ shape, type }) => [shape, type.name])).toEqual([
    [[8, 32], 'F32'],
    [[8, 32], 'Q8_0'],
    [[3], 'F32'],
  ]);
  expect(file.values(file.tensors.get('odd.bias')!)).toEqual(values.slice(0, 3));
  file.close();
});

test('as a checkpoint it has the names and rows of Hugging Face, any part of them', () => {
  const store = openGgufCheckpoint(sound);
  expect(store.names()).toEqual([
    'model.layers.0.self_attn.q_proj.weight',
    'model.embed_tokens.weight',
  ]);
  expect(store.warnings![0]).toContain('odd.bias');
  // a head's rows 0 … 3 are pairs (0, 2), (1, 3) of its halves
  const rows = readFloat32(store.get('model.layers.0.self_attn.q_proj.weight')!);
  expect([0, 1, 2, 3].map((row) => rows[32 * row]! / 32)).toEqual([0, 2, 1, 3]);
  const query = store.get('model.layers.0.self_attn.q_proj.weight')!;
  for (const [first, count] of [
    [0, 8],
    [1, 2],
    [3, 3],
    [6, 2],
  ] as const)
    expect(query.blocks!.read(first, count)).toEqual(query.read(128 * first, 128 * count));
  const source = store.get('model.embed_tokens.weight')!;
  const whole = source.read();
  expect(source.read(200, 77)).toEqual(whole.slice(200, 277));
  expect(readFloat32(source)[255]).toBeCloseTo(255, 0);
  store.close();
});

/** A file with bytes changed, at the first place of a text or at a number of bytes. */
function spoiled(at: string | number, change: (view: DataView, place: number) => void): string {
  const bytes = readFileSync(sound);
  const place = typeof at === 'number' ? at : bytes.indexOf(at) + at.length;
  change(new DataView(bytes.buffer, bytes.byteOffset), place);
  const path = join(folder, 'spoiled.gguf');
  writeFileSync(path, bytes);
  return path;
}
const u8 = (value: number, offset: number) => (view: DataView, place: number) =>
  view.setUint8(place + offset, value);
const u32 =
  (value: number, offset = 0) =>
  (view: DataView, place: number) =>
    view.setUint32(place + offset, value, true);
const u64 =
  (value: bigint, offset = 0) =>
  (view: DataView, place: number) =>
    view.setBigUint64(place + offset, value, true);

const NAME = 'blk.0.attn_q.weight'; // then: dimensions, sizes, type, offset
test.each([
  ['of another kind', 0, u32(1), 'does not begin with "GGUF"'],
  ['of version 1', 4, u32(1), 'version 1'],
  ['with big-endian numbers', 4, u32(3 << 24), 'big-endian'],
  ['with more tensors than can be', 8, u64(1n << 40n), 'tensors'],
  ['with a count beyond all numbers', 8, u64(1n << 63n), 'the number of tensors is'],
  ['with too many entries', 16, u64(99_999n), 'metadata entries'],
  ['with a text that is longer than the file', 24, u64(1n << 62n), 'the length of a metadata key'],
  ['with an unknown kind of value', 'some.big', u32(77), 'some.big has a value of type 77'],
  ['with a list of lists', 'some.words', u32(9, 4), 'list of lists'],
  ['with a list that is longer than the file', 'some.words', u64(1n << 40n, 8), 'elements'],
  ['with a flag of 7', 'some.flag', u8(7, 4), 'neither true'],
  ['with a tensor of 9 dimensions', NAME, u32(9), 'has 9 dimensions'],
  ['with a tensor of no size', NAME, u64(0n, 4), 'has the shape'],
  ['with sizes whose product is none', NAME, u64(1n << 52n, 4), 'has the shape'],
  ['with rows that are no blocks', 'token_embd.weight', u64(33n, 4), 'no multiple of Q8_0'],
  ['with a tensor behind its end', NAME, u64(1n << 20n, 24), 'behind the file'],
  ['with a tensor that is not aligned', NAME, u64(7n, 24), 'not aligned'],
  ['with tensors that share bytes', 'token_embd.weight', u64(0n, 24), 'share bytes'],
] as const)('a file %s is refused by name', (_, at, change, words) => {
  const path = spoiled(at, change);
  expect(() => openGguf(path)).toThrow(
    expect.objectContaining({
      code: 'PEFT_GGUF_INVALID',
      message: expect.stringContaining(words) as string,
    }),
  );
});

test('unknown types, families and counts of blocks are refused by name', () => {
  const code = (path: string, expected: string) =>
    expect(() => openGgufCheckpoint(path).close()).toThrow(
      expect.objectContaining({ code: expected }),
    );
  code(spoiled(NAME, u32(77, 20)), 'PEFT_GGUF_TYPE');
  code(spoiled('llama.block_count', u32(1 << 30, 4)), 'PEFT_GGUF_INVALID');
  code(
    spoiled('general.architecture', (view, place) => view.setUint8(place + 12, 120)),
    'PEFT_GGUF_FAMILY',
  );
});

test('a name that comes twice, or data of another length, is never written', async () => {
  const path = join(folder, 'no.gguf');
  const [first] = TENSORS;
  await expect(writeGguf(path, [], [first!, first!])).rejects.toMatchObject({
    code: 'PEFT_GGUF_TENSOR',
  });
  await expect(writeGguf(path, [], [{ ...first!, shape: [9, 32] }])).rejects.toMatchObject({
    code: 'PEFT_GGUF_TENSOR',
  });
  expect(() => readFileSync(path)).toThrow('ENOENT');
});
