/** Folds adapters into copies of the base's weights, where that is exact. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { isQuantizedFormat, memorySource, onHost, type Engine, type FrozenWeight } from '@peft/ops';
import type { Adapter } from '../../adapter/adapter.js';
import type { WeightHost } from '../../adapter/weight-host.js';
import type { ModelDescription } from '../../description/model-description.js';
import type { LinearSite, SiteKind } from '../../description/sites.js';
import type { Attached, SiteAttachments } from '../../method/attachment.js';
import { isFrozen } from '../weights/weights.js';

/** Adapters, the innermost first, and the base's parameters. */
export interface Folding {
  readonly adapters: readonly Adapter[];
  readonly base: (name: string) => FrozenWeight | Tensor;
  /** float32 values of one, which the caller disposes. */
  readonly read: (name: string) => Tensor;
  /** Folding is done in host memory where this one's is a device's. */
  readonly engine: Engine;
}

/**
 * Unfrozen parameters first (the outermost adapter's counts, as in the forward pass), then what
 * stands on the sites, innermost first.
 */
export function mergeInto(
  merged: Map<string, FrozenWeight | Tensor>,
  adapters: readonly Adapter[],
  read: (name: string) => Tensor,
  host: WeightHost,
): void {
  fold(merged, adapters, read, (name, value) => {
    const isMatrix =
      adapters[0]!.description.parameters.find((spec) => spec.name === name)!.use !== 'vector';
    return isMatrix ? host.freezeMatrix(name, value as Tensor2D) : tf.keep(value);
  });
}

/**
 * One parameter with the adapters folded in, and nothing else of the model.
 * @returns its float32 values, which the caller disposes
 */
export const foldParameter = (name: string, folding: Folding): Tensor =>
  onHost(folding.engine, () => changedParameter(name, folding) ?? folding.read(name));

/**
 * The same in pieces of whole rows of at most `most` values, unless a row has more: some of the rows
 * at a time of a matrix that no adapter changes, else all of it.
 */
export function* foldParameterRows(
  name: string,
  folding: Folding,
  most: number,
): Generator<Tensor> {
  // not around all of it: other work is done between two pieces
  const here = <T>(body: () => T): T => onHost(folding.engine, body);
  const changed = here(() => changedParameter(name, folding));
  const weight = folding.base(name);
  const [rows = 0, columns = 0] = weight.shape;
  const atATime = Math.max(1, Math.floor(most / Math.max(columns, 1)));
  if (changed || !isFrozen(weight) || atATime >= rows) {
    yield changed ?? here(() => folding.read(name));
    return;
  }
  for (let first = 0; first < rows; first += atATime) {
    const length = Math.min(atATime, rows - first);
    const rowIds = Int32Array.from({ length }, (_, i) => first + i);
    yield here(() => weight.engine.gather(weight, rowIds));
  }
}

/** Undefined where no adapter changes it. */
function changedParameter(name: string, { adapters, read }: Folding): Tensor | undefined {
  const merged = new Map<string, Tensor>();
  try {
    fold(merged, adapters, read, (_, value) => tf.keep(value), name);
    const result = merged.get(name);
    merged.delete(name);
    return result;
  } finally {
    for (const other of merged.values()) other.dispose();
  }
}

/**
 * @param freeze what to keep of a value that changed; it takes the tensor over.
 * @param only the parameter that is wanted, where not all are.
 */
function fold<T extends FrozenWeight | Tensor>(
  merged: Map<string, T>,
  adapters: readonly Adapter[],
  read: (name: string) => Tensor,
  freeze: (name: string, value: Tensor) => T,
  only?: string,
): void {
  const wanted = only === undefined ? undefined : madeWith(only, adapters);
  const isWanted = (name: string) => wanted === undefined || wanted.has(name);
  const current = (name: string): Tensor => {
    const own = merged.get(name);
    return own ? readTensor(own) : read(name);
  };
  const keep = (name: string, value: Tensor) => {
    const made = freeze(name, value);
    merged.get(name)?.dispose();
    merged.set(name, made);
  };
  for (const adapter of adapters) {
    for (const { origin, name, value } of adapter.parameters.values()) {
      if (origin !== 'unfrozen' || !isWanted(name)) continue;
      refuseEmbeddingOnly(adapter, name);
      keep(name, readTensor(value));
    }
    for (const [name, weight] of adapter.replaced)
      if (isWanted(name)) keep(name, readTensor(weight));
  }
  for (const adapter of adapters) {
    for (const attached of [...adapter.attachments.values()].flat()) {
      const { site } = attached;
      if (wanted && !('weight' in site && wanted.has(site.weight))) continue;
      refuseTied(adapter.description, attached);
      mergeSite(attached, current, keep);
    }
  }
}

/** A parameter and those that are merged in one go with it: a layer's weight and its bias. */
function madeWith(name: string, [first]: readonly Adapter[]): ReadonlySet<string> {
  const names = new Set([name]);
  for (const site of first?.description.sites ?? []) {
    const own = [
      'weight' in site ? site.weight : undefined,
      'bias' in site ? site.bias : undefined,
    ].filter((each) => each !== undefined);
    if (own.includes(name)) for (const each of own) names.add(each);
  }
  return names;
}

/**
 * That folding these adapters will succeed, at the cost of one small merge for each method.
 * @throws PEFT_MERGE_INEXACT
 */
