import { readFileSync } from 'node:fs';
import { adapterCounts, architectureFor, attachAdapter, describeModel } from '@peft/core';
import { architectures } from '@peft/models';
import { describe, expect, it } from 'vitest';
import { AUTOGLUON_METHODS, autogluonMethod, type AutogluonMethod } from './autogluon-methods.js';

/** Counted by AutoGluon's own functions on models of real size; the fixture says how. */
const fixtures = new URL('../../../testing/fixtures/autogluon/', import.meta.url);
const read = (path: string) => JSON.parse(readFileSync(new URL(path, fixtures), 'utf8'));
const counts: Record<
  string,
  Record<string, { trainable: number; total: number; wrapped_linears: number }>
> = read('counts.json').models;
const known = architectures.flatMap(({ modelTypes }) => modelTypes);

const describeReal = (model: string) => {
  const config = read(`configs/${model}/config.json`);
  const architecture = architectureFor(config.model_type, architectures);
  return describeModel(architecture, architecture.parseConfig(config), {
    kind: 'pooled-linear',
    outputs: 2,
  });
};

describe.each(
  Object.keys(counts).filter((model) =>
    known.includes(read(`configs/${model}/config.json`).model_type),
  ),
)('on %s', (model) => {
  it.each(Object.keys(counts[model]!).filter((value) => value !== 'none'))(
    '%s wraps and trains what AutoGluon does',
    (value) => {
      const description = describeReal(model);
      const adapter = attachAdapter(
        'a',
        autogluonMethod(value as AutogluonMethod, { familyTargets: false }),
        description,
        undefined,
      );
      const expected = counts[model]![value]!;
      expect({
        ...adapterCounts(description, [adapter]),
        wrapped_linears: adapter.wrappedSites.length,
      }).toEqual({
        trainable: expected.trainable,
        total: expected.total,
        wrapped_linears: expected.wrapped_linears,
      });
    },
  );
});

describe('autogluonMethod', () => {
  it('knows every value', () => {
    expect(
      AUTOGLUON_METHODS.map((value) =>
        autogluonMethod(value)
          .parts.map(({ method }) => method.name)
          .join('+'),
      ),
    ).toEqual([
      'bitfit',
      'bitfit',
      'lora+bitfit',
      'lora+bitfit',
      'lora+bitfit',
      'ia3+bitfit',
      'ia3+bitfit',
      'ia3+bitfit',
      'lora+ia3+bitfit',
      'lora+ia3+bitfit',
      'lora+ia3+bitfit',
    ]);
  });

  it(
    'matches a filter from the start of the last name of a path, and a module filter from ' +
      'the start of the path',
    () => {
      const description = describeReal('bert-base-uncased');
      const sites = (options: Parameters<typeof autogluonMethod>[1]) =>
        attachAdapter(
          'a',
          autogluonMethod('ia3', options),
          description,
          undefined,
        ).wrappedSites.map(({ path }) => path);
      expect(sites({ filter: ['^val', 'key$'], moduleFilter: ['encoder.layer.1[01]'] })).toEqual(
        [10, 11].flatMap((layer) =>
          ['key', 'value'].map((part) => `encoder.layer.${layer}.attention.self.${part}`),
        ),
      );
      expect(() => sites({ filter: ['alue'] })).toThrow('ia3: no linear site matches');
    },
  );

  it('names the nearest value', () => {
    expect(() => autogluonMethod('ia3_bais' as never)).toThrow('"ia3_bias"');
    expect(() => autogluonMethod('lora', { rank: 0 })).toThrow(
      'lora: rank must be a positive integer, got 0.',
    );
    expect(() => autogluonMethod('lora', { filter: [] })).toThrow('optim.lora.filter');
  });
});
