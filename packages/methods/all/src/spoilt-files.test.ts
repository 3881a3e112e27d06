/** Numbers of a file that lead out of what they count in, or that its copies contradict, are refused. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { loadAdapter, saveAdapter, type Model } from '@peft/core';
import { openSafetensors, readTensor, writeSafetensors, type NewTensor } from '@peft/hub';
import type { Engine } from '@peft/ops';
import { lily } from '@peft/low-rank';
import { frod, shira, supertuning } from '@peft/sparse';
import { tinyModels, useModel, usePortableEngine, useTemporaryFolder } from '@peft/testing';
import { unilora, vblora } from '@peft/vera';
import { expect, test } from 'vitest';
import { allMethods } from './all-methods.js';

let engine: Engine;
let model: Model;
let folder: string;
usePortableEngine((made) => (engine = made));
useModel(
  () => tinyModels()[0]!.open(engine),
  (made) => (model = made),
);
useTemporaryFolder((made) => (folder = made));

/** A copy whose first tensor of that name begins with another number. */
async function spoiltCopy(saved: string, word: string, value: number): Promise<string> {
  const copy = join(folder, String(value));
  cpSync(saved, copy, { recursive: true });
  const path = join(copy, 'adapter_model.safetensors');
  const store = openSafetensors(path);
  const spoilt = store.names().find((name) => name.endsWith(word))!;
  const tensors = store.names().map((name): NewTensor => {
    const { dtype, shape } = store.get(name)!;
    const data = readTensor(store.get(name)!).values.slice();
    if (name === spoilt) data[0] = data instanceof BigInt64Array ? BigInt(value) : value;
    return { name, dtype, shape, data } as NewTensor; // read as it is written
  });
  store.close();
  await writeSafetensors(path, tensors);
  return copy;
}

const wide = { rank: 2, targets: ['query'] };
test.each([
  { spec: shira(wide), word: 'shira_indices', values: [-1, 2 ** 20] },
  {
    spec: supertuning({ ...wide, sparsity: 0.9 }),
    word: 'supertuning_indices',
    values: [-1, 2 ** 20],
  },
  { spec: frod({ targets: ['query'] }), word: 'frod_s_indices.self_query', values: [-1, 12] },
  {
    spec: unilora({ ...wide, length: 30, saveIndices: true }),
    word: 'unilora_indices_A',
    values: [-1, 30, 2 ** 32],
  },
  {
    spec: vblora({ ...wide, vectors: 300, vectorLength: 3, saveOnlyTopk: true }),
    word: 'vblora_logits_A_topk_indices',
    values: [-1, 300],
  },
  {
    spec: vblora({ ...wide, vectors: 5, vectorLength: 3, saveOnlyTopk: true }),
    word: 'vblora_logits_A_topk_weights',
    values: [-0.5, 1.5, Number.NaN],
  },
  {
    spec: lily(wide),
    word: 'lily_B.weight', // which the file has once for each layer
    values: [7],
  },
])('$word', async ({ spec, word, values }) => {
  model.addAdapter('a', spec);
  const saved = join(folder, 'saved');
  await saveAdapter(model, 'a', saved, { allowUntrained: true });
  for (const value of values) {
    const spoilt = await spoiltCopy(saved, word, value);
    await expect(
      loadAdapter(model, spoilt, { name: 'b', methods: allMethods }),
      String(value),
    ).rejects.toMatchObject({ code: 'PEFT_ADAPTER_MISMATCH' });
    expect(model.activeAdapters).toEqual(['a']);
  }
});
