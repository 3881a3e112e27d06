import { cpSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PeftPredictor } from '../src/index.js';
import { MODEL, quickRows } from './quick.js';
import { useRefusals } from './refusals.js';

const at = useRefusals();
const { refusal } = at;

describe('bad settings are refused', () => {
  it('an unknown hyperparameter, preset, method or option, with the nearest name', async () => {
    expect(
      await refusal(quickRows(20), { fit: { hyperparameters: { 'optim.lrr': 1 } as never } }),
    ).toMatchObject({
      code: 'PEFT_HYPERPARAMETER_UNKNOWN',
      message: expect.stringContaining('"optim.lr"') as string,
    });
    expect(
      await refusal(quickRows(20), { fit: { hyperparameters: { 'optim.lr': 'fast' } as never } }),
    ).toMatchObject({ code: 'PEFT_HYPERPARAMETER_INVALID' });
    expect(
      await refusal(quickRows(20), {
        fit: { hyperparameters: { 'optim.peft': 'ia3_bais' } as never },
      }),
    ).toMatchObject({
      code: 'PEFT_METHOD_UNKNOWN',
      message: expect.stringContaining('"ia3_bias"') as string,
    });
    expect(
      await refusal(quickRows(20), { fit: { presets: 'mulitlingual' as never } }),
    ).toMatchObject({
      code: 'PEFT_PRESET_UNKNOWN',
    });
    expect(await refusal(quickRows(20), { fit: { tuneData: 1 } as never })).toMatchObject({
      code: 'PEFT_CONFIG_UNKNOWN_KEY',
      message: expect.stringContaining('"tuningData"') as string,
    });
    expect(
      await refusal(quickRows(20), { fit: { hyperparameters: { 'data.pos_label': 'politics' } } }),
    ).toMatchObject({ code: 'PEFT_LABEL_UNKNOWN' });
    expect(() => new PeftPredictor({ label: 'x', evalmetric: 'f1' } as never)).toThrow(
      expect.objectContaining({ code: 'PEFT_CONFIG_UNKNOWN_KEY' }),
    );
  });

  it('a folder that is not empty, and leaves it as it was', async () => {
    cpSync(MODEL, at.path, { recursive: true });
    const held = readdirSync(at.path).sort();
    expect(await refusal(quickRows(20))).toMatchObject({ code: 'PEFT_FOLDER_NOT_EMPTY' });
    expect(await refusal(quickRows(20), { fit: { resume: true } })).toMatchObject({
      code: 'PEFT_FOLDER_NOT_EMPTY',
      message: expect.stringContaining('what no predictor wrote') as string,
    });
    expect(readdirSync(at.path).sort()).toEqual(held);
  });
});
