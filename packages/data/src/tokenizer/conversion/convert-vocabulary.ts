/**
 * Makes tokenisers out of plain vocabulary files: BERT's `vocab.txt`, and `vocab.json` with
 * `merges.txt` of GPT-2 and RoBERTa.
 */
import { PeftError, show } from '@peft/errors';
import { invalidTokenizer } from '../components/component-error.js';
import type { SpecialTokens } from '../special-tokens.js';
import { singleAndPair } from '../components/template-json.js';
import type { AddedTokenJson, TokenizerConfigJson, TokenizerJson } from '../tokenizer-json.js';

const WORD_PIECES = new Set(['bert', 'distilbert', 'electra', 'mobilebert', 'convbert']);
const ROBERTA = new Set(['roberta', 'bart', 'longformer']);

/**
 * Writes the `tokenizer.json` of a WordPiece vocabulary.
 * @param text `vocab.txt`, one token per line, the line's number being its id.
 * @throws PEFT_TOKENIZER_UNSUPPORTED for another family, PEFT_TOKENIZER_INVALID without the
 *   family's special tokens.
 */
export function convertVocabularyText(
  text: string,
  family: string,
  config: TokenizerConfigJson,
  special: SpecialTokens,
): TokenizerJson {
  if (!WORD_PIECES.has(family)) throw unknownFamily('vocab.txt', family);
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  const vocab = Object.fromEntries(lines.map((token, id) => [token, id]));
  const added_tokens = specialsOf(vocab, special);
  return {
    added_tokens,
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: config.tokenize_chinese_chars !== false,
      strip_accents: typeof config.strip_accents === 'boolean' ? config.strip_accents : null,
      lowercase: config.do_lower_case !== false,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: singleAndPair(
      `${special.cls} A ${special.sep}`,
      `${special.cls} A ${special.sep} B:1 ${special.sep}:1`,
      added_tokens,
    ),
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      vocab,
      unk_token: special.unk,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
    },
  };
}

/**
 * Writes the `tokenizer.json` of a byte-level BPE vocabulary.
 * @param vocab `vocab.json`: token → id.
 * @param merges `merges.txt`: two tokens per line, best first, after a `#version` line.
 * @throws PEFT_TOKENIZER_UNSUPPORTED for another family.
 */
export function convertByteLevel(
  vocab: Readonly<Record<string, number>>,
  merges: string,
  family: string,
  config: TokenizerConfigJson,
  special: SpecialTokens,
): TokenizerJson {
  if (!ROBERTA.has(family) && family !== 'gpt2') throw unknownFamily('vocab.json', family);
  const added_tokens = specialsOf(vocab, special).map((token) =>
    token.content === special.mask ? { ...token, lstrip: true } : token,
  );
  const pair = (token: string | undefined) => [
    token,
    added_tokens.find(({ content }) => content === token)?.id,
  ];
  return {
    added_tokens,
    normalizer: null,
    pre_tokenizer: {
      type: 'ByteLevel',
      add_prefix_space: config.add_prefix_space === true,
      use_regex: true,
    },
    post_processor: ROBERTA.has(family)
      ? { type: 'RobertaProcessing', cls: pair(special.cls), sep: pair(special.sep) }
      : { type: 'ByteLevel' },
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      vocab,
      unk_token: null,
      byte_fallback: false,
      fuse_unk: false,
      ignore_merges: false,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      merges: merges
        .split(/\r?\n/)
        .filter((line) => line !== '' && !line.startsWith('#version'))
        .map((line, i) => {
          const parts = line.split(' ');
          if (parts.length !== 2)
            throw invalidTokenizer(`merge ${i} of merges.txt is ${show(line)}, not two tokens.`);
          return parts;
        }),
    },
  };
}

function specialsOf(
  vocab: Readonly<Record<string, number>>,
  special: SpecialTokens,
): AddedTokenJson[] {
  return [...new Set(Object.values(special))].flatMap((content) =>
    Object.hasOwn(vocab, content)
      ? [{ id: vocab[content]!, content, normalized: false, special: true }]
      : [],
  );
}

function unknownFamily(file: string, family: string): PeftError {
  return new PeftError(
    'PEFT_TOKENIZER_UNSUPPORTED',
    `data: ${file} of the family ${show(family || 'unknown')} cannot be used without tokenizer.json.`,
    {
      hint:
        "Save the tokenizer with Python's AutoTokenizer once, which writes tokenizer.json," +
        ' or set tokenizer_class in tokenizer_config.json.',
    },
  );
}
