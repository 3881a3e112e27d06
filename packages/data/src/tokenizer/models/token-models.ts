/** WordPiece, BPE and word-level models, run by `@huggingface/tokenizers`. */
import { invalidTokenizer, unsupportedComponent } from '../components/component-error.js';
import type { TokenModel } from './token-model.js';
import type { ComponentJson } from '../tokenizer-json.js';
import { BPE, WordPiece, type LibraryModel } from '../tokenizers-library.js';
import { createUnigramModel } from './unigram-model.js';

/** What a file that leaves out the type must be: each has a key of its own. */
function guessType(json: ComponentJson): string {
  if (Array.isArray(json.vocab)) return 'Unigram';
  if ('merges' in json) return 'BPE';
  return 'continuing_subword_prefix' in json ? 'WordPiece' : 'WordLevel';
}

/**
 * Makes the model that turns pieces into ids.
 * @param json the `model` entry of a `tokenizer.json`; old files leave out `type`.
 * @throws PEFT_TOKENIZER_UNSUPPORTED for an unknown type, PEFT_TOKENIZER_INVALID for a vocabulary
 *   that makes no sense.
 */
export function createModel(json: ComponentJson): TokenModel {
  const type = json.type ?? guessType(json);
  if (type === 'Unigram') return createUnigramModel(json);
  if (type !== 'BPE' && type !== 'WordPiece' && type !== 'WordLevel')
    throw unsupportedComponent('model', json.type);
  const vocabulary = json.vocab;
  if (
    typeof vocabulary !== 'object' ||
    vocabulary === null ||
    Object.values(vocabulary).some((id) => !Number.isSafeInteger(id) || id < 0)
  ) {
    throw invalidTokenizer(`the vocabulary of the ${type} tokenizer must map tokens to ids.`);
  }
  if (type === 'WordLevel')
    return wordLevel(vocabulary as Record<string, number>, json.unk_token as string | undefined);
  if (type === 'BPE' && !Array.isArray(json.merges))
    throw invalidTokenizer('the BPE tokenizer has no list of merges.');
  try {
    return fromLibrary(type === 'BPE' ? new BPE({ dropout: null, ...json }) : new WordPiece(json));
  } catch (cause) {
    throw invalidTokenizer(`the ${type} tokenizer cannot be built.`, cause);
  }
}

function fromLibrary(model: LibraryModel): TokenModel {
  const ids = model.tokens_to_ids;
  const unknown = model.unk_token_id;
  const size = ids.size;
  return {
    size,
    tokenToId: (token) => ids.get(token),
    idToToken: (id) => model.vocab[id],
    encode(piece) {
      const result: number[] = [];
      for (const token of model([piece])) {
        const id = ids.get(token) ?? unknown;
        if (id !== undefined) result.push(id);
      }
      return result;
    },
  };
}

function wordLevel(
  vocabulary: Record<string, number>,
  unknownToken: string | undefined,
): TokenModel {
  const ids = new Map(Object.entries(vocabulary));
  const tokens = new Map([...ids].map(([token, id]) => [id, token]));
  const unknown = unknownToken === undefined ? undefined : ids.get(unknownToken);
  return {
    size: ids.size,
    tokenToId: (token) => ids.get(token),
    idToToken: (id) => tokens.get(id),
    encode(piece) {
      const id = ids.get(piece) ?? unknown;
      return id === undefined ? [] : [id];
    },
  };
}
