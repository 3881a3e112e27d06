/** What a tokeniser's model does: pieces of text to token ids, and names of ids. */
export interface TokenModel {
  /** Ids of one piece of pre-tokenised text. */
  encode(piece: string): readonly number[];
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
  /** Number of tokens of the model itself, without tokens that were added later. */
  readonly size: number;
}
