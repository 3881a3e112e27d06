/**
 * The parts of `@huggingface/tokenizers` that are used, with types: its own declarations do not
 * resolve under Node's module rules.
 */
import * as library from '@huggingface/tokenizers';

/** A BPE or WordPiece model of the library. */
export interface LibraryModel {
  /** Splits pieces into tokens. */
  (pieces: readonly string[]): string[];
  readonly tokens_to_ids: ReadonlyMap<string, number>;
  readonly vocab: readonly (string | undefined)[];
  readonly unk_token_id?: number;
}

interface Library {
  readonly BPE: new (json: object) => LibraryModel;
  readonly WordPiece: new (json: object) => LibraryModel;
  readonly SplitPreTokenizer: new (json: object) => { readonly pattern: RegExp | null };
  readonly SequenceDecoder: new (json: object) => {
    decode_chain(tokens: readonly string[]): string[];
  };
}

/** The models and components of the library that are built from parts of `tokenizer.json`. */
// The library is JavaScript whose own declarations do not resolve here; `Library` describes what is
// used of it, and the tests compare its ids with the reference.
export const { BPE, WordPiece, SplitPreTokenizer, SequenceDecoder } = library as unknown as Library;
