/** Every family, for `architectureFor`. */
import type { Architecture } from '@peft/core';
import { albert } from './encoders/bert/albert.js';
import { bert } from './encoders/bert/bert.js';
import { camembert } from './encoders/bert/camembert.js';
import { convbert } from './encoders/convbert.js';
import { debertaV2 } from './encoders/deberta-v2.js';
import { distilbert } from './encoders/distilbert.js';
import { electra } from './encoders/bert/electra.js';
import { modernbert } from './encoders/modernbert.js';
import { mpnet } from './encoders/bert/mpnet.js';
import { roberta } from './encoders/bert/roberta.js';
import { xlmRobertaXl } from './encoders/bert/xlm-roberta-xl.js';
import { bart } from './encoder-decoders/bart.js';
import { m2m100 } from './encoder-decoders/m2m-100.js';
import { marian } from './encoder-decoders/marian.js';
import { mbart } from './encoder-decoders/mbart.js';
import { pegasus } from './encoder-decoders/pegasus.js';
import { t5 } from './encoder-decoders/t5.js';
import { umt5 } from './encoder-decoders/umt5.js';
import { deepseekV3 } from './decoders/experts/deepseek-v3.js';
import { gptOss } from './decoders/experts/gpt-oss.js';
import { graniteMoe } from './decoders/experts/granite-moe.js';
import { mixtral } from './decoders/experts/mixtral.js';
import { olmoe } from './decoders/experts/olmoe.js';
import { qwen2Moe } from './decoders/experts/qwen2-moe.js';
import { qwen3Moe } from './decoders/experts/qwen3-moe.js';
import { cohere2 } from './decoders/gated/cohere2.js';
import { gemma } from './decoders/gated/gemma.js';
import { gemma2 } from './decoders/gated/gemma2.js';
import { gemma3 } from './decoders/gated/gemma3.js';
import { glm4 } from './decoders/gated/glm4.js';
import { granite } from './decoders/gated/granite.js';
import { llama } from './decoders/gated/llama.js';
import { mistral } from './decoders/gated/mistral.js';
import { olmo2 } from './decoders/gated/olmo2.js';
import { olmo3 } from './decoders/gated/olmo3.js';
import { phi3 } from './decoders/gated/phi3.js';
import { qwen2 } from './decoders/gated/qwen2.js';
import { qwen3 } from './decoders/gated/qwen3.js';
import { smollm3 } from './decoders/gated/smollm3.js';
import { stablelm } from './decoders/gated/stablelm.js';
import { bloom } from './decoders/plain/bloom.js';
import { falcon } from './decoders/plain/falcon.js';
import { gptNeo } from './decoders/plain/gpt-neo.js';
import { gptNeox } from './decoders/plain/gpt-neox.js';
import { gpt2 } from './decoders/plain/gpt2.js';
import { mpt } from './decoders/plain/mpt.js';
import { nemotron } from './decoders/plain/nemotron.js';
import { opt } from './decoders/plain/opt.js';
import { phi } from './decoders/plain/phi.js';
import { starcoder2 } from './decoders/plain/starcoder2.js';

const list = (...families: readonly object[]): readonly Architecture<never>[] =>
  Object.freeze(families as Architecture<never>[]);

/** Encoders: the models of the multilingual and text presets. */
export const encoderArchitectures = list(
  bert,
  roberta,
  electra,
  debertaV2,
  distilbert,
  modernbert,
  albert,
  camembert,
  xlmRobertaXl,
  convbert,
  mpnet,
);

/** Encoder-decoders. */
export const encoderDecoderArchitectures = list(t5, umt5, bart, mbart, pegasus, marian, m2m100);

/** Decoders, most of them variations of one form. */
export const decoderArchitectures = list(
  llama,
  mistral,
  qwen2,
  qwen3,
  gpt2,
  gemma2,
  gemma3,
  phi3,
  gemma,
  granite,
  smollm3,
  olmo2,
  olmo3,
  glm4,
  cohere2,
  stablelm,
  starcoder2,
  nemotron,
  phi,
  gptNeox,
  gptNeo,
  opt,
  bloom,
  falcon,
  mpt,
  mixtral,
  qwen2Moe,
  qwen3Moe,
  olmoe,
  graniteMoe,
  gptOss,
  deepseekV3,
);

/** All model families: encoders, encoder-decoders, decoders. */
export const architectures = list(
  ...encoderArchitectures,
  ...encoderDecoderArchitectures,
  ...decoderArchitectures,
);
