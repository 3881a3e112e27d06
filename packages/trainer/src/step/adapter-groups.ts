/**
 * Learning-rate groups for the parameters of adapters: layer ids come from the base model's names,
 * as AutoGluon reads them.
 */
import { isInModules, type ModelDescription, type OwnedParameter } from '@peft/core';
import {
  isDecayed,
  layerIds,
  layerwiseGroups,
  twoStageGroups,
  type ParameterGroup,
} from '@peft/optim';

/** What all groups of an adapter's parameters are made of. */
export interface AdapterGroupOptions {
  /** Weight decay of parameters that decay: not the layer norms' and not those named `bias`. */
  readonly weightDecay: number;
}

/** A `group` for {@link train}. */
export interface AdapterGroups {
  readonly group: (parameter: OwnedParameter) => ParameterGroup;
  /** Why every parameter has layer id 0, if that is so. Worth a warning. */
  readonly problem?: string;
}

/** The plain rate for all. */
export function singleRate(
  description: ModelDescription,
  { weightDecay }: AdapterGroupOptions,
): AdapterGroups {
  const norms = normParameters(description);
  return {
    group: ({ name }) => ({
      learningRateScale: 1,
      weightDecay: isDecayed(name, norms) ? weightDecay : 0,
    }),
  };
}

/**
 * lr·layerDecay^id: id 0 after the blocks, 1 for the last block, … N + 1 before them. A new
 * parameter has the id of the site it is on.
 */
export function layerwiseDecay(
  description: ModelDescription,
  { weightDecay, layerDecay }: AdapterGroupOptions & { readonly layerDecay: number },
): AdapterGroups {
  return grouped(description, (names, ids) =>
    layerwiseGroups(names, {
      weightDecay,
      normParameters: normParameters(description),
      layerDecay,
      ids,
    }),
  );
}

/** lr·headMultiplier for layer id 0, lr for the rest: AutoGluon's `two_stages`. */
export function twoStages(
  description: ModelDescription,
  { weightDecay, headMultiplier }: AdapterGroupOptions & { readonly headMultiplier: number },
): AdapterGroups {
  return grouped(description, (names, ids) =>
    twoStageGroups(names, {
      weightDecay,
      normParameters: normParameters(description),
      headMultiplier,
      ids,
    }),
  );
}

function grouped(
  description: ModelDescription,
  groupsOf: (
    names: readonly string[],
    ids: ReadonlyMap<string, number>,
  ) => ReadonlyMap<string, ParameterGroup>,
): AdapterGroups {
  const { ids, problem } = adapterLayerIds(description);
  return {
    group: (parameter) =>
      groupsOf(
        [parameter.name],
        new Map([[parameter.name, layerIdOf(parameter, description, ids)]]),
      ).get(parameter.name)!,
    problem,
  };
}

/** AutoGluon's layer id of every base parameter, by our names. */
export function adapterLayerIds(description: ModelDescription): {
  readonly ids: ReadonlyMap<string, number>;
  readonly problem?: string;
} {
  const names = description.parameters.map(({ name }) => name);
  const prefix = `${description.basePrefix}.`;
  // AutoGluon calls the backbone `model` and what is on top of it something else.
  const renamed = names.map((name) =>
    isInModules(name, description.headModules)
      ? `head.${name}`
      : `model.${name.startsWith(prefix) ? name.slice(prefix.length) : name}`,
  );
  const { ids, problem } = layerIds(renamed);
  return {
    ids: new Map(names.map((name, i) => [name, ids.get(renamed[i]!)!])),
    problem,
  };
}

function layerIdOf(
  { name, site }: OwnedParameter,
  description: ModelDescription,
  ids: ReadonlyMap<string, number>,
): number {
  const own = ids.get(name);
  if (own !== undefined || !site) return own ?? 0;
  const beside =
    description.parameters.find((base) => base.name.startsWith(`${site.path}.`)) ??
    (site.layer === undefined
      ? undefined
      : description.parameters.find((base) => siteLayer(description, base.name) === site.layer));
  return (beside && ids.get(beside.name)) ?? 0;
}

const siteLayer = (description: ModelDescription, parameter: string): number | undefined =>
  description.sites.find(({ path }) => parameter.startsWith(`${path}.`))?.layer;

const normParameters = ({ parameters }: ModelDescription): ReadonlySet<string> =>
  new Set(parameters.filter(({ norm }) => norm === 'layer').map(({ name }) => name));
