/** Mixtures of experts: what a router chooses, what is computed for it, and what balances it. */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { architectureFor, loadModel, type Model } from '@peft/core';
import { openCheckpoint } from '@peft/hub';
import { architectures } from '@peft/models';
import { offsetsOf, type Engine } from '@peft/ops';
import { toBeAllclose } from '@peft/testing';
import { openEngine } from '../../../tools/golden/engines.js';
import { SOFTMAX_ROUTER } from '../src/decoder/experts-config.js';
import { balancingLoss, route } from '../src/decoder/router.js';
import { FIXTURES, readConfigJson } from './fixtures.js';

expect.extend({ toBeAllclose });

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('portable');
});
afterAll(() => engine.dispose());

const logits = () =>
  tf.tensor2d([
    [1, 3, 2, 0],
    [0, 0, 5, 1],
  ]);

describe('a router', () => {
  test('takes the most probable experts, their weights being probabilities or parts of the sum', () => {
    tf.tidy(() => {
      const z = [1, 3, 2, 0].map(Math.exp);
      const total = z.reduce((a, b) => a + b);
      const plain = route(logits(), 2, SOFTMAX_ROUTER);
      expect([...plain.experts]).toEqual([1, 2, 2, 3]);
      expect(plain.weights.arraySync().slice(0, 2).flat()).toBeAllclose([
        z[1]! / total,
        z[2]! / total,
      ]);
      const share = z[1]! / (z[1]! + z[2]!);
      for (const router of [
        { ...SOFTMAX_ROUTER, normalises: true },
        { ...SOFTMAX_ROUTER, kind: 'chosen' as const },
      ])
        expect(route(logits(), 2, router).weights.arraySync().slice(0, 2).flat()).toBeAllclose([
          share,
          1 - share,
        ]);
    });
  });

  test('chooses by corrected scores within the best groups, and weighs by the scores alone', () => {
    tf.tidy(() => {
      const sigmoid = { kind: 'sigmoid' as const, normalises: false, scale: 2, hasBias: false };
      const routes = route(
        logits(),
        1,
        { ...sigmoid, groups: 2, chosenGroups: 1 },
        tf.tensor1d([0, 0, 0, 0.9]),
      );
      // Row 0: groups σ(1)+σ(3) = 1.68 and σ(2)+σ(0)+0.9 = 2.28, of which 0.5 + 0.9 is the best.
      expect([...routes.experts]).toEqual([3, 3]);
      expect(routes.weights.arraySync()[0]).toBeAllclose([2 * 0.5]);
    });
  });

  test('is balanced by X·Σ share·p, its gradient flowing through the probabilities', () => {
    tf.tidy(() => {
      const z = tf.tensor2d([[0, 0]]);
      // One row, K = 1, two experts: share = (1, 0), p = (1/2, 1/2).
      expect(balancingLoss([z], 1).dataSync()[0]).toBeCloseTo(1, 6);
      const gradient = tf.grad((x) => balancingLoss([x as Tensor2D], 1))(z);
      expect(gradient).toBeAllclose([[0.5, -0.5]]);
    });
  });
});

describe('experts', () => {
  const open = (folder: string, change: object = {}): Model => {
    const json = { ...readConfigJson(`models/${folder}`), ...change };
    const store = openCheckpoint(join(FIXTURES, 'models', folder));
    const { model_type: type } = json as { model_type?: unknown };
    const model = loadModel(architectureFor(type, architectures), json, store, engine, {
      head: { kind: 'causal-lm' },
    });
    store.close();
    return model;
  };
  const batchOf = (ids: readonly number[]) => ({
    inputIds: Int32Array.from(ids),
    offsets: offsetsOf([ids.length]),
  });

  test.each(['mixtral', 'granitemoe', 'gpt_oss'])(
    'of %s make products of the rows that chose them, and the others none',
    (folder) => {
      const model = open(folder);
      const products = vi.spyOn(engine, 'linear');
      const hidden = (ids: readonly number[]) =>
        tf.tidy(() => model.forward(batchOf(ids)).hidden.dataSync());
      const experts = () =>
        products.mock.calls.filter(([, { name }]) => /experts\.\d+\.down_proj/.test(name));
      try {
        const { layers } = model.description;
        hidden([5]);
        // one token, two experts in each block
        expect(experts().map(([x]) => x.shape[0])).toEqual(
          new Array<number>(2 * layers.decoder).fill(1),
        );
        expect(new Set(experts().map(([, { name }]) => name)).size).toBe(2 * layers.decoder);
        products.mockClear();
        hidden([5, 9, 14, 22, 31, 40, 8]);
        expect(experts().reduce((sum, [x]) => sum + x.shape[0], 0)).toBe(7 * 2 * layers.decoder);
      } finally {
        products.mockRestore();
        model.dispose();
      }
    },
  );

  test("give the routers' loss where the config asks for it, recomputed or not", () => {
    const model = open('mixtral', { output_router_logits: true });
    const silent = open('mixtral');
    try {
      const batch = batchOf([5, 9, 14, 22, 31, 40, 8]);
      const loss = (checkpointing: boolean): number =>
        tf.tidy(() => model.forward(batch, { checkpointing }).routerLoss!.dataSync()[0]!);
      // 0.02 of its config times at least K = 2, which is the balanced case
      expect(loss(false)).toBeGreaterThan(0.02);
      expect(loss(true)).toBe(loss(false));
      tf.tidy(() => {
        expect(silent.forward(batch).routerLoss).toBeUndefined();
        expect(model.forward(batch).logits!).toBeAllclose(silent.forward(batch).logits!);
      });
    } finally {
      model.dispose();
      silent.dispose();
    }
  });
});
