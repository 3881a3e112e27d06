/** What decides what a reference makes of tokens, beside the weights of its base. */
import { createHash, type Hash } from 'node:crypto';
import type { Model, WeightStore } from '@peft/core';

/** By model and names: adapters that stay do not change. */
const known = new WeakMap<Model, Map<string, string>>();

/**
 * A hash of config, formats of weights, engine, precision, and of all values of the adapters in force
 * that do not train.
 */
export function referenceIdentity(model: Model): string {
  const adapters = referenceAdapters(model);
  const names = adapters.join(' ');
  const hashes = known.get(model) ?? new Map<string, string>();
  known.set(model, hashes);
  const found = hashes.get(names);
  if (found !== undefined) return found;
  const { engine, configJson, description, weights } = model;
  const hash = createHash('sha256').update(
    JSON.stringify([
      engine.name,
      engine.precision,
      configJson,
      description.parameters.map(({ name }) => {
        const weight = weights.get(name);
        return [name, weight.shape, 'format' in weight ? weight.format : 'tensor'];
      }),
    ]),
  );
  for (const name of adapters) addAdapter(hash, model, name);
  const made = hash.digest('hex');
  hashes.set(names, made);
  return made;
}

/** Names of the adapters in force that do not train: the reference has them. */
export const referenceAdapters = (model: Model): string[] =>
  model.activeAdapters.filter((name) => !model.adapter(name).isTrainable);

function addAdapter(hash: Hash, model: Model, name: string): void {
  const { spec, parameters } = model.adapter(name);
  hash.update(JSON.stringify([spec.name, spec]));
  for (const [key, { value }] of parameters) {
    const values = value.dataSync(); // once per adapter that stays
    hash
      .update(JSON.stringify([key, value.shape, value.dtype]))
      .update(Uint8Array.from(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)));
  }
}

const CHUNK_BYTES = 2 ** 22;

/** A hash of all weights of a checkpoint: its names, types, shapes and bytes. */
export function hashWeights(store: WeightStore): string {
  const hash = createHash('sha256');
  for (const name of [...store.names()].sort()) {
    const source = store.get(name)!;
    hash.update(JSON.stringify([name, source.dtype, source.shape]));
    for (let at = 0; at < source.byteLength; at += CHUNK_BYTES)
      hash.update(source.read(at, Math.min(CHUNK_BYTES, source.byteLength - at)));
  }
  return hash.digest('hex');
}
