/**
 * Adapters of MLX-LM: `adapter_config.json` with `lora_parameters`, and `adapters.safetensors` with
 * `<path>.lora_a [in, r]` and `<path>.lora_b [r, out]`, both the transposes of PEFT's; DoRA's
 * lengths are `<path>.m`. y = base(x) + scale·x·a·b.
 */
import type { AdapterFormat, FileKey } from '@peft/core';
import { PeftError, show } from '@peft/errors';
import { lora } from '../lora.js';

interface MlxConfig {
  readonly fine_tune_type?: string;
  readonly lora_parameters?: {
    readonly rank?: number;
    readonly scale?: number;
    readonly dropout?: number;
  };
}

const NAMES: readonly (readonly [mlx: string, ours: string])[] = [
  ['.lora_a', '.lora_A.weight'],
  ['.lora_b', '.lora_B.weight'],
  ['.m', '.lora_magnitude_vector'],
];

/**
 * For `loadAdapter(model, folder, { methods: [lora], formats: [mlxFormat] })` and
 * `saveAdapter(model, name, folder, { format: mlxFormat })`.
 */
export const mlxFormat: AdapterFormat = Object.freeze({
  name: 'mlx',
  weightFiles: Object.freeze(['adapters.safetensors']),
  hasOpenConfig: true,
  floatKeys: Object.freeze(['scale']),
  recognises: (config) =>
    typeof config['lora_parameters'] === 'object' &&
    config['lora_parameters'] !== null &&
    config['peft_type'] === undefined,

  readSpec(config, methods, _description, keys) {
    if (!methods.includes(lora))
      throw new PeftError(
        'PEFT_METHOD_UNKNOWN',
        'adapter_config.json: an adapter of MLX-LM is LoRA, which is not among the methods at hand.',
        { hint: 'pass lora of @peft/lora to loadAdapter' },
      );
    const { fine_tune_type: type = 'lora', lora_parameters: parameters = {} } = config as MlxConfig;
    if (type !== 'lora' && type !== 'dora')
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        `adapter_config.json: fine_tune_type ${show(type)} is not supported.`,
        { hint: 'lora and dora are' },
      );
    const { rank = 8, scale = 20, dropout = 0 } = parameters;
    const targets = [
      ...new Set(
        keys.flatMap((key) => (key.endsWith('.lora_a') ? [key.slice(0, -'.lora_a'.length)] : [])),
      ),
    ];
    return lora({
      rank,
      alpha: scale * rank,
      dropout,
      dora: type === 'dora',
      targets,
      modulesToSave: [],
    });
  },

  writeConfig(adapter): Record<string, unknown> {
    const part = adapter.parts.find(({ part: { method } }) => method.name === 'lora');
    if (!part || adapter.parts.length > 1)
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        `adapter "${adapter.name}": MLX-LM has no format for ${adapter.spec.name}.`,
        { hint: "write it in PEFT's" },
      );
    const config = part.part.config as ReturnType<typeof lora.parseConfig>;
    refuseOthers(config);
    const scale = config.alpha / (config.rankStabilized ? Math.sqrt(config.rank) : config.rank);
    const layers = new Set(part.sites.flatMap(({ layer }) => (layer === undefined ? [] : [layer])));
    const { encoder, decoder } = adapter.description.layers;
    const first = Math.min(...layers);
    return {
      fine_tune_type: config.dora ? 'dora' : 'lora',
      num_layers: encoder + decoder - (Number.isFinite(first) ? first : 0),
      lora_parameters: {
        rank: config.rank,
        scale,
        dropout: config.dropout,
        keys: [...new Set(part.sites.map(({ path }) => path.replace(/^.*\.\d+\./, '')))],
      },
    };
  },

  keyOf(_adapter, { name, savedAs }) {
    const path = savedAs ?? name;
    const found = NAMES.find(([, ours]) => path.endsWith(ours));
    return found ? `${path.slice(0, -found[1].length)}${found[0]}` : path;
  },
  keyOfTensor: (_adapter, name) => name,

  readKey(key): FileKey {
    const found = NAMES.find(([mlx]) => key.endsWith(mlx));
    return { of: 'parameter', name: found ? `${key.slice(0, -found[0].length)}${found[1]}` : key };
  },
  isTransposed: (key) => key.endsWith('.lora_a') || key.endsWith('.lora_b'),
} satisfies AdapterFormat);

/** @throws PEFT_CONFIG_UNSUPPORTED */
function refuseOthers(config: ReturnType<typeof lora.parseConfig>): void {
  const other = (
    ['bias', 'loraBias', 'trainableTokens', 'layerReplication', 'velora'] as const
  ).find((key) => config[key] !== undefined && config[key] !== false && config[key] !== 'none');
  const pattern = (['rankPattern', 'alphaPattern'] as const).find(
    (key) => Object.keys(config[key]).length > 0,
  );
  if (other ?? pattern)
    throw new PeftError('PEFT_CONFIG_UNSUPPORTED', `lora: MLX-LM has no ${other ?? pattern}.`, {
      hint: "write the adapter in PEFT's format",
    });
}
