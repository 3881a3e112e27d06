/** What a cache takes is what the plan says, however its texts grow and go. */
import { keyValueBytes } from '@peft/core';
import { createPortableEngine } from '@peft/portable';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SequenceReader } from '../src/sequence-reader.js';
import { openFixture } from './fixture-models.js';

const engine = await createPortableEngine();
beforeAll(() => engine.activate());
afterAll(() => engine.dispose());

it('takes what the plan says', async () => {
  const model = openFixture('llama', engine);
  const reader = new SequenceReader(model, undefined, { cache: true });
  let texts = [40, 3, 17].map((length) => Array.from({ length }, (_, n) => 5 + (n % 20)));
  const plan = (): number =>
    keyValueBytes(
      model.description,
      texts.map(({ length }) => length),
    );
  await reader.next(texts);
  expect(reader.cacheBytes).toBe(plan());
  for (let step = 0; step < 80; step += 1) {
    texts.forEach((text) => text.push(6));
    await reader.next(texts);
    expect(reader.cacheBytes).toBeLessThanOrEqual(plan());
  }
  for (const chosen of [[2, 0], [1]]) {
    reader.select(Int32Array.from(chosen));
    texts = chosen.map((b) => texts[b]!);
    expect(reader.cacheBytes).toBeLessThanOrEqual(2 * plan());
  }
  reader.dispose();
  expect(reader.cacheBytes).toBe(0);
  model.dispose();
});
