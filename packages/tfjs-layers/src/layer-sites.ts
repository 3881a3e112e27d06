/**
 * A layers model as a list of sites. Dense, Conv1D, Conv2D and EinsumDense (what MultiHeadAttention
 * projects with) are linear maps, a convolution one of the patches that it reads; Embedding and
 * LayerNormalization are what they say.
 */
import type { ModelDescription, ParameterSpec, Site } from '@peft/core';
import { PeftError } from '@peft/errors';
import { innerLayers, isLayer, type LayerWeight, type TfLayer } from './layer-shape.js';

/** A layer of the model, with its place in it. */
export interface PlacedLayer {
  /** Names from the outside in: `encoder.attention.query`. */
  readonly path: string;
  readonly layer: TfLayer;
}

/** A weight of the model under the name that its parameter has. */
export interface PlacedWeight {
  readonly spec: ParameterSpec;
  readonly weight: LayerWeight;
}

export interface DescribedLayers {
  readonly description: ModelDescription;
  readonly layers: readonly PlacedLayer[];
  /** By parameter name. */
  readonly weights: ReadonlyMap<string, PlacedWeight>;
}

/**
 * @param headLayers paths of layers that every adapter trains whole.
 * @throws PEFT_LAYERS_NOT_BUILT for a layer without weights yet, PEFT_LAYER_NAME_TWICE,
 *   PEFT_LAYER_UNKNOWN for a head that is not there
 */
export function describeLayers(model: TfLayer, headLayers: readonly string[]): DescribedLayers {
  const layers = placedLayers(model);
  const unbuilt = layers.find(({ layer }) => !hasWeights(layer));
  if (unbuilt)
    throw new PeftError('PEFT_LAYERS_NOT_BUILT', `layers: ${unbuilt.path} has no weights yet.`, {
      hint: 'run model.predict once',
    });
  const paths = new Set<string>();
  for (const { path } of layers) {
    if (paths.has(path))
      throw new PeftError(
        'PEFT_LAYER_NAME_TWICE',
        `layers: two layers are called ${JSON.stringify(path)}.`,
        { hint: 'give each a name of its own' },
      );
    paths.add(path);
  }
  const unknown = headLayers.find((head) => !paths.has(head));
  if (unknown !== undefined)
    throw new PeftError(
      'PEFT_LAYER_UNKNOWN',
      `layers: there is no layer ${JSON.stringify(unknown)} to train whole.`,
      { hint: `the model has ${[...paths].join(', ')}` },
    );
  const weights = new Map<string, PlacedWeight>();
  const sites: Site[] = [];
  for (const { path, layer } of layers) {
    const site = siteOf(path, layer);
    if (site)
      sites.push(
        headLayers.includes(path) && site.kind === 'linear'
          ? { ...site, isOutputHead: true }
          : site,
      );
    const own = Array.isArray(layer.layers) ? [] : layer.weights;
    for (const weight of own) {
      const name = parameterName(path, layer, weight);
      if (!weights.has(name)) weights.set(name, { spec: specOf(name, weight, site), weight });
    }
  }
  const description: ModelDescription = {
    modelType: 'tfjs-layers',
    head: { kind: 'none' },
    hiddenSize: 0,
    vocabularySize: 0,
    layers: { encoder: 0, decoder: 0 },
    parameters: [...weights.values()].map(({ spec }) => spec),
    sites,
    headModules: headLayers,
    basePrefix: '',
  };
  return { description, layers, weights };
}

/**
 * Whether a layer that is a site, or an attention, has made what it needs; others may have none, or
 * make them when they like.
 */
function hasWeights(layer: TfLayer): boolean {
  const kind = layer.getClassName();
  if (kind === 'MultiHeadAttention') return isLayer(layer['queryDense']);
  if (kind === 'Embedding')
    return layer['embeddings'] !== null && layer['embeddings'] !== undefined;
  if (kind === 'LayerNormalization') return layer['gamma'] !== undefined;
  return (
    !['Dense', 'Conv1D', 'Conv2D', 'EinsumDense'].includes(kind) ||
    (layer['kernel'] !== null && layer['kernel'] !== undefined)
  );
}

function placedLayers(model: TfLayer, prefix = ''): PlacedLayer[] {
  return innerLayers(model).flatMap((layer) => {
    const path = `${prefix}${layer.name}`;
    return [{ path, layer }, ...placedLayers(layer, `${path}.`)];
  });
}

