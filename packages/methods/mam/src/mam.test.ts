import { attachAdapter } from '@peft/core';
import { tinyModels, usePortableEngine } from '@peft/testing';
import type { Engine } from '@peft/ops';
import { describe, expect, it } from 'vitest';
import { mam } from './mam.js';
import { unipelt } from './unipelt.js';

describe('unions', () => {
  let engine: Engine;
  usePortableEngine((active) => (engine = active));

  it('have the options of the originals', () => {
    const [prefix, adapter] = mam().parts.map(({ config }) => config);
    expect(prefix).toMatchObject({
      prefixLength: 30,
      bottleneckSize: 800,
      nonLinearity: 'tanh',
      useGating: false,
    });
    expect(adapter).toMatchObject({
      reductionFactor: 2,
      scaling: 4,
      isParallel: true,
      initWeights: 'mam_adapter',
      nonLinearity: 'relu',
    });
    const parts = unipelt().parts.map(({ config }) => config);
    expect(parts).toMatchObject([
      { prefixLength: 10, bottleneckSize: 512, useGating: true },
      { reductionFactor: 16, useGating: true },
      { rank: 8, alpha: 2, gating: true },
    ]);
  });

  it("take their parts' sites, attentions and branches and queries and values", () => {
    const model = tinyModels()[0]!.open(engine);
    const kinds = attachAdapter('a', unipelt(), model.description, undefined).wrappedSites.map(
      ({ kind, role }) => `${kind} ${role}`,
    );
    expect([...new Set(kinds)].sort()).toEqual([
      'attention attention',
      'linear attention.query',
      'linear attention.value',
      'sublayer sublayer.ffn',
    ]);
    model.dispose();
  });
});
