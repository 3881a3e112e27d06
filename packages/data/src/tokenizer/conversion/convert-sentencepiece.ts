/**
 * Makes a tokeniser out of a SentencePiece model alone, with the pipeline that the family's
 * `tokenizer.json` has on the Hub.
 */
import { PeftError, show } from '@peft/errors';
import type { SentencePieceModel } from './sentencepiece-model.js';
import type { SpecialTokens } from '../special-tokens.js';
import { singleAndPair } from '../components/template-json.js';
import type {
  AddedTokenJson,
  ComponentJson,
  TokenizerConfigJson,
  TokenizerJson,
} from '../tokenizer-json.js';

type ScoredPiece = readonly [text: string, score: number];

const METASPACE = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };
const WORDS: ComponentJson = {
  type: 'Sequence',
  pretokenizers: [{ type: 'WhitespaceSplit' }, METASPACE],
};
const ONE_SPACE = { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' };

/**
 * Writes the `tokenizer.json` of a SentencePiece model as transformers' converter of the family does.
 * @param family from `tokenizerFamily`.
 * @param special the family's special tokens; those that the model lacks are added at its end.
 * @param added `added_tokens.json`: token → id.
 * @throws PEFT_TOKENIZER_UNSUPPORTED for a family whose pipeline is not known.
 */
export function convertSentencePiece(
  model: SentencePieceModel,
  family: string,
  config: TokenizerConfigJson,
  special: SpecialTokens,
  added: Readonly<Record<string, number>>,
): TokenizerJson {
  const charsmap =
    model.charsmap.length === 0
      ? []
      : [
          {
            type: 'Precompiled',
            precompiled_charsmap: Buffer.from(model.charsmap).toString('base64'),
          },
        ];
  const own: ScoredPiece[] = model.pieces.map(({ text, score }) => [text, score]);
  const decoder = METASPACE;
  switch (family) {
    case 'debertav2':
      return unigram(model, own, special, added, {
        normalizer: sequence([
          ...(config.do_lower_case === true ? [{ type: 'Lowercase' }] : []),
          { type: 'Strip' },
          ...charsmap,
          ONE_SPACE,
        ]),
        pre_tokenizer: {
          type: 'Sequence',
          pretokenizers: [
            ...(config.split_by_punct === true
              ? [{ type: 'Punctuation', behavior: 'Isolated' }]
              : []),
            METASPACE,
          ],
        },
        decoder,
        frame: { single: '[CLS] A [SEP]', pair: '[CLS] A [SEP] B:1 [SEP]:1' },
      });
    case 'albert':
      return unigram(model, own, special, added, {
        normalizer: sequence([
          { type: 'Replace', pattern: { String: '``' }, content: '"' },
          { type: 'Replace', pattern: { String: "''" }, content: '"' },
          ...(config.keep_accents === true ? [] : [{ type: 'NFKD' }, { type: 'StripAccents' }]),
          ...(config.do_lower_case === false ? [] : [{ type: 'Lowercase' }]),
          ...charsmap,
          ONE_SPACE,
        ]),
        pre_tokenizer: WORDS,
        decoder,
        frame: { single: '[CLS] A [SEP]', pair: '[CLS] A [SEP] B:1 [SEP]:1' },
      });
    case 'xlmroberta':
    case 'xlmr': {
      // fairseq's order: ids are those of SentencePiece plus one, and <mask> comes last.
      const pieces: ScoredPiece[] = [
        ['<s>', 0],
        ['<pad>', 0],
        ['</s>', 0],
        ['<unk>', 0],
        ...own.slice(3),
        ['<mask>', 0],
      ];
      return unigram(model, pieces, special, added, {
        normalizer: sequence(charsmap),
        pre_tokenizer: WORDS,
        decoder,
        frame: { single: '<s> A </s>', pair: '<s> A </s> </s> B </s>' },
      });
    }
    case 't5':
    case 'mt5':
    case 'umt5': {
      const extra = typeof config.extra_ids === 'number' ? config.extra_ids : 100;
      const sentinels = Array.from({ length: extra }, (_, i): ScoredPiece => [
        `<extra_id_${extra - 1 - i}>`,
        0,
      ]);
      return unigram(
        model,
        [...own, ...sentinels],
        special,
        added,
        {
          normalizer: sequence(charsmap),
          pre_tokenizer: WORDS,
          decoder,
          frame: { single: 'A </s>', pair: 'A </s> B </s>' },
        },
        sentinels.map(([text]) => text),
      );
    }
    case 'llama':
    case 'codellama':
    case 'mistral':
    case 'gemma':
      if (model.algorithm === 'bpe') return bytePairs(model, config, special, added);
  }
  throw new PeftError(
    'PEFT_TOKENIZER_UNSUPPORTED',
    `data: a ${model.algorithm} SentencePiece model of the family ${show(family || 'unknown')}` +
      ' cannot be used without tokenizer.json.',
    {
      hint:
        "Save the tokenizer with Python's AutoTokenizer once, which writes tokenizer.json," +
        ' or set tokenizer_class in tokenizer_config.json.',
    },
  );
}

interface Pipeline {
  readonly normalizer: ComponentJson | null;
  readonly pre_tokenizer: ComponentJson | null;
  readonly decoder: ComponentJson;
  readonly frame: { readonly single: string; readonly pair: string };
}

function unigram(
  model: SentencePieceModel,
  pieces: readonly ScoredPiece[],
  special: SpecialTokens,
  given: Readonly<Record<string, number>>,
  pipeline: Pipeline,
  extra: readonly string[] = [],
): TokenizerJson {
  const ids = new Map(pieces.map(([text], id) => [text, id]));
  const unknown = model.pieces.find(({ type }) => type === 'unknown')?.text;
  const { frame, ...parts } = pipeline;
  const added_tokens = addedTokens(model, ids, special, given, extra);
  return {
    ...parts,
    added_tokens,
    post_processor: singleAndPair(frame.single, frame.pair, added_tokens),
    model: {
      type: 'Unigram',
      vocab: pieces,
      unk_id: unknown === undefined ? null : ids.get(unknown),
      byte_fallback: model.byteFallback,
    },
  };
}

/**
 * Llama's pipeline: no words, spaces written as ▁, unknown characters as bytes. The merges follow
 * from the scores.
 */
function bytePairs(
  model: SentencePieceModel,
  config: TokenizerConfigJson,
  special: SpecialTokens,
  given: Readonly<Record<string, number>>,
): TokenizerJson {
  const ids = new Map(model.pieces.map(({ text }, id) => [text, id]));
  const added_tokens = addedTokens(model, ids, special, given, []);
  const spaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const bos = config.add_bos_token === false || special.bos === undefined ? [] : [special.bos];
  const eos = config.add_eos_token === true && special.eos !== undefined ? [special.eos] : [];
  const framed = (text: string, segment: string) =>
    [...bos.map((token) => token + segment), text, ...eos.map((token) => token + segment)].join(
      ' ',
    );
  return {
    added_tokens,
    normalizer: sequence([
      ...(model.addDummyPrefix ? [{ type: 'Prepend', prepend: '▁' }] : []),
      spaces,
    ]),
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(model.addDummyPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    post_processor: singleAndPair(
      framed('A', ''),
      `${framed('A', '')} ${framed('B:1', ':1')}`,
      added_tokens,
    ),
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(ids),
      merges: mergesOf(model, ids),
      unk_token: special.unk ?? null,
      fuse_unk: true,
      byte_fallback: model.byteFallback,
      ignore_merges: false,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
    },
  };
}

/**
 * Every way to make a piece of two others, best score of the whole first, then the longer left
 * part, then the longer right part.
 */
function mergesOf(model: SentencePieceModel, ids: ReadonlyMap<string, number>): [string, string][] {
  const merges: {
    left: string;
    right: string;
    score: number;
    leftLength: number;
    rightLength: number;
  }[] = [];
  for (const { text, score } of model.pieces) {
    const characters = [...text];
    const ways = [];
    for (let i = 1; i < characters.length; i += 1) {
      const [left, right] = [characters.slice(0, i).join(''), characters.slice(i).join('')];
      if (ids.has(left) && ids.has(right))
        ways.push({ left, right, score, leftLength: i, rightLength: characters.length - i });
    }
    merges.push(
      ...ways.sort(
        (a, b) => ids.get(a.left)! - ids.get(b.left)! || ids.get(a.right)! - ids.get(b.right)!,
      ),
    );
  }
  merges.sort(
    (a, b) => b.score - a.score || b.leftLength - a.leftLength || b.rightLength - a.rightLength,
  );
  return merges.map(({ left, right }) => [left, right]);
}

/**
 * Control and user-defined pieces, special tokens (new ones at the end), and those of
 * `added_tokens.json`.
 */
function addedTokens(
  model: SentencePieceModel,
  ids: ReadonlyMap<string, number>,
  special: SpecialTokens,
  given: Readonly<Record<string, number>>,
  extra: readonly string[],
): AddedTokenJson[] {
  const result = new Map<string, AddedTokenJson>();
  const specials = new Set([...Object.values(special), ...extra]);
  const largest = Math.max(...ids.values(), ...Object.values(given));
  let next = largest + 1;
  const add = (content: string, isSpecial: boolean) => {
    if (result.has(content)) return;
    const id = ids.get(content) ?? given[content] ?? next++;
    result.set(content, { id, content, normalized: false, special: isSpecial });
  };
  for (const { text, type } of model.pieces)
    if (ids.has(text) && (type === 'control' || type === 'user-defined'))
      add(text, type === 'control' || specials.has(text));
  for (const content of specials) add(content, true);
  for (const content of Object.keys(given)) add(content, false);
  return [...result.values()].sort((a, b) => a.id - b.id);
}

function sequence(normalizers: readonly ComponentJson[]): ComponentJson | null {
  return normalizers.length === 0 ? null : { type: 'Sequence', normalizers };
}
