/**
 * Batches whose sequences run with different adapters: which adapters can be in one, and the rows
 * that run with each.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { addThinProducts, gatherRows, type ThinProduct } from '@peft/ops';
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
  readonly #names: readonly string[];
  /** By layout, undefined for one row per sequence, and the names of the adapters that change a site. */
  readonly #known = new Map<Int32Array | undefined, Map<string, Part[]>>();

  /** @throws PEFT_MIXED_BATCH where an adapter cannot be in such a batch */
  constructor(
    readonly host: RunHost,
    readonly scope: AdapterScope,
    readonly layouts: SequenceLayouts,
    /** An adapter's name per sequence. */
    readonly assignment: readonly string[],
    readonly isTraining: boolean,
  ) {
    this.#names = [...new Set(assignment)];
    refuseUnmixable(host, this.#names);
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
   * that leave its weight alone: the weight is read once then, not for every adapter. Products that
   * adapters add are made together, too.
   */
  linear(site: SiteOf<'linear'>, x: Tensor2D, map: RowMap, run: AroundBase): Tensor2D {
    const total = x.shape[0];
    const parts = this.#parts(site, total);
    if (parts.every(isPlain)) return this.scope.within([], () => run(x, map));
    const products = parts.flatMap((part) => this.#productOf(part, site) ?? []);
    const apart = parts.filter(
      (part) => !isPlain(part) && !products.some(({ rows }) => rows === part.rows),
    );
    const sharesBase = ({ adapters }: Part): boolean =>
      adapters.every((adapter) => !ownsParameters(adapter, site));
    const plain = parts.some(sharesBase) ? this.scope.within([], () => map(x)) : undefined;
    const joint = plain && products.length > 0 ? addThinProducts(plain, x, products) : plain;
    if (joint && apart.length === 0) return this.scope.within([], () => run(x, () => joint));
    const onRows = (base: Tensor2D | undefined, { rows, adapters }: Part): Tensor2D => {
      const own = gatherRows(x, rows);
      const made = base && gatherRows(base, rows);
      return this.scope.within(adapters, () =>
        run(own, (input) => (made && input === own ? made : map(input))),
      );
    };
    const made = apart.map((part) => onRows(sharesBase(part) ? plain : undefined, part));
    const together: Part = { rows: otherRows(apart, total), adapters: [] };
    if (together.rows.length > 0) made.push(onRows(joint, together));
    return placed(made, [...apart, together], total);
  }

  /**
   * Rows that all sequences share pass only where no adapter changes anything.
   * @throws PEFT_MIXED_BATCH
   */
  refuseShared(site: RowSite): void {
    const owner = this.#names.find((name) => this.#changes(name, site));
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
    const changing = this.#names.filter((name) => this.#changes(name, site));
    const known = this.#known.get(offsets) ?? new Map<string, Part[]>();
    this.#known.set(offsets, known);
    const key = changing.join('\n');
    const parts = known.get(key) ?? this.#grouped(offsets, new Set(changing));
    known.set(key, parts);
    return parts;
  }

  #grouped(offsets: Int32Array | undefined, changing: ReadonlySet<string>): Part[] {
    const rowsOf = (b: number): number[] =>
      offsets
        ? Array.from({ length: offsets[b + 1]! - offsets[b]! }, (_, t) => offsets[b]! + t)
        : [b];
    const owners = this.assignment.map((name) => (changing.has(name) ? name : BASE_ADAPTER));
    return [...new Set(owners)].map((name) => ({
      adapters: name === BASE_ADAPTER ? [] : [this.host.adapter(name)],
      rows: Int32Array.from(owners.flatMap((other, b) => (other === name ? rowsOf(b) : []))),
    }));
  }

  /** What the adapter of a part adds, where it does nothing else at the site. */
  #productOf({ rows, adapters }: Part, site: SiteOf<'linear'>): ThinProduct | undefined {
    const [adapter] = adapters;
    if (!adapter || this.isTraining || ownsParameters(adapter, site)) return undefined;
    const table = tableOf(this.host, site);
    if (table !== undefined && adapter.at('embedding', table).length > 0) return undefined;
    const [first, ...more] = adapter.at('linear', site.path);
    const added = more.length === 0 ? first?.attachment?.added?.({ training: false }) : undefined;
    return added && { ...added, rows };
  }

  #changes(name: string, site: RowSite): boolean {
    return name !== BASE_ADAPTER && changes(this.host, this.host.adapter(name), site);
  }
}

/** Rows that no part has. */
function otherRows(parts: readonly Part[], total: number): Int32Array {
  const taken = new Set(parts.flatMap(({ rows }) => [...rows]));
  return Int32Array.from({ length: total }, (_, row) => row).filter((row) => !taken.has(row));
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
function changes(host: RunHost, adapter: Adapter, site: RowSite): boolean {
  const table = tableOf(host, site);
  return (
    adapter.at(site.kind, site.path).length > 0 ||
    (table !== undefined && adapter.at('embedding', table).length > 0) ||
    ownsParameters(adapter, site)
  );
}

/** The embedding whose table a site reads as another one does. */
const tableOf = ({ description }: RunHost, site: RowSite): string | undefined =>
  'tiedTo' in site ? site.tiedTo : siteIndex(description).embeddingOf.get(site.weight);

/** Whether an adapter has a weight or bias of its own in place of the base's. */
const ownsParameters = (adapter: Adapter, site: RowSite): boolean =>
  [site.weight, 'bias' in site ? site.bias : undefined].some(
    (name) =>
      name !== undefined && (adapter.unfrozen(name) ?? adapter.replaced.get(name)) !== undefined,
  );

/** Rows of a batch can be told apart at linear, norm and embedding sites only. */
function refuseUnmixable(host: RunHost, names: readonly string[]): void {
  for (const name of names) {
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
  if (adapter.lookAhead ?? adapter.companion) return adapter.wrappedSites[0]?.path;
  return (
    [...adapter.attachments.values()]
      .flat()
      .find(
        ({ site: { kind }, attachment }) =>
          kind === 'attention' ||
          kind === 'sublayer' ||
          kind === 'sequence' ||
          kind === 'stack' ||
          (kind === 'linear' && (attachment as LinearAttachment).readsWholeBatch),
      )?.site.path ??
    [...adapter.parameters.values()].find(
      ({ origin, name: parameter }) => origin === 'unfrozen' && !atSites.has(parameter),
    )?.name
  );
}
