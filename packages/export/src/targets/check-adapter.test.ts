import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkAdapter } from './check-adapter.js';
import { TARGET_NAMES } from './targets.js';

let folder = '';
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'peft-check-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function verdicts(config: object): Record<string, boolean> {
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(config));
  return Object.fromEntries(checkAdapter(folder).map(({ target, loads }) => [target, loads]));
}
const LORA = { peft_type: 'LORA', r: 8, lora_alpha: 16, bias: 'none', init_lora_weights: true };

test('plain LoRA is loaded by all that load adapters', () => {
  expect(verdicts(LORA)).toEqual({
    peft: true,
    vllm: true,
    'llama.cpp': true,
    mlx: true,
    'transformers.js': false,
  });
});

test.each([
  ['use_dora', { use_dora: true }],
  ['modules_to_save', { modules_to_save: ['lm_head'] }],
  ['bias: all', { bias: 'all' }],
  ['trainable_token_indices', { trainable_token_indices: { embed_tokens: [1] } }],
  ['init_lora_weights: pissa', { init_lora_weights: 'pissa' }],
])('%s is for PEFT alone, and the reason is told', (words, more) => {
  expect(verdicts({ ...LORA, ...more })).toEqual({
    peft: true,
    vllm: false,
    'llama.cpp': false,
    mlx: false,
    'transformers.js': false,
  });
  const [{ reasons, advice }] = checkAdapter(folder, 'vllm') as [
    ReturnType<typeof checkAdapter>[0],
  ];
  expect(reasons.join()).toContain(words);
  expect(advice).toBe('merge it: peft merge');
});

test('a rank over the default of vLLM is loaded with its flag', () => {
  verdicts({ ...LORA, r: 48 });
  expect(checkAdapter(folder, 'vllm')).toEqual([
    {
      target: 'vllm',
      loads: true,
      reasons: ['rank 48 is over its default of 16'],
      advice: 'start it with --max-lora-rank 64',
    },
  ]);
  verdicts({ ...LORA, rank_pattern: { q_proj: 4 } });
  expect(checkAdapter(folder, 'vllm')[0]!.reasons[0]).toContain('rank_pattern');
});

test("a method that Python's PEFT does not have is for nobody", () => {
  const loaded = verdicts({ peft_type: 'HOULSBY' });
  expect(Object.values(loaded)).toEqual([false, false, false, false, false]);
  expect(checkAdapter(folder, 'peft')[0]!.reasons).toEqual([
    "the files of the method HOULSBY are none of PEFT's",
  ]);
});

test('an unknown target and a folder without an adapter are refused by name', () => {
  expect(TARGET_NAMES).toContain('mlx');
  expect(() => checkAdapter(folder, 'vlm')).toThrow('vllm');
  expect(() => checkAdapter(join(folder, 'none'))).toThrow(
    expect.objectContaining({ code: 'PEFT_ADAPTER_MISSING' }),
  );
});
