/**
 * Representation finetuning (Wu et al. 2024, "ReFT"): behind a block, the states of the first and
 * last tokens of each sequence change in a subspace of r dimensions, those in between do not. With
 * h a state, R `[r, D]`, W `[r, D]`, b `[r]`:
 *
 *   LoReFT, NoReFT  h + Rᵀ·( f(W·h + b) − R·h )   R with orthonormal rows in LoReFT
 *   DiReFT          h + Rᵀ·f(W·h + b)
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  adapterHubFormat,
  definePeftMethod,
  kaimingUniform,
  uniform,
  type AttachmentCall,
  type AttachContext,
  type CommonConfig,
  type MethodSpec,
  type ModelDescription,
  type SublayerSite,
  type TargetSelection,
} from '@peft/core';
import { activate, activationNamed, gatherRows, linear, scatterAddRows } from '@peft/ops';
import { orthogonalProjection } from './orthogonal-projection.js';
import { parseReftConfig, type ReftConfig } from './reft-config.js';

declare module '@peft/core' {
  interface PeftConfigs {
    reft: ReftConfig;
  }
}

const HUB_KEYS = {
  rank: 'r',
  prefixPositions: 'prefix_positions',
  suffixPositions: 'suffix_positions',
  layers: 'layers',
  orthogonality: 'orthogonality',
  tiedWeights: 'tied_weights',
  dropout: 'dropout',
  nonLinearity: 'non_linearity',
} as const;
/** adapter-hub's names for whole configs. */
const NAMED: Readonly<Record<string, Partial<ReftConfig>>> = {
  loreft: {},
  noreft: { orthogonality: false },
  direft: { orthogonality: false, subtractProjection: false },
};

/**
 * The ReFT method; `loReft`, `noReft` and `diReft` are its three forms.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY, PEFT_ACTIVATION_UNKNOWN
 */
export const reft = definePeftMethod({
  name: 'reft',
  formula: 'h = h + Rᵀ·(W·h + b − R·h) at some positions',
  paper: {
    title: 'ReFT: Representation Finetuning for Language Models',
    url: 'https://arxiv.org/abs/2404.03592',
  },
  parseConfig: parseReftConfig,

  defaultTargets(description, { layers }): TargetSelection {
    const ends = description.sites.filter(
      (site): site is SublayerSite => site.kind === 'sublayer' && site.branch === 'ffn',
    );
    return {
      targets: ends
        .filter((site) => layers === 'all' || layers.includes(blockNumber(site, description)))
        .map(({ path }) => path),
    };
  },

  attach: {
    sublayer(site, config, context) {
      const units = (config.tiedWeights ? [0] : [0, 1]).map((unit) =>
        makeUnit(`units.${unit}`, site.size, config, context),
      );
      const [first, last] = [units[0]!, units.at(-1)!];
      return {
        forward(call) {
          const states = call.close(call.output);
          const { prefix, suffix } = changedRows(call.offsets, config);
          const changes = [
            [first, prefix, 'prefix'],
            [last, suffix, 'suffix'],
          ] as const;
          const all = changes.flatMap(([unit, rows, name]) =>
            rows.length === 0
              ? []
              : [scatterAddRows(unit(gatherRows(states, rows), call, name), rows, states.shape[0])],
          );
          return tf.addN([states, ...all]);
        },
      };
    },
  },

  format: adapterHubFormat,
  adapterHub: {
    toConfig: (config) => ({
      architecture: 'reft',
      ...Object.fromEntries(
        Object.entries(HUB_KEYS).map(([own, hub]) => [hub, config[own as keyof ReftConfig]]),
      ),
      dtype: null,
      init_weights_seed: null,
      output_reft: true,
      // The library leaves this out of its files and reads it all the same.
      ...(config.subtractProjection ? {} : { subtract_projection: false }),
    }),
    fromConfig(json) {
      if (typeof json === 'string') return NAMED[json];
      if (json['architecture'] !== 'reft') return undefined;
      const given = Object.entries(HUB_KEYS).flatMap(([own, hub]) =>
        json[hub] === undefined ? [] : [[own, json[hub]]],
      );
      return {
        ...(Object.fromEntries(given) as Partial<ReftConfig>),
        subtractProjection: json['subtract_projection'] === false ? false : undefined,
      };
    },
    key: (name) => `refts.*.${name}`,
  },
});

type Options = Partial<ReftConfig> & CommonConfig;
/** With orthonormal rows. */
export const loReft = (options: Options = {}): MethodSpec<'sublayer'> => reft(options);
/** Without. */
export const noReft = (options: Options = {}): MethodSpec<'sublayer'> =>
  reft({ ...NAMED['noreft'], ...options });
/** Adds to the states without taking their projection out. */
export const diReft = (options: Options = {}): MethodSpec<'sublayer'> =>
  reft({ ...NAMED['direft'], ...options });

/** A decoder's blocks count on from the encoder's. */
const blockNumber = ({ layer = 0, stack }: SublayerSite, { layers }: ModelDescription): number =>
  layer + (stack === 'decoder' ? layers.encoder : 0);

/** h `[M, D]` → what is added to it. */
type Unit = (states: Tensor2D, call: AttachmentCall, purpose: string) => Tensor2D;

function makeUnit(
  name: string,
  width: number,
  { rank, orthogonality, subtractProjection, dropout, nonLinearity }: ReftConfig,
  context: AttachContext,
): Unit {
  const bound = 1 / Math.sqrt(width);
  const weight = context.param(`${name}.learned_source.weight`, [rank, width], kaimingUniform);
  const bias = context.param(`${name}.learned_source.bias`, [rank], uniform(-bound, bound));
  const projection = orthogonality
    ? orthogonalProjection(`${name}.projection`, rank, width, context)
    : plainProjection(`${name}.projection.weight`, rank, width, context);
  return (states, call, purpose) => {
    const r = projection();
    const source = linear(states, weight.value, bias.value); // [M, r]
    const active = nonLinearity === null ? source : activate(activationNamed(nonLinearity), source);
    const wanted = subtractProjection ? tf.sub<Tensor2D>(active, linear(states, r)) : active;
    const change = tf.matMul(wanted, r) as Tensor2D;
    return call.training && dropout > 0
      ? tf.sub(call.dropout(tf.add(states, change), dropout, purpose), states)
      : change;
  };
}

function plainProjection(
  name: string,
  rank: number,
  width: number,
  context: AttachContext,
): () => Tensor2D {
  const weight = context.param(name, [rank, width], kaimingUniform);
  return () => weight.value;
}

/** Where a sequence is too short for both, the suffix has its tokens. */
function changedRows(
  offsets: Int32Array,
  { prefixPositions, suffixPositions }: ReftConfig,
): { readonly prefix: Int32Array; readonly suffix: Int32Array } {
  const prefix: number[] = [];
  const suffix: number[] = [];
  for (let b = 0; b + 1 < offsets.length; b += 1) {
    const [start, end] = [offsets[b]!, offsets[b + 1]!];
    const from = Math.max(start, end - suffixPositions);
    for (let row = start; row < Math.min(start + prefixPositions, from); row += 1) prefix.push(row);
    for (let row = from; row < end; row += 1) suffix.push(row);
  }
  return { prefix: Int32Array.from(prefix), suffix: Int32Array.from(suffix) };
}
