import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCode, errorOf } from '../../test/support/error-code.js';
import { fixturePath, temporaryFolder } from '../../test/support/paths.js';
import { readTensor } from '../tensor-values.js';
import { openCheckpoint } from './open-checkpoint.js';
import { writeCheckpoint } from './write-checkpoint.js';

const mistral = fixturePath('models/mistral');
const indexFile = 'model.safetensors.index.json';

/** A copy of the sharded fixture. */
function shardedFolder(): string {
  const folder = temporaryFolder();
  for (const name of readdirSync(mistral))
    if (name.startsWith('model')) cpSync(join(mistral, name), join(folder, name));
  return folder;
}

describe('openCheckpoint', () => {
  test('opens shards as one store, each tensor in its own file', () => {
    const store = openCheckpoint(mistral);
    const { weight_map: weightMap } = JSON.parse(
      readFileSync(join(mistral, indexFile), 'utf8'),
    ) as { weight_map: Record<string, string> };
    expect(new Set(store.names())).toEqual(new Set(Object.keys(weightMap)));
    for (const name of store.names()) {
      expect(store.get(name)!.file!.path).toBe(join(mistral, weightMap[name]!));
      expect(store.get(name)!.dtype).toBe('BF16');
    }
    expect(readTensor(store.get('lm_head.weight')!).values).toHaveLength(520 * 32);
    store.close();
  });

  test('takes one file before shards, safetensors before a pickle, and a file when it is named', () => {
    const deberta = fixturePath('models/deberta-v2');
    for (const path of [deberta, join(deberta, 'model.safetensors')]) {
      const store = openCheckpoint(path);
      expect(store.metadata).toEqual({ format: 'pt' });
      store.close();
    }
    const store = openCheckpoint(join(mistral, indexFile));
    expect(store.names()).toHaveLength(30);
    store.close();
  });

  test('falls back to pytorch_model.bin, also sharded, with the same numbers', () => {
    const folder = temporaryFolder();
    cpSync(fixturePath('models/deberta-v2/pytorch_model.bin'), join(folder, 'pytorch_model.bin'));
    const expected = openCheckpoint(fixturePath('models/deberta-v2'));
    const store = openCheckpoint(folder);
    expect(new Set(store.names())).toEqual(new Set(expected.names()));
    for (const name of store.names())
      expect(readTensor(store.get(name)!)).toEqual(readTensor(expected.get(name)!));
    store.close();
    expected.close();

    renameSync(join(folder, 'pytorch_model.bin'), join(folder, 'pytorch_model-00001-of-00001.bin'));
    writeFileSync(
      join(folder, 'pytorch_model.bin.index.json'),
      JSON.stringify({
        weight_map: Object.fromEntries(
          store.names().map((name) => [name, 'pytorch_model-00001-of-00001.bin']),
        ),
      }),
    );
    const sharded = openCheckpoint(folder);
    expect(sharded.names()).toEqual(store.names());
    sharded.close();
  });

  test('opens an adapter of adapter-hub from its pickle', () => {
    const folder = temporaryFolder();
    const demo = fixturePath('bottleneck/mam_bert/demo');
    cpSync(join(demo, 'pytorch_adapter.bin'), join(folder, 'pytorch_adapter.bin'));
    const expected = openCheckpoint(join(demo, 'adapter.safetensors'));
    const store = openCheckpoint(folder);
    expect(expected.names().length).toBeGreaterThan(0);
    for (const name of expected.names())
      expect(readTensor(store.get(name)!)).toEqual(readTensor(expected.get(name)!));
    store.close();
    expected.close();
  });

  test('says what a folder without weights holds instead', async () => {
    const folder = temporaryFolder();
    expect(await errorCode(() => openCheckpoint(join(folder, 'none')))).toBe(
      'PEFT_CHECKPOINT_MISSING',
    );
    writeFileSync(join(folder, 'tf_model.h5'), '');
    const error = await errorOf(() => openCheckpoint(folder));
    expect(error.code).toBe('PEFT_CHECKPOINT_MISSING');
    expect(error.message).toContain('tf_model.h5');
  });

  test.each<[string, (map: Record<string, string>) => unknown]>([
    ['is no JSON', () => '{"weight_map":'],
    ['is a list', () => []],
    ['has no weight_map', () => ({ metadata: {} })],
    ['has an empty weight_map', () => ({ weight_map: {} })],
    ['names a tensor twice', () => '{"weight_map":{"a":"x.safetensors","a":"x.safetensors"}}'],
    [
      'points to the folder above',
      (map) => ({
        weight_map: { ...map, 'lm_head.weight': '../model-00003-of-00003.safetensors' },
      }),
    ],
    [
      'points to an absolute path',
      (map) => ({
        weight_map: { ...map, 'lm_head.weight': join(mistral, 'model-00003-of-00003.safetensors') },
      }),
    ],
    [
      'points into a folder with a backslash',
      (map) => ({
        weight_map: { ...map, 'lm_head.weight': '..\\model-00003-of-00003.safetensors' },
      }),
    ],
    ['names no file', (map) => ({ weight_map: { ...map, 'lm_head.weight': 3 } })],
    [
      'places a tensor in the wrong shard',
      (map) => ({ weight_map: { ...map, 'lm_head.weight': 'model-00001-of-00003.safetensors' } }),
    ],
    [
      'names a tensor that no shard holds',
      (map) => ({ weight_map: { ...map, 'lm_head.bias': 'model-00003-of-00003.safetensors' } }),
    ],
  ])('refuses an index that %s', async (_, change) => {
    const folder = shardedFolder();
    const { weight_map: map } = JSON.parse(readFileSync(join(folder, indexFile), 'utf8')) as {
      weight_map: Record<string, string>;
    };
    const changed = change(map);
    writeFileSync(
      join(folder, indexFile),
      typeof changed === 'string' ? changed : JSON.stringify(changed),
    );
    expect(await errorCode(() => openCheckpoint(folder))).toBe('PEFT_SAFETENSORS_INDEX');
  });

  test('reads a tensor that the index does not list, as transformers does, and says so', () => {
    const folder = shardedFolder();
    const index = JSON.parse(readFileSync(join(folder, indexFile), 'utf8')) as {
      weight_map: Record<string, string>;
    };
    delete index.weight_map['model.norm.weight'];
    writeFileSync(join(folder, indexFile), JSON.stringify(index));
    const store = openCheckpoint(folder);
    const whole = openCheckpoint(mistral);
    expect(readTensor(store.get('model.norm.weight')!)).toEqual(
      readTensor(whole.get('model.norm.weight')!),
    );
    expect(whole.warnings).toEqual([]);
    expect(store.warnings).toEqual([
      `${join(folder, indexFile)} does not list 1 tensors of its shards, which are read ` +
        'nevertheless: model.norm.weight.',
    ]);
    store.close();
    whole.close();
  });

  test('names the shards that are missing', async () => {
    const folder = shardedFolder();
    rmSync(join(folder, 'model-00002-of-00003.safetensors'));
    const error = await errorOf(() => openCheckpoint(folder));
    expect(error.code).toBe('PEFT_SAFETENSORS_SHARD_MISSING');
    expect(error.message).toContain('1 of 3 files');
    expect(error.message).toContain('model-00002-of-00003.safetensors');
  });
});

