import { readFileSync } from 'node:fs';
import { openSafetensors, readFloat32 } from '@peft/hub';
import { expect, it } from 'vitest';
import { mersenneTwister, torchUniform } from './mersenne-twister.js';

it("gives the reference's first and ten thousandth number", () => {
  // Matsumoto and Nishimura's program, also in the C++ standard [rand.predef] for the seed 5489.
  const random = mersenneTwister(5489);
  expect(random()).toBe(3499211612);
  let last = 0;
  for (let i = 2; i <= 10000; i += 1) last = random();
  expect(last).toBe(4123659995);
});

it('draws the projections that PEFT saved for its key', () => {
  const folder = new URL('../../../testing/fixtures/adapters/vera_llama/', import.meta.url);
  const config = JSON.parse(readFileSync(new URL('adapter_config.json', folder), 'utf8'));
  const store = openSafetensors(new URL('adapter_model.safetensors', folder).pathname);
  const random = mersenneTwister(config.projection_prng_key);
  for (const name of ['base_model.vera_A', 'base_model.vera_B']) {
    const source = store.get(name)!;
    const bound = Math.sqrt(3) * (Math.sqrt(2) / Math.sqrt(source.shape[1]!));
    const expected = readFloat32(source);
    const drawn = torchUniform(random, expected.length, -bound, bound);
    expect(Math.max(...drawn.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(1e-7);
  }
  store.close();
});
