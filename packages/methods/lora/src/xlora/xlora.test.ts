/** X-LoRA's adapters in folders: which are read, what is written beside the classifier, and what is refused. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { KeyValueCache, loadAdapter, saveAdapter, type Model } from '@peft/core';
import { openSafetensors, writeSafetensors } from '@peft/hub';
import type { Engine } from '@peft/ops';
import {
  moveParameters,
  tinyModels,
  useModel,
  usePortableEngine,
  useTemporaryFolder,
} from '@peft/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { lora } from '../lora.js';
import { xlora } from './xlora.js';
import type { XloraConfig } from './xlora-config.js';

const [, encoderDecoder, decoder] = tinyModels();
const methods = [lora, xlora];

describe('X-LoRA', () => {
  let engine: Engine;
  let model: Model;
  let folder: string;
  usePortableEngine((made) => (engine = made));
  useTemporaryFolder((made) => (folder = made));
  useModel(
    () => decoder!.open(engine),
    (made) => (model = made),
  );
  const logits = (of: Model = model, options?: Parameters<Model['forward']>[1]): Float32Array =>
    tf.tidy(() => of.forward(decoder!.batch, options).logits!.dataSync<'float32'>().slice());
  const places = () => ['law', 'code'].map((name) => join(folder, name));
  /** LoRA adapters in folders. */
  const write = async (name: string, options: Parameters<typeof lora>[0]): Promise<void> => {
    moveParameters(model.addAdapter(name, lora({ rank: 2, ...options })), name, 0.3);
    await saveAdapter(model, name, join(folder, name));
    model.deleteAdapter(name);
  };
  const add = (options: Partial<XloraConfig> = {}): Model => {
    moveParameters(model.addAdapter('mixed', xlora({ adapters: places(), ...options })), 3, 0.3);
    return model;
  };
  beforeEach(async () => {
    await write('law', { targets: ['q_proj', 'down_proj'], alpha: 5 });
    await write('code', { targets: ['q_proj'], rank: 3 });
  });

  it('with one adapter of weight 1 is that adapter', async () => {
    await loadAdapter(model, places()[0]!, { name: 'alone', methods });
    const alone = logits();
    model.addAdapter('mixed', xlora({ adapters: [places()[0]!] }));
    expect(logits()).toBeAllclose(alone, { atol: 1e-5 });
    model.addAdapter('none', xlora({ adapters: [places()[0]!], strength: 0 }));
    expect(logits()).toBeAllclose(
      model.withAdaptersDisabled(() => logits()),
      { atol: 1e-6 },
    );
  });

  it('keeps its adapters inside of its folder, where they are LoRA of their own', async () => {
    add();
    const path = join(folder, 'saved');
    await saveAdapter(model, 'mixed', path);
    const config = JSON.parse(readFileSync(join(path, 'adapter_config.json'), 'utf8')) as object;
    expect(config).toMatchObject({ adapters: { 0: places()[0], 1: places()[1] }, hidden_size: 12 });
    for (const [n, place] of places().entries()) {
      const read = (file: string) => readFileSync(join(path, String(n), file));
      expect(read('adapter_model.safetensors')).toEqual(
        readFileSync(join(place, 'adapter_model.safetensors')),
      );
      expect(JSON.parse(String(read('adapter_config.json')))).toEqual(
        JSON.parse(readFileSync(join(place, 'adapter_config.json'), 'utf8')),
      );
    }
    // they count before what the config names
    const before = logits();
    cpSync(places()[0]!, places()[1]!, { recursive: true });
    await loadAdapter(model, path, { name: 'again', methods });
    expect(logits()).toEqual(before);
  });

  it('writes adapters that have trained along, and reads them', async () => {
    add({ trainableAdapters: true });
    const trained = logits();
    expect(model.trainables().some(({ name }) => name.includes('xlora_1.lora_B'))).toBe(true);
    await saveAdapter(model, 'mixed', join(folder, 'saved'));
    await loadAdapter(model, join(folder, 'saved'), { name: 'again', methods });
    expect(logits()).toEqual(trained);
  });

  it('reads where the config says, beside itself, past what PEFT 0.21 leaves inside', async () => {
    add();
    const before = logits();
    const path = join(folder, 'saved');
    await saveAdapter(model, 'mixed', path);
    const store = openSafetensors(join(path, '0', 'adapter_model.safetensors'));
    const [name] = store.names();
    store.close();
    await writeSafetensors(join(path, '0', 'adapter_model.safetensors'), [
      {
        name: name!.replace('base_model.', 'base_model.lora_model.'),
        dtype: 'F32',
        shape: [1],
        data: new Float32Array(1),
      },
    ]);
    const file = join(path, 'adapter_config.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify({ ...config, adapters: { 0: '../law', 1: '../code' } }));
    await loadAdapter(model, path, { name: 'again', methods });
    expect(logits()).toEqual(before);
    writeFileSync(file, JSON.stringify({ ...config, adapters: { law: '../law' } }));
    await expect(loadAdapter(model, path, { name: 'named', methods })).rejects.toThrow(
      'the adapters of adapter_config.json are named law',
    );
  });

  it('drops in training alone, the same for the same step', () => {
    add({ depth: 2, width: 6, dropout: 0.5 });
    const at = (step: number) => logits(model, { training: true, randomParts: [step] });
    expect(at(1)).toEqual(at(1));
    expect(at(1)).not.toEqual(at(2));
    expect(logits()).toEqual(logits());
  });

  it('refuses a cache, a stage, and a model of two stacks', () => {
    add();
    expect(() => logits(model, { cache: new KeyValueCache() })).toThrow(
      expect.objectContaining({ code: 'PEFT_CACHE_ADAPTER' }),
    );
    expect(() => logits(model, { window: { first: 0, end: 1 } as never })).toThrow(
      expect.objectContaining({ code: 'PEFT_STAGE_UNSUPPORTED' }),
    );
    const other = encoderDecoder!.open(engine);
    expect(() => other.addAdapter('a', xlora({ adapters: [{ rank: 2, init: 'random' }] }))).toThrow(
      expect.objectContaining({ code: 'PEFT_METHOD_UNSUPPORTED' }),
    );
    other.dispose();
  });

  it.each([
    ['DoRA', { dora: true }, 'is more than plain LoRA'],
    ['a whole module', { modulesToSave: ['lm_head'] }, 'lm_head'],
    ['a start that changes the base', { init: 'pissa' }, "init 'pissa'"],
  ] as const)('refuses an adapter with %s', async (_, options, message) => {
    await write('bad', { targets: ['q_proj'], ...options } as never);
    const make = () => model.addAdapter('mixed', xlora({ adapters: [join(folder, 'bad')] }));
    expect(make).toThrow(message);
    mkdirSync(join(folder, 'empty'));
    expect(() => model.addAdapter('mixed', xlora({ adapters: [join(folder, 'empty')] }))).toThrow(
      expect.objectContaining({ code: 'PEFT_ADAPTER_MISSING' }),
    );
    expect(model.adapterNames).toEqual([]);
  });

  it('names the adapters that a router of Arrow chooses among', async () => {
    const file = join(places()[0]!, 'adapter_config.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    const arrow = { task_adapter_names: ['task_0', 'task_1'], top_k: 2, router_temperature: 0.5 };
    writeFileSync(file, JSON.stringify({ ...config, arrow_config: arrow }));
    await expect(loadAdapter(model, places()[0]!, { methods })).rejects.toThrow(
      /router among .*task_0.*\n.*"topK":2,"temperature":0.5/s,
    );
  });
});