describe('writeCheckpoint', () => {
  test('splits as Hugging Face does: the same shards and the same index, byte for byte', async () => {
    const folder = temporaryFolder();
    const store = openCheckpoint(mistral);
    // a state dict is in the order of the modules, a file in that of the names
    const layer = [
      'self_attn.q_proj',
      'self_attn.k_proj',
      'self_attn.v_proj',
      'self_attn.o_proj',
      'mlp.gate_proj',
      'mlp.up_proj',
      'mlp.down_proj',
      'input_layernorm',
      'post_attention_layernorm',
    ];
    const names = [
      'model.embed_tokens',
      ...[0, 1, 2].flatMap((i) => layer.map((name) => `model.layers.${i}.${name}`)),
      'model.norm',
      'lm_head',
    ].map((name) => `${name}.weight`);
    const written = await writeCheckpoint(
      folder,
      names.map((name) => store.get(name)!),
      { maxShardBytes: 60_000 },
    );
    store.close();
    expect(written).toEqual([
      'model-00001-of-00003.safetensors',
      'model-00002-of-00003.safetensors',
      'model-00003-of-00003.safetensors',
      indexFile,
    ]);
    for (const name of written)
      expect(readFileSync(join(folder, name)).equals(readFileSync(join(mistral, name))), name).toBe(
        true,
      );
  });

  test('writes one file where everything fits, and removes the shards of an earlier save', async () => {
    const folder = shardedFolder();
    writeFileSync(join(folder, 'config.json'), '{}');
    const store = openCheckpoint(folder);
    const tensors = store.names().map((name) => store.get(name)!);
    expect(await writeCheckpoint(folder, tensors)).toEqual(['model.safetensors']);
    store.close();
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors']);
    const again = openCheckpoint(folder);
    expect(again.names()).toHaveLength(30);
    again.close();
  });

  test(
    'gives a tensor that is larger than a shard its own, and refuses a name that two ' +
      'shards would hold',
    async () => {
      const folder = temporaryFolder();
      const tensor = (name: string, length: number) =>
        ({ name, dtype: 'U8', shape: [length], data: new Uint8Array(length) }) as const;
      expect(
        await writeCheckpoint(
          folder,
          [tensor('a', 3), tensor('b', 30), tensor('c', 5), tensor('d', 5)],
          { maxShardBytes: 10 },
        ),
      ).toHaveLength(4);
      const store = openCheckpoint(folder);
      expect(new Set(store.names().map((name) => store.get(name)!.file!.path)).size).toBe(3);
      store.close();
      expect(
        await errorCode(() =>
          writeCheckpoint(folder, [tensor('a', 9), tensor('a', 9)], { maxShardBytes: 10 }),
        ),
      ).toBe('PEFT_SAFETENSORS_DUPLICATE');
      expect(await errorCode(() => writeCheckpoint(folder, [], { maxShardBytes: 0 }))).toBe(
        'PEFT_CONFIG_INVALID',
      );
    },
  );
});
