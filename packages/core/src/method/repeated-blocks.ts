/**
 * A model whose blocks run more than once, each time with adapters of their own: what PEFT calls layer
 * replication. Ranges `[[0, 4], [2, 5]]` make of blocks 0 … 4 the blocks 0 1 2 3 2 3 4. Parameters are
 * those of the checkpoint, there once; sites get the number of the place that a block then has.
 */
import { PeftError } from '@peft/errors';
import type { MethodSpec } from './peft-method.js';
import type { ModelDescription } from '../description/model-description.js';
import type { Site } from '../description/sites.js';

/** Of blocks: from the first up to the second, which is not among them. */
export type BlockRanges = readonly (readonly [number, number])[];

/** What a spec's methods ask for. @throws PEFT_BLOCKS_REPEATED where two of them disagree */
export function blockRangesOf({ name, parts }: MethodSpec): BlockRanges | undefined {
  const asked = parts
    .map(({ method, config }) => method.repeatsBlocks?.(config))
    .filter((ranges) => ranges !== undefined);
  const [first] = asked;
  const other = asked.find((ranges) => !areSame(ranges, first));
  if (other)
    throw new PeftError(
      'PEFT_BLOCKS_REPEATED',
      `${name}: its parts ask for blocks ${JSON.stringify(first)} and ${JSON.stringify(other)}.`,
      { hint: 'give all of them the same' },
    );
  return first;
}

/**
 * The description with the blocks that a spec asks for; as it is where it asks for none, or has them.
 * @throws PEFT_BLOCKS_REPEATED where there are no such blocks, or others are repeated already
 */
export function describedFor(spec: MethodSpec, description: ModelDescription): ModelDescription {
  const { repeatedBlocks: present, modelType } = description;
  const asked = blockRangesOf(spec);
  if (!asked || areSame(asked, present)) return description;
  if (present)
    throw new PeftError(
      'PEFT_BLOCKS_REPEATED',
      `${spec.name}: blocks ${JSON.stringify(asked)} are asked for, and the model has ${JSON.stringify(present)} already.`,
      { hint: 'take off the adapters that repeat them first' },
    );
  const { encoder, decoder } = description.layers;
  const blocks = byBlock(description.sites);
  if ((encoder > 0 && decoder > 0) || blocks.size !== encoder + decoder)
    throw new PeftError(
      'PEFT_BLOCKS_REPEATED',
      `${modelType}: its blocks are no one stack of blocks with weights of their own, and cannot be repeated.`,
      { hint: 'leave layerReplication out' },
    );
  const outside = asked.find(([, end]) => end > blocks.size);
  if (outside)
    throw new PeftError(
      'PEFT_BLOCKS_REPEATED',
      `${modelType}: there are no blocks ${outside[0]} to ${outside[1] - 1}, it has ${blocks.size}.`,
      { hint: 'a range is [first, behind the last], counted from 0' },
    );
  const order = orderOf(asked);
  return {
    ...description,
    layers: { encoder: encoder && order.length, decoder: decoder && order.length },
    sites: repeatedSites(description.sites, blocks, order),
    repeatedBlocks: asked,
  };
}

/** The checkpoint's block at each place. */
export const orderOf = (ranges: BlockRanges): readonly number[] =>
  ranges.flatMap(([first, end]) => Array.from({ length: end - first }, (_, n) => first + n));

/** Whether two lists of ranges say the same. */
export const areSame = (some: BlockRanges | undefined, more: BlockRanges | undefined): boolean =>
  JSON.stringify(some) === JSON.stringify(more);

/** What stands in front of the blocks, the blocks in their new order, and what stands behind them. */
function repeatedSites(
  sites: readonly Site[],
  blocks: ReadonlyMap<number, readonly Site[]>,
  order: readonly number[],
): readonly Site[] {
  const start = sites.findIndex(({ layer }) => layer !== undefined);
  const isOutside = ({ layer }: Site): boolean => layer === undefined;
  return [
    ...sites.slice(0, start),
    ...order.flatMap((block, place) => blocks.get(block)!.map((site) => moved(site, block, place))),
    ...sites.slice(start).filter(isOutside),
  ];
}

/** A block's site at another place: on the same weights, under that place's path. */
function moved(site: Site, block: number, place: number): Site {
  const path = site.path.replace(new RegExp(`(^|\\.)${block}(?=\\.|$)`), `$1${place}`);
  return site.kind === 'attention'
    ? { ...site, path, layer: place, index: place }
    : { ...site, path, layer: place };
}

function byBlock(sites: readonly Site[]): ReadonlyMap<number, readonly Site[]> {
  const blocks = new Map<number, Site[]>();
  for (const site of sites)
    if (site.layer !== undefined) blocks.set(site.layer, [...(blocks.get(site.layer) ?? []), site]);
  return blocks;
}
