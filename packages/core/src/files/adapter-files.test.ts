import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { bitfit } from '@peft/bitfit';
import { openSafetensors, writeSafetensors, type NewTensor } from '@peft/hub';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import type { Engine } from '@peft/ops';
import {
  moveParameters,
  tinyModels,
  useModel,
  usePortableEngine,
  useTemporaryFolder,
} from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { combineMethods } from '../method/define-peft-method.js';
import type { AnyMethod, MethodSpec } from '../method/peft-method.js';
import type { Model } from '../model/model.js';
import { loadAdapter, saveAdapter } from './adapter-files.js';

const methods = [lora, ia3, bitfit] as unknown as AnyMethod[];
const [encoder, , decoder] = tinyModels();

describe('adapter files', () => {
  let engine: Engine;
  let folder: string;
  let model: Model;
  usePortableEngine((active) => (engine = active));
  useTemporaryFolder((path) => (folder = path));
  useModel(
    () => encoder!.open(engine),
    (made) => (model = made),
  );

  const train = (spec: MethodSpec, name = 'a') =>
    moveParameters(model.addAdapter(name, spec), 'a', 0.1, () => true);
  const saved = async (spec: MethodSpec): Promise<string> => {
    train(spec);
    const place = join(folder, 'saved');
    await saveAdapter(model, 'a', place, {
      baseModel: 'org/tiny',
      results: { accuracy: 0.876543219 },
      license: 'mit',
    });
    model.deleteAdapter('a');
    return place;
  };
  const read = (place: string): Map<string, NewTensor> => {
    const store = openSafetensors(join(place, 'adapter_model.safetensors'));
    const all = new Map(
      store.names().map((name) => [
        name,
        {
          name,
          dtype: 'F32' as const,
          shape: store.get(name)!.shape,
          data: store.get(name)!.read(),
        },
      ]),
    );
    store.close();
    return all;
  };
  const rewrite = async (place: string, change: (all: Map<string, NewTensor>) => void) => {
    const all = read(place);
    change(all);
    await writeSafetensors(join(place, 'adapter_model.safetensors'), all.values());
  };

  it('have the config that PEFT writes, keys sorted', async () => {
    const place = await saved(lora({ rank: 4, alpha: 6, targets: ['query', 'value'] }));
    const text = readFileSync(join(place, 'adapter_config.json'), 'utf8');
    const config = JSON.parse(text);
    const example = JSON.parse(
      readFileSync(
        new URL(
          '../../../testing/fixtures/adapters/lora_bert_qv/adapter_config.json',
          import.meta.url,
        ),
        'utf8',
      ),
    );
    expect(Object.keys(config)).toEqual(Object.keys(example));
    expect({
      ...config,
      base_model_name_or_path: example.base_model_name_or_path,
      r: example.r,
      lora_alpha: example.lora_alpha,
    }).toEqual(example);
    expect(text.split('\n')[1]).toBe('  "alora_invocation_tokens": null,');
  });

  it('have a model card', async () => {
    const place = await saved(lora({ rank: 4, targets: ['query', 'value'] }));
    expect(readFileSync(join(place, 'README.md'), 'utf8')).toMatchInlineSnapshot(`
      "---
      base_model: org/tiny
      library_name: peft
      license: mit
      tags:
      - "base_model:adapter:org/tiny"
      - lora
      - transformers
      ---

      # a

      An adapter for \`org/tiny\`: lora, 423 trainable of 3,463 parameters (12.2148 %).

      | Result | |
      |---|---|
      | accuracy | 0.876543 |
      "
    `);
  });

  it("load with the adapter's name in their keys, as Python has it in memory", async () => {
    const place = await saved(
      combineMethods(
        'both',
        lora({ targets: ['query', 'word_embeddings'] }),
        ia3({ targets: ['key'], feedforwardModules: [] }),
      ),
    );
    const named = join(folder, 'named');
    cpSync(place, named, { recursive: true });
    await rewrite(named, (all) => {
      for (const [key, tensor] of [...all]) {
        all.delete(key);
        const name = key
          .replace(/\.(lora_[AB])\.weight$/, '.$1.default.weight')
          .replace(/\.(lora_embedding_[AB]|ia3_l)$/, '.$1.default')
          .replace(/\.classifier\.(\w+)$/, '.classifier.modules_to_save.default.$1');
        all.set(name, { ...tensor, name });
      }
    });
    expect([...read(named).keys()].filter((key) => key.includes('.default'))).toHaveLength(
      read(place).size,
    );
    const { adapter: plain } = await loadAdapter(model, place, { name: 'plain', methods });
    const { adapter } = await loadAdapter(model, named, { name: 'named', methods });
    for (const [name, { value }] of plain.parameters)
      expect(adapter.parameters.get(name)!.value.dataSync()).toEqual(value.dataSync());
  });

  it('take a null for the default of an option', async () => {
    const place = await saved(lora({ targets: ['query'] }));
    const path = join(place, 'adapter_config.json');
    const flags = [
      'use_dora',
      'use_rslora',
      'lora_bias',
      'fan_in_fan_out',
      'ensure_weight_tying',
      'modules_to_save',
    ];
    writeFileSync(
      path,
      JSON.stringify({
        ...(JSON.parse(readFileSync(path, 'utf8')) as object),
        ...Object.fromEntries(flags.map((flag) => [flag, null])),
      }),
    );
    const { adapter } = await loadAdapter(model, place, { methods });
    expect(adapter.parts[0]!.part.config).toMatchObject({ dora: false, loraBias: false });
  });

  it('hold trained biases beside IA3 under the names that PEFT reads', async () => {
    const place = await saved(
      combineMethods('ia3_bias', ia3({ targets: ['query'], feedforwardModules: [] }), bitfit()),
    );
    expect(JSON.parse(readFileSync(join(place, 'adapter_config.json'), 'utf8'))).toMatchObject({
      peft_type: 'IA3',
      target_modules: ['query'],
    });
    const keys = [...read(place).keys()];
    expect(keys).toContain(
      'base_model.model.bert.encoder.layer.0.attention.self.query.base_layer.bias',
    );
    expect(keys).toContain('base_model.model.bert.encoder.layer.0.attention.self.key.bias');
    const { adapter } = await loadAdapter(model, place, { methods });
    expect(adapter.parameters.get('bert.encoder.layer.0.attention.self.key.bias')).toMatchObject({
      origin: 'unfrozen',
      method: 'file',
    });
  });

  it('hold a combination of two methods as a union', async () => {
    const spec = () =>
      combineMethods(
        'ia3_lora',
        lora({ rank: 2, targets: ['query'] }),
        ia3({ targets: ['query'], feedforwardModules: [] }),
      );
    train(spec());
    const logits = () => tf.tidy(() => model.forward(encoder!.batch).logits!.dataSync().slice());
    const expected = logits();
    await saveAdapter(model, 'a', join(folder, 'union'));
    model.deleteAdapter('a');
    const { adapter } = await loadAdapter(model, join(folder, 'union'), { methods });
    expect(logits()).toEqual(expected);
    expect(adapter.parts.map(({ part }) => part.method.name)).toEqual(['lora', 'ia3']);
  });

  it('load with and without the class prefix of the base model', async () => {
    const place = await saved(lora({ rank: 2, targets: ['query'], modulesToSave: [] }));
    await rewrite(place, (all) => {
      for (const [key, tensor] of [...all]) {
        all.delete(key);
        all.set(key, {
          ...tensor,
          name: key.replace('base_model.model.bert.', 'base_model.model.'),
        });
      }
    });
    expect((await loadAdapter(model, place, { methods })).adapter.parameters.size).toBe(4);
  });

  it('take part in training only on request', async () => {
    const place = await saved(ia3());
    await loadAdapter(model, place, { methods, name: 'frozen' });
    expect(model.trainables()).toEqual([]);
    expect(model.parameterCounts().trainable).toBe(0);
    await loadAdapter(model, place, { methods, name: 'open', isTrainable: true });
    expect(model.trainables().length).toBeGreaterThan(0);
  });

  it('warn of options that they do not know', async () => {
    const place = await saved(ia3());
    const path = join(place, 'adapter_config.json');
    writeFileSync(
      path,
      JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), shiny: 1, runtime_config: {} }),
    );
    expect((await loadAdapter(model, place, { methods })).warnings).toEqual([
      'saved: adapter_config.json has the unknown option "shiny", which is ignored.',
    ]);
  });

  it('for another model are refused, the first mismatches named', async () => {
    const place = await saved(
      lora({ rank: 2, targets: { roles: ['attention.query', 'attention.value'] } }),
    );
    const other = decoder!.open(engine);
    await expect(loadAdapter(other, place, { methods })).rejects
      .toThrowErrorMatchingInlineSnapshot(`
      [PeftError: saved does not fit this llama: lora: no linear or embedding site matches "bert.encoder.layer.0.attention.self.query", "bert.encoder.layer.0.attention.self.value", "bert.encoder.layer.1.attention.self.query", "bert.encoder.layer.1.attention.self.value" in llama (16 sites). Its tensors are named base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight, base_model.model.bert.encoder.layer.0.attention.self.query.lora_B.weight, base_model.model.bert.encoder.layer.0.attention.self.value.lora_A.weight, and 7 more.
        hint: it was made for another model]
    `);
    expect(other.adapterNames).toEqual([]);
    other.dispose();
  });

  it('with tensors of another shape, without a place, or missing are refused', async () => {
    const key = 'base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight';
    const place = await saved(lora({ rank: 2, targets: ['query'] }));
    const whole = read(place);
    await rewrite(place, (all) => void all.set(key, { ...all.get(key)!, shape: [12, 2] }));
    await expect(loadAdapter(model, place, { methods })).rejects.toThrow(
      `${key} has the shape [12, 2], the model asks for [2, 12]`,
    );
    await rewrite(
      place,
      (all) =>
        void all.set(key, whole.get(key)!).set('stray', { ...whole.get(key)!, name: 'stray' }),
    );
    await expect(loadAdapter(model, place, { methods })).rejects.toThrow(
      'stray [2, 12] has no place',
    );
    await rewrite(place, (all) => void (all.delete('stray'), all.delete(key)));
    await expect(loadAdapter(model, place, { methods })).rejects.toThrow(
      `saved lacks 1 of 6 tensors: ${key}.`,
    );
    expect(model.adapterNames).toEqual([]);
  });

  it('are refused when empty, untrained or not finite, and nothing is written', async () => {
    const place = join(folder, 'never');
    model.addAdapter('fresh', lora({ targets: ['query'] }));
    await expect(saveAdapter(model, 'fresh', place)).rejects.toThrow(
      'adapter "fresh" was never trained: each of its 6 parameters is as it was made.',
    );
    const parameter = [...model.adapter('fresh').parameters.values()][0]!;
    tf.tidy(() => parameter.value.assign(tf.fill(parameter.shape as [number, number], Number.NaN)));
    await expect(saveAdapter(model, 'fresh', place)).rejects.toThrow(
      /lora_A.weight holds NaN at position 0/,
    );
    model.addAdapter('nothing', {
      name: 'nothing',
      parts: [
        {
          method: bitfit,
          config: { biases: false, norms: 'none', also: ['nowhere'] } as never, // bitfit's own
          common: { modulesToSave: [] },
        },
      ],
    });
    await expect(saveAdapter(model, 'nothing', place)).rejects.toThrow(
      'adapter "nothing" has no parameters to save.',
    );
    expect(existsSync(place)).toBe(false);
  });

  it('do not replace what a folder holds unless told to', async () => {
    const place = join(folder, 'full');
    mkdirSync(place);
    writeFileSync(join(place, 'notes.txt'), 'mine');
    train(ia3());
    await expect(saveAdapter(model, 'a', place)).rejects.toMatchObject({
      code: 'PEFT_FOLDER_NOT_EMPTY',
    });
    expect(readFileSync(join(place, 'notes.txt'), 'utf8')).toBe('mine');
    await saveAdapter(model, 'a', place, { overwrite: true });
    expect(existsSync(join(place, 'notes.txt'))).toBe(false);
  });

  it('that are not there, not whole, or of an unknown method say so', async () => {
    await expect(loadAdapter(model, folder, { methods })).rejects.toMatchObject({
      code: 'PEFT_ADAPTER_MISSING',
    });
    writeFileSync(join(folder, 'adapter_config.json'), '{"peft_type": "LORRA"}');
    await expect(loadAdapter(model, folder, { methods })).rejects.toMatchObject({
      code: 'PEFT_ADAPTER_MISSING',
    });
    await writeSafetensors(join(folder, 'adapter_model.safetensors'), []);
    await expect(loadAdapter(model, folder, { methods })).rejects.toThrow(
      'peft_type "LORRA" is none of the methods at hand (LORA, IA3, BITFIT).',
    );
    writeFileSync(join(folder, 'adapter_config.json'), '{"architecture": "houlsby"}');
    await expect(loadAdapter(model, folder, { methods })).rejects.toMatchObject({
      code: 'PEFT_METHOD_UNKNOWN',
    });
  });

  it('of LoRA that compute otherwise are refused', async () => {
    const place = await saved(lora({ targets: ['query'] }));
    const path = join(place, 'adapter_config.json');
    writeFileSync(
      path,
      JSON.stringify({
        ...JSON.parse(readFileSync(path, 'utf8')),
        monteclora_config: { monteclora_n: 2 },
      }),
    );
    await expect(loadAdapter(model, place, { methods })).rejects.toThrow(
      'lora: adapter_config.json sets monteclora_config to {"monteclora_n":2}, which is not supported.',
    );
  });
});
