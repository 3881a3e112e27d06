import { readFileSync } from 'node:fs';
import { openSafetensors, readFloat32 } from '@peft/hub';
import { mersenneTwister, torchUniform } from '@peft/ops';
import { expect, it } from 'vitest';

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
