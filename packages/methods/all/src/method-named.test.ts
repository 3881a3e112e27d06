import { attachAdapter, combineMethods, describeModel } from '@peft/core';
import { bert, llama } from '@peft/models';
import { describe, expect, it } from 'vitest';
import type { NamedMethod } from './all-methods.js';
import { AUTOGLUON_METHODS } from './autogluon-methods.js';
import { listMethods } from './list-methods.js';
import { methodNamed, methodNames } from './method-named.js';

const config = {
  model_type: 'bert',
  vocab_size: 40,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 16,
};
/** Options that a method has no default for. */
const REQUIRED: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  adalora: { totalSteps: 100 },
  'adapter-fusion': { adapters: ['a', 'b'] },
  'trainable-tokens': { tokenIndices: [1] },
  xlora: { adapters: [{ rank: 2 }], trainableAdapters: true },
};
const description = describeModel(bert, bert.parseConfig(config), {
  kind: 'sequence-classification',
  outputs: 3,
});
const wrapped = (...call: Parameters<typeof methodNamed>) =>
  attachAdapter('a', methodNamed(...call), description, undefined).wrappedSites.map(
    ({ path }) => path,
  );

describe('methodNamed', () => {
  it('makes something of every name that it lists', () => {
    const names = methodNames();
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(['lora', 'full', 'mam', 'unipelt', 'qlora']));
    for (const name of names)
      expect(methodNamed(name, REQUIRED[name]).parts.length, name).toBeGreaterThan(0);
    expect(listMethods().map(({ name }) => name)).toEqual(names);
  });

  it("takes a method's own layers, and AutoGluon's where they are asked for", () => {
    const own = wrapped('lora');
    const theirs = wrapped('lora', {}, { layers: 'autogluon' });
    expect(own).toEqual(theirs);
    // AutoGluon's trains the pooler beside them
    expect(methodNamed('lora').parts).toHaveLength(1);
    expect(methodNamed('lora', {}, { layers: 'autogluon' }).parts).toHaveLength(2);
    expect(wrapped('ia3_bias', { filter: ['key'] })).toHaveLength(2);
  });

  it('gives options to the parser of the method', () => {
    expect(methodNamed('lora', { rank: 3 }).parts[0]!.config).toMatchObject({ rank: 3 });
    expect(() => methodNamed('lora', { rnak: 3 })).toThrow('"rank"');
    expect(() => methodNamed('ia3_bias', { rnak: 3 })).toThrow('ia3_bias: unknown option "rnak"');
    expect(() => methodNamed('full', { rank: 3 })).toThrow('full: unknown option "rank"');
  });

  it('looks plug-ins up first', () => {
    const call: unknown = Object.defineProperty(() => methodNamed('bitfit'), 'name', {
      value: 'mine',
    });
    const mine = call as NamedMethod; // a stand-in: only its name and its call are looked at
    expect(methodNamed('mine', {}, { plugins: [mine] }).name).toBe('bitfit');
    expect(methodNames([mine])[0]).toBe('mine');
  });

  it('names the nearest name', () => {
    expect(() => methodNamed('houlsbi')).toThrow('there is no method "houlsbi".');
    expect(() => methodNamed('houlsbi')).toThrow('"houlsby"');
  });

  it("has all of AutoGluon's values", () => {
    expect(methodNames()).toEqual(expect.arrayContaining([...AUTOGLUON_METHODS]));
  });
});

it('two methods that run something ahead of each pass do not share an adapter', () => {
  const decoder = describeModel(llama, llama.parseConfig({ ...config, model_type: 'llama' }), {
    kind: 'causal-lm',
  });
  const both = combineMethods(
    'both',
    methodNamed('xlora', REQUIRED['xlora']),
    methodNamed('shadow'),
  );
  expect(() => attachAdapter('a', both, decoder, undefined)).toThrow(
    'xlora and shadow both run something ahead of each pass, which an adapter has once',
  );
});
