import { adapter, houlsby } from '@peft/adapter';
import { attentionPrefix } from '@peft/prompt-tuning';
import { loReft } from '@peft/reft';
import { describe, expect, it } from 'vitest';
import { FAMILIES } from '../../test/adapter-hub-families.js';
import { attachAdapter } from '../adapter/attach-adapter.js';
import type { MethodSpec } from '../method/peft-method.js';
import { adapterHubFormat } from './adapter-hub-format.js';

/** Modules of the keys, without the last two words. */
function modulesOf(family: keyof typeof FAMILIES, spec: MethodSpec): string[] {
  const attached = attachAdapter('demo', spec, FAMILIES[family], undefined);
  const own = [...attached.parameters.values()].filter(({ origin }) => origin === 'new');
  return [
    ...new Set(
      own.map((parameter) =>
        adapterHubFormat.keyOf(attached, parameter).replace(/\.demo\..*/, '.demo'),
      ),
    ),
  ].sort();
}

describe("adapter-hub's keys", () => {
  // The families' module names in the library.
  it.each([
    [
      'bert',
      [
        'bert.encoder.layer.0.attention.output.adapters.demo',
        'bert.encoder.layer.0.output.adapters.demo',
      ],
    ],
    [
      'bare',
      ['encoder.layer.0.attention.output.adapters.demo', 'encoder.layer.0.output.adapters.demo'],
    ],
    [
      'deberta',
      [
        'deberta.encoder.layer.0.attention.output.adapters.demo',
        'deberta.encoder.layer.0.output.adapters.demo',
      ],
    ],
    [
      'distilbert',
      [
        'distilbert.transformer.layer.0.attention_adapters.adapters.demo',
        'distilbert.transformer.layer.0.output_adapters.adapters.demo',
      ],
    ],
    [
      't5',
      [
        'decoder.block.0.layer.0.adapters.demo',
        'decoder.block.0.layer.2.adapters.demo',
        'encoder.block.0.layer.0.adapters.demo',
        'encoder.block.0.layer.1.adapters.demo',
      ],
    ],
    [
      'llama',
      [
        'model.layers.0.attention_adapters.adapters.demo',
        'model.layers.0.output_adapters.adapters.demo',
      ],
    ],
    [
      'gpt2',
      [
        'transformer.h.0.attention_adapters.adapters.demo',
        'transformer.h.0.output_adapters.adapters.demo',
      ],
    ],
  ] as const)('of bottlenecks in %s', (family, modules) => {
    expect(modulesOf(family, houlsby({ reductionFactor: 3 }))).toEqual(modules);
  });

  it('of prefixes, gates, interventions and shared parameters', () => {
    const gated = attentionPrefix({ prefixLength: 2, bottleneckSize: 2, useGating: true });
    expect(modulesOf('bert', gated)).toEqual([
      'bert.encoder.layer.0.attention.self.prefix_tuning.prefix_gates.demo',
      'bert.prefix_tuning.prefix_tunings.demo',
    ]);
    expect(modulesOf('llama', gated)).toEqual([
      'model.layers.0.self_attn.prefix_tuning.prefix_gates.demo',
      'model.prefix_tuning.prefix_tunings.demo',
    ]);
    expect(modulesOf('t5', attentionPrefix({ prefixLength: 2, bottleneckSize: 2 }))).toEqual([
      'prefix_tuning.prefix_tunings.demo',
    ]);
    expect(modulesOf('t5', loReft())).toEqual([
      'decoder.block.0.reft_layer.refts.demo',
      'encoder.block.0.reft_layer.refts.demo',
    ]);
    expect(modulesOf('gpt2', loReft())).toEqual(['transformer.h.0.reft_layer.refts.demo']);
    expect(modulesOf('t5', adapter({ reductionFactor: 3, invAdapter: 'nice' }))).toContain(
      'encoder.invertible_adapters.demo',
    );
    expect(modulesOf('bert', adapter({ reductionFactor: 3, phmLayer: true }))).toContain(
      'bert.shared_parameters.demo',
    );
  });
});
