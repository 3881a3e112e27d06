/** What BART and its relatives share beside their config: two stacks and their heads. */
import { zeros, type Architecture, type HeadOptions, type ModelOutput } from '@peft/core';
import { DescriptionBuilder, within } from '../description/describe.js';
import { isBare } from '../parts/classification-head.js';
import { languageModelOutput } from '../parts/lm-head.js';
import { settleOutputLayer } from '../parts/own-output-layer.js';
import type { BartConfig } from './bart-config.js';
import { describeBartStack, runBartStack } from './bart-stack.js';
import {
  CLASSIFICATION_HEAD,
  classifyAtEnd,
  decoderTokens,
  describeClassificationHead,
} from './seq2seq-head.js';

const LOGITS_BIAS = 'final_logits_bias';

export const bartParts: Pick<Architecture<BartConfig>, 'settle' | 'describe' | 'forward'> = {
  settle(config, store, warn) {
    if (config.layerDrop > 0)
      warn(
        `config.json asks for blocks that are left out at random in training (layerdrop ` +
          `${config.layerDrop}): here every block runs.`,
      );
    return settleOutputLayer(config, store, OUTPUT_LAYER, warn);
  },

  describe(config, head) {
    const { hiddenSize: D, vocabularySize: V, form, initializerRange: fresh } = config;
    const model = new DescriptionBuilder();
    const prefix = prefixOf(head);
    const shared = within(prefix, 'shared');
    model.embedding(shared, {
      role: 'embedding.table',
      rows: V,
      size: D,
      aliases: ['encoder', 'decoder'].map((stack) =>
        within(prefix, `${stack}.embed_tokens.weight`),
      ),
    });
    for (const stack of ['encoder', 'decoder'] as const)
      describeBartStack(model, within(prefix, stack), shared, config, stack);
    if (head.kind === 'seq2seq-lm') {
      model.linear('lm_head', {
        role: 'head',
        shape: [V, D],
        bias: false,
        isOutputHead: true,
        tiedTo: config.isTied ? `${shared}.weight` : undefined,
        fresh,
      });
      if (form.hasLogitsBias) model.buffer(LOGITS_BIAS, [1, V], zeros);
    }
    if (head.kind === 'sequence-classification')
      describeClassificationHead(model, D, head.outputs, fresh);
    return model.build({
      modelType: form.modelType,
      head,
      hiddenSize: D,
      vocabularySize: V,
      layers: { encoder: config.encoder.layers, decoder: config.decoder.layers },
      maxPositions: form.positions === 'computed' ? undefined : config.maxPositions,
      headModules: head.kind === 'sequence-classification' ? [CLASSIFICATION_HEAD] : [],
      basePrefix: 'model',
    });
  },

  forward(run, config, batch) {
    const { head } = run.description;
    const { form } = config;
    const prefix = prefixOf(head);
    const encoder = batch.encoded
      ? undefined
      : runBartStack(run, within(prefix, 'encoder'), config, 'encoder', batch);
    const encoded = batch.encoded ?? { hidden: encoder!.states.at(-1)!, offsets: encoder!.offsets };
    const decoder = runBartStack(
      run,
      within(prefix, 'decoder'),
      config,
      'decoder',
      decoderTokens(form.modelType, config.decoderStartId, head, batch),
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
          bias: form.hasLogitsBias ? LOGITS_BIAS : undefined,
        }),
      };
    if (head.kind !== 'sequence-classification') return output;
    return { ...output, logits: classifyAtEnd(run, form.modelType, config, batch, output) };
  },
};

const OUTPUT_LAYER = {
  output: ['lm_head.weight'],
  table: ['model.shared.weight', 'shared.weight', 'model.decoder.embed_tokens.weight'],
};

const prefixOf = (head: HeadOptions): string => (isBare(head) ? '' : 'model');
