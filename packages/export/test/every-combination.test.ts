/**
 * What a fit saved answers the same once it was exported, or the export is refused by name and leaves
 * nothing: every method, on every kind of base, for every kind of vocabulary and template, in every
 * format. A sample of them; all with `PEFT_LONG_TESTS=1`, or of these the n-th of m parts with
 * `PEFT_PART=n/m`.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PeftError } from '@peft/errors';
import { allMethods, methodNamed, methodNames } from '@peft/methods';
import { loadLanguageModel, type LanguageModel } from '@peft/predictor';
import { useTemporaryFolder } from '@peft/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { allFormats, exportModel, type ExportFormat } from '../src/index.js';
import { fixtureModel } from './fixtures.js';
import { savedFolder } from './saved-folder.js';

const engine = 'portable';
const isLong = process.env['PEFT_LONG_TESTS'] === '1';
const [PART, PARTS] = (process.env['PEFT_PART'] ?? '1/1').split('/').map(Number) as [
  number,
  number,
];
let folder = '';
useTemporaryFolder((made) => (folder = made));
/** GGUF files that are bases, written when the first combination asks for one. */
const bases = mkdtempSync(join(tmpdir(), 'peft-bases-'));
afterAll(() => rmSync(bases, { recursive: true, force: true }));

/** Options without which a method does not fit models of 32 to 64 features. */
const OPTIONS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  ...Object.fromEntries(allMethods.map(({ name, exampleOptions }) => [name, exampleOptions ?? {}])),
  vblora: { vectors: 300, vectorLength: 4 },
  c3a: { blockSize: 8 },
  road: { groupSize: 8 },
  miss: { rank: 4 },
  shira: { rank: 2 },
  fourierft: { frequencies: 50 },
  waveft: { frequencies: 50 },
  compacter: { reductionFactor: 4 },
  'compacter++': { reductionFactor: 4 },
  adamss: { rank: 8, subspaces: 2 },
  psoft: { rank: 8 },
};
const METHODS = methodNames().filter((name) => name !== 'adapter-fusion'); // needs trained ones

/** Settings of each kind of base, or the type of a GGUF file that it is. */
const BASES = {
  f32: {},
  bf16: { 'model.hf_text.quantization': 'bf16' },
  nf4: { 'model.hf_text.quantization': 'nf4' },
  int8: { 'model.hf_text.quantization': 'int8' },
  gguf: {},
} as const;
type Base = keyof typeof BASES;

const VARIANTS = {
  untied: { model: 'llama', settings: {} },
  tied: { model: 'qwen3', settings: {} },
  grown: { model: 'llama', settings: { 'data.added_tokens': ['<new>', '<other>'] } },
  template: { model: 'qwen2', settings: { 'data.chat_template': 'chatml' } },
} as const;
type Variant = keyof typeof VARIANTS;

/** Unrounded, so that what differs is a fault. */
const EXACT_TYPE: Readonly<Record<string, string>> = {
  safetensors: 'f32',
  gguf: 'F32',
  ollama: 'F32',
  'gguf-lora': 'F32',
  onnx: 'fp32',
};
/** What a fit may be refused with: the model has no place for the method. */
const FIT_REFUSALS = ['PEFT_METHOD_UNSUPPORTED', 'PEFT_NOTHING_TRAINS'];
/** What an export may be refused with. */
const REFUSALS = [
  'PEFT_EXPORT_UNSUPPORTED',
  'PEFT_MERGE_INEXACT',
  'PEFT_LORA_NEAREST',
  'PEFT_FORMAT_UNSUPPORTED', // a layout has no words for the method's options
];

const PROMPT = [{ role: 'user', content: 'a cat <new> sleeps' }];

/** Tokens of a prompt and those that end an answer, as a model has them. */
function talkOf(model: LanguageModel): object {
  const plain = [...model.tokenizer.ids('a cat <new> sleeps')];
  try {
    const chat = model.chatTemplate().render(PROMPT, { addGenerationPrompt: true });
    return { plain, chat: [...model.tokenizer.ids(chat)], ends: model.chatEnds().endIds };
  } catch (error) {
    expect((error as PeftError).code).toBe('PEFT_CHAT_TEMPLATE_MISSING');
    return { plain, ends: model.ends.endIds };
  }
}

