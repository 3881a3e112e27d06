/**
 * Batches whose sequences run with different adapters: which adapters can be in one, and the rows
 * that run with each.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { gatherRows } from '@peft/ops';
import type { Adapter } from '../adapter/adapter.js';
import type { ModelDescription } from '../description/model-description.js';
import { siteIndex } from '../description/site-index.js';
import type { SiteOf } from '../description/sites.js';
import type { LinearAttachment } from '../method/attachment.js';
import type { AdapterScope } from './adapter-scope.js';
import type { RunHost } from './run-options.js';
import type { SequenceLayouts } from './sequence-layouts.js';

/** `__base__` in an assignment: no adapter. */
export const BASE_ADAPTER = '__base__';

/** A site where an attachment is a function of rows. */
export type RowSite = SiteOf<'linear' | 'norm' | 'embedding'>;

/** What the base of a linear site makes of rows. */
export type RowMap = (x: Tensor2D) => Tensor2D;
/** What the adapters in force make of rows, with `base` underneath. */
export type AroundBase = (x: Tensor2D, base: RowMap) => Tensor2D;

/** Rows of a batch that run with the same adapters. */
interface Part {
  readonly rows: Int32Array;
  readonly adapters: readonly Adapter[];
}

const isPlain = ({ adapters }: Part): boolean => adapters.length === 0;

/** Runs sites adapter by adapter. */
export class MixedBatch {
  /** @throws PEFT_MIXED_BATCH where an adapter cannot be in such a batch */
  constructor(
    readonly host: RunHost,
    readonly scope: AdapterScope,
    readonly layouts: SequenceLayouts,
    /** An adapter's name per sequence. */
    readonly assignment: readonly string[],
  ) {
    refuseUnmixable(host, assignment);
  }

  /**
   * A site's result on `total` rows: at once where no adapter changes anything, else the rows of each
   * adapter that does on their own, and all others together.
   * @param run its result on some of the rows, undefined for all, under the adapters in force
   */
  run(site: RowSite, total: number, run: (rows: Int32Array | undefined) => Tensor2D): Tensor2D {
    const parts = this.#parts(site, total);
    if (parts.every(isPlain)) return this.scope.within([], () => run(undefined));
    const made = parts.map(({ rows, adapters }) => this.scope.within(adapters, () => run(rows)));
    return placed(made, parts, total);
  }

  /**
   * A linear site's result on x. What the base makes of rows as they are is made once for all adapters
   * that leave its weight alone: the weight is read once then, not for every adapter.
   */
  linear(site: RowSite, x: Tensor2D, map: RowMap, run: AroundBase): Tensor2D {
    const total = x.shape[0];
    const parts = this.#parts(site, total);
    if (parts.every(isPlain)) return this.scope.within([], () => run(x, map));
    const sharesBase = ({ adapters }: Part): boolean =>
      adapters.every((adapter) => !ownsParameters(adapter, site));
    const all = parts.some(sharesBase) ? this.scope.within([], () => map(x)) : undefined;
    const made = parts.map((part) => {
      const own = gatherRows(x, part.rows);
      const base = all && sharesBase(part) ? gatherRows(all, part.rows) : undefined;
      return this.scope.within(part.adapters, () =>
        run(own, (input) => (base && input === own ? base : map(input))),
      );
    });
    return placed(made, parts, total);
  }

