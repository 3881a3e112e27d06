import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adapter, houlsby } from '@peft/adapter';
import { openSafetensors, writeSafetensors } from '@peft/hub';
import { ia3 } from '@peft/ia3';
import { lora } from '@peft/lora';
import { mam } from '@peft/mam';
import { bert, debertaV2, distilbert, gpt2, llama, t5 } from '@peft/models';
import type { Engine } from '@peft/ops';
import { createPortableEngine } from '@peft/portable';
import { attentionPrefix } from '@peft/prompt-tuning';
import { loReft } from '@peft/reft';
import { tinyModels, useModel, usePortableEngine, useTemporaryFolder } from '@peft/testing';
import { describe, expect, it } from 'vitest';
import { attachAdapter } from '../adapter/attach-adapter.js';
import type { HeadOptions, ModelDescription } from '../description/model-description.js';
import type { AnyMethod, MethodSpec } from '../method/peft-method.js';
import type { Architecture } from '../model/architecture.js';
import { describeModel, loadModel } from '../model/load-model.js';
import type { Model } from '../model/model.js';
import { randomWeights } from '../model/weights/random-weights.js';
import { loadAdapter, saveAdapter } from './adapter-files.js';
import { adapterHubFormat } from './adapter-hub-format.js';

const methods = [adapter, attentionPrefix, lora, ia3] as unknown as readonly AnyMethod[];
const SEQCLS: HeadOptions = { kind: 'sequence-classification', outputs: 2 };

function describeTiny<Config>(
  architecture: Architecture<Config>,
  json: object,
  head: HeadOptions,
): ModelDescription {
  return describeModel(
    architecture,
    architecture.parseConfig(json as Record<string, unknown>),
    head,
  );
}
const FAMILIES = {
  bert: describeTiny(
    bert,
    {
      model_type: 'bert',
      hidden_size: 12,
      num_hidden_layers: 1,
      num_attention_heads: 3,
      intermediate_size: 20,
    },
    SEQCLS,
  ),
  deberta: describeTiny(
    debertaV2,
    {
      model_type: 'deberta-v2',
      hidden_size: 12,
      num_hidden_layers: 1,
      num_attention_heads: 3,
      intermediate_size: 20,
    },
    SEQCLS,
  ),
  distilbert: describeTiny(
    distilbert,
    { model_type: 'distilbert', dim: 12, n_layers: 1, n_heads: 3, hidden_dim: 20 },
    SEQCLS,
  ),
  t5: describeTiny(
    t5,
    { model_type: 't5', d_model: 12, d_kv: 4, num_heads: 3, d_ff: 20, num_layers: 1 },
    { kind: 'seq2seq-lm' },
  ),
  llama: describeTiny(
    llama,
    {
      model_type: 'llama',
      hidden_size: 12,
      num_hidden_layers: 1,
      num_attention_heads: 3,
      intermediate_size: 20,
    },
    { kind: 'causal-lm' },
  ),
  gpt2: describeTiny(
    gpt2,
    { model_type: 'gpt2', n_embd: 12, n_layer: 1, n_head: 3 },
    { kind: 'causal-lm' },
  ),
  bare: describeTiny(
    bert,
    {
      model_type: 'bert',
      hidden_size: 12,
      num_hidden_layers: 1,
      num_attention_heads: 3,
      intermediate_size: 20,
    },
    { kind: 'none' },
  ),
};

/** Modules of the keys, without the last two words. */
function modulesOf(family: keyof typeof FAMILIES, spec: MethodSpec): string[] {
  const attached = attachAdapter('demo', spec, FAMILIES[family], undefined);
  const own = [...attached.parameters.values()].filter(({ origin }) => origin === 'new');
  return [
    ...new Set(
      own.map((parameter) =>
        adapterHubFormat.keyOf(attached, parameter).replace(/\.demo\..*/, '.demo'),
      ),
    ),
  ].sort();
}

describe("adapter-hub's keys", () => {
  // The families' module names in the library.
  it.each([
    [
      'bert',
      [
        'bert.encoder.layer.0.attention.output.adapters.demo',
        'bert.encoder.layer.0.output.adapters.demo',
      ],
    ],
    [
      'bare',
      ['encoder.layer.0.attention.output.adapters.demo', 'encoder.layer.0.output.adapters.demo'],
    ],
    [
      'deberta',
      [
        'deberta.encoder.layer.0.attention.output.adapters.demo',
        'deberta.encoder.layer.0.output.adapters.demo',
      ],
    ],
    [
      'distilbert',
      [
        'distilbert.transformer.layer.0.attention_adapters.adapters.demo',
        'distilbert.transformer.layer.0.output_adapters.adapters.demo',
      ],
    ],
    [
      't5',
      [
        'decoder.block.0.layer.0.adapters.demo',
        'decoder.block.0.layer.2.adapters.demo',
        'encoder.block.0.layer.0.adapters.demo',
        'encoder.block.0.layer.1.adapters.demo',
      ],
    ],
    [
      'llama',
      [
        'model.layers.0.attention_adapters.adapters.demo',
        'model.layers.0.output_adapters.adapters.demo',
      ],
    ],
    [
      'gpt2',
      [
        'transformer.h.0.attention_adapters.adapters.demo',
        'transformer.h.0.output_adapters.adapters.demo',
      ],
    ],
  ] as const)('of bottlenecks in %s', (family, modules) => {
    expect(modulesOf(family, houlsby({ reductionFactor: 3 }))).toEqual(modules);
  });

  it('of prefixes, gates, interventions and shared parameters', () => {
    const gated = attentionPrefix({ prefixLength: 2, bottleneckSize: 2, useGating: true });
    expect(modulesOf('bert', gated)).toEqual([
      'bert.encoder.layer.0.attention.self.prefix_tuning.prefix_gates.demo',
      'bert.prefix_tuning.prefix_tunings.demo',
    ]);
    expect(modulesOf('llama', gated)).toEqual([
      'model.layers.0.self_attn.prefix_tuning.prefix_gates.demo',
      'model.prefix_tuning.prefix_tunings.demo',
    ]);
    expect(modulesOf('t5', attentionPrefix({ prefixLength: 2, bottleneckSize: 2 }))).toEqual([
      'prefix_tuning.prefix_tunings.demo',
    ]);
    expect(modulesOf('t5', loReft())).toEqual([
      'decoder.block.0.reft_layer.refts.demo',
      'encoder.block.0.reft_layer.refts.demo',
    ]);
    expect(modulesOf('gpt2', loReft())).toEqual(['transformer.h.0.reft_layer.refts.demo']);
    expect(modulesOf('t5', adapter({ reductionFactor: 3, invAdapter: 'nice' }))).toContain(
      'encoder.invertible_adapters.demo',
    );
    expect(modulesOf('bert', adapter({ reductionFactor: 3, phmLayer: true }))).toContain(
      'bert.shared_parameters.demo',
    );
  });
});

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
