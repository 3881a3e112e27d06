import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { integerPower } from '../rules/integer-power.js';
import { layerIds } from './layer-ids.js';
import {
  layerwiseGroups,
  loraPlusGroups,
  singleRateGroups,
  twoStageGroups,
} from './parameter-groups.js';

type Row = readonly [
  name: string,
  id: number,
  trainable: boolean,
  rate: number | null,
  weightDecay: number | null,
];
const { tables } = JSON.parse(
  readFileSync(
    new URL('../../../testing/fixtures/autogluon/layer_ids.json', import.meta.url),
    'utf8',
  ),
) as {
  tables: {
    base: string;
    peft: string;
    lr: number;
    lr_decay: number;
    weight_decay: number;
    rows: Row[];
  }[];
};

describe("layer ids and group rates are AutoGluon's, exactly", () => {
  test.each(tables.map((table) => [`${table.base} ${table.peft}`, table] as const))(
    '%s',
    (_name, { base, lr, lr_decay: layerDecay, weight_decay: weightDecay, rows }) => {
      const names = rows.map(([name]) => name);
      const { ids, problem } = layerIds(names);
      expect(problem).toBeUndefined();
      expect([...ids]).toEqual(rows.map(([name, id]) => [name, id]));
      // T5's norms are RMS norms, which AutoGluon does not know as norms.
      const normParameters = new Set(
        base.includes('t5') ? [] : names.filter((name) => name.includes('LayerNorm')),
      );
      const trainable = rows.filter(([, , trains]) => trains);
      const groups = layerwiseGroups(
        trainable.map(([name]) => name),
        { ids, layerDecay, weightDecay, normParameters },
      );
      expect(
        trainable.map(([name, id]) => [
          name,
          id,
          true,
          groups.get(name)!.learningRateScale * lr,
          groups.get(name)!.weightDecay,
        ]),
      ).toEqual(trainable);
    },
  );

  test('other families: a new block starts where the number changes, in each child of the backbone', () => {
    const names = [
      'model.wte.weight',
      'model.h.0.attn.0.w',
      'model.h.0.mlp.w',
      'model.h.1.attn.0.w',
      'model.extra.0.w',
      'model.ln_f.weight',
      'model.layer_norm_9x.pooler',
      'score.weight',
    ];
    expect(Object.fromEntries(layerIds(names).ids)).toEqual({
      'model.wte.weight': 4,
      'model.h.0.attn.0.w': 3,
      'model.h.0.mlp.w': 3,
      'model.h.1.attn.0.w': 2,
      'model.extra.0.w': 1,
      'model.ln_f.weight': 0,
      'model.layer_norm_9x.pooler': 0,
      'score.weight': 0,
    });
  });

  test('another backbone prefix, and no backbone at all', () => {
    expect([
      ...layerIds(['bert.embeddings.w', 'bert.encoder.layer.0.w', 'classifier.bias'], {
        backbonePrefix: 'bert',
      }).ids.values(),
    ]).toEqual([2, 1, 0]);
    expect([...layerIds(['a', 'b.0.c']).ids.values()]).toEqual([0, 0]);
    expect(layerIds([]).ids.size).toBe(0);
  });

  test('a backbone name that fits nothing makes all ids 0, and says so', () => {
    const { ids, problem } = layerIds(['model.embed_tokens.weight', 'model.layers.0.w', 'head.w']);
    expect([...ids.values()]).toEqual([0, 0, 0]);
    expect(problem).toContain('the name "model.embed_tokens.weight" has no block number');
  });
});

describe('groups', () => {
  const names = [
    'q.lora_A',
    'q.lora_B',
    'q.lora_b',
    'q.bias',
    'norm.weight',
    'e.lora_embedding_B',
    'head.weight',
  ];
  const options = { weightDecay: 0.1, normParameters: new Set(['norm.weight']) };
  const scales = (groups: Map<string, { learningRateScale: number }>): number[] =>
    [...groups.values()].map(({ learningRateScale }) => learningRateScale);

  test('decay all but norms and biases; IA3 vectors decay', () => {
    expect(
      [...singleRateGroups(names, options).values()].map(({ weightDecay }) => weightDecay),
    ).toEqual([0.1, 0.1, 0.1, 0, 0, 0.1, 0.1]);
  });

  test("two stages multiply the head's rate", () => {
    const ids = new Map(names.map((name) => [name, name === 'head.weight' ? 0 : 1]));
    expect(scales(twoStageGroups(names, { ...options, ids, headMultiplier: 0.25 }))).toEqual([
      1, 1, 1, 1, 1, 1, 0.25,
    ]);
  });

  test('LoRA+ multiplies the rate of B and of vectors', () => {
    expect(
      scales(
        loraPlusGroups(names, {
          ...options,
          ratio: 16,
          vectorParameters: new Set(['q.bias', 'norm.weight']),
          embeddingScale: 0.5,
        }),
      ),
    ).toEqual([1, 16, 1, 16, 16, 0.5, 1]);
  });

  test('need an id for every parameter', () => {
    expect(() =>
      layerwiseGroups(['q.bia'], { ...options, layerDecay: 0.9, ids: new Map([['q.bias', 1]]) }),
    ).toThrowErrorMatchingInlineSnapshot(`
      [PeftError: optim: there is no layer id for the parameter "q.bia".
        hint: Did you mean "q.bias"?]
    `);
    expect(() =>
      singleRateGroups(names, { ...options, weightDecay: -1 }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[PeftError: optim: weightDecay must be a number of at least 0, got -1.]`,
    );
  });
});

describe('an integer power', () => {
  test('is rounded once', () => {
    // What Python prints for these powers.
    expect([0, 1, 2, 3, 4, 13, 25].map((n) => integerPower(0.9, n))).toEqual([
      1, 0.9, 0.81, 0.7290000000000001, 0.6561, 0.2541865828329001, 0.0717897987691853,
    ]);
    expect([
      integerPower(-2, 3),
      integerPower(-2, 2),
      integerPower(3, 40),
      integerPower(0, 3),
      integerPower(1e-30, 10),
    ]).toEqual([-8, 4, 12157665459056929000, 0, 1.0000000000000009e-300]);
  });
});
