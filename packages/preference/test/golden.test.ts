import { describe, expect, it } from 'vitest';
import {
  preference,
  preferenceData,
  readUnpaired,
  unpairedData,
  unpairedPreference,
  type PreferenceOptions,
  type PreferenceRow,
  type Truncation,
  type UnpairedOptions,
} from '../src/index.js';
import {
  expectGolden,
  readGolden,
  stepOf,
  templateOf,
  tokenizerOf,
  useGoldenModels,
  type GoldenCase,
} from './golden-model.js';

/** What TRL 1.13 computed: tools/golden/preference/make_preference_cases.py. */
interface Golden {
  readonly rows: readonly PreferenceRow[];
  readonly chats: readonly PreferenceRow[];
  readonly template: string;
  readonly maxLength: number;
  readonly dpo: {
    readonly tokens: readonly GoldenTokens[];
    readonly chatTokens: readonly GoldenTokens[];
    readonly cases: Readonly<Record<string, TrlCase>>;
  };
  readonly kto: {
    readonly rows: readonly Readonly<Record<'prompt' | 'completion' | 'label', unknown>>[];
    readonly cases: Readonly<Record<string, TrlCase>>;
  };
  readonly withoutReference: { readonly cases: Readonly<Record<string, TrlCase>> };
}
type TrlCase = GoldenCase & { readonly options: TrlOptions };
interface GoldenTokens {
  readonly prompt_ids: readonly number[];
  readonly chosen_ids: readonly number[];
  readonly rejected_ids: readonly number[];
}

/** Options of TRL's trainers, as a case names those that are not its defaults. */
interface TrlOptions {
  readonly loss_type?: string | readonly [string, ...string[]];
  readonly loss_weights?: readonly [number, number];
  readonly beta?: number;
  readonly label_smoothing?: number;
  readonly cpo_alpha?: number;
  readonly simpo_gamma?: number;
  readonly desirable_weight?: number;
  readonly undesirable_weight?: number;
}

/** Ours for theirs. */
function pairOptions(label: string, options: TrlOptions): PreferenceOptions {
  const method = ['cpo', 'orpo'].find((name) => label.startsWith(name)) ?? 'sigmoid';
  return {
    loss: [options.loss_type ?? method].flat()[0],
    beta: options.beta,
    labelSmoothing: options.label_smoothing,
    margin: options.simpo_gamma,
    likelihoodWeight: options.cpo_alpha ?? options.loss_weights?.[1],
  };
}

const unpairedOptions = (options: TrlOptions): UnpairedOptions => ({
  loss: options.loss_type as string | undefined,
  beta: options.beta,
  desirableWeight: options.desirable_weight,
  undesirableWeight: options.undesirable_weight,
});

/** What a case's adapter drops, where it has dropout; TRL switches it off. */
const dropoutOf = (label: string): number => (label.endsWith('lora_dropout') ? 0.3 : 0);

const openGolden = useGoldenModels();

describe.each(['llama', 'qwen3'])('a tiny %s, as TRL 1.13 computes it', (name) => {
  const golden = readGolden<Golden>(name);
  const tokenizer = tokenizerOf(name);
  const dataOf = (
    rows: readonly PreferenceRow[],
    maxLength: number,
    truncation: Truncation = 'keep_start',
  ) =>
    preferenceData(rows, {
      tokenizer,
      template: templateOf(golden.template, tokenizer),
      maxLength,
      truncation,
    });

  it.each([
    ['texts', golden.rows, golden.dpo.tokens],
    ['messages', golden.chats, golden.dpo.chatTokens],
  ] as const)('makes the same tokens of %s', async (_, rows, wanted) => {
    const { inputIds, offsets, tokenLabels } = (await dataOf(rows, 256)).pack(
      rows.map((__, r) => r),
    );
    wanted.forEach(({ prompt_ids: prompt, chosen_ids: chosen, rejected_ids: rejected }, r) => {
      for (const [side, answer] of [chosen, rejected].entries()) {
        const [start, end] = [offsets[2 * r + side]!, offsets[2 * r + side + 1]!];
        expect([...inputIds.slice(start, end)]).toEqual([...prompt, ...answer]);
        expect([...tokenLabels.slice(start, end)]).toEqual([...prompt.map(() => -100), ...answer]);
      }
    });
  });

  it.each([...Object.entries(golden.dpo.cases), ...Object.entries(golden.withoutReference.cases)])(
    '%s: loss, log-probabilities and first gradients',
    async (label, expected) => {
      const hasReference = label in golden.dpo.cases;
      const data = await dataOf(
        golden.rows,
        hasReference ? golden.maxLength : 256,
        label === 'keep_end' ? 'keep_end' : 'keep_start',
      );
      const model = openGolden(name, { dropout: dropoutOf(label) });
      const task = preference(pairOptions(label, expected.options));
      // a mean over tokens is what TRL logs of a loss that averages
      const averaged = /^(simpo|orpo)/.test(label);
      const { 'logps/chosen': _, 'logps/rejected': __, ...rest } = expected.metrics;
      const wanted = averaged ? { ...expected, metrics: rest } : expected;
      expectGolden(await stepOf(model, task, [data.pack([0, 1, 2, 3])]), wanted);
      expectGolden(
        await stepOf(model, task, [data.pack([2]), data.pack([0, 3]), data.pack([1])]),
        wanted,
      );
    },
  );

  // TRL's DPO reads it for other losses alone
  it('smoothed labels of sigmoid weigh the loss of the pair by that of the pair turned round', async () => {
    const turned = golden.rows.map(({ chosen, rejected, ...row }) => ({
      ...row,
      chosen: rejected,
      rejected: chosen,
    }));
    const lossOf = async (rows: readonly PreferenceRow[], labelSmoothing = 0) => {
      const task = preference({ labelSmoothing, beta: 0.5 });
      const packed = (await dataOf(rows, golden.maxLength)).pack([0, 1, 2, 3]);
      return (await stepOf(openGolden(name), task, [packed])).loss;
    };
    const [right, wrong] = [await lossOf(golden.rows), await lossOf(turned)];
    expect(Math.abs(right - wrong)).toBeGreaterThan(1e-3);
    expect(await lossOf(golden.rows, 0.2)).toBeCloseTo(0.8 * right + 0.2 * wrong, 6);
  });

  it.each(Object.entries(golden.kto.cases))('%s on the whole batch', async (label, expected) => {
    const data = await unpairedData(
      golden.kto.rows.map((row, r) => readUnpaired(row, `row ${r}`)),
      { tokenizer, template: templateOf(golden.template, tokenizer), maxLength: golden.maxLength },
    );
    const model = openGolden(name, { dropout: dropoutOf(label) });
    const task = unpairedPreference(unpairedOptions(expected.options));
    const whole = await stepOf(model, task, [data.pack([0, 1, 2, 3])]);
    expectGolden(whole, expected);
    const tokensOf = (row: number): number =>
      data.pack([row]).tokenLabels.filter((token) => token !== -100).length;
    const chosen = [0, 1, 2, 3].filter((row) => golden.kto.rows[row]!.label);
    const tokens = chosen.reduce((sum, row) => sum + tokensOf(row), 0);
    expect(whole.metrics['lengths/chosen']).toBe(tokens / chosen.length);
    // the rotation goes by the rows' numbers, whatever the split
    const parts = [data.pack([3, 1]), data.pack([0]), data.pack([2])];
    expectGolden(await stepOf(model, task, parts), expected);
  });
});
