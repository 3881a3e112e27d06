/** A plug-in: a method, a model family and an engine that the toolkit knows nothing of. */
import type { Architecture } from '@peft/core';
import { debertaV2, type DebertaConfig } from '@peft/models';
import { defineEngine } from '@peft/ops';
import { createPortableEngine, portableSizing } from '@peft/portable';

export { ssf } from '@peft-examples/third-party-ssf';

declare module '@peft/ops' {
  interface KnownEngines {
    abacus: true;
  }
}

/** A family whose checkpoints call themselves `abacus-bert`. It computes as DeBERTa does. */
export const abacusBert: Architecture<DebertaConfig> = Object.freeze({
  ...debertaV2,
  family: 'AbacusBERT',
  modelTypes: ['abacus-bert'],
});

/** An engine under a name of its own. Its products and its memory are those of the portable engine. */
export const abacus = defineEngine({
  name: 'abacus',
  create: async () =>
    Object.defineProperty(await createPortableEngine(), 'name', {
      value: 'abacus',
    }),
  sizing: () => ({ ...portableSizing, name: 'abacus' }),
});
