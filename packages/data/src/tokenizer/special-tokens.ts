/**
 * The special tokens of a tokeniser: what its configuration says, or what its class has by default.
 */
import type { TokenizerConfigJson } from './tokenizer-json.js';

/** A special token's part, as the keys of `tokenizer_config.json` name it without `_token`. */
export type SpecialTokenName = 'cls' | 'sep' | 'pad' | 'eos' | 'bos' | 'mask' | 'unk';
/** The special tokens of a tokenizer as strings; one that it lacks is missing. */
export type SpecialTokens = Partial<Record<SpecialTokenName, string>>;

const NAMES: readonly SpecialTokenName[] = ['cls', 'sep', 'pad', 'eos', 'bos', 'mask', 'unk'];

const BERT: SpecialTokens = {
  cls: '[CLS]',
  sep: '[SEP]',
  pad: '[PAD]',
  mask: '[MASK]',
  unk: '[UNK]',
};
const DEBERTA: SpecialTokens = { ...BERT, bos: '[CLS]', eos: '[SEP]' };
const ROBERTA: SpecialTokens = {
  cls: '<s>',
  sep: '</s>',
  pad: '<pad>',
  mask: '<mask>',
  unk: '<unk>',
  bos: '<s>',
  eos: '</s>',
};
const GPT2: SpecialTokens = { bos: '<|endoftext|>', eos: '<|endoftext|>', unk: '<|endoftext|>' };
const T5: SpecialTokens = { eos: '</s>', unk: '<unk>', pad: '<pad>' };
const LLAMA: SpecialTokens = { bos: '<s>', eos: '</s>', unk: '<unk>' };

/**
 * By tokeniser family, the lower-case start of `tokenizer_class` or of `model_type` without dashes.
 */
const DEFAULTS: readonly (readonly [string, SpecialTokens])[] = [
  ['xlmroberta', ROBERTA],
  ['xlmr', ROBERTA],
  ['roberta', ROBERTA],
  ['camembert', ROBERTA],
  ['bart', ROBERTA],
  ['mbart', ROBERTA],
  ['longformer', ROBERTA],
  ['mpnet', { ...ROBERTA, unk: '[UNK]' }],
  ['debertav2', DEBERTA],
  ['deberta', DEBERTA],
  ['albert', { ...DEBERTA, pad: '<pad>', unk: '<unk>' }],
  ['distilbert', BERT],
  ['electra', BERT],
  ['mobilebert', BERT],
  ['bert', BERT],
  ['convbert', BERT],
  ['gpt2', GPT2],
  ['gptneo', GPT2],
  ['mt5', T5],
  ['umt5', T5],
  ['t5', T5],
  ['qwen2', { eos: '<|endoftext|>', pad: '<|endoftext|>' }],
  ['qwen3', { eos: '<|endoftext|>', pad: '<|endoftext|>' }],
  ['gemma', { bos: '<bos>', eos: '<eos>', unk: '<unk>', pad: '<pad>' }],
  ['llama', LLAMA],
  ['mistral', LLAMA],
  ['codellama', LLAMA],
];

/**
 * The family name that `DEFAULTS` and the converters of old vocabulary files go by, such as
 * `debertav2`.
 */
export function tokenizerFamily(
  config: TokenizerConfigJson,
  modelType: string | undefined,
): string {
  const named = [config.tokenizer_class, modelType].map((name: unknown) =>
    typeof name === 'string' ? name.toLowerCase().replace(/[-_]/g, '') : '',
  );
  for (const name of named) {
    const found = DEFAULTS.find(([family]) => name.startsWith(family));
    if (found) return found[0];
  }
  return named[1] ?? '';
}

/**
 * The special tokens of a checkpoint's files.
 * @param config `tokenizer_config.json`; a token given as null stays without one.
 * @param map `special_tokens_map.json`, read where the former is silent.
 * @param family from `tokenizerFamily`; its defaults fill what both leave out.
 */
export function specialTokens(
  config: TokenizerConfigJson,
  map: Readonly<Record<string, unknown>>,
  family: string,
): SpecialTokens {
  const defaults = DEFAULTS.find(([name]) => name === family)?.[1] ?? {};
  const result: SpecialTokens = {};
  for (const name of NAMES) {
    const key = `${name}_token`;
    const given = config[key] !== undefined ? config[key] : map[key];
    const token = given === undefined ? defaults[name] : contentOf(given);
    if (token !== undefined) result[name] = token;
  }
  return result;
}

function contentOf(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  const content = (token as { content?: unknown } | null)?.content;
  return typeof content === 'string' ? content : undefined;
}
