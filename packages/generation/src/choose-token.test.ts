import { randomKey, randomUniform } from '@peft/ops';
import { expect, it } from 'vitest';
import { chooseToken, drawToken, tokenDistribution } from './choose-token.js';

it('draws from the distribution, whether its list is made or not', () => {
  const random = randomKey(3, 'logits', 0);
  for (const [topK, topP] of [
    [0, 1],
    [5, 1],
    [0, 0.8],
    [7, 0.5],
  ] as const) {
    const options = { temperature: 0.9, topK, topP, seed: 11, seeds: undefined };
    for (let step = 0; step < 200; step += 1) {
      const logits = Float32Array.from({ length: 40 }, (_, id) =>
        id % 13 === 0 ? Number.NEGATIVE_INFINITY : 6 * randomUniform(random, 40 * step + id),
      );
      const u = randomUniform(randomKey(11, 'generate', 2), step);
      expect(chooseToken(logits, options, 2, step)).toBe(
        drawToken(tokenDistribution(logits, options), u),
      );
    }
  }
});
