import { expect, test } from 'vitest';
import { tensorType, type FileTypeName } from './tensor-types.js';

const typeOf = (name: string, type: FileTypeName, { width = 512, isTied = false } = {}): string =>
  tensorType({ name: `${name}.weight`, shape: [512, width] }, type, 8, isTied).name;

// as llama_model_quantize of llama.cpp chooses: of 8 blocks 0, 3, 6 and 7 need more
test('mixed types store values and down projections finer in some blocks', () => {
  const blocks = [0, 1, 2, 3, 4, 5, 6, 7];
  const expected = [6, 4, 4, 6, 4, 4, 6, 6].map((bits) => `Q${bits}_K`);
  expect(blocks.map((n) => typeOf(`blk.${n}.attn_v`, 'Q4_K_M'))).toEqual(expected);
  expect(blocks.map((n) => typeOf(`blk.${n}.ffn_down`, 'Q4_K_M'))).toEqual(expected);
  expect(typeOf('blk.0.attn_q', 'Q4_K_M')).toBe('Q4_K');
  expect(blocks.map((n) => typeOf(`blk.${n}.attn_qkv`, 'Q4_K_M'))).toEqual(expected);
  expect(typeOf('blk.0.ffn_down', 'Q6_K')).toBe('Q6_K');
});

test('the output layer is finer, also where it is the embedding', () => {
  expect(typeOf('output', 'Q4_0')).toBe('Q6_K');
  expect(typeOf('token_embd', 'Q4_0')).toBe('Q4_0');
  expect(typeOf('token_embd', 'Q4_0', { isTied: true })).toBe('Q6_K');
  expect(typeOf('output', 'Q4_0', { width: 96 })).toBe('Q8_0');
  expect(typeOf('output', 'BF16')).toBe('BF16');
});

test('rows that are no whole number of blocks fall back', () => {
  const narrow = (type: FileTypeName, width: number) => typeOf('blk.1.attn_q', type, { width });
  expect(narrow('Q4_K_M', 96)).toBe('Q5_0');
  expect(narrow('Q5_K_M', 96)).toBe('Q5_1');
  expect(narrow('Q6_K', 96)).toBe('Q8_0');
  expect(narrow('Q8_0', 48)).toBe('F16');
  expect(narrow('Q4_K_M', 48)).toBe('F16');
});

test('vectors, norms and positions stay float32', () => {
  expect(tensorType({ name: 'blk.0.attn_q.bias', shape: [512] }, 'F16', 8, false).name).toBe('F32');
  expect(typeOf('blk.0.attn_q_norm', 'F16')).toBe('F32');
  expect(typeOf('position_embd', 'F16')).toBe('F32');
});
