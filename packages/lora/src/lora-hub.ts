/** LoRA in adapter-hub's files. */
import { fromHubTargets, toHubTargets, type AdapterHubMapping, type CommonConfig } from '@peft/core';
import { PeftError, show } from '@peft/errors';
import type { LoraConfig } from './lora-config.js';

/** Options of the original that ask for another method. */
const OTHERS = ['use_dora', 'vera_d', 'vera_b'] as const;
/** Before this version the library left α/r out, so that its files mean α = r. */
const FIRST_SCALED = [1, 1];

export const loraHub: AdapterHubMapping<LoraConfig> = {
  key: (name) => `loras.*.${name.replace(/^(lora_[AB])\.weight$/, '$1')}`,

  toConfig(config, { sites, description }) {
    const unsayable = Object.entries({ bias: config.bias !== 'none', rankStabilized: config.rankStabilized, dora: config.dora, loraBias: config.loraBias, rankPattern: Object.keys(config.rankPattern).length > 0, alphaPattern: Object.keys(config.alphaPattern).length > 0, trainableTokens: config.trainableTokens !== undefined }).find(([, isSet]) => isSet);
    if (unsayable) throw new PeftError('PEFT_FORMAT_UNSUPPORTED', `lora: adapter-hub's config has no word for ${unsayable[0]}.`, { hint: "save it in PEFT's layout" });
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
      use_dora: false,
      vera_d: null,
      vera_b: null,
      dtype: null,
    };
  },

  fromConfig(json, { description, version }): (Partial<LoraConfig> & CommonConfig) | undefined {
    if (typeof json === 'string') return json === 'lora' ? { targets: fromHubTargets({ attn_matrices: ['q', 'v'] }, description) } : undefined;
    if (json['architecture'] !== 'lora' || json['composition_mode'] === 'scale') return undefined;
    const other = OTHERS.find((key) => json[key] !== undefined && json[key] !== null && json[key] !== false);
    if (other) throw new PeftError('PEFT_CONFIG_UNSUPPORTED', `lora: adapter_config.json sets ${other} to ${show(json[other])}, which is not supported in adapter-hub's layout.`, { hint: 'save such adapters with PEFT' });
    const { r: rank = 8, alpha = 8, dropout = 0, use_gating: gating = false } = json as { r?: number; alpha?: number; dropout?: number; use_gating?: boolean };
    return { rank, alpha: isScaled(version) ? alpha : rank, dropout, gating, targets: fromHubTargets(json, description) };
  },
};

function isScaled(version: string): boolean {
  const [major, minor] = (/^adapters\.(\d+)\.(\d+)/.exec(version)?.slice(1) ?? FIRST_SCALED).map(Number) as [number, number];
  return major > FIRST_SCALED[0]! || (major === FIRST_SCALED[0] && minor >= FIRST_SCALED[1]!);
}
