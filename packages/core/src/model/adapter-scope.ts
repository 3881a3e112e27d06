/** The adapters in force at a moment of a run, and what they put in place of the base. */
import type { Tensor } from '@tensorflow/tfjs';
import type { FrozenWeight } from '@peft/ops';
import type { Adapter } from '../adapter/adapter.js';
import type { SiteKind } from '../description/sites.js';
import type { BlockCopy, SiteAttachments } from '../method/attachment.js';
import type { RunHost } from './run-options.js';

/** What stands on a site, with the adapter that it belongs to. */
export interface InForce<K extends SiteKind> {
  readonly attachment: NonNullable<SiteAttachments[K]>;
  readonly owner: Adapter;
}

/** The adapters in force; they change within a run where a batch mixes adapters. */
export class AdapterScope {
  readonly #host: RunHost;
  #adapters: readonly Adapter[];
  /** The copy of a block that runs, with values in place of the base's. */
  #copied: BlockCopy | undefined;

  constructor(host: RunHost, adapters: readonly Adapter[]) {
    this.#host = host;
    this.#adapters = adapters;
  }

  /** Innermost first. */
  get adapters(): readonly Adapter[] {
    return this.#adapters;
  }

  /** In front of the names of a copy's rows in a cache. */
  get copyPrefix(): string {
    return this.#copied ? `${this.#copied.name} ` : '';
  }

  /** Runs `body` with other adapters in force, and some of the base's parameters with other values. */
  within<T>(adapters: readonly Adapter[], body: () => T, copied = this.#copied): T {
    const outer = [this.#adapters, this.#copied] as const;
    [this.#adapters, this.#copied] = [adapters, copied];
    try {
      return body();
    } finally {
      [this.#adapters, this.#copied] = outer;
    }
  }

  /** What stands on a site, innermost first. */
  at<K extends SiteKind>(kind: K, path: string): readonly InForce<K>[] {
    return this.#adapters.flatMap((owner) =>
      owner.at(kind, path).map(({ attachment }) => ({ attachment: attachment!, owner })),
    );
  }

  /** A base parameter, or what the outermost adapter trains or put in its place. */
  parameter(name: string): FrozenWeight | Tensor {
    const adapter = this.#adapters.findLast(
      (candidate) => candidate.unfrozen(name) ?? candidate.replaced.has(name),
    );
    return (
      this.#copied?.parameters.get(name)?.value ??
      adapter?.unfrozen(name)?.value ??
      adapter?.replaced.get(name) ??
      this.#host.baseWeight(name)
    );
  }

  /**
   * The weight of what reads an embedding's table: not a trained copy that is the embedding's
   * alone.
   */
  tiedParameter(name: string): FrozenWeight | Tensor {
    return this.within(
      this.#adapters.filter((adapter) => !adapter.isEmbeddingOnly(name)),
      () => this.parameter(name),
    );
  }
}

/**
 * A function with others around it, the first of them innermost.
 * @param step what one of them makes of x, `inner` being all that stands within it
 */
export const wrapped = <Entry, X, Y>(
  entries: readonly Entry[],
  base: (x: X) => Y,
  step: (entry: Entry, x: X, inner: (x: X) => Y) => Y,
): ((x: X) => Y) =>
  entries.reduce<(x: X) => Y>((inner, entry) => (x) => step(entry, x, inner), base);
