/** Log-probabilities of a reference that a further run finds, and those that it must not. */
import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Model } from '@peft/core';
import { openCheckpoint } from '@peft/hub';
import { useTemporaryFolder } from '@peft/testing';
import { describe, expect, it, vi } from 'vitest';
import {
  fileReferenceCache,
  hashWeights,
  memoryReferenceCache,
  preference,
  preferenceData,
  unpaired,
  unpairedData,
  unpairedPreference,
  type PreferenceRow,
  type Truncation,
} from '../src/index.js';
import { lorasOf, stepOf, templateOf, tokenizerOf, useGoldenModels } from './golden-model.js';

const LLAMA = fileURLToPath(new URL('../../testing/fixtures/models/llama', import.meta.url));
const ROWS: readonly PreferenceRow[] = [
  { prompt: 'Name a fruit.', chosen: ' An apple.', rejected: ' A stone.' },
  { prompt: 'Say hello', chosen: ' Hello there, my friend', rejected: ' No' },
];
const CHATS: readonly PreferenceRow[] = ROWS.map(({ prompt, chosen, rejected }) => ({
  prompt: [{ role: 'user', content: prompt as string }],
  chosen: [{ role: 'assistant', content: chosen as string }],
  rejected: [{ role: 'assistant', content: rejected as string }],
}));
const PLAIN = "{% for m in messages %}{{ m['content'] }}{% endfor %}";
const NAMED = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% endfor %}";

let folder: string;
useTemporaryFolder((made) => (folder = made));
const open = useGoldenModels();

interface Changes {
  readonly rows?: readonly PreferenceRow[];
  readonly maxLength?: number;
  readonly truncation?: Truncation;
  readonly template?: string;
  readonly base?: string;
  readonly prepare?: (model: Model) => void;
}

/** A step of a run of its own. @returns its loss, and how often the reference ran */
async function runOn({ rows = ROWS, base = 'a base', prepare, ...changes }: Changes = {}) {
  const tokenizer = tokenizerOf('llama');
  const data = await preferenceData(rows, {
    tokenizer,
    maxLength: 64,
    ...changes,
    template: templateOf(changes.template ?? PLAIN, tokenizer),
  });
  const model = open('llama');
  prepare?.(model);
  const loss = async (cache = fileReferenceCache(folder, base)): Promise<readonly number[]> => {
    const reference = vi.spyOn(model, 'setActiveAdapters');
    const bare = vi.spyOn(model, 'withAdaptersDisabled');
    const step = await stepOf(model, preference({ cache }), [data.pack([0]), data.pack([1])]);
    const runs = reference.mock.calls.length / 2 + bare.mock.calls.length;
    vi.restoreAllMocks();
    return [step.loss, runs];
  };
  const [value, runs] = await loss();
  // what was found is what would have been computed, bit for bit
  expect((await loss(memoryReferenceCache()))[0]).toBe(value);
  return runs;
}

describe('a cache on disk', () => {
  it('serves a further run with what another one computed', async () => {
    expect(await runOn()).toBe(2);
    expect(await runOn()).toBe(0);
    const [file, ...others] = readdirSync(folder);
    expect(others).toEqual([]);
    expect(file).toMatch(/^[0-9a-f]{64}\.reference$/);
    expect(statSync(join(folder, file!)).size).toBe(4 * 24); // four answers
  });

  it.each<readonly [string, Changes, Changes, number]>([
    ['another row', {}, { rows: [ROWS[0]!, { ...ROWS[1]!, rejected: ' Never' }] }, 1],
    ['another prompt', {}, { rows: [{ ...ROWS[0]!, prompt: 'Name a thing.' }, ROWS[1]!] }, 1],
    ['another length', {}, { maxLength: 13 }, 2],
    ['another end that is cut', { maxLength: 13 }, { maxLength: 13, truncation: 'keep_end' }, 2],
    ['another template', { rows: CHATS }, { rows: CHATS, template: NAMED }, 2],
    ['another base', {}, { base: 'another base' }, 2],
    [
      'an adapter that stays',
      {},
      {
        prepare: (model) => {
          const spec = model.adapter('default').spec;
          model.addAdapter('beneath', spec).isTrainable = false;
          model.setActiveAdapters('beneath', 'default');
        },
      },
      2,
    ],
  ])('is not met by %s', async (_, before, after, computed) => {
    await runOn(before);
    expect(await runOn(after)).toBe(computed);
    expect(await runOn(after)).toBe(0);
  });

  it('tells bases apart by every byte of their weights', () => {
    const store = openCheckpoint(LLAMA);
    const wanted = hashWeights(store);
    expect(hashWeights(store)).toBe(wanted);
    const name = [...store.names()].at(-1)!;
    const source = store.get(name)!;
    const changed = hashWeights({
      names: () => store.names(),
      get: (each) =>
        each !== name
          ? store.get(each)
          : {
              ...source,
              byteLength: source.byteLength,
              dtype: source.dtype,
              shape: source.shape,
              name,
              read: (at = 0, length = source.byteLength - at) => {
                const bytes = source.read(at, length);
                bytes[length - 1]! ^= 1; // the last bit of the last weight
                return bytes;
              },
            },
    });
    store.close();
    expect(changed).not.toBe(wanted);
  });

  it('loses what a stopped run has half written, and nothing before it', async () => {
    await runOn();
    const path = join(folder, readdirSync(folder)[0]!);
    const whole = readFileSync(path);
    writeFileSync(path, whole.subarray(0, whole.length - 7)); // one of the second row's two
    expect(await runOn()).toBe(1);
    expect(readFileSync(path)).toEqual(whole);
    appendFileSync(path, Buffer.alloc(100)); // a hole
    expect(await runOn()).toBe(0);
    expect(statSync(path).size).toBe(whole.length);
    const spoilt = Buffer.from(whole);
    spoilt[whole.length - 30]! ^= 1; // a value that its sum does not fit
    writeFileSync(path, spoilt);
    expect(await runOn()).toBe(1);
  });

  it('names a folder that cannot be written', () => {
    const path = join(folder, 'a file');
    writeFileSync(path, '');
    const cache = fileReferenceCache(join(path, 'below a file'), 'a base');
    expect(() => cache.add(new Map([['0'.repeat(32), -1]]))).toThrow(
      expect.objectContaining({ code: 'PEFT_REFERENCE_CACHE' }),
    );
  });

  it('serves single answers', async () => {
    const tokenizer = tokenizerOf('llama');
    const data = await unpairedData(unpaired(ROWS), {
      tokenizer,
      template: templateOf(PLAIN, tokenizer),
      maxLength: 64,
    });
    const losses: number[] = [];
    for (const runs of [2, 0]) {
      const model = open('llama');
      const bare = vi.spyOn(model, 'withAdaptersDisabled');
      const task = unpairedPreference({ cache: fileReferenceCache(folder, 'a base') });
      losses.push((await stepOf(model, task, [data.pack([0, 1, 2, 3])])).loss);
      expect(bare).toHaveBeenCalledTimes(runs); // the answers, and those behind other prompts
      expect(lorasOf(model).length).toBeGreaterThan(0);
    }
    expect(losses[0]).toBe(losses[1]);
  });
});
