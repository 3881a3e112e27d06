/** IA3 in adapter-hub's files: a LoRA of rank 1 that scales, and only at outputs. */
import {
  fromHubTargets,
  toHubTargets,
  type AdapterHubMapping,
  type CommonConfig,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import type { Ia3Config } from './ia3-config.js';

const DEFAULTS = { attn_matrices: ['k', 'v'], intermediate_lora: true };

export const ia3Hub: AdapterHubMapping<Ia3Config> = {
  key: (name) => `loras.*.${name.replace(/^ia3_l$/, 'lora_B')}`,

  toConfig(_config, { sites, description, parameters }) {
    const atInput = sites.find(
      (site) =>
        site.kind === 'linear' &&
        parameters.get(`${site.path}.ia3_l`)?.shape[0] === 1 &&
        site.outFeatures !== 1,
    );
    if (atInput)
      throw new PeftError(
        'PEFT_FORMAT_UNSUPPORTED',
        `ia3: adapter-hub scales outputs alone, and ${atInput.path} is scaled at its input.`,
        { hint: "set feedforwardModules: [], or save it in PEFT's layout" },
      );
    return {
      architecture: 'lora',
      ...toHubTargets(sites, description),
      r: 1,
      alpha: 1,
      dropout: 0,
      composition_mode: 'scale',
      init_weights: 'ia3',
      init_weights_seed: null,
      use_gating: false,
      use_dora: false,
      vera_d: null,
      vera_b: null,
      dtype: null,
    };
  },

  fromConfig(json, { description }): (Partial<Ia3Config> & CommonConfig) | undefined {
    if (typeof json === 'string')
      return json === 'ia3'
        ? { targets: fromHubTargets(DEFAULTS, description), feedforwardModules: [] }
        : undefined;
    if (json['architecture'] !== 'lora' || json['composition_mode'] !== 'scale') return undefined;
    if (json['use_gating'] === true || (json['alpha'] ?? 1) !== 1)
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        'ia3: adapter_config.json asks for a gate or a factor beside the vectors, which is not supported.',
      );
    return { targets: fromHubTargets(json, description), feedforwardModules: [] };
  },
};