  /**
   * Rows that all sequences share pass only where no adapter changes anything.
   * @throws PEFT_MIXED_BATCH
   */
  refuseShared(site: RowSite): void {
    const owner = this.assignment.find((name) => this.#changes(name, site));
    if (owner === undefined) return;
    throw new PeftError(
      'PEFT_MIXED_BATCH',
      `${site.path}: adapter "${owner}" changes what all sequences of the batch share there.`,
      { hint: 'run its rows in a batch of their own' },
    );
  }

  /**
   * Rows of each adapter that changes the site, and those of all others, for a tensor of `total` rows:
   * tokens of a known layout, or one row per sequence.
   */
  #parts(site: RowSite, total: number): Part[] {
    const { assignment } = this;
    const offsets = total === assignment.length ? undefined : this.layouts.find(site.path, total);
    if (total !== assignment.length && offsets?.length !== assignment.length + 1) {
      throw new PeftError(
        'PEFT_MIXED_BATCH',
        `a batch of ${assignment.length} sequences that mixes adapters met a tensor of ` +
          `${total} rows of unknown layout.`,
        { hint: 'give one adapter name per sequence' },
      );
    }
    const rowsOf = (b: number): number[] =>
      offsets
        ? Array.from({ length: offsets[b + 1]! - offsets[b]! }, (_, t) => offsets[b]! + t)
        : [b];
    const changing = new Set(assignment.filter((name) => this.#changes(name, site)));
    const owners = assignment.map((name) => (changing.has(name) ? name : BASE_ADAPTER));
    return [...new Set(owners)].map((name) => ({
      adapters: name === BASE_ADAPTER ? [] : [this.host.adapter(name)],
      rows: Int32Array.from(owners.flatMap((other, b) => (other === name ? rowsOf(b) : []))),
    }));
  }

  #changes(name: string, site: RowSite): boolean {
    return name !== BASE_ADAPTER && changes(this.host, this.host.adapter(name), site);
  }
}

/** Results of all parts, row by row where they belong. */
function placed(made: readonly Tensor2D[], parts: readonly Part[], total: number): Tensor2D {
  const order = new Int32Array(total);
  parts
    .flatMap(({ rows }) => [...rows])
    .forEach((row, at) => {
      order[row] = at;
    });
  return gatherRows(tf.concat([...made]), order);
}

/** Whether an adapter changes anything at a site. */
function changes({ description }: RunHost, adapter: Adapter, site: RowSite): boolean {
  const embedding =
    'tiedTo' in site ? site.tiedTo : siteIndex(description).embeddingOf.get(site.weight);
  return (
    adapter.at(site.kind, site.path).length > 0 ||
    (embedding !== undefined && adapter.at('embedding', embedding).length > 0) ||
    ownsParameters(adapter, site)
  );
}

/** Whether an adapter has a weight or bias of its own in place of the base's. */
const ownsParameters = (adapter: Adapter, site: RowSite): boolean =>
  [site.weight, 'bias' in site ? site.bias : undefined].some(
    (name) =>
      name !== undefined && (adapter.unfrozen(name) ?? adapter.replaced.get(name)) !== undefined,
  );

/** Rows of a batch can be told apart at linear, norm and embedding sites only. */
function refuseUnmixable(host: RunHost, assignment: readonly string[]): void {
  for (const name of new Set(assignment)) {
    if (name === BASE_ADAPTER) continue;
    const where = unmixableAt(host.description, host.adapter(name));
    if (where !== undefined)
      throw new PeftError(
        'PEFT_MIXED_BATCH',
        `adapter "${name}" changes ${where}, where the rows of a batch cannot be told apart.`,
        { hint: 'run its rows in a batch of their own' },
      );
  }
}

/** A place where an adapter changes more than rows, which keeps it out of batches with others. */
export function unmixableAt({ sites }: ModelDescription, adapter: Adapter): string | undefined {
  const atSites = new Set(
    sites.flatMap((site) =>
      site.kind === 'linear' || site.kind === 'norm' || site.kind === 'embedding'
        ? [site.weight, 'bias' in site ? site.bias : undefined]
        : [],
    ),
  );
  return (
    [...adapter.attachments.values()]
      .flat()
      .find(
        ({ site: { kind }, attachment }) =>
          kind === 'attention' ||
          kind === 'sublayer' ||
          kind === 'sequence' ||
          (kind === 'linear' && (attachment as LinearAttachment).readsWholeBatch),
      )?.site.path ??
    [...adapter.parameters.values()].find(
      ({ origin, name: parameter }) => origin === 'unfrozen' && !atSites.has(parameter),
    )?.name
  );
}
