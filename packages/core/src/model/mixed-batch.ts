/**
 * Batches whose sequences run with different adapters: which adapters can be in one, and the rows
 * that run with each.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { scatterAddRows } from '@peft/ops';
import type { Adapter } from '../adapter/adapter.js';
import type { ModelDescription } from '../description/model-description.js';
import type { SiteOf } from '../description/sites.js';
import type { LinearAttachment } from '../method/attachment.js';
import type { AdapterScope } from './adapter-scope.js';
import type { RunHost } from './run-options.js';
import type { SequenceLayouts } from './sequence-layouts.js';

/** `__base__` in an assignment: no adapter. */
export const BASE_ADAPTER = '__base__';

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
   * A site's result on `total` rows, the rows of each adapter on their own.
   * @param run its result on some of the rows
   */
  run(
    site: SiteOf<'linear' | 'norm' | 'embedding'>,
    total: number,
    run: (rows: Int32Array) => Tensor2D,
  ): Tensor2D {
    return this.#groups(site.path, total)
      .map(({ rows, adapters }) =>
        scatterAddRows(
          this.scope.within(adapters, () => run(rows)),
          rows,
          total,
        ),
      )
      .reduce((sum, part) => tf.add(sum, part));
  }

  /**
   * Rows that all sequences share pass only where no adapter changes anything.
   * @throws PEFT_MIXED_BATCH
   */
  refuseShared(site: SiteOf<'linear' | 'norm' | 'embedding'>): void {
    const owner = [...new Set(this.assignment)].find(
      (name) => name !== BASE_ADAPTER && changes(this.host.adapter(name), site),
    );
    if (owner === undefined) return;
    throw new PeftError(
      'PEFT_MIXED_BATCH',
      `${site.path}: adapter "${owner}" changes what all sequences of the batch share there.`,
      { hint: 'run its rows in a batch of their own' },
    );
  }

  /**
   * Rows of each adapter of the assignment, for a tensor of `total` rows: tokens of a known layout,
   * or one row per sequence.
   */
  #groups(path: string, total: number): { rows: Int32Array; adapters: readonly Adapter[] }[] {
    const { assignment } = this;
    const offsets = total === assignment.length ? undefined : this.layouts.find(path, total);
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
    return [...new Set(assignment)].map((name) => ({
      adapters: name === BASE_ADAPTER ? [] : [this.host.adapter(name)],
      rows: Int32Array.from(assignment.flatMap((other, b) => (other === name ? rowsOf(b) : []))),
    }));
  }
}

/** Whether an adapter changes anything at a site. */
function changes(adapter: Adapter, site: SiteOf<'linear' | 'norm' | 'embedding'>): boolean {
  const parameters = 'bias' in site && site.bias ? [site.weight, site.bias] : [site.weight];
  return (
    adapter.at(site.kind, site.path).length > 0 ||
    ('tiedTo' in site &&
      site.tiedTo !== undefined &&
      adapter.at('embedding', site.tiedTo).length > 0) ||
    parameters.some((parameter) => adapter.unfrozen(parameter))
  );
}

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
