/**
 * Counts what each method trains on three well-known models, from their configs alone: `node
 * tools/run-source.mjs tools/checks/count-parameters.ts` prints docs/trainable-parameters.md.
 */
import { pathToFileURL } from 'node:url';
import { adalora } from '@peft/adalora';
import { houlsby, parallelAdapter, pfeiffer } from '@peft/adapter';
import { bitfit, lnTuning } from '@peft/bitfit';
import {
  adapterCounts,
  architectureFor,
  attachAdapter,
  describeModel,
  type Adapter,
  type HeadOptions,
  type MethodSpec,
} from '@peft/core';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { loha, lokr } from '@peft/lycoris';
import { mam, unipelt } from '@peft/mam';
import { architectures } from '@peft/models';
import { oft } from '@peft/oft';
import { prefixTuning, promptTuning, pTuning } from '@peft/prompt-tuning';
import { trainableTokens } from '@peft/trainable-tokens';
import { vera } from '@peft/vera';

export interface CountedModel {
  readonly name: string;
  readonly head: HeadOptions;
  readonly config: Readonly<Record<string, unknown>>;
}

export const COUNTED_MODELS: readonly CountedModel[] = [
  { name: 'bert-base-uncased', head: { kind: 'none' }, config: { model_type: 'bert' } },
  {
    name: 't5-base',
    head: { kind: 'seq2seq-lm' },
    config: {
      model_type: 't5',
      vocab_size: 32128,
      d_model: 768,
      d_kv: 64,
      d_ff: 3072,
      num_layers: 12,
      num_heads: 12,
      feed_forward_proj: 'relu',
      tie_word_embeddings: true,
    },
  },
  {
    name: 'Llama-3-8B',
    head: { kind: 'causal-lm' },
    config: {
      model_type: 'llama',
      vocab_size: 128256,
      hidden_size: 4096,
      intermediate_size: 14336,
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      max_position_embeddings: 8192,
      rope_theta: 500000,
      tie_word_embeddings: false,
    },
  },
];

export const COUNTED_METHODS: readonly (readonly [title: string, make: () => MethodSpec])[] = [
  ['`lora({ rank: 8 })`', () => lora({ rank: 8 })],
  ["`lora({ rank: 8, targets: 'all-linear' })`", () => lora({ rank: 8, targets: 'all-linear' })],
  ['`lora({ rank: 8, dora: true })`', () => lora({ rank: 8, dora: true })],
  ['`adalora({ initialRank: 12, … })`', () => adalora({ initialRank: 12, totalSteps: 1000 })],
  ['`vera({ rank: 256 })`', () => vera({ rank: 256 })],
  ['`loha({ rank: 8 })`', () => loha({ rank: 8 })],
  ['`lokr({ rank: 8 })`', () => lokr({ rank: 8 })],
  ['`oft({ blockSize: 32 })`', () => oft({ blockSize: 32 })],
  ['`ia3()`', () => ia3()],
  ['`bitfit()`', () => bitfit()],
  ['`lnTuning()`', () => lnTuning()],
  ['`trainableTokens({ tokenIndices: [1, 2] })`', () => trainableTokens({ tokenIndices: [1, 2] })],
  ['`promptTuning({ virtualTokens: 20 })`', () => promptTuning({ virtualTokens: 20 })],
  ['`pTuning({ virtualTokens: 20 })`', () => pTuning({ virtualTokens: 20 })],
  ['`prefixTuning({ virtualTokens: 20 })`', () => prefixTuning({ virtualTokens: 20 })],
  ['`houlsby()`', () => houlsby()],
  ['`pfeiffer()`', () => pfeiffer()],
  ['`parallelAdapter()`', () => parallelAdapter()],
  ['`mam()`', () => mam()],
  ['`unipelt()`', () => unipelt()],
];

/** Markdown. */
export function countTable(): string {
  const rows = COUNTED_METHODS.map(
    ([title, make]) =>
      `| ${title} | ${COUNTED_MODELS.map((model) => countOf(attachedTo(model, make()))).join(' | ')} |`,
  );
  return [
    '# Trainable parameters',
    '',
    "What each method trains with its default targets, heads apart, counted on the models' " +
      'configs by `tools/checks/count-parameters.ts`. A dash: the model has nothing that the ' +
      'method could attach to.',
    '',
    `| method | ${COUNTED_MODELS.map(({ name }) => name).join(' | ')} |`,
    `|---|${COUNTED_MODELS.map(() => '---:|').join('')}`,
    ...rows,
    '',
    'Where PEFT has the method, its `get_nb_trainable_parameters` says the same numbers, ' +
      'with its own default targets (LN tuning of BERT, for which it has none, with ours):',
    '`tools/python/peft-counts-the-same.test.ts` asks it wherever Python has it, on models ' +
      'without weights. PEFT lacks BitFit, the bottleneck adapters, MAM and UniPELT; their',
    "numbers follow from the layers' sizes in `tools/checks/count-parameters.test.ts`.",
    '',
  ].join('\n');
}

/**
 * The method on a model without weights, no head's module beside it; undefined where nothing is to
 * attach to.
 */
export function attachedTo({ config, head }: CountedModel, spec: MethodSpec): Adapter | undefined {
  const architecture = architectureFor(config['model_type'], architectures);
  const parts = spec.parts.map((part) => ({
    ...part,
    common: { ...part.common, modulesToSave: [] },
  }));
  try {
    return attachAdapter(
      'a',
      { ...spec, parts },
      describeModel(architecture, architecture.parseConfig(config), head),
      undefined,
    );
  } catch (error) {
    if (
      ['PEFT_METHOD_UNSUPPORTED', 'PEFT_TARGET_NOT_FOUND'].includes(
        (error as { code?: string }).code ?? '',
      )
    )
      return undefined;
    throw error;
  }
}

export const trainableCount = (adapter: Adapter): number =>
  adapterCounts(adapter.description, [adapter]).trainable;

const countOf = (adapter: Adapter | undefined): string =>
  adapter ? trainableCount(adapter).toLocaleString('en') : '–';

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  process.stdout.write(countTable());
