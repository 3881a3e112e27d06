/**
 * docs/models.md from the registry and the golden cases: `node tools/run-source.mjs
 * tools/model-docs/model-table.ts --write`.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Architecture } from '@peft/core';
import { QUANTIZED_FORMS } from '@peft/hub';
import {
  architectures,
  decoderArchitectures,
  encoderArchitectures,
  encoderDecoderArchitectures,
} from '@peft/models';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FIXTURES = join(ROOT, 'packages/testing/fixtures/models');
export const PAGE = join(ROOT, 'docs/models.md');

/** Checkpoints of the hub that a family reads, by `model_type`. */
const EXAMPLES: Readonly<Record<string, string>> = {
  bert: 'google-bert/bert-base-cased',
  roberta: 'FacebookAI/roberta-base',
  'xlm-roberta': 'FacebookAI/xlm-roberta-base',
  'xlm-roberta-xl': 'facebook/xlm-roberta-xl',
  camembert: 'almanach/camembert-base',
  electra: 'google/electra-base-discriminator',
  'deberta-v2': 'microsoft/deberta-v3-base',
  distilbert: 'distilbert/distilbert-base-uncased',
  modernbert: 'answerdotai/ModernBERT-base',
  albert: 'albert/albert-base-v2',
  convbert: 'YituTech/conv-bert-base',
  mpnet: 'microsoft/mpnet-base',
  t5: 'google/flan-t5-base',
  mt5: 'google/mt5-small',
  umt5: 'google/umt5-small',
  bart: 'facebook/bart-base',
  mbart: 'facebook/mbart-large-50',
  pegasus: 'google/pegasus-xsum',
  marian: 'Helsinki-NLP/opus-mt-en-de',
  m2m_100: 'facebook/nllb-200-distilled-600M',
  llama: 'meta-llama/Llama-3.2-1B',
  mistral: 'mistralai/Mistral-7B-v0.3',
  qwen2: 'Qwen/Qwen2.5-0.5B',
  qwen3: 'Qwen/Qwen3-0.6B',
  gpt2: 'openai-community/gpt2',
  gemma: 'google/gemma-2b',
  gemma2: 'google/gemma-2-2b',
  gemma3_text: 'google/gemma-3-1b-pt',
  gemma3: 'google/gemma-3-4b-pt',
  phi3: 'microsoft/Phi-3-mini-4k-instruct',
  granite: 'ibm-granite/granite-3.3-2b-base',
  smollm3: 'HuggingFaceTB/SmolLM3-3B',
  olmo2: 'allenai/OLMo-2-0425-1B',
  olmo3: 'allenai/Olmo-3-1025-7B',
  glm4: 'zai-org/GLM-4-9B-0414',
  cohere2: 'CohereLabs/c4ai-command-r7b-12-2024',
  stablelm: 'stabilityai/stablelm-2-1_6b',
  starcoder2: 'bigcode/starcoder2-3b',
  nemotron: 'nvidia/Minitron-4B-Base',
  phi: 'microsoft/phi-2',
  gpt_neox: 'EleutherAI/pythia-410m',
  gpt_neo: 'EleutherAI/gpt-neo-125m',
  opt: 'facebook/opt-350m',
  bloom: 'bigscience/bloom-560m',
  falcon: 'tiiuae/falcon-7b',
  mpt: 'mosaicml/mpt-7b',
  mixtral: 'mistralai/Mixtral-8x7B-v0.1',
  qwen2_moe: 'Qwen/Qwen1.5-MoE-A2.7B',
  qwen3_moe: 'Qwen/Qwen3-30B-A3B',
  olmoe: 'allenai/OLMoE-1B-7B-0924',
  granitemoe: 'ibm-granite/granite-3.1-1b-a400m-base',
  gpt_oss: 'openai/gpt-oss-20b',
  deepseek_v3: 'deepseek-ai/DeepSeek-V3-Base',
};

const TASKS: Readonly<Record<string, string>> = {
  'sequence-classification': 'classes of texts',
  'token-classification': 'classes of tokens',
  'causal-lm': 'writing on',
  'seq2seq-lm': 'text to text',
};

/** Model folders by the `model_type` of their config. */
function casesByType(): ReadonlyMap<string, readonly string[]> {
  const cases = new Map<string, string[]>();
  for (const entry of readdirSync(FIXTURES, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const json = JSON.parse(readFileSync(join(FIXTURES, entry.name, 'config.json'), 'utf8')) as {
      model_type: string;
    };
    cases.set(json.model_type, [...(cases.get(json.model_type) ?? []), entry.name]);
  }
  return cases;
}

/** What every registered type has to have. */
export interface ModelRow {
  readonly family: string;
  readonly modelType: string;
  readonly tasks: readonly string[];
  readonly example: string | undefined;
  readonly cases: readonly string[];
}

export function modelRows(of: readonly Architecture<never>[] = architectures): ModelRow[] {
  const cases = casesByType();
  return of.flatMap(({ family, modelTypes, heads }) =>
    modelTypes.map((modelType) => ({
      family,
      modelType,
      tasks: heads.map((head) => TASKS[head] ?? head),
      example: EXAMPLES[modelType],
      // the text model of texts and images is computed by the text family's own code
      cases:
        cases.get(modelType) ?? (modelType === 'gemma3' ? (cases.get('gemma3_text') ?? []) : []),
    })),
  );
}

const table = (of: readonly Architecture<never>[]): string =>
  [
    '| `model_type` | family | for example | tasks beside embeddings | checked by |',
    '|---|---|---|---|---|',
    ...modelRows(of).map(
      ({ modelType, family, example, tasks, cases }) =>
        `| \`${modelType}\` | ${family} | \`${example}\` | ${tasks.join(', ')} | ` +
        `${cases.map((name) => `\`${name}\``).join(', ')} |`,
    ),
  ].join('\n');

/** `quant_method` of the checkpoints that are read. */
const quantisers = (): string => QUANTIZED_FORMS.map(({ method }) => `\`${method}\``).join(', ');

const modelTypeCount = (): number => architectures.flatMap(({ modelTypes }) => modelTypes).length;

/** The whole page. */
export const modelPage = (): string => `# Models

${modelTypeCount()} values of \`model_type\` in a \`config.json\` are read. Checkpoints are Hugging Face's:
\`model.safetensors\`, in one file or in shards, in float32, float16 or bfloat16, or already quantised by
${quantisers()}. Names of modules and parameters are those of transformers, so that PEFT's target names,
regular expressions and files fit. "Checked by" names the folder below
\`packages/testing/fixtures/models\` with the numbers of transformers that the model's hidden states, logits,
loss, gradients and greedy text agree with.

An option of a config that changes the mathematics and is not supported is refused by name before a weight
is read; so is an unknown \`model_type\`, with the nearest known ones. Adding a family is one file:
[add-a-model.md](add-a-model.md).

This page is made by \`node tools/run-source.mjs tools/model-docs/model-table.ts --write\`.

## Encoders

${table(encoderArchitectures)}

## Encoder-decoders

${table(encoderDecoderArchitectures)}

## Decoders

${table(decoderArchitectures)}
`;

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv.includes('--write'))
  writeFileSync(PAGE, modelPage());
