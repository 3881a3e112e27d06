/**
 * Batches whose sequences run with different adapters: what names them, and which adapters cannot
 * be in one.
 */
import { PeftError } from '@peft/errors';
import type { RunHost } from '../model/model-run.js';

/** `__base__` in an assignment: no adapter. */
export const BASE_ADAPTER = '__base__';

/**
 * Rows of a batch can be told apart at linear, norm and embedding sites only.
 * @throws PEFT_MIXED_BATCH
 */
export function refuseUnmixable(host: RunHost, assignment: readonly string[]): void {
  const { sites } = host.description;
  for (const name of new Set(assignment)) {
    if (name === BASE_ADAPTER) continue;
    const adapter = host.adapter(name);
    const atSites = new Set(
      sites.flatMap((site) =>
        site.kind === 'linear' || site.kind === 'norm' || site.kind === 'embedding'
          ? [site.weight, 'bias' in site ? site.bias : undefined]
          : [],
      ),
    );
    const where =
      adapter.wrappedSites.find(
        ({ kind }) => kind === 'attention' || kind === 'sublayer' || kind === 'sequence',
      )?.path ??
      [...adapter.parameters.values()].find(
        ({ origin, name: parameter }) => origin === 'unfrozen' && !atSites.has(parameter),
      )?.name;
    if (where !== undefined)
      throw new PeftError(
        'PEFT_MIXED_BATCH',
        `adapter "${name}" changes ${where}, where the rows of a batch cannot be told apart.`,
        { hint: 'run its rows in a batch of their own' },
      );
  }
}
