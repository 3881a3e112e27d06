/**
 * LoRA in adapter-hub's files. The library's DoRA is y = g ⊙ (W·x + b + s·B·A·x), g = m ⊘ ‖W +
 * B·A‖: the same as PEFT's where there is no bias and s = α/r is 1; its gradient goes through the
 * norm, too. Its VeRA learns whole matrices in place of the vectors.
 */
import {
  fromHubTargets,
  toHubTargets,
  type AdapterHubMapping,
  type CommonConfig,
  type Site,
} from '@peft/core';
import { PeftError, show } from '@peft/errors';
import type { LoraConfig } from '../lora-config.js';

/** Options of the original that ask for another method. */
const OTHERS = ['vera_d', 'vera_b'] as const;
/** Before this version the library left α/r out, so that its files mean α = r. */
const FIRST_SCALED = [1, 1];

export const loraHub: AdapterHubMapping<LoraConfig> = {
  key: (name) =>
    `loras.*.${name.replace(/^(lora_[AB])\.weight$/, '$1').replace(/^lora_magnitude_vector$/, 'm.weight')}`,

  toConfig(config, { sites, description }) {
    const unsayable = Object.entries({
      bias: config.bias !== 'none',
      rankStabilized: config.rankStabilized,
      loraBias: config.loraBias,
      rankPattern: Object.keys(config.rankPattern).length > 0,
      alphaPattern: Object.keys(config.alphaPattern).length > 0,
      trainableTokens: config.trainableTokens !== undefined,
    }).find(([, isSet]) => isSet);
    const reason = config.dora ? unlikeDora(config, sites) : undefined;
    if (reason !== undefined)
      throw new PeftError(
        'PEFT_FORMAT_UNSUPPORTED',
        `lora: adapter-hub's DoRA computes something else where ${reason}.`,
        { hint: "save it in PEFT's layout" },
      );
    if (unsayable)
      throw new PeftError(
        'PEFT_FORMAT_UNSUPPORTED',
        `lora: adapter-hub's config has no word for ${unsayable[0]}.`,
        { hint: "save it in PEFT's layout" },
      );
    return {
      architecture: 'lora',
      ...toHubTargets(sites, description),
      r: config.rank,
      alpha: config.alpha,
      dropout: config.dropout,
      composition_mode: 'add',
      init_weights: 'lora',
      init_weights_seed: null,
      use_gating: config.gating,
      use_dora: config.dora,
      vera_d: null,
      vera_b: null,
      dtype: null,
    };
  },

  fromConfig(json, { description, version }): (Partial<LoraConfig> & CommonConfig) | undefined {
    if (typeof json === 'string')
      return json === 'lora'
        ? { targets: fromHubTargets({ attn_matrices: ['q', 'v'] }, description) }
        : undefined;
    if (json['architecture'] !== 'lora' || json['composition_mode'] === 'scale') return undefined;
    const other = OTHERS.find(
      (key) => json[key] !== undefined && json[key] !== null && json[key] !== false,
    );
    if (other)
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        `lora: adapter_config.json sets ${other} to ${show(json[other])}, which is not ` +
          `supported in adapter-hub's layout.`,
        { hint: 'save such adapters with PEFT' },
      );
    const {
      r: rank = 8,
      alpha: given = 8,
      dropout = 0,
      use_gating: gating = false,
      use_dora: dora = false,
    } = json as {
      r?: number;
      alpha?: number;
      dropout?: number;
      use_gating?: boolean;
      use_dora?: boolean;
    };
    const targets = fromHubTargets(json, description);
    const alpha = isScaled(version) ? given : rank;
    const reason = dora
      ? unlikeDora(
          { rank, alpha, gating },
          description.sites.filter(({ path }) => targets.includes(path)),
        )
      : undefined;
    if (reason !== undefined)
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        `lora: adapter-hub's DoRA computes something else than this one where ${reason}.`,
        { hint: 'merge the adapter into its model in Python' },
      );
    return { rank, alpha, dropout, gating, dora, targets };
  },
};

/** What keeps the library's DoRA from being PEFT's. */
function unlikeDora(
  { rank, alpha, gating }: Pick<LoraConfig, 'rank' | 'alpha' | 'gating'>,
  sites: readonly Site[],
): string | undefined {
  const biased = sites.find((site) => 'bias' in site && site.bias !== undefined)?.path;
  if (biased !== undefined) return `a target has a bias (${biased})`;
  if (gating) return 'there is a gate';
  return alpha === rank ? undefined : `alpha (${alpha}) is not the rank (${rank})`;
}

function isScaled(version: string): boolean {
  const [major, minor] = (/^adapters\.(\d+)\.(\d+)/.exec(version)?.slice(1) ?? FIRST_SCALED).map(
    Number,
  ) as [number, number];
  return major > FIRST_SCALED[0]! || (major === FIRST_SCALED[0] && minor >= FIRST_SCALED[1]!);
}
