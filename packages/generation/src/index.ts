export {
  chooseToken,
  drawToken,
  likeliest,
  penalizeRepetition,
  tokenDistribution,
  type TokenDistribution,
} from './choose-token.js';
export { generate } from './generate.js';
export {
  generateTexts,
  promptIds,
  type GeneratedText,
  type Prompt,
  type TextGenerationOptions,
} from './generate-texts.js';
export {
  generationDefaults,
  type TextEnds,
  samplingDefaults,
  type GenerationSources,
} from './generation-defaults.js';
export type { Generated, GenerationOptions, TokenEvent } from './generation-options.js';
export { isEncoderDecoder } from './sequence-reader.js';
export { TextStream, type TextPiece } from './text-stream.js';
export {
  createTextEvaluator,
  type TextEvaluation,
  type TextEvaluatorOptions,
} from './text-evaluator.js';
export type { BatchRequest, BatchToken } from './batch/batch-request.js';
export { ContinuousBatch, type ContinuousBatchOptions } from './batch/continuous-batch.js';