export function checkMergeable({
  adapters,
  read,
  engine,
}: Pick<Folding, 'adapters' | 'read' | 'engine'>): void {
  for (const adapter of adapters) {
    for (const { origin, name } of adapter.parameters.values())
      if (origin === 'unfrozen') refuseEmbeddingOnly(adapter, name);
    const smallest = new Map<string, Attached>();
    for (const attached of [...adapter.attachments.values()].flat()) {
      refuseTied(adapter.description, attached);
      refuseUnmergeable(attached);
      const { site, method } = attached;
      if (site.kind !== 'linear' || site.bias !== undefined) continue;
      const other = smallest.get(method)?.site;
      if (other?.kind === 'linear' && sizeOf(other) <= sizeOf(site)) continue;
      smallest.set(method, attached);
    }
    // a bias that has no place shows only when it is made
    for (const attached of smallest.values())
      onHost(engine, () => mergeSite(attached, read, (_, value) => value.dispose()));
  }
}

const sizeOf = ({ inFeatures, outFeatures }: LinearSite): number => inFeatures * outFeatures;

function refuseEmbeddingOnly(adapter: Adapter, name: string): void {
  if (adapter.isEmbeddingOnly(name))
    throw new PeftError(
      'PEFT_MERGE_INEXACT',
      `modulesToSave: ${name} is also the weight of another layer, which keeps the base's values.`,
      { hint: 'keep the adapter beside the model, or train it with ensureWeightTying: true' },
    );
}

/**
 * A weight that another layer reads, too (a table that is also the output layer's) must not change
 * unless the adapter goes along to all of them.
 */
function refuseTied(
  { sites, repeatedBlocks }: ModelDescription,
  { site, method, attachment }: Attached,
): void {
  if (repeatedBlocks && site.layer !== undefined)
    throw new PeftError(
      'PEFT_MERGE_INEXACT',
      `${method}: the model's blocks are ${JSON.stringify(repeatedBlocks)} of its checkpoint's, ` +
        `and ${site.path} shares its weight with others.`,
      { hint: 'keep the adapter beside the model' },
    );
  if (site.kind !== 'embedding' && site.kind !== 'linear') return;
  if (
    site.kind === 'embedding' &&
    site.tiedTo === undefined &&
    (attachment as SiteAttachments['embedding']).forwardOutput
  )
    return;
  const holder = site.kind === 'embedding' ? site.tiedTo : undefined;
  const other = sites.find(
    (reader) =>
      (reader.kind === 'linear' || reader.kind === 'embedding') &&
      reader.weight === site.weight &&
      reader.path !== site.path &&
      reader.path !== holder,
  );
  if (other)
    throw new PeftError(
      'PEFT_MERGE_INEXACT',
      `${method}: the weight of ${site.path} is also that of ${other.path}, which would change with it.`,
      { hint: 'keep the adapter beside the model' },
    );
}

function mergeSite(
  { site, method, attachment }: Attached,
  current: (name: string) => Tensor,
  keep: (name: string, value: Tensor) => void,
): void {
  refuseUnmergeable({ site, method, attachment });
  if (site.kind !== 'linear' && site.kind !== 'norm' && site.kind !== 'embedding') return;
  // What stands on a site is of the site's kind: the attach function of that kind made it.
  if (site.kind === 'embedding') {
    const { merge } = attachment as Required<SiteAttachments['embedding']>;
    keep(
      site.weight,
      tf.tidy(() => merge.call(attachment, current(site.weight) as Tensor2D)),
    );
    return;
  }
  const { merge } = attachment as Required<SiteAttachments['linear']>;
  const result = tf.tidy(() => {
    const made = merge.call(attachment, {
      weight: current(site.weight) as Tensor2D,
      bias: site.bias === undefined ? undefined : (current(site.bias) as Tensor1D),
    });
    if (made.bias && site.bias === undefined)
      throw new PeftError(
        'PEFT_MERGE_INEXACT',
        `${method}: it adds a bias at ${site.path}, which has none to merge it into.`,
        { hint: 'keep the adapter beside the model' },
      );
    return { weight: made.weight, bias: made.bias };
  });
  keep(site.weight, result.weight);
  if (result.bias && site.bias !== undefined) keep(site.bias, result.bias);
}

function refuseUnmergeable({ site, method, attachment }: Attached): void {
  const hasWeights = site.kind === 'linear' || site.kind === 'norm' || site.kind === 'embedding';
  if (!hasWeights || !canMerge(attachment))
    throw new PeftError(
      'PEFT_MERGE_INEXACT',
      `${method}: what it does at ${site.path} cannot be merged into the weights.`,
      { hint: 'keep the adapter beside the model' },
    );
}

const canMerge = (attachment: SiteAttachments[SiteKind]): boolean =>
  attachment !== undefined && 'merge' in attachment && attachment.merge !== undefined;

/** Whether a weight is stored in four or eight bits. */
export const isQuantized = (weight: FrozenWeight | Tensor): boolean =>
  isFrozen(weight) && isQuantizedFormat(weight.format);

/** float32 values of a base weight; the caller disposes. */
export const readTensor = (weight: FrozenWeight | Tensor): Tensor =>
  isFrozen(weight) ? weight.engine.dequantize(weight) : tf.clone(weight);

/** A changed matrix is kept in float32, whatever the base's format. Disposes `weight`. */
export function freezeChanged(name: string, weight: Tensor2D, engine: Engine): FrozenWeight {
  const values = Float32Array.from(weight.dataSync()); // once per merged or replaced matrix
  const { shape } = weight;
  weight.dispose();
  return engine.freeze(memorySource(name, shape, values), { format: 'f32' });
}
