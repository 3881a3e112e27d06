/**
 * PSOFT's files leave the signs of singular vectors to the LAPACK that reads them: what a case was
 * made with is found by its logits and its first gradients, one layer after the other, and written
 * into a copy of its folder.
 */
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { peftFormat, type Adapter, type Model } from '@peft/core';
import { openSafetensors, readFloat32 } from '@peft/hub';
import { methods } from '../../methods.js';
import { comparedOf } from '../../task.js';
import { withModel } from '../../with-model.js';
import type { Check } from './adapter-case.js';
import { gradientsOf } from './check-training.js';

/** Rounds over all sites from one start, and starts. */
const ROUNDS = 8;
const STARTS = 48;
/** Directions of a site of which all signs are tried together. */
const WIDEST = 6;
/**
 * Root mean square of the differences ÷ that of the values, of logits and of gradients together, at
 * which the signs are those of the case.
 */
const CLOSE = 2e-4;

/** @returns a copy of the folder whose config says the signs; the caller removes it */
export async function withSigns({ folder, json, comparison, open, pack }: Check): Promise<string> {
  const copy = mkdtempSync(join(tmpdir(), 'peft-golden-psoft-'));
  cpSync(folder, copy, { recursive: true });
  const path = join(copy, 'adapter_config.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  config['psoft_signs'] = {};
  await withModel(open, (model) => {
    const adapter = model.addAdapter(
      'default',
      peftFormat.readSpec(config, methods, model.description, []),
      { strict: false },
    );
    load(adapter, join(copy, 'adapter_model.safetensors'));
    config['psoft_signs'] = search(adapter, config['r'] as number, () =>
      differenceOf(model, adapter, { json, comparison, pack }),
    );
    return Promise.resolve();
  });
  writeFileSync(path, JSON.stringify(config));
  return copy;
}

/** Of the logits and the first gradients of the case, each relative to what is wanted. */
function differenceOf(
  model: Model,
  adapter: Adapter,
  { json, comparison, pack }: Pick<Check, 'json' | 'comparison' | 'pack'>,
): number {
  const { tensors } = comparison.golden;
  const packed = pack(json.batch);
  const logits = tf.tidy(() =>
    relative(
      tensors.get('logits')!.values,
      comparedOf(json.task, model.forward(packed.batch), packed),
    ),
  );
  if (!json.training) return logits;
  const { gradients, none } = gradientsOf(
    model,
    adapter,
    json.task,
    pack(json.training.batches[0]!),
  );
  const [found, wanted] = [[] as number[], [] as number[]];
  for (const parameter of adapter.parameters.values()) {
    const expected = tensors.get(`grad0.${peftFormat.keyOf(adapter, parameter)}`);
    const gradient = gradients[parameter.name];
    if (!expected || gradient?.size !== expected.values.length) continue;
    wanted.push(...expected.values);
    found.push(...gradient.dataSync());
  }
  tf.dispose([gradients, none]);
  return logits + relative(wanted, found);
}

/** Root mean square of the differences ÷ that of the values. */
function relative(wanted: ArrayLike<number>, found: ArrayLike<number>): number {
  let [squares, scale] = [0, 0];
  for (let i = 0; i < wanted.length; i += 1) {
    squares += (wanted[i]! - found[i]!) ** 2;
    scale += wanted[i]! ** 2;
  }
  return Math.sqrt(squares / (scale || 1));
}

function search(adapter: Adapter, rank: number, error: () => number): Record<string, string> {
  const sites = adapter.wrappedSites.map(({ path }) => path);
  const signs = new Map(sites.map((path) => [path, new Array<number>(rank).fill(1)]));
  const flip = (path: string, k: number): void => {
    signs.get(path)![k]! *= -1;
    tf.tidy(() => {
      const mask = Array.from({ length: rank }, (_, i) => (i === k ? -1 : 1));
      const [a, b] = ['A', 'B'].map((name) => adapter.parameters.get(`${path}.psoft_${name}`)!);
      a!.value.assign(tf.mul(a!.value, tf.tensor2d(mask, [rank, 1])));
      b!.value.assign(tf.mul(b!.value, tf.tensor2d(mask, [1, rank])));
    });
  };
  // all of a site's at once change nothing, so that its first stays; the others in Gray's order
  const wide = Math.min(rank - 1, WIDEST);
  const steps = Array.from({ length: 2 ** wide }, (_, i) => 1 + Math.log2((i + 1) & -(i + 1)));
  let random = 1;
  let found = { error: Number.POSITIVE_INFINITY, signs: new Map<string, readonly number[]>() };
  for (let start = 0; start < STARTS; start += 1) {
    let best = error();
    for (let round = 0; round < ROUNDS && best > CLOSE; round += 1) {
      const before = best;
      for (const path of sites) {
        let [kept, since] = [best, [] as number[]];
        for (const k of steps.slice(0, -1)) {
          flip(path, k);
          since.push(k);
          const now = error();
          if (now < kept) [kept, since] = [now, []];
        }
        since.forEach((k) => flip(path, k)); // back to the best
        best = kept;
      }
      if (best === before) break;
    }
    if (best < found.error)
      found = { error: best, signs: new Map([...signs].map(([path, each]) => [path, [...each]])) };
    if (best <= CLOSE) break;
    for (const path of sites)
      for (let k = 1; k < rank; k += 1) {
        random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
        if (random > 2 ** 31) flip(path, k);
      }
  }
  return Object.fromEntries(
    [...found.signs]
      .map(([path, each]) => [path, each.map((sign) => (sign > 0 ? '+' : '-')).join('')] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function load(adapter: Adapter, file: string): void {
  const store = openSafetensors(file);
  try {
    for (const parameter of adapter.parameters.values()) {
      const source = store.get(peftFormat.keyOf(adapter, parameter));
      const { value } = parameter;
      if (source) tf.tidy(() => value.assign(tf.tensor(readFloat32(source), value.shape)));
    }
  } finally {
    store.close();
  }
}
