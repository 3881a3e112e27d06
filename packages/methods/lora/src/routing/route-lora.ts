/** Puts an adapter on a model that chooses among LoRA adapters token by token: Arrow. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import type { Adapter, LinearSite, Model } from '@peft/core';
import { PeftError } from '@peft/errors';
import { onHost } from '@peft/ops';
import { matricesAt } from '../combinations/low-rank-sites.js';
import type { LoraMatrices } from '../variants/lora-linear.js';
import { arrow, routedMatricesOf, type ArrowConfig } from './arrow.js';
import { prototypeOf } from './prototype.js';

/** How LoRA adapters are chosen. */
export type RouteLoraOptions = Partial<Omit<ArrowConfig, 'rank' | 'adapters'>> &
  Pick<ArrowConfig, 'adapters'>;

/**
 * Puts a routed adapter on the model, the active one then: copies of the others' matrices as they
 * are now, and their prototypes. It has nothing to train or save, and cannot be merged.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_ADAPTER_UNKNOWN
 * @throws PEFT_ADAPTER_COMBINE where an adapter is no plain LoRA on linear layers, or they stand on
 *   different layers or have different ranks
 * @example
 * const routed = await routeLora(model, 'routed', { adapters: ['law', 'code'], topK: 1 });
 */
export async function routeLora(
  model: Model,
  newName: string,
  options: RouteLoraOptions,
): Promise<Adapter> {
  const { adapters, general } = arrow.parseConfig(options);
  await model.toHost(...adapters, ...general);
  const all = [...adapters, ...general].map((name) => model.adapter(name));
  const sites = linearSites(model, all);
  const rank = rankOf(sites, all);
  const made = model.addAdapter(
    newName,
    arrow({ ...options, rank, targets: sites.map(({ path }) => path), modulesToSave: [] }),
  );
  try {
    onHost(model.engine, () => {
      for (const site of sites) fill(site, made, all, adapters.length);
    });
  } catch (error) {
    model.deleteAdapter(newName);
    throw error;
  }
  return made;
}

/** Sites where all adapters are a product of matrices, and that are all they have. */
function linearSites(model: Model, adapters: readonly Adapter[]): readonly LinearSite[] {
  const [first] = adapters;
  const paths = (adapter: Adapter) =>
    adapter.wrappedSites
      .map(({ path }) => path)
      .sort()
      .join();
  for (const adapter of adapters) {
    const other = adapter.wrappedSites.find(
      (site) => site.kind !== 'linear' || !matricesAt(adapter, site),
    );
    const own = [...adapter.parameters.values()].find(({ origin }) => origin === 'unfrozen');
    if (other || own)
      throw refused(
        `adapter "${adapter.name}" cannot be chosen token by token: at ` +
          `${(other?.path ?? own?.name)!} it is more than plain LoRA on a linear layer`,
        'train it without biases, rows of embeddings and modulesToSave',
      );
    if (paths(adapter) !== paths(first!))
      throw refused(
        `adapters "${first!.name}" and "${adapter.name}" stand on different layers`,
        'choose among adapters that were trained with the same targets',
      );
  }
  return model.description.sites.filter(
    (site): site is LinearSite =>
      site.kind === 'linear' && first!.at('linear', site.path).length > 0,
  );
}

function rankOf(sites: readonly LinearSite[], adapters: readonly Adapter[]): number {
  const ranks = new Set(
    sites.flatMap((site) => adapters.map((adapter) => matricesAt(adapter, site)!.a.shape[0]!)),
  );
  const [rank] = ranks;
  if (ranks.size !== 1)
    throw refused(
      `the adapters need one rank to be chosen among, got ${[...ranks].join(', ')}`,
      'bring them to one with combineLora: combination svd, weights [1]',
    );
  return rank!;
}

const refused = (problem: string, hint: string): PeftError =>
  new PeftError('PEFT_ADAPTER_COMBINE', `arrow: ${problem}.`, { hint });

/** @param count of `adapters`, which come before those of general knowledge */
function fill(site: LinearSite, made: Adapter, adapters: readonly Adapter[], count: number): void {
  const { attachment } = made.at('linear', site.path)[0]!;
  const routed = routedMatricesOf(attachment)!;
  const matrices = adapters.map((adapter) => matricesAt(adapter, site)!);
  const [experts, general] = [matrices.slice(0, count), matrices.slice(count)];
  tf.tidy(() => {
    const own = ({ a, b }: LoraMatrices) => ({
      a: without(
        a.value,
        general.map((each) => each.a.value),
      ),
      b: without(
        b.value,
        general.map((each) => each.b.value),
      ),
    });
    const left = experts.map(own);
    routed.a.value.assign(
      tf.concat(
        left.map(({ a }) => a),
        0,
      ),
    );
    routed.b.value.assign(
      tf.concat(
        left.map(({ b }, e) => tf.mul<Tensor2D>(b, experts[e]!.scaling)),
        1,
      ),
    );
    routed.prototypes.value.assign(tf.stack(left.map(({ a, b }) => prototypeOf(a, b))) as Tensor2D);
  });
}

/** What is left without the mean of others. */
const without = (matrix: Tensor2D, others: readonly Tensor2D[]): Tensor2D =>
  others.length === 0
    ? matrix
    : tf.sub<Tensor2D>(matrix, tf.div(tf.addN([...others]), others.length));
