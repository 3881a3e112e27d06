/** What a checkpoint says about generating with it. */
import type { TextTokenizer } from '@peft/data';
import type { GenerationOptions } from './generation-options.js';

type Json = Readonly<Record<string, unknown>>;

/** Where a checkpoint says how to generate with it. */
export interface GenerationSources {
  /** `config.json` */
  readonly config: Json;
  /** `generation_config.json`, where the checkpoint has one; it wins. */
  readonly generationConfig?: Json | undefined;
  readonly tokenizer?: Pick<TextTokenizer, 'specialIds'> | undefined;
}

/** What a checkpoint says of a text's ends. */
export type TextEnds = Required<Pick<GenerationOptions, 'endIds' | 'startIds'>> &
  Pick<GenerationOptions, 'firstId' | 'lastId'>;

/**
 * End, start and forced tokens by `generation_config.json`, else `config.json`, else the tokenizer. How to
 * choose tokens is not taken from the checkpoint: evaluation must not depend on it;
 * `samplingDefaults` gives that.
 */
export function generationDefaults({
  config,
  generationConfig = {},
  tokenizer,
}: GenerationSources): TextEnds {
  const first = (name: string): number[] =>
    [generationConfig[name], config[name]].map(tokenIds).find(({ length }) => length > 0) ?? [];
  const ends = first('eos_token_id');
  const own = tokenizer?.specialIds.eos;
  const starts = [first('decoder_start_token_id'), first('pad_token_id')].find(
    ({ length }) => length > 0,
  ) ?? [0];
  const ownEnds = own === undefined ? [] : [own];
  return {
    endIds: ends.length > 0 ? ends : ownEnds,
    startIds: starts.slice(0, 1),
    firstId: first('forced_bos_token_id')[0],
    lastId: first('forced_eos_token_id')[0],
  };
}

/**
 * How the checkpoint's makers would draw tokens: temperature, top-k, top-p and repetition penalty
 * of `generation_config.json`.
 */
export function samplingDefaults(
  generationConfig: Json = {},
): Pick<GenerationOptions, 'temperature' | 'topK' | 'topP' | 'repetitionPenalty'> {
  const number = (name: string, isValid: (value: number) => boolean) => {
    const value = generationConfig[name];
    return typeof value === 'number' && isValid(value) ? value : undefined;
  };
  const penalty = number('repetition_penalty', (value) => value > 0);
  const isDrawn = generationConfig['do_sample'] === true;
  const [temperature, topK, topP] = isDrawn
    ? [
        number('temperature', (value) => value > 0) ?? 1,
        number('top_k', (value) => Number.isInteger(value) && value >= 0),
        number('top_p', (value) => value > 0 && value <= 1),
      ]
    : [];
  return definedOnly({ temperature, topK, topP, repetitionPenalty: penalty });
}

/** Without keys that have no value: callers merge these options over others. */
const definedOnly = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;

const tokenIds = (value: unknown): number[] =>
  [value].flat().filter((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0);
