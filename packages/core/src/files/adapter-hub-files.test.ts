import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adapter, houlsby } from '@peft/adapter';
import { openSafetensors, writeSafetensors } from '@peft/hub';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { mam } from '@peft/mam';
import { debertaV2 } from '@peft/models';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { attentionPrefix } from '@peft/prompt-tuning';
import { loReft } from '@peft/reft';
import { tinyModels, useModel, usePortableEngine, useTemporaryFolder } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { describeTiny, FAMILIES, SEQCLS } from '../../test/adapter-hub-families.js';
import type { AnyMethod, MethodSpec } from '../method/peft-method.js';
import { loadModel } from '../model/load-model.js';
import type { Model } from '../model/model.js';
import { randomWeights } from '../model/weights/random-weights.js';
import { loadAdapter, saveAdapter } from './adapter-files.js';
import { adapterHubFormat } from './adapter-hub-format.js';

const methods = [adapter, attentionPrefix, lora, ia3] as unknown as readonly AnyMethod[];

describe("adapter-hub's files", () => {
  let engine: Engine;
  let model: Model;
  let folder: string;
  usePortableEngine((active) => (engine = active));
  useTemporaryFolder((path) => (folder = path));
  useModel(
    () => tinyModels()[0]!.open(engine),
    (made) => (model = made),
  );
  const save = (spec: MethodSpec, name = 'demo') => {
    model.addAdapter(name, spec);
    return saveAdapter(model, name, join(folder, name), {
      allowUntrained: true,
      baseModel: 'base',
      format: adapterHubFormat,
    });
  };
  const config = (name = 'demo') =>
    JSON.parse(readFileSync(join(folder, name, 'adapter_config.json'), 'utf8')) as Record<
      string,
      Record<string, unknown>
    >;
  const rewrite = async (
    change: (tensors: Map<string, Float32Array>, shapes: Map<string, readonly number[]>) => void,
  ) => {
    const path = join(folder, 'demo', 'adapter.safetensors');
    const store = openSafetensors(path);
    const values = new Map(
      store.names().map((name) => [name, new Float32Array(store.get(name)!.read().slice().buffer)]),
    );
    const shapes = new Map(store.names().map((name) => [name, store.get(name)!.shape]));
    store.close();
    change(values, shapes);
    await writeSafetensors(
      path,
      [...values].map(([name, data]) => ({
        name,
        dtype: 'F32' as const,
        shape: shapes.get(name)!,
        data,
      })),
    );
  };
  const load = () => loadAdapter(model, join(folder, 'demo'), { name: 'loaded', methods });

  it('hold the head apart, and the whole of it where it is more than PEFT takes', async () => {
    await save(houlsby({ reductionFactor: 3 }));
    expect(readdirSync(join(folder, 'demo')).sort()).toEqual([
      'README.md',
      'adapter.safetensors',
      'adapter_config.json',
      'head_config.json',
      'model_head.safetensors',
    ]);
    expect(JSON.parse(readFileSync(join(folder, 'demo', 'head_config.json'), 'utf8'))).toEqual({
      config: null,
      hidden_size: 12,
      label2id: { LABEL_0: 0, LABEL_1: 1, LABEL_2: 2 },
      model_class: 'BertForSequenceClassification',
      model_name: 'base',
      model_type: 'bert',
      name: null,
      num_labels: 3,
      version: 'adapters.1.2.0',
    });
    expect(adapterHubFormat.head!.modules(FAMILIES.deberta)).toEqual(['pooler', 'classifier']);
    expect(adapterHubFormat.head!.modules(FAMILIES.distilbert)).toEqual([
      'pre_classifier',
      'classifier',
    ]);
    expect(adapterHubFormat.head!.modules(FAMILIES.llama)).toEqual([]);
  });

  it('are read without a head, too, which then stays as it is', async () => {
    await save(houlsby({ reductionFactor: 3 }));
    rmSync(join(folder, 'demo', 'model_head.safetensors'));
    const { adapter: loaded } = await load();
    const base = model.readBaseParameter('classifier.weight');
    expect(loaded.parameters.get('classifier.weight')!.value.dataSync()).toEqual(base.dataSync());
    base.dispose();
  });

  it('take their name from the file', async () => {
    await save(houlsby({ reductionFactor: 3 }), 'sst-2');
    model.deleteAdapter('sst-2');
    expect((await loadAdapter(model, join(folder, 'sst-2'), { methods })).adapter.name).toBe(
      'sst-2',
    );
  });

  it('write numbers so that Python reads them as floating-point ones', async () => {
    await save(adapter({ reductionFactor: 3 }));
    expect(readFileSync(join(folder, 'demo', 'adapter_config.json'), 'utf8')).toMatch(
      /"scaling": 1\.0,/,
    );
  });

  it('hold unions of methods', async () => {
    await save(
      mam({ prefix: { prefixLength: 2, bottleneckSize: 3 }, adapter: { reductionFactor: 3 } }),
    );
    expect(config()['config']).toMatchObject({
      architecture: 'union',
      configs: [
        { architecture: 'prefix_tuning', prefix_length: 2 },
        { reduction_factor: 3, is_parallel: true },
      ],
    });
    expect((await load()).adapter.parts.map(({ part }) => part.method.name)).toEqual([
      'attention-prefix',
      'adapter',
    ]);
  });

  it('may repeat a tensor under the names of the modules that hold it', async () => {
    await save(attentionPrefix({ prefixLength: 2, bottleneckSize: 3 }));
    const key = 'bert.prefix_tuning.prefix_tunings.demo.self_prefix.wte.weight';
    await rewrite((values, shapes) => {
      for (const layer of [0, 1]) {
        const other = key.replace(
          'prefix_tuning.',
          `encoder.layer.${layer}.attention.self.prefix_tuning.pool.`,
        );
        values.set(other, values.get(key)!);
        shapes.set(other, shapes.get(key)!);
      }
    });
    expect(
      (await load()).adapter.parameters.get('prefix_tunings.self_prefix.wte.weight')!.value.shape,
    ).toEqual([2, 12]);
    // Under those names alone, the first is read.
    await rewrite((values) => values.delete(key));
    model.deleteAdapter('loaded');
    expect((await load()).adapter.parameters.has('prefix_tunings.self_prefix.wte.weight')).toBe(
      true,
    );
  });

  it('mean α = r for LoRA of a library that left the scaling out', async () => {
    await save(lora({ rank: 2, alpha: 8 }));
    const path = join(folder, 'demo', 'adapter_config.json');
    expect((await load()).adapter.spec.parts[0]!.config).toMatchObject({ rank: 2, alpha: 8 });
    model.deleteAdapter('loaded');
    writeFileSync(path, readFileSync(path, 'utf8').replace('adapters.1.2.0', 'adapters.1.0.1'));
    expect((await load()).adapter.spec.parts[0]!.config).toMatchObject({ rank: 2, alpha: 2 });
  });

  it('say which LoRA and IA3 they cannot express', async () => {
    await expect(save(lora({ rank: 2, rankStabilized: true }), 'e')).rejects.toThrow(
      "lora: adapter-hub's config has no word for rankStabilized.\n  hint: save it in PEFT's layout",
    );
    await expect(save(lora({ rank: 2, dora: true }), 'a')).rejects.toThrow(
      "lora: adapter-hub's DoRA computes something else where a target has a bias " +
        '(bert.encoder.layer.0.attention.self.query).\n' +
        "  hint: save it in PEFT's layout",
    );
    await expect(
      save(
        lora({
          rank: 2,
          targets: ['layer.0.attention.self.query', 'layer.1.attention.self.value'],
        }),
        'b',
      ),
    ).rejects.toThrow(
      'adapter-hub: its config cannot say that bert.encoder.layer.0.attention.self.value is left out.',
    );
    await expect(save(ia3(), 'c')).rejects.toThrow(
      'ia3: adapter-hub scales outputs alone, and bert.encoder.layer.0.attention.output.dense is scaled at its input.',
    );
    await expect(
      save(houlsby({ reductionFactor: 3, layersToTransform: [0], targets: ['output'] }), 'd'),
    ).rejects.toThrow("adapter: adapter-hub's config cannot say which 2 sites it takes.");
  });

  it('of another model, or not whole, are refused with what is wrong', async () => {
    await save(adapter({ reductionFactor: 3 }));
    await rewrite((_, shapes) =>
      shapes.set('bert.encoder.layer.0.output.adapters.demo.adapter_up.weight', [4, 12]),
    );
    await expect(load()).rejects.toThrow(
      'bert.encoder.layer.0.output.adapters.demo.adapter_up.weight has the shape [4, 12], the model asks for [12, 4]',
    );
    await rewrite((values) =>
      values.delete('bert.encoder.layer.0.output.adapters.demo.adapter_up.weight'),
    );
    await expect(load()).rejects.toMatchObject({ code: 'PEFT_ADAPTER_INCOMPLETE' });
    await rewrite((values, shapes) => {
      values.set('bert.encoder.layer.7.output.adapters.demo.adapter_up.bias', new Float32Array(12));
      shapes.set('bert.encoder.layer.7.output.adapters.demo.adapter_up.bias', [12]);
    });
    await expect(load()).rejects.toMatchObject({ code: 'PEFT_ADAPTER_MISMATCH' });
    expect(model.adapterNames).toEqual(['demo']);
  });

  it('name the methods at hand when none reads a config', async () => {
    await save(loReft());
    await expect(load()).rejects.toThrow(
      /adapter-hub: none of the methods at hand \(adapter, attention-prefix, lora, ia3\) reads the config \{"architecture":"reft"/,
    );
  });
});

it('keeps the pooler of a DeBERTa with the head', async () => {
  const engine = await createPortableEngine();
  await engine.activate();
  const json = {
    model_type: 'deberta-v2',
    vocab_size: 23,
    hidden_size: 12,
    num_hidden_layers: 1,
    num_attention_heads: 3,
    intermediate_size: 20,
  };
  const model = loadModel(
    debertaV2,
    json,
    randomWeights(describeTiny(debertaV2, json, SEQCLS)),
    engine,
    { head: SEQCLS },
  );
  const folder = mkdtempSync(join(tmpdir(), 'peft-hub-'));
  try {
    model.addAdapter('demo', houlsby({ reductionFactor: 3, modulesToSave: ['pooler'] }));
    await saveAdapter(model, 'demo', folder, { allowUntrained: true });
    const { adapter: loaded } = await loadAdapter(model, folder, { name: 'loaded', methods });
    expect(
      [...loaded.parameters.values()]
        .filter(({ origin }) => origin === 'unfrozen')
        .map(({ name }) => name),
    ).toEqual(['pooler.dense.weight', 'pooler.dense.bias', 'classifier.weight', 'classifier.bias']);
  } finally {
    rmSync(folder, { recursive: true });
    model.dispose();
    engine.dispose();
  }
});
