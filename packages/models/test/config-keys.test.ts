/**
 * Every key of each type's config in transformers, with another value: what it does to the
 * reference's logits (tools/cases/make_config_cases.py) it does here, or it is refused by name.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  architectureFor,
  describeModel,
  loadModel,
  type HeadOptions,
  type ModelDescription,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { openCheckpoint } from '@peft/hub';
import { architectures } from '@peft/models';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FIXTURES } from './fixtures.js';

interface KeyCase {
  readonly value: unknown;
  /** On the reference: none, other logits, other tensors, or it refuses the value. */
  readonly effect: 'same' | 'differs' | 'shapes' | 'refused';
  /** The first four and the last four. */
  readonly logits?: readonly number[];
}
interface TypeCase {
  readonly fixture: string;
  readonly task: 'causal' | 'seq2seq' | 'seqcls';
  readonly ids: readonly number[];
  readonly logits: readonly number[];
  readonly keys: Readonly<Record<string, KeyCase>>;
}
type Json = Readonly<Record<string, unknown>>;

const types = JSON.parse(
  readFileSync(new URL('./config-cases.json', import.meta.url), 'utf8'),
) as Readonly<Record<string, TypeCase>>;

/** Rates of dropout that transformers (5.17) does not read in the networks that there are here. */
const UNREAD_RATES: Readonly<Record<string, string>> = {
  'distilbert qa_dropout': 'DistilBertForQuestionAnswering alone reads it',
  'electra summary_last_dropout': 'ElectraSequenceSummary, of multiple choice alone, reads it',
  'falcon attention_dropout': 'FalconAttention has it with ALiBi alone, in the eager form',
  'gpt2 summary_first_dropout': 'GPT2SequenceSummary, of the double-head model alone, reads it',
  'mpt resid_pdrop': 'modeling_mpt reads attn_config.attn_pdrop alone',
  'mpt emb_pdrop': 'modeling_mpt reads attn_config.attn_pdrop alone',
  'phi3 embd_pdrop': 'modeling_phi3 does not name it',
};

/** The reference rounds ALiBi's biases to bfloat16 (build_alibi_tensor of modeling_falcon). */
const COARSE: Readonly<Record<string, number>> = { 'falcon alibi': 2e-2 };

function changed(config: Json, key: string, value: unknown): Json {
  const [outer, inner] = key.split('.') as [string, string | undefined];
  if (inner === undefined) return { ...config, [outer]: value };
  return { ...config, [outer]: { ...(config[outer] as Json), [inner]: value } };
}

const configOf = ({ fixture }: TypeCase): Json =>
  JSON.parse(readFileSync(join(FIXTURES, 'models', fixture, 'config.json'), 'utf8')) as Json;

const headOf = ({ task }: TypeCase): HeadOptions => {
  if (task === 'seqcls') return { kind: 'sequence-classification', outputs: 3 };
  return { kind: task === 'causal' ? 'causal-lm' : 'seq2seq-lm' };
};

/** What is read of a config; `undefined` where it is refused. */
function read(config: Json, head: HeadOptions) {
  return orRefused(() => {
    const architecture = architectureFor(config['model_type'], architectures);
    const parsed = architecture.parseConfig(config);
    const shapes = shapesOf(describeModel(architecture, parsed, head));
    return { values: JSON.stringify(parsed), shapes };
  });
}

function orRefused<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (error instanceof PeftError) return undefined;
    throw error;
  }
}

const shapesOf = ({ parameters }: ModelDescription): string =>
  parameters.map(({ name, shape }) => `${name} ${shape.join('×')}`).join();

/** Keys that are read, and those that change tensors, told apart without any weight. */
test.each(Object.entries(types))(
  '%s: every key that counts in the reference is read or refused',
  (name, type) => {
    const [config, head] = [configOf(type), headOf(type)];
    const base = read(config, head)!;
    const ignored = Object.entries(type.keys).flatMap(([key, { value, effect }]) => {
      const found = read(changed(config, key, value), head);
      if (!found || effect === 'refused') return [];
      if (effect === 'shapes') return found.shapes === base.shapes ? [key] : [];
      const counts = effect === 'differs' || (/drop/.test(key) && !UNREAD_RATES[`${name} ${key}`]);
      return counts && found.values === base.values ? [key] : [];
    });
    expect(ignored).toEqual([]);
  },
);

describe.runIf(process.env['PEFT_LONG_TESTS'])('logits', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createPortableEngine();
    await engine.activate();
  });
  afterAll(() => engine.dispose());

  test.each(Object.entries(types))(
    '%s: every key that is read gives those of the reference, or is refused',
    (name, type) => {
      const [config, head] = [configOf(type), headOf(type)];
      const store = openCheckpoint(join(FIXTURES, 'models', type.fixture));
      const logitsOf = (json: Json): number[] | undefined =>
        orRefused(() => {
          const architecture = architectureFor(json['model_type'], architectures);
          const model = loadModel(architecture, json, store, engine, { head });
          const all = tf.tidy(() => [...model.forward(batchOf(type)).logits!.dataSync()]);
          model.dispose();
          return [...all.slice(0, 4), ...all.slice(-4)];
        });
      const differing = (json: Json, expected: readonly number[], tolerance: number) =>
        logitsOf(json)?.some((value, i) => Math.abs(value - expected[i]!) > tolerance) ?? false;
      expect(differing(config, type.logits, 1e-4), 'the case as it is').toBe(false);
      const base = read(config, head)!;
      const wrong = Object.entries(type.keys).flatMap(([key, { value, effect, logits }]) => {
        const json = changed(config, key, value);
        const isRead = read(json, head)?.values !== base.values;
        if (effect !== 'differs' && !(effect === 'same' && isRead)) return [];
        const tolerance = COARSE[`${name} ${key}`] ?? 1e-4;
        return differing(json, logits ?? type.logits, tolerance) ? [key] : [];
      });
      store.close();
      expect(wrong).toEqual([]);
    },
  );
});

/** The first half of the ids is the decoder's, too. */
function batchOf({ ids, task }: TypeCase) {
  const side = (count: number) => ({
    inputIds: Int32Array.from(ids.slice(0, count)),
    offsets: Int32Array.of(0, count),
  });
  return { ...side(ids.length), decoder: task === 'seq2seq' ? side(ids.length / 2) : undefined };
}

test('every type that has a golden case is here', () => {
  const missing = architectures
    .flatMap(({ modelTypes }) => modelTypes)
    .filter((type) => !(type in types));
  // the text model of texts and images has the config of its text model, see multimodal-text.test.ts
  expect(missing).toEqual(['gemma3']);
});
