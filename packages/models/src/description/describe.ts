/**
 * Builds a model's description: sites and the parameters that they read, in the order of the calls.
 */
import {
  normal,
  ones,
  zeros,
  type Initializer,
  type LinearSite,
  type ModelDescription,
  type ParameterSpec,
  type Site,
  type SiteOf,
} from '@peft/core';

type Rest<K extends 'attention' | 'sublayer' | 'sequence'> = Omit<SiteOf<K>, 'kind' | 'path'>;

export interface LinearOptions {
  readonly role: string;
  /** `[out, in]`. */
  readonly shape: readonly [number, number];
  readonly layer?: number;
  /** Default true. */
  readonly bias?: boolean;
  readonly transposed?: boolean;
  readonly isOutputHead?: boolean;
  /** Fills a weight that the checkpoint lacks with N(0, fresh²), its bias with 0. */
  readonly fresh?: number;
  /** It reads this parameter of another module instead of one of its own. */
  readonly tiedTo?: string;
  /** The reference holds it as a bare parameter. */
  readonly isBareParameter?: boolean;
  /** Rows of no sequence that it maps, in words. */
  readonly looseRows?: string | undefined;
  /** Other names of its weight in checkpoints. */
  readonly aliases?: readonly string[];
  /** How checkpoints and the reference cut its weight and its bias. */
  readonly cut?: { readonly weight: TensorCut; readonly bias?: TensorCut };
}

export type TensorCut = Pick<ParameterSpec, 'pieces' | 'entry'>;

export interface NormOptions {
  readonly role: string;
  readonly size: number;
  readonly layer?: number;
  /** Default true for a layer norm; an RMS norm has none. */
  readonly bias?: boolean;
  /** Made fresh (γ = 1, β = 0) where the checkpoint lacks it. */
  readonly fresh?: boolean;
}

export class DescriptionBuilder {
  readonly #parameters: ParameterSpec[] = [];
  readonly #sites: Site[] = [];

  /** @param options.tiedTo path of the embedding whose table it reads instead of one of its own. */
  embedding(
    path: string,
    {
      role,
      rows,
      size,
      layer,
      aliases,
      fresh,
      init = fresh === undefined ? undefined : normal(fresh),
      tiedTo,
    }: {
      readonly role: string;
      readonly rows: number;
      readonly size: number;
      readonly layer?: number;
      readonly aliases?: readonly string[];
      readonly fresh?: number;
      /** Fills a table that the checkpoint lacks. */
      readonly init?: Initializer;
      readonly tiedTo?: string;
    },
  ): void {
    const weight = `${tiedTo ?? path}.weight`;
    if (tiedTo === undefined)
      this.#parameters.push({
        name: weight,
        shape: [rows, size],
        use: 'table',
        aliases,
        init,
      });
    this.#sites.push({
      kind: 'embedding',
      path,
      role,
      rows,
      size,
      weight,
      layer,
      tiedTo,
    });
  }

  linear(
    path: string,
    {
      role,
      shape,
      layer,
      bias = true,
      transposed,
      isOutputHead,
      fresh,
      tiedTo,
      isBareParameter,
      looseRows,
      aliases,
      cut,
    }: LinearOptions,
  ): void {
    const weight = tiedTo ?? `${path}.weight`;
    if (!tiedTo)
      this.#parameters.push({
        name: weight,
        shape,
        use: 'matrix',
        transposed,
        aliases,
        ...cut?.weight,
        init: fresh === undefined ? undefined : normal(fresh),
      });
    if (bias)
      this.#parameters.push({
        name: `${path}.bias`,
        shape: [shape[0]],
        use: 'vector',
        ...cut?.bias,
        init: fresh === undefined ? undefined : zeros,
      });
    const site: LinearSite = {
      kind: 'linear',
      path,
      role,
      inFeatures: shape[1],
      outFeatures: shape[0],
      weight,
      bias: bias ? `${path}.bias` : undefined,
      transposed,
      isOutputHead,
      isBareParameter,
      looseRows,
      entry: cut?.weight.entry,
      layer,
    };
    this.#sites.push(site);
  }

  /** Old checkpoints call γ and β `gamma` and `beta`. */
  layerNorm(path: string, options: NormOptions): void {
    this.#norm(path, options, 'layer', options.bias ?? true);
  }

  rmsNorm(path: string, options: NormOptions): void {
    this.#norm(path, options, 'rms', false);
  }

  /** Either of the two. */
  norm(
    path: string,
    options: NormOptions & { readonly variant: 'rms' | 'layer'; readonly bias: boolean },
  ): void {
    this.#norm(path, options, options.variant, options.bias);
  }

  /** A tensor that is used as it is and belongs to no site. */
  tensor(name: string, shape: readonly number[], init?: Initializer): void {
    this.#parameters.push({ name, shape, use: 'vector', init });
  }

  /** A tensor of the checkpoint that is no parameter: it is counted and trained by nobody. */
  buffer(name: string, shape: readonly number[], init: Initializer): void {
    this.#parameters.push({ name, shape, use: 'vector', init, isBuffer: true });
  }

  attention(path: string, rest: Rest<'attention'>): void {
    this.#sites.push({ kind: 'attention', path, ...rest });
  }

  sublayer(path: string, rest: Rest<'sublayer'>): void {
    this.#sites.push({ kind: 'sublayer', path, ...rest });
  }

  sequence(path: string, rest: Rest<'sequence'>): void {
    this.#sites.push({ kind: 'sequence', path, ...rest });
  }

  build(rest: Omit<ModelDescription, 'parameters' | 'sites'>): ModelDescription {
    return { ...rest, parameters: this.#parameters, sites: this.#sites };
  }

  #norm(
    path: string,
    { role, size, layer, fresh }: NormOptions,
    variant: 'layer' | 'rms',
    bias: boolean,
  ): void {
    const add = (name: string, old: string, init: Initializer) =>
      this.#parameters.push({
        name: `${path}.${name}`,
        shape: [size],
        use: 'vector',
        norm: variant,
        aliases: variant === 'layer' ? [`${path}.${old}`] : undefined,
        init: fresh ? init : undefined,
      });
    add('weight', 'gamma', ones);
    if (bias) add('bias', 'beta', zeros);
    this.#sites.push({
      kind: 'norm',
      path,
      role,
      size,
      variant,
      weight: `${path}.weight`,
      bias: bias ? `${path}.bias` : undefined,
      layer,
    });
  }
}

/** `path` in a module called `prefix`; the one that is not empty where there is but one. */
export const within = (prefix: string, path: string): string =>
  prefix && path ? `${prefix}.${path}` : prefix || path;
