import { describe, expect, it } from 'vitest';
import {
  PeftPredictor,
  uncheckedMetric,
  type PredictorData,
  type PredictorOptions,
  type TaskName,
} from '../src/index.js';
import { completions, fixture, predictorOf, tagged } from './quick-tasks.js';

describe('wrong columns and options are named', () => {
  const refusal = async (
    task: TaskName,
    rows: PredictorData,
    options: Partial<PredictorOptions> = {},
  ): Promise<{ code: string; message: string }> => {
    const { predictor } = predictorOf(task, 'llama', options);
    const error: unknown = await predictor.fit(rows).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    predictor.dispose();
    return error as { code: string; message: string };
  };

  it('columns that a task lacks, and how to name them', async () => {
    const error = await refusal('seq2seq', [{ input: 'a', output: 'b' }]);
    expect(error).toMatchObject({
      code: 'PEFT_COLUMN_MISSING',
      message: expect.stringContaining(
        'seq2seq learns from the columns source, target. rows has "input", "output".',
      ) as string,
    });
    expect(error.message).toContain('--map source=input target=output');
    const spans = [{ text: 'Ada left', label: [[0, 3, 'PER']] }];
    expect(await refusal('token-classification', spans)).toMatchObject({
      message: expect.stringContaining('the column "label" says where entities begin') as string,
    });
    const dolly = [{ instruction: 'a', context: 'b', response: 'c' }];
    expect((await refusal('causal-lm', dolly)).message).toContain(
      '(CLI: --map instruction=instruction output=response input=context)',
    );
    expect(await refusal('causal-lm', [{ txt: 'a' }])).toMatchObject({
      code: 'PEFT_COLUMN_MISSING',
      message: expect.stringContaining('prompt, completion; or') as string,
    });
    expect(
      await refusal('causal-lm', completions, {
        columnRoles: { prompt: 'prompt', completion: 'compleetion' },
      }),
    ).toMatchObject({
      code: 'PEFT_COLUMN_MISSING',
      message: expect.stringContaining('"completion"') as string,
    });
    expect(
      await refusal('causal-lm', completions, { columnRoles: { promt: 'prompt' } }),
    ).toMatchObject({
      code: 'PEFT_CONFIG_INVALID',
      message: expect.stringContaining('"prompt"') as string,
    });
  });

  it('cells that are no conversation, list or text', async () => {
    expect(await refusal('causal-lm', [{ messages: 'hello' }])).toMatchObject({
      code: 'PEFT_DATA_INVALID',
      message: expect.stringContaining('row 0') as string,
    });
    expect(
      await refusal('seq2seq', [
        { source: 'a', target: null },
        { source: 'b', target: 'c' },
      ]),
    ).toMatchObject({ code: 'PEFT_DATA_INVALID' });
    expect(
      await refusal('token-classification', [
        { tokens: ['a', 'b'], tags: ['O'] },
        { tokens: ['a'], tags: ['B-X'] },
      ]),
    ).toMatchObject({ code: 'PEFT_TAGS_INVALID' });
    expect(
      await refusal('token-classification', [{ tokens: ['a', 'b'], tags: ['O', 'O'] }]),
    ).toMatchObject({ code: 'PEFT_TAGS_INVALID' });
  });

  it('a metric of another task, and a model of another kind', async () => {
    expect(
      await refusal('causal-lm', completions, { evalMetric: uncheckedMetric('rogueL') }),
    ).toMatchObject({
      code: 'PEFT_METRIC_UNKNOWN',
      message: expect.stringContaining('rougeL') as string,
    });
    expect(await refusal('token-classification', tagged, { evalMetric: 'mcc' })).toMatchObject({
      code: 'PEFT_METRIC_UNKNOWN',
    });
    expect(
      await refusal('causal-lm', completions, {
        hyperparameters: { 'model.hf_text.checkpoint_name': fixture('bert') },
      }),
    ).toMatchObject({ code: 'PEFT_MODEL_HEAD' });
  });

  it('options of another task', () => {
    expect(() => new PeftPredictor({ task: 'causal-ml' as never })).toThrow(/causal-lm/);
    expect(() => new PeftPredictor({ task: 'causal-lm', label: 'x' })).toThrow(/no label column/);
    expect(() => new PeftPredictor({ label: 'x', columnRoles: { prompt: 'x' } })).toThrow(
      /columnRoles/,
    );
    expect(() => new PeftPredictor({})).toThrow(/label/);
    expect(
      () => new PeftPredictor({ task: 'regression', label: 'x', problemType: 'binary' }),
    ).toThrow(/problemType/);
  });
});
