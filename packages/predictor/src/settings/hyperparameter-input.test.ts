import { describe, expectTypeOf, it } from 'vitest';
import type { FitOptions } from './predictor-types.js';
import { uncheckedHyperparameters, type HyperparameterInput } from './hyperparameter-input.js';

/** Compiled, not run: each `ts-expect-error` fails the type check where the error is missing. */
describe('types of the settings', () => {
  it('take every form that is written', () => {
    const inputs: HyperparameterInput[] = [
      { 'optim.peft': 'lora', 'optim.lr': 1e-3, 'env.engine': 'native' },
      { 'optim.peft': 'houlsby' },
      { optim: { peft: 'ia3_bias', lora: { r: 4 } }, env: { batch_size: 8 } },
      'optim.peft=lora',
      ['optim.peft=lora', 'optim.lr=0.1'],
      uncheckedHyperparameters({ 'optimization.learning_rate': 1 }),
    ];
    expectTypeOf(inputs).toEqualTypeOf<HyperparameterInput[]>();
    expectTypeOf<'best_quality'>().toExtend<NonNullable<FitOptions['presets']>>();
  });

  it('refuse wrong keys and values', () => {
    const taken = (..._inputs: HyperparameterInput[]): void => undefined;
    // @ts-expect-error no such key
    taken({ 'optim.learing_rate': 1 });
    // @ts-expect-error no such method
    taken({ 'optim.peft': 'lroa' });
    // @ts-expect-error no such engine
    taken({ 'env.engine': 'cuda' });
    // @ts-expect-error a number is wanted
    taken({ 'optim.lr': 'fast' });
    // @ts-expect-error no such key in the group
    taken({ optim: { learing_rate: 1 } });
    // @ts-expect-error no such value in the group
    taken({ optim: { lr_choice: 'none' } });
    // @ts-expect-error no such preset
    const options: FitOptions = { presets: 'mulitlingual' };
    void options;
  });
});
