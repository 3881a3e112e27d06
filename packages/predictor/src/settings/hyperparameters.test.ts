import { describe, expect, it } from 'vitest';
import {
  parseScalar,
  uncheckedHyperparameters,
  type HyperparameterInput,
} from './hyperparameter-input.js';
import { overrideHyperparameters, resolveHyperparameters } from './hyperparameters.js';
import { PRESETS, type PresetName } from './presets.js';
import { HYPERPARAMETER_KEYS } from './setting-table.js';

const errorOf = (call: () => unknown): { code: string; message: string } => {
  try {
    call();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('nothing was thrown');
};

describe('hyperparameters', () => {
  it("have AutoGluon's defaults", () => {
    expect(resolveHyperparameters()).toMatchObject({
      'model.hf_text.checkpoint_name': 'google/electra-base-discriminator',
      'optim.lr': 1e-4,
      'optim.weight_decay': 1e-3,
      'optim.lr_decay': 0.9,
      'optim.lr_schedule': 'cosine_decay',
      'optim.warmup_steps': 0.1,
      'optim.max_epochs': 20,
      'optim.patience': 10,
      'optim.val_check_interval': 0.5,
      'optim.gradient_clip_val': 1,
      'optim.top_k': 3,
      'optim.top_k_average_method': 'greedy_soup',
      'env.batch_size': 128,
      'env.per_gpu_batch_size': 8,
      'env.inference_batch_size_ratio': 4,
      'model.hf_text.max_text_len': 512,
      'optim.lora.r': 8,
      'optim.lora.alpha': 8,
      'optim.peft': null,
    });
  });

  it('take the preset, then what is given, the later inputs first', () => {
    expect(resolveHyperparameters({}, 'multilingual')).toMatchObject({
      'model.hf_text.checkpoint_name': 'microsoft/mdeberta-v3-base',
      'optim.top_k': 1,
      'env.per_gpu_batch_size': 4,
    });
    expect(
      resolveHyperparameters(
        [{ 'optim.lr': 1, 'optim.top_k': 2 }, { 'optim.lr': 2 }],
        'multilingual',
      ),
    ).toMatchObject({ 'optim.lr': 2, 'optim.top_k': 2 });
    expect(
      overrideHyperparameters(resolveHyperparameters({ 'optim.lr': 1 }), 'optim.top_k=5'),
    ).toMatchObject({ 'optim.lr': 1, 'optim.top_k': 5 });
  });

  it('may be written with dots, nested, or as words', () => {
    const wanted = {
      'optim.peft': 'ia3_bias',
      'optim.lr': 3e-3,
      'optim.lora.module_filter': ['.*encoder'],
    } as const;
    const inputs: readonly HyperparameterInput[] = [
      wanted,
      { optim: { peft: 'ia3_bias', lr: 3e-3, lora: { module_filter: ['.*encoder'] } } },
      'optim.peft=ia3_bias optim.lr=3e-3 optim.lora.module_filter=[".*encoder"]',
      ['optim.peft=ia3_bias', 'optim.lr=0.003', 'optim.lora.module_filter=[".*encoder"]'],
    ];
    for (const input of inputs) expect(resolveHyperparameters(input)).toMatchObject(wanted);
  });

  it("know AutoGluon's older names", () => {
    expect(
      resolveHyperparameters(
        uncheckedHyperparameters({
          'optimization.efficient_finetune': 'lora',
          'optimization.learning_rate': 0.5,
          'optimization.lr_decay': 0.8,
          'optimization.max_epochs': 3,
          'env.eval_batch_size_ratio': 2,
          'env.precision': '16-mixed',
        }),
      ),
    ).toMatchObject({
      'optim.peft': 'lora',
      'optim.lr': 0.5,
      'optim.lr_decay': 0.8,
      'optim.max_epochs': 3,
      'env.inference_batch_size_ratio': 2,
      'env.precision': 'bf16',
    });
  });

  it('name the nearest key of an unknown one', () => {
    expect(
      errorOf(() => resolveHyperparameters(uncheckedHyperparameters({ 'optim.learing_rate': 1 }))),
    ).toMatchObject({
      code: 'PEFT_HYPERPARAMETER_UNKNOWN',
      message: expect.stringMatching(/"optim\.learing_rate"[\s\S]*Did you mean "optim\./) as string,
    });
    expect(
      errorOf(() => resolveHyperparameters(uncheckedHyperparameters({ 'optim.peftt': 'lora' })))
        .message,
    ).toContain('"optim.peft"');
    for (const key of ['__proto__', 'constructor', 'toString'])
      expect(errorOf(() => resolveHyperparameters([`${key}=1`])).code).toBe(
        'PEFT_HYPERPARAMETER_UNKNOWN',
      );
    expect(errorOf(() => resolveHyperparameters({}, 'multilingal' as never))).toMatchObject({
      code: 'PEFT_PRESET_UNKNOWN',
      message: expect.stringContaining('Did you mean "multilingual"') as string,
    });
  });

  it('say what a value must be', () => {
    expect(errorOf(() => resolveHyperparameters({ 'optim.lr': -1 })).message).toBe(
      'hyperparameters: optim.lr must be a number > 0, got -1.',
    );
    expect(
      errorOf(() =>
        resolveHyperparameters(uncheckedHyperparameters({ 'optim.learning_rate': 'high' })),
      ).message,
    ).toBe('hyperparameters: optim.learning_rate must be a number > 0, got "high".');
    expect(
      errorOf(() =>
        resolveHyperparameters(uncheckedHyperparameters({ 'optim.lora.module_filter': 'x' })),
      ).message,
    ).toContain('must be a list of strings or null');
    for (const [key, value] of [
      ['env.precision', 'toString'],
      ['optim.max_steps', 0],
      ['optim.max_epochs', 1.5],
      ['optim.warmup_steps', 1.5],
      ['optim.lr_decay', 1.1],
      ['env.batch_size', Number.NaN],
      ['model.hf_text.text_trivial_aug_maxscale', 0.1],
      ['optim.end_lr', Number.POSITIVE_INFINITY],
    ] as const) {
      expect(
        errorOf(() => resolveHyperparameters({ [key]: value })),
        key,
      ).toMatchObject({ code: 'PEFT_HYPERPARAMETER_INVALID' });
    }
  });

  it('may not say the same thing twice', () => {
    expect(
      errorOf(() => resolveHyperparameters({ 'optim.lr': 1, 'optim.learning_rate': 1 })),
    ).toMatchObject({
      code: 'PEFT_HYPERPARAMETER_TWICE',
      message: expect.stringContaining('optim.lr and optim.learning_rate') as string,
    });
    expect(errorOf(() => resolveHyperparameters('optim.lr')).code).toBe(
      'PEFT_HYPERPARAMETER_INVALID',
    );
  });

  it('accept every preset and their own defaults', () => {
    for (const preset of Object.keys(PRESETS) as PresetName[]) {
      const settings = resolveHyperparameters({}, preset);
      expect(Object.keys(settings).sort()).toEqual([...HYPERPARAMETER_KEYS].sort());
      expect(overrideHyperparameters(resolveHyperparameters(), [settings])).toEqual(settings);
    }
  });

  it("read Python's and JSON's words", () => {
    expect(['True', 'False', 'None', '3e-3', 'null', '[1]', 'ia3_bias'].map(parseScalar)).toEqual([
      true,
      false,
      null,
      0.003,
      null,
      [1],
      'ia3_bias',
    ]);
  });
});
