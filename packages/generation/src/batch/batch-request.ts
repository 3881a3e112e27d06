/** What a continuous batch is asked for, and what it tells. */
import type { LengthLimit } from '../position-limit.js';
import type { GenerationOptions, ResolvedGeneration } from '../generation-options.js';

/** A token of one text, as it is made. */
export interface BatchToken {
  readonly id: number;
  /** How many tokens of the text there are now. */
  readonly count: number;
  /** ln p of it under softmax(logits), before temperature and penalties; where asked for. */
  readonly logProbability?: number;
  /** The likeliest tokens with their ln p, likeliest first; as many as were asked for. */
  readonly likeliest?: readonly { readonly id: number; readonly logProbability: number }[];
}

/** One text to be made. */
export interface BatchRequest extends Pick<
  GenerationOptions,
  | 'maxNewTokens'
  | 'endIds'
  | 'startIds'
  | 'firstId'
  | 'lastId'
  | 'temperature'
  | 'topK'
  | 'topP'
  | 'repetitionPenalty'
  | 'seed'
  | 'signal'
> {
  /** What a decoder continues, or what the encoder of an encoder-decoder reads. */
  readonly promptIds: readonly number[];
  /** The adapter's name on the model, `__base__` for none. Default `__base__`. */
  readonly adapter?: string;
  /** The task of the text, where the adapter learnt several. */
  readonly taskId?: number | undefined;
  /** Tokens that the text may have: those below it. Default: all of the model. */
  readonly vocabularySize?: number;
  /** How many likeliest tokens are told of, with their probabilities. Default: no probabilities. */
  readonly logProbabilities?: number;
  /** Changes the logits of the next token in place, before penalty and choice. */
  readonly adjust?: (logits: Float32Array, made: readonly number[]) => void;
  /** Told of each token; true ends the text there. */
  readonly onToken?: (token: BatchToken) => boolean | void;
}

/** A text on its way. */
export interface BatchText {
  readonly request: BatchRequest;
  readonly options: ResolvedGeneration;
  readonly adapter: string;
  /** What the decoder has: prompt (of an encoder-decoder `startIds`) and what was made. */
  readonly tokens: number[];
  /** Of the tokens that may be made. */
  readonly limit: LengthLimit;
  readonly made: number[];
  /** Rows of the cache that it may come to need. */
  readonly reserved: number;
}
