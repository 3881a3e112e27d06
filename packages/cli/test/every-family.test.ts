/**
 * Each family that is registered, from the look at it to what others load: inspect, plan, fit by two
 * methods, write or predict, export. A sample of them; all with `PEFT_LONG_TESTS=1`, or of these the n-th of m parts
 * with `PEFT_PART=n/m`.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { architectures } from '@peft/models';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { smallModel } from '../../predictor/test/small-model.js';
import { peft } from './fake-terminal.js';
import { fixture, NOUNS, QUICK } from './tiny-llama.js';

const isLong = process.env['PEFT_LONG_TESTS'] === '1';
const [PART, PARTS] = (process.env['PEFT_PART'] ?? '1/1').split('/').map(Number) as [
  number,
  number,
];
const ENGINE = ['--engine', 'portable'];

/** `gemma3_text` lies in a folder of a shorter name; that with images has no fixture of its own. */
const TYPES = architectures
  .flatMap(({ modelTypes }) => modelTypes)
  .filter((type) => type !== 'gemma3');
const folderOf = (type: string): string => type.replace(/_text$/, '');

/** One of each kind. */
const SAMPLE = ['distilbert', 'olmo3', 'mixtral', 'marian'];
const CHOSEN = isLong ? TYPES.filter((_, i) => i % PARTS === PART - 1) : SAMPLE;

const METHODS = ['lora', 'ia3_bias'] as const;
/** Whole models, and what to expect of a type that loses nothing. */
const TARGETS = [
  ['safetensors', 'f32'],
  ['gguf', 'F32'],
  ['onnx', 'fp32'],
] as const;

let folder = '';
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'peft-cli-families-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('every family has a checkpoint here', () => {
  expect(TYPES.filter((type) => !existsSync(join(fixture(folderOf(type)), 'config.json')))).toEqual(
    [],
  );
});

/** A task that the family's own head is for, and rows of it. */
function taskOf(model: string): { task: string; rows: readonly object[]; words: string[] } {
  const { architectures: named } = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8')) as {
    readonly architectures: readonly string[];
  };
  const name = named[0]!;
  if (/ForConditionalGeneration$|MTModel$/.test(name))
    return {
      task: 'seq2seq',
      rows: NOUNS.map((noun) => ({ source: `two ${noun}`, target: noun })),
      words: [],
    };
  if (/ForCausalLM$|LMHeadModel$/.test(name))
    return { task: 'causal-lm', rows: NOUNS.map((noun) => ({ text: `a ${noun}` })), words: [] };
  return {
    task: 'classification',
    rows: NOUNS.map((noun, i) => ({ text: `a ${noun}`, label: `${i % 3}` })),
    words: ['--label', 'label'],
  };
}

async function told(...words: readonly string[]): Promise<string> {
  const { code, out, err } = await peft(...words);
  expect(code, `peft ${words.join(' ')}\n${err}`).toBe(0);
  return out;
}

/** Writes it as a whole model that gives the same results, or refuses it by name. */
async function exportTo([to, exact]: (typeof TARGETS)[number], saved: string): Promise<void> {
  const output = `${saved}-${to}`;
  const named = ['--to', to, '--type', exact, '-o', output, '--json'];
  const { code, out: printed, err } = await peft('export', saved, ...named, ...ENGINE);
  if (code === 0) {
    const { deviation } = JSON.parse(printed) as {
      readonly deviation?: { readonly relative: number };
    };
    if (to !== 'onnx') expect(deviation!.relative, to).toBeLessThan(1e-4);
  } else {
    expect(to, err).not.toBe('safetensors');
    expect(err).toContain('PEFT_EXPORT_UNSUPPORTED');
    expect(err).toMatch(/use safetensors/);
    expect(existsSync(output), to).toBe(false);
  }
  rmSync(output, { recursive: true, force: true });
}

describe(isLong ? 'every family' : 'a sample of the families', () => {
  test.each(CHOSEN)('%s', { timeout: 120_000 }, async (type) => {
    const model = smallModel(folderOf(type), join(folder, type));
    const { task, rows, words } = taskOf(model);
    const table = join(folder, `${type}.jsonl`);
    writeFileSync(table, rows.map((row) => JSON.stringify(row)).join('\n'));

    for (const method of METHODS) {
      const { methods } = JSON.parse(
        await told('inspect', model, '--method', method, '--json'),
      ) as { readonly methods: readonly { readonly trainable: number }[] };
      expect(methods[0]!.trainable, method).toBeGreaterThan(0);
    }
    const { plan } = JSON.parse(await told('plan', model, '--memory', '4GB', '--json')) as {
      readonly plan: { readonly peakBytes: number };
    };
    expect(plan.peakBytes).toBeGreaterThan(0);

    for (const method of METHODS) {
      const out = join(folder, `${type}-${method}`);
      const what = ['--task', task, ...words, '--model', model, '--tune', table];
      await told('fit', table, ...what, '--method', method, '--output', out, ...QUICK);
      if (task === 'classification') {
        const answers = await told('predict', out, table, ...ENGINE);
        expect(answers.trim().split('\n').length).toBeGreaterThanOrEqual(rows.length);
      } else {
        const asked = ['--prompt', 'a cat', '--max-new-tokens', '3'];
        await told('generate', out, ...asked, ...ENGINE); // special tokens alone print nothing
      }
      for (const target of method === 'lora' ? TARGETS : TARGETS.slice(0, 2))
        await exportTo(target, out);
      rmSync(out, { recursive: true, force: true });
    }
  });
});
