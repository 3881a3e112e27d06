/**
 * T5 (Raffel et al. 2020): v1.0, v1.1, FLAN-T5 and mT5. Pre-norm blocks with RMS norms and no
 * biases; positions are relative, a bias of the attention scores that the first block of each stack
 * owns and all share; scores are not scaled by the width of a head.
 *
 * Bare, it is the encoder alone. With an unscaled output layer logits are h·Wᵀ, else h·Wᵀ/√D.
 */
import {
  defineArchitecture,
  type HeadOptions,
  type Architecture,
  type ModelBatch,
  type ModelOutput,
} from '@peft/core';
import { isBare } from '../parts/classification-head.js';
import { readConfig, type ConfigJson } from '../description/config-reader.js';
import { DescriptionBuilder, within } from '../description/describe.js';
import { languageModelOutput } from '../parts/lm-head.js';
import { hasOwnOutputLayer } from '../parts/own-output-layer.js';
import {
  CLASSIFICATION_HEAD,
  classifyAtEnd,
  decoderTokens,
  describeClassificationHead,
} from './seq2seq-head.js';
import { parseT5Config, type T5Config } from './t5-config.js';
import { describeT5Stack, runT5Stack, type T5Tokens } from './t5-stack.js';

const FAMILY = 'T5';

/** What the families share beside their config. */
export const t5Parts: Pick<Architecture<T5Config>, 'heads' | 'settle' | 'describe' | 'forward'> = {
  heads: ['seq2seq-lm', 'sequence-classification', 'token-classification'],

  /**
   * transformers 5 calls every T5 tied; whether it is shows in the file: a separate
   * `lm_head.weight` that differs.
   */
  settle: (config, store) => ({ ...config, isTied: !hasOwnOutputLayer(store, OUTPUT_LAYER) }),

  describe(config, head) {
    const { hiddenSize: D, vocabularySize: V } = config;
    const model = new DescriptionBuilder();
    const prefix = prefixOf(head);
    const hasDecoder = usesDecoder(head);
    const shared = within(prefix, 'shared');
    model.embedding(shared, {
      role: 'embedding.table',
      rows: V,
      size: D,
      aliases: ['encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'],
    });
    describeT5Stack(model, within(prefix, 'encoder'), shared, config, 'encoder');
    if (hasDecoder) describeT5Stack(model, within(prefix, 'decoder'), shared, config, 'decoder');
    const fresh = config.initializerFactor / Math.sqrt(D);
    if (head.kind === 'seq2seq-lm')
      model.linear('lm_head', {
        role: 'head',
        shape: [V, D],
        bias: false,
        isOutputHead: true,
        tiedTo: config.isTied ? `${shared}.weight` : undefined,
      });
    if (head.kind === 'sequence-classification')
      describeClassificationHead(model, D, head.outputs, fresh);
    if (head.kind === 'token-classification')
      model.linear('classifier', {
        role: 'head',
        shape: [head.outputs, D],
        isOutputHead: true,
        fresh,
      });
    return model.build({
      modelType: config.modelType,
      head,
      hiddenSize: D,
      vocabularySize: V,
      layers: { encoder: config.encoderLayers, decoder: hasDecoder ? config.decoderLayers : 0 },
      headModules: HEAD_MODULES[head.kind] ?? [],
      basePrefix: prefix || 'transformer',
    });
  },

  forward(run, config, batch) {
    const { head } = run.description;
    const prefix = prefixOf(head);
    const stack = (
      name: 'encoder' | 'decoder',
      tokens: T5Tokens,
      encoded?: ModelBatch['encoded'],
    ) => runT5Stack(run, { path: within(prefix, name), stack: name }, config, tokens, encoded);
    const encoder = batch.encoded ? undefined : stack('encoder', batch);
    const encoded = batch.encoded ?? { hidden: encoder!.states.at(-1)!, offsets: encoder!.offsets };
    if (!usesDecoder(head)) {
      const output: ModelOutput = {
        ...encoded,
        hiddenStates: run.wantsHiddenStates ? encoder?.states : undefined,
      };
      return isBare(head)
        ? output
        : {
            ...output,
            logits: run.linear(
              'classifier',
              run.dropout('classifier', encoded.hidden, config.classifierDropout),
            ),
          };
    }
    const decoder = stack(
      'decoder',
      decoderTokens(FAMILY, config.decoderStartId, head, batch),
      encoded,
    );
    const hidden = decoder.states.at(-1)!;
    const output: ModelOutput = {
      hidden,
      offsets: decoder.offsets,
      encoderHidden: encoded.hidden,
      encoderOffsets: encoded.offsets,
      hiddenStates: run.wantsHiddenStates ? decoder.states : undefined,
      encoderHiddenStates: run.wantsHiddenStates ? encoder?.states : undefined,
    };
    if (head.kind === 'seq2seq-lm')
      return {
        ...output,
        ...languageModelOutput(run, 'lm_head', hidden, {
          scale: config.scalesOutput ? 1 / Math.sqrt(config.hiddenSize) : 1,
        }),
      };
    return { ...output, logits: classifyAtEnd(run, FAMILY, config, batch, output) };
  },
};

/**
 * T5 and mT5, `model_type` `t5`, `mt5` (Raffel et al. 2019, Xue et al. 2020). The reference is
 * transformers' implementation.
 */
export const t5 = defineArchitecture<T5Config>({
  ...t5Parts,
  family: FAMILY,
  modelTypes: ['t5', 'mt5'],
  conventions: {
    t5: {
      queryValueTargets: ['q', 'v'],
      adapterHub: { className: 'T5', encoderClass: 'T5EncoderModel', hasSublayerModules: true },
    },
    mt5: {
      queryValueTargets: ['q', 'v'],
      adapterHub: { className: 'MT5', encoderClass: 'MT5EncoderModel', hasSublayerModules: true },
    },
  },
  parseConfig: (json: ConfigJson) => parseT5Config(readConfig(FAMILY, json)),
});

const OUTPUT_LAYER = { output: ['lm_head.weight'], table: ['shared.weight'] };

const HEAD_MODULES: Partial<Record<HeadOptions['kind'], readonly string[]>> = {
  'sequence-classification': [CLASSIFICATION_HEAD],
  'token-classification': ['classifier'],
};

const prefixOf = (head: HeadOptions): string =>
  head.kind === 'sequence-classification' || head.kind === 'token-classification'
    ? 'transformer'
    : '';
const usesDecoder = (head: HeadOptions): boolean =>
  head.kind === 'seq2seq-lm' || head.kind === 'sequence-classification';