async function talkIn(path: string): Promise<object> {
  const model = await loadLanguageModel(path, { engine });
  try {
    return talkOf(model);
  } finally {
    model.dispose();
  }
}

/** A fit of one step. @returns its folder; what it was refused with, where it does not train */
async function fitted(
  method: string,
  base: Base,
  variant: Variant,
): Promise<{ readonly saved: string } | { readonly refusal: string }> {
  const { model, settings } = VARIANTS[variant];
  const path = join(folder, 'saved');
  try {
    const saved = await savedFolder(folder, 'saved', 'causal-lm', model, {
      method: methodNamed(method, OPTIONS[method]),
      settings: {
        'optim.max_steps': 1,
        ...settings,
        ...BASES[base],
        ...(base === 'gguf' ? { 'model.hf_text.checkpoint_name': await ggufBase(model) } : {}),
      },
    });
    return { saved };
  } catch (error) {
    if (!(error instanceof PeftError)) throw error;
    expect(FIT_REFUSALS, `${error.code} ${error.message}`).toContain(error.code);
    expect(existsSync(join(path, 'predictor.json'))).toBe(false);
    return { refusal: error.code };
  }
}

/** The model as a Q8_0 file. */
async function ggufBase(model: string): Promise<string> {
  const output = join(bases, `${model}.gguf`);
  if (existsSync(output)) return output;
  await exportModel(fixtureModel(model), { to: 'gguf', output, engine, probe: false });
  return output;
}

/** @returns what became of it, for the table at the end. */
async function leaves(saved: string, format: ExportFormat): Promise<string> {
  const { name, isAdapter = false, hasRank = false } = format;
  const output = join(folder, `out-${name}`);
  try {
    const { deviation } = await exportModel(saved, {
      to: name,
      type: EXACT_TYPE[name],
      rank: hasRank ? 64 : undefined,
      output,
      engine,
    });
    if (deviation) expect(deviation.relative, name).toBeLessThan(1e-4);
    if (name === 'safetensors') expect(await talkIn(output)).toEqual(await talkIn(saved));
    if (name === 'gguf')
      expect(await talkIn(join(output, `out-gguf-F32.gguf`))).toEqual(await talkIn(saved));
    return isAdapter ? 'adapter' : 'model';
  } catch (error) {
    if (!(error instanceof PeftError)) throw error;
    expect(REFUSALS, `${name}: ${error.code} ${error.message}`).toContain(error.code);
    expect(existsSync(output), name).toBe(false);
    return error.code;
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
}

const told: Record<string, number> = {};
const tell = (what: string): void => void (told[what] = (told[what] ?? 0) + 1);
afterAll(() => isLong && console.log(told));

const ALL = METHODS.flatMap((method) =>
  (Object.keys(BASES) as Base[]).flatMap((base) =>
    (Object.keys(VARIANTS) as Variant[]).map((variant) => [method, base, variant] as const),
  ),
);
/** Each base and variant once: methods that are LoRA, merge, do not, or change every weight. */
const SAMPLE = [
  ['lora', 'f32', 'template'],
  ['ia3', 'bf16', 'tied'],
  ['lora', 'nf4', 'grown'],
  ['houlsby', 'int8', 'grown'],
  ['full', 'gguf', 'untied'],
] as const;

const EXTENT = isLong ? `every combination (part ${PART} of ${PARTS})` : 'a sample of combinations';
const COMBINATIONS = isLong ? ALL.filter((_, i) => i % PARTS === PART - 1) : SAMPLE;

describe(EXTENT, () => {
  test.each(COMBINATIONS)('%s on %s, %s', { timeout: 60_000 }, async (...combination) => {
    const fit = await fitted(...combination);
    tell('refusal' in fit ? `fit: ${fit.refusal}` : 'fit: saved');
    if ('refusal' in fit) return;
    for (const format of allFormats) tell(`${format.name}: ${await leaves(fit.saved, format)}`);
  });
});