/**
 * `kernel`, `bias`, `embeddings`, `gamma` …: the field that holds it, else the last word of its
 * name.
 */
function parameterName(path: string, layer: TfLayer, weight: LayerWeight): string {
  const field = ['kernel', 'bias', 'embeddings', 'gamma', 'beta'].find(
    (name) => layer[name] === weight,
  );
  return `${path}.${field ?? weight.originalName.split('/').at(-1)!}`;
}

function siteOf(path: string, layer: TfLayer): Site | undefined {
  const kind = layer.getClassName();
  const kernel = layer['kernel'] as LayerWeight | undefined;
  const linear = (inFeatures: number, outFeatures: number, role: string): Site => ({
    kind: 'linear',
    path,
    role,
    inFeatures,
    outFeatures,
    transposed: true,
    weight: `${path}.kernel`,
    ...(layer['bias'] ? { bias: `${path}.bias` } : {}),
  });
  const sizes = (weight: LayerWeight): number[] => weight.shape as number[];
  if ((kind === 'Dense' || kind === 'Conv1D' || kind === 'Conv2D') && kernel) {
    const outFeatures = sizes(kernel).at(-1)!;
    return linear(count(sizes(kernel)) / outFeatures, outFeatures, kind.toLowerCase());
  }
  if (kind === 'EinsumDense' && kernel) {
    const [inFeatures, outFeatures] = einsumSizes(layer, sizes(kernel));
    return linear(inFeatures, outFeatures, EINSUM_ROLES[layer.name] ?? 'dense');
  }
  if (kind === 'Embedding') {
    const [rows, size] = sizes(layer['embeddings'] as LayerWeight);
    return {
      kind: 'embedding',
      path,
      role: 'embedding.word',
      rows: rows!,
      size: size!,
      weight: `${path}.embeddings`,
    };
  }
  if (
    kind === 'LayerNormalization' &&
    layer['gamma'] &&
    (layer['gamma'] as LayerWeight).shape.length === 1
  ) {
    return {
      kind: 'norm',
      path,
      role: 'norm',
      size: sizes(layer['gamma'] as LayerWeight)[0]!,
      variant: 'layer',
      weight: `${path}.gamma`,
      ...(layer['beta'] ? { bias: `${path}.beta` } : {}),
    };
  }
  return undefined;
}

/** Roles of the projections inside of a MultiHeadAttention. */
const EINSUM_ROLES: Readonly<Record<string, string>> = {
  query: 'attention.query',
  key: 'attention.key',
  value: 'attention.value',
  attention_output: 'attention.output',
};

/**
 * in, out of a map like `abc,cde->abde`: the kernel's axes that the input has, too, are summed
 * over.
 * @throws PEFT_LAYER_UNSUPPORTED
 */
export function einsumSizes(layer: TfLayer, shape: readonly number[]): readonly [number, number] {
  const match = /^(\w+),(\w+)->(\w+)$/.exec(String(layer['equation']));
  const summed = match ? [...match[2]!].filter((axis) => match[1]!.includes(axis)) : [];
  if (
    !match ||
    !match[1]!.endsWith(summed.join('')) ||
    !match[2]!.startsWith(summed.join('')) ||
    match[3] !== match[1]!.slice(0, -summed.length) + match[2]!.slice(summed.length)
  ) {
    throw new PeftError(
      'PEFT_LAYER_UNSUPPORTED',
      `layers: ${layer.name} computes ${String(layer['equation'])}, which is no product with one matrix.`,
    );
  }
  const inFeatures = count(shape.slice(0, summed.length));
  return [inFeatures, count(shape) / inFeatures];
}

/** A site's weight has its logical shape `[out, in]` or `[rows, D]`; any other weight its own. */
function specOf(name: string, weight: LayerWeight, site: Site | undefined): ParameterSpec {
  const shape = weight.shape as number[];
  if (site?.kind === 'linear' && name === site.weight)
    return { name, shape: [site.outFeatures, site.inFeatures], use: 'matrix', transposed: true };
  if (site?.kind === 'linear' && name === site.bias)
    return { name, shape: [site.outFeatures], use: 'vector' };
  if (site?.kind === 'embedding' && name === site.weight) return { name, shape, use: 'table' };
  return {
    name,
    shape,
    use: 'vector',
    norm: site?.kind === 'norm' ? ('layer' as const) : undefined,
  };
}

const count = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);
