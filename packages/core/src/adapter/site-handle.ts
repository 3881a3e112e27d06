/** A site together with the base weights under it. */
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { embed, linear } from '@peft/ops';
import { siteAt } from '../description/site-index.js';
import type { Site, SiteKind } from '../description/sites.js';
import type { SiteHandle } from '../method/attach-context.js';
import type { Adapter } from './adapter.js';
import { noWeights, type WeightHost } from './weight-host.js';

/** The site as a method gets it; weights that this adapter replaced count as the base. */
export function withWeights(
  site: Site,
  adapter: Adapter,
  host: WeightHost | undefined,
): SiteHandle<SiteKind> {
  const needHost = (): WeightHost => host ?? noWeights(site.path);
  return {
    ...site,
    hasWeights: host !== undefined,
    dequantizedWeight: () => {
      if (site.kind !== 'linear' && site.kind !== 'embedding')
        throw new PeftError(
          'PEFT_SITE_KIND',
          `${site.path}: a ${site.kind} site has no weight matrix.`,
        );
      const replaced = adapter.replaced.get(site.weight);
      return (
        replaced ? replaced.engine.dequantize(replaced) : needHost().readBase(site.weight)
      ) as Tensor2D;
    },
    dequantizedWeightAt: (path) =>
      needHost().readBase(siteAt(adapter.description, 'linear', path).weight) as Tensor2D,
    baseBias: () =>
      'bias' in site && typeof site.bias === 'string'
        ? (needHost().readBase(site.bias) as Tensor1D)
        : undefined,
    biasInForce: () => {
      if (!('bias' in site) || typeof site.bias !== 'string') return undefined;
      return (adapter.unfrozen(site.bias)?.value ?? needHost().vector(site.bias)) as Tensor1D;
    },
    baseRows: (ids) => {
      if (site.kind !== 'embedding' && site.kind !== 'sequence')
        throw new PeftError('PEFT_SITE_KIND', `${site.path}: a ${site.kind} site has no rows.`);
      const table =
        site.kind === 'embedding' ? site : siteAt(adapter.description, 'embedding', site.embedding);
      return embed(needHost().matrix(table.weight), ids);
    },
    linearAt: (path, x) => {
      const { weight, bias } = siteAt(adapter.description, 'linear', path);
      const vector = bias === undefined ? undefined : (needHost().vector(bias) as Tensor1D);
      return linear(x, needHost().matrix(weight), vector);
    },
    product: (x) => {
      if (site.kind !== 'linear')
        throw new PeftError(
          'PEFT_SITE_KIND',
          `${site.path}: a ${site.kind} site has no weight to multiply with.`,
        );
      return linear(x, adapter.replaced.get(site.weight) ?? needHost().matrix(site.weight));
    },
  } as SiteHandle<SiteKind>;
}
