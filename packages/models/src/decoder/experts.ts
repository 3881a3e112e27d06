/**
 * A feed-forward network of experts (Shazeer et al. 2017): each token goes to K of X networks,
 *
 *   y_n = Σ_k w_nk·expert_k(x_n)
 *
 * Tokens are grouped by expert, so that an expert makes one product of all its tokens, and one that
 * no token chose makes none.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { clip, gatedActivation, gatherRows, hasDeviceMemory, scatterAddRows } from '@peft/ops';
import { zeros, type ModelRun } from '@peft/core';
import type { DescriptionBuilder } from '../description/describe.js';
import type { DecoderConfig } from './decoder-config.js';
import type { ExpertsConfig } from './experts-config.js';
import { denseWeights, route } from './router.js';

const CORRECTION = 'e_score_correction_bias';

export function describeExperts(
  model: DescriptionBuilder,
  block: string,
  { hiddenSize: D }: DecoderConfig,
  experts: ExpertsConfig,
  layer: number,
): void {
  const { form, count, size, sharedSize, router } = experts;
  const module = `${block}.${form.path}`;
  const describers = {
    router: () => {
      model.linear(`${module}.${form.router}`, {
        role: 'router',
        shape: [count, D],
        bias: router.hasBias,
        isBareParameter: true,
        aliases: form.routerAliases.map((name) => `${block}.${name}`),
        layer,
      });
      if (router.kind === 'sigmoid')
        model.buffer(`${module}.${form.router}.${CORRECTION}`, [count], zeros);
    },
    experts: () => {
      for (let x = 0; x < count; x += 1) {
        const cut = form.cutOf(block, x, count);
        const shared = {
          bias: form.hasBias,
          transposed: form.transposed,
          isBareParameter: true,
          looseRows: 'the tokens that a router sends it',
          layer,
        };
        model.linear(`${module}.experts.${x}.gate_up_proj`, {
          ...shared,
          role: 'expert.gate_up',
          shape: [2 * size, D],
          cut: { weight: cut.gateUp, bias: cut.gateUpBias },
        });
        model.linear(`${module}.experts.${x}.down_proj`, {
          ...shared,
          role: 'expert.down',
          shape: [D, size],
          cut: { weight: cut.down, bias: cut.downBias },
        });
      }
    },
    shared: () => {
      if (!form.shared || sharedSize === 0) return;
      const path = `${module}.${form.shared.path}`;
      const project = (name: string, role: string, shape: readonly [number, number]) =>
        model.linear(`${path}.${name}`, { role, shape, bias: false, layer });
      project('gate_proj', 'ffn.gate', [sharedSize, D]);
      project('up_proj', 'ffn.up', [sharedSize, D]);
      project('down_proj', 'ffn.down', [D, sharedSize]);
    },
    sharedGate: () => {
      if (form.shared?.gate && sharedSize > 0)
        model.linear(`${module}.${form.shared.gate}`, {
          role: 'ffn.shared-gate',
          shape: [1, D],
          bias: false,
          layer,
        });
    },
  };
  for (const part of form.order) describers[part]();
}

/** @param onRouted is given the router's logits. @returns `[N, D]` */
export function runExperts(
  run: ModelRun,
  block: string,
  config: DecoderConfig,
  experts: ExpertsConfig,
  x: Tensor2D,
  onRouted: (logits: Tensor2D) => void,
): Tensor2D {
  const { form, perToken, count, router } = experts;
  const module = `${block}.${form.path}`;
  const logits = run.linear(`${module}.${form.router}`, x);
  onRouted(logits);
  const correction =
    router.kind === 'sigmoid'
      ? (run.vector(`${module}.${form.router}.${CORRECTION}`) as Tensor1D)
      : undefined;
  const shared = runShared(run, module, config, experts, x);
  if (hasDeviceMemory()) {
    const routed = runAllExperts(
      run,
      module,
      config,
      experts,
      x,
      denseWeights(logits, perToken, router, correction),
    );
    return shared ? tf.add(routed, shared) : routed;
  }
  const routes = route(logits, perToken, router, correction);
  const byExpert = Array.from({ length: count }, (): number[] => []);
  routes.experts.forEach((expert, place) => byExpert[expert]!.push(place));
  const hit = byExpert.flatMap((places, expert) => (places.length ? [{ expert, places }] : []));
  const tokensOf = (places: readonly number[]) =>
    Int32Array.from(places, (place) => Math.floor(place / perToken));
  const outputs = hit.map(({ expert, places }) =>
    runExpert(run, `${module}.experts.${expert}`, config, experts, gatherRows(x, tokensOf(places))),
  );
  const order = hit.flatMap(({ places }) => places);
  const weighted = tf.mul(
    tf.concat(outputs, 0), // [N·K, D]
    gatherRows(routes.weights, Int32Array.from(order)),
  ) as Tensor2D;
  const routed = scatterAddRows(weighted, tokensOf(order), x.shape[0]);
  return shared ? tf.add(routed, shared) : routed;
}

/**
 * Every expert on every token, for a device: which tokens an expert has is known there alone, and
 * cannot be waited for. X/K times the products of the other way.
 * @param weights `[N, X]`, 0 where an expert is not a token's
 */
function runAllExperts(
  run: ModelRun,
  module: string,
  config: DecoderConfig,
  experts: ExpertsConfig,
  x: Tensor2D,
  weights: Tensor2D,
): Tensor2D {
  return Array.from({ length: experts.count }, (_, expert) =>
    tf.mul<Tensor2D>(
      runExpert(run, `${module}.experts.${expert}`, config, experts, x),
      tf.slice(weights, [0, expert], [-1, 1]),
    ),
  ).reduce((sum, own) => tf.add(sum, own));
}

/** One expert on its tokens. */
function runExpert(
  run: ModelRun,
  path: string,
  { activation }: DecoderConfig,
  { form }: ExpertsConfig,
  x: Tensor2D,
): Tensor2D {
  const both = run.linear(`${path}.gate_up_proj`, x); // [n, 2F]
  if (form.gate === 'clipped') return run.linear(`${path}.down_proj`, clippedGate(both));
  const [gate, up] = tf.split(both, 2, 1) as [Tensor2D, Tensor2D];
  return run.linear(`${path}.down_proj`, gatedActivation(activation, gate, up));
}

const LIMIT = 7;

/**
 * gpt-oss's gate: (u + 1)·g·σ(1.702·g), g = min(gate, 7), u within ±7; the columns of gate and up
 * take turns.
 */
function clippedGate(both: Tensor2D): Tensor2D {
  const [rows, width] = both.shape;
  const [gate, up] = tf.unstack(tf.reshape(both, [rows, width / 2, 2]), 2) as [Tensor2D, Tensor2D];
  return gatedActivation(
    'gelu_quick',
    clip(gate, LIMIT, -Infinity),
    tf.add<Tensor2D>(clip(up, LIMIT), 1),
  );
}

/** The network that every token takes, σ(gate·x) of it where there is a gate. */
function runShared(
  run: ModelRun,
  module: string,
  { activation }: DecoderConfig,
  { form, sharedSize }: ExpertsConfig,
  x: Tensor2D,
): Tensor2D | undefined {
  if (!form.shared || sharedSize === 0) return undefined;
  const path = `${module}.${form.shared.path}`;
  const inner = gatedActivation(
    activation,
    run.linear(`${path}.gate_proj`, x),
    run.linear(`${path}.up_proj`, x),
  );
  const y = run.linear(`${path}.down_proj`, inner);
  if (!form.shared.gate) return y;
  return tf.mul(run.linear(`${module}.${form.shared.gate}`, x, 'sigmoid'), y);
}
