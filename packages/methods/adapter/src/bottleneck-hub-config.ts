/** The options in adapter-hub's adapter_config.json: the same words in snake case. */
import { BOTTLENECK_DEFAULTS, type BottleneckConfig } from './bottleneck-config.js';
import { NAMED_ADAPTERS } from './named-configs.js';

/** Where its spelling is not the plain snake case of ours. */
const SPELLINGS: Readonly<Record<string, string>> = {
  factorizedPhmW: 'factorized_phm_W',
  sharedWPhm: 'shared_W_phm',
};

const hubKey = (key: string): string =>
  SPELLINGS[key] ?? key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const KEYS = new Map(Object.keys(BOTTLENECK_DEFAULTS).map((key) => [hubKey(key), key]));

/** As `to_dict()` of the original's config; its seed has no meaning here and is null. */
export function toHubConfig(config: BottleneckConfig): Record<string, unknown> {
  return {
    ...Object.fromEntries(
      [...KEYS].map(([hub, own]) => [hub, config[own as keyof BottleneckConfig]]),
    ),
    init_weights_seed: null,
  };
}

/**
 * Undefined for a config of another method. A file without a key means the original's default of
 * `BnConfig`.
 */
export function fromHubConfig(
  json: Readonly<Record<string, unknown>> | string,
): Partial<BottleneckConfig> | undefined {
  if (typeof json === 'string') return NAMED_ADAPTERS[json];
  if (!('reduction_factor' in json) || (json['architecture'] ?? null) !== null) return undefined;
  const given = Object.entries(json).flatMap(([hub, value]) =>
    KEYS.has(hub) && value !== undefined ? [[KEYS.get(hub)!, value]] : [],
  );
  return { originalLnBefore: false, ...(Object.fromEntries(given) as Partial<BottleneckConfig>) };
}
