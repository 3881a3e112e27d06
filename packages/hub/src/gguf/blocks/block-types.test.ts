import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { BLOCK_TYPES, decodeBlocks, encodeBlocks } from './block-types.js';

// golden: gguf-py and ggml's reference quantisers, see tools/cases/make_gguf_cases.py
interface Golden {
  readonly values: string;
  readonly types: Readonly<Record<string, { readonly blocks: string; readonly values: string }>>;
}
const golden = JSON.parse(
  readFileSync(new URL('../../../test/gguf-blocks.json', import.meta.url), 'utf8'),
) as Golden;
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const floats = (text: string): Float32Array => new Float32Array(bytes(text).buffer);
const values = floats(golden.values);

test.each(Object.keys(golden.types))('%s is read to the last bit', (name) => {
  const { blocks, values: expected } = golden.types[name]!;
  const type = BLOCK_TYPES[name as keyof typeof BLOCK_TYPES];
  const read = decodeBlocks(type, bytes(blocks));
  expect(createHash('sha256').update(new Uint8Array(read.buffer)).digest('hex')).toBe(expected);
});

test.each(
  Object.values(BLOCK_TYPES).flatMap((type) => (type.quantize ? [[type.name, type] as const] : [])),
)('%s is written to the last bit', (name, type) => {
  const written = encodeBlocks(type, values);
  if (name === 'F32') expect(decodeBlocks(type, written)).toEqual(values);
  else expect(Buffer.from(written).toString('base64')).toBe(golden.types[name]!.blocks);
});

test('types that are only read have no writer', () => {
  const readOnly = Object.values(BLOCK_TYPES).filter(({ quantize }) => !quantize);
  expect(readOnly.map(({ name }) => name)).toEqual(['Q2_K', 'Q3_K']);
});
