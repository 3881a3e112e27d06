import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Model } from '@peft/core';
import { cartridge, cpt, prefixTuning, promptTuning } from '@peft/prompt-tuning';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { generate } from '../src/index.js';
import { openFixture } from './fixture-models.js';

let engine: Engine;
let model: Model;
let positions: number;
beforeAll(async () => {
  engine = await createPortableEngine();
  await engine.activate();
  model = openFixture('gpt2', engine);
  positions = model.description.maxPositions!;
});
afterAll(() => {
  model.dispose();
  engine.dispose();
});
const prompt = (tokens: number): number[] => Array.from({ length: tokens }, (_, n) => 5 + (n % 90));

test.each([1, 2])('a text ends where the positions do, and says so (%i beams)', async (beams) => {
  const made = await generate(model, [prompt(positions - 2), prompt(3)], {
    maxNewTokens: 5,
    beams,
  });
  // the last token is made and not read
  expect(made.map(({ ids, finishReason }) => [ids.length, finishReason])).toEqual([
    [3, 'position-limit'],
    [5, 'length'],
  ]);
});

test('a prompt of all positions gets one token, a longer one is refused by name', async () => {
  const [one] = await generate(model, [prompt(positions)], { maxNewTokens: 1 });
  expect(one).toMatchObject({ finishReason: 'length' });
  expect(one!.ids).toHaveLength(1);
  await expect(generate(model, [prompt(3), prompt(positions + 1)])).rejects.toMatchObject({
    code: 'PEFT_GENERATION_PROMPT',
    message: expect.stringContaining(
      `prompt 1 has ${positions + 1} tokens, and this gpt2 has ${positions} positions`,
    ) as string,
  });
});

test.each([
  { name: 'prompt tuning', spec: promptTuning({ virtualTokens: 4 }) },
  { name: 'prefix tuning', spec: prefixTuning({ virtualTokens: 4 }) },
  { name: 'a cartridge', spec: cartridge({ virtualTokens: 4 }) },
  { name: 'CPT', spec: cpt({ tokenIds: [3, 7, 5, 9] }) },
])('virtual tokens of $name take positions', async ({ spec }) => {
  model.addAdapter('virtual', spec);
  try {
    const [made] = await generate(model, [prompt(positions - 6)], { maxNewTokens: 9 });
    expect(made!.ids).toHaveLength(3);
    expect(made!.finishReason).toBe('position-limit');
  } finally {
    model.deleteAdapter('virtual');
  }
});
