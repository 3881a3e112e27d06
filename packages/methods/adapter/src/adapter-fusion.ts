/**
 * AdapterFusion (Pfeiffer et al. 2021, section 3): attention over the bottlenecks of several
 * adapters, token by token. With h what the last of them reads, r its residual and u_k the scaled
 * output of bottleneck k,
 *
 *   p = softmax_k( (W_q·h + b_q)·(W_k·u_k + b_k) ), y = Σ_k p_k·W_v·u_k + r
 *
 * Only W_q, W_k, W_v train; the adapters are on the model already. W_v starts as the identity, and
 * is held near it by 0.01·‖I − W_v‖² in the loss.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import {
  adapterHubFormat,
  definePeftMethod,
  hubAbout,
  hubHeadModules,
  hubPlace,
  normal,
  specOf,
  zeros,
  type AdapterFormat,
  type AttachContext,
  type Initializer,
  type SiteHandle,
  type SublayerAttachment,
  type SublayerCall,
  type TargetSelection,
} from '@peft/core';
import { check, PeftError, show } from '@peft/errors';
import { linear } from '@peft/ops';
import { isBottleneck, type BottleneckSublayer } from './bottleneck-sublayer.js';

/** Options of AdapterFusion. */
export interface FusionConfig {
  /**
   * Names of the adapters on the model, in the original's order: the last one's form decides what
   * is read.
   */
  readonly adapters: readonly string[];
  /** Project what is read. Default true. */
  readonly query: boolean;
  /** Project the bottlenecks' outputs to keys. Default true. */
  readonly key: boolean;
  /** Project them to values. Default true. */
  readonly value: boolean;
  /** The query is the branch's output, not norm(output + residual). Default false. */
  readonly queryBeforeLn: boolean;
  /** Hold W_v near the identity. Default true. */
  readonly regularization: boolean;
  /** Add the residual to the bottlenecks' outputs rather than to the result. Default false. */
  readonly residualBefore: boolean;
  /** Project to values before the softmax's sum rather than after it. Default true. */
  readonly valueBeforeSoftmax: boolean;
  /** W_v starts as the identity, else N(0, 0.02²). Default true. */
  readonly valueInitialized: boolean;
  /** Share of the scores that training drops. Default 0. */
  readonly dropoutProb: number;
}

declare module '@peft/core' {
  interface PeftConfigs {
    'adapter-fusion': FusionConfig;
  }
}

const OWNER = 'adapter-fusion';
const FLAGS = [
  'query',
  'key',
  'value',
  'queryBeforeLn',
  'regularization',
  'residualBefore',
  'valueBeforeSoftmax',
  'valueInitialized',
] as const;
const DEFAULTS = {
  query: true,
  key: true,
  value: true,
  queryBeforeLn: false,
  regularization: true,
  residualBefore: false,
  valueBeforeSoftmax: true,
  valueInitialized: true,
  dropoutProb: 0,
} as const;
const HUB_NAMES: Readonly<Record<(typeof FLAGS)[number], string>> = {
  query: 'query',
  key: 'key',
  value: 'value',
  queryBeforeLn: 'query_before_ln',
  regularization: 'regularization',
  residualBefore: 'residual_before',
  valueBeforeSoftmax: 'value_before_softmax',
  valueInitialized: 'value_initialized',
};

/** adapter-hub keeps a fusion beside its adapters, in files of other names. */
const fusionFormat: AdapterFormat = Object.freeze({
  ...adapterHubFormat,
  name: 'adapter-hub fusion',
  configFile: 'adapter_fusion_config.json',
  weightFiles: Object.freeze([
    'model_adapter_fusion.safetensors',
    'pytorch_model_adapter_fusion.bin',
  ]),
  recognises: (config) => 'config' in config && 'name' in config,
  adapterName: () => undefined,
  readSpec(config, _methods, description, keys) {
    const json = config['config'] as Readonly<Record<string, unknown>>;
    if (json['temperature'])
      throw new PeftError(
        'PEFT_CONFIG_UNSUPPORTED',
        `${OWNER}: a temperature that changes with each batch is not supported.`,
        { hint: 'train the fusion with temperature: false' },
      );
    const flags = FLAGS.flatMap((flag) =>
      HUB_NAMES[flag] in json ? [[flag, Boolean(json[HUB_NAMES[flag]])]] : [],
    );
    const targets = description.sites
      .filter(
        (site) =>
          site.kind === 'sublayer' &&
          keys.some((key) =>
            key.includes(
              `${hubPlace('adapter_fusion_layer', site, description)}adapter_fusion_layer.`,
            ),
          ),
      )
      .map(({ path }) => path);
    const adapters: readonly unknown[] = Array.isArray(config['adapter_names'])
      ? config['adapter_names']
      : String(config['adapter_names'] ?? config['name']).split(',');
    return specOf(adapterFusion, {
      ...(Object.fromEntries(flags) as Record<string, unknown>),
      adapters,
      dropoutProb: json['dropout_prob'] ?? 0,
      modulesToSave: hubHeadModules(description),
      targets: targets.length > 0 ? targets : undefined,
    });
  },
  writeConfig(adapter, about) {
    const { adapters, dropoutProb, ...flags } = adapter.parts[0]!.part.config as FusionConfig;
    const made = {
      ...hubAbout(adapter.description, about),
      adapter_names: adapters,
      config: {
        ...Object.fromEntries(FLAGS.map((flag) => [HUB_NAMES[flag], flags[flag]])),
        dropout_prob: dropoutProb === 0 ? null : dropoutProb,
        temperature: false,
      },
      name: adapters.join(','),
    };
    return adapter.source ? { ...made, ...adapter.source.config } : made;
  },
} satisfies AdapterFormat);

