/** Which methods make fixed parts of the base's values that no file holds: they all say so. */
import { computesFromBase, type Adapter, type Model, type OwnedParameter } from '@peft/core';
import { PeftError } from '@peft/errors';
import type { Engine } from '@peft/ops';
import { tinyModels, usePortableEngine } from '@peft/testing';
import { expect, test } from 'vitest';
import { TINY_OPTIONS } from '../test/tiny-options.js';
import { methodNamed, methodNames } from './method-named.js';

let engine: Engine;
usePortableEngine((made) => (engine = made));

const VARIANTS: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ...(['pissa', 'pissa_niter_4', 'olora', 'loftq', 'mica', 'orthogonal'] as const).map(
    (init) => ['lora', { rank: 4, init }] as const,
  ),
  ['lora', { rank: 4, kasa: { beta: 0, gamma: 0 } }],
  ['lora', { rank: 4, dora: true }],
  ['supertuning', { sparsity: 0.9, saveIndices: false }],
];
const cases = [
  ...methodNames().map((name) => [name, TINY_OPTIONS[name] ?? {}] as const),
  ...VARIANTS,
] as const;
/** What it computes from the values is no parameter: which outputs are a cluster. */
const BESIDE_PARAMETERS = ['adamss'];

/** Lengths of DoRA's rows, kept for its passes: folding takes them of the weight at hand. */
const SMOOTH = /\.row_squares$/;

/** Values that no file holds. */
const unsaved = ({ parameters }: Adapter): readonly OwnedParameter[] =>
  [...parameters.values()].filter(({ saved, name }) => !saved && !SMOOTH.test(name));

/** The method on a model and on the same rounded to four bits. */
function isOfTheValues(name: string, options: object): boolean | undefined {
  for (const tiny of tinyModels()) {
    const models: Model[] = [];
    try {
      const adapters = [undefined, { format: 'nf4' } as const].map((quantization) => {
        const model = tiny.open(engine, { quantization });
        models.push(model);
        return model.addAdapter('a', methodNamed(name, { ...options }));
      });
      const [plain, rounded] = adapters.map(unsaved);
      return (
        adapters[0]!.replaced.size > 0 ||
        plain!.some(
          ({ value }, i) =>
            String(value.dataSync()) !== String(rounded![i]!.value.dataSync<'float32'>()),
        )
      );
    } catch (error) {
      expect(error).toBeInstanceOf(PeftError); // no place on this shape
    } finally {
      for (const model of models) model.dispose();
    }
  }
  return undefined;
}

test.each(cases)('%s %o', (name, options) => {
  const found = isOfTheValues(name, options);
  if (found === undefined) return expect(name).toBe('adapter-fusion'); // it needs two others
  expect(computesFromBase(methodNamed(name, { ...options }))).toBe(
    found || BESIDE_PARAMETERS.includes(name),
  );
});