/**
 * AdapterFusion: `model.addAdapter('fusion', adapterFusion({ adapters: ['first', 'second'] }))` on
 * a model that has both.
 *
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; in a forward pass PEFT_ADAPTER_UNKNOWN
 */
export const adapterFusion = definePeftMethod({
  name: OWNER,
  exampleOptions: { adapters: ['a', 'b'] },
  formula: 'h = h + Σᵢ softmax(q·Kzᵢ)·V·zᵢ over adapters i',
  paper: {
    title: 'AdapterFusion: Non-Destructive Task Composition for Transfer Learning',
    url: 'https://arxiv.org/abs/2005.00247',
  },

  parseConfig(input): FusionConfig {
    check.knownKeys(OWNER, input, ['adapters', ...Object.keys(DEFAULTS)]);
    const config = { ...DEFAULTS, ...input };
    for (const flag of FLAGS) check.boolean(OWNER, flag, config[flag]);
    check.probability(OWNER, 'dropoutProb', config.dropoutProb);
    const { adapters } = input;
    if (
      !Array.isArray(adapters) ||
      adapters.length < 2 ||
      !adapters.every((name) => typeof name === 'string')
    )
      throw new PeftError(
        'PEFT_CONFIG_INVALID',
        `${OWNER}: adapters must be the names of at least two adapters, got ${show(adapters)}.`,
      );
    return Object.freeze({ ...config, adapters: Object.freeze([...adapters]) });
  },

  defaultTargets: (): TargetSelection => ({ targets: { roles: ['sublayer.ffn'] } }),
  attach: { sublayer: fuse },
  format: fusionFormat,
  adapterHub: {
    toConfig: () => ({}),
    fromConfig: () => undefined,
    key: (name, { adapters }) =>
      `adapter_fusion_layer.${adapters.join(',')}.${name.slice('fusion.'.length)}`,
  },
});

function fuse(
  site: SiteHandle<'sublayer'>,
  config: FusionConfig,
  context: AttachContext,
): SublayerAttachment {
  const { size } = site;
  const project = (
    name: 'query' | 'key' | 'value',
    start: Initializer,
    hasBias: boolean,
  ): ((x: Tensor2D) => Tensor2D) => {
    if (!config[name]) return (x) => x;
    const weight = context.param(`fusion.${name}.weight`, [size, size], start);
    const bias = hasBias ? context.param(`fusion.${name}.bias`, [size], zeros) : undefined;
    if (name === 'value' && config.regularization)
      context.extraLoss(() => tf.mul(tf.sum(tf.square(tf.sub(tf.eye(size), weight.value))), 0.01));
    return (x) => linear(x, weight.value, bias?.value);
  };
  const query = project('query', normal(0.02), true);
  const key = project('key', normal(0.02), true);
  const value = project('value', config.valueInitialized ? nearIdentity : normal(0.02), false);
  return {
    forward(call) {
      const fused = config.adapters.flatMap((name) => bottlenecksOf(call, name, site.path));
      const last = fused.at(-1);
      if (!last) return call.close(call.output);
      const { input, residual } = last.read(call);
      const made = fused
        .map((bottleneck) => bottleneck.up(input, call))
        .map((up) => (config.residualBefore ? tf.add<Tensor2D>(up, residual) : up));
      const asked = query(config.queryBeforeLn ? call.output : input);
      const scores = tf.stack(
        made.map((up) => tf.sum(tf.mul(asked, key(up)), 1)),
        1,
      ) as Tensor2D; // [N, K]
      const shares = tf.split(tf.softmax(call.dropout(scores, config.dropoutProb)), made.length, 1);
      const context = tf.addN(
        made.map((up, k) =>
          tf.mul<Tensor2D>(config.valueBeforeSoftmax ? value(up) : up, shares[k]!),
        ),
      );
      const projected = config.valueBeforeSoftmax ? context : value(context);
      return last.close(config.residualBefore ? projected : tf.add(projected, residual), call);
    },
  };
}

const bottlenecksOf = (call: SublayerCall, name: string, path: string): BottleneckSublayer[] =>
  call
    .adapter(name)
    .at('sublayer', path)
    .flatMap(({ attachment }) => (isBottleneck(attachment) ? [attachment] : []));

/** 1 on the diagonal, 10⁻⁶ elsewhere. */
const nearIdentity: Initializer = ([rows, columns]) =>
  Float32Array.from({ length: rows! * columns! }, (_, i) =>
    Math.floor(i / columns!) === i % columns! ? 1 : 1e-6,
  );
