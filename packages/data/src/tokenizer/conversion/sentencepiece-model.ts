/**
 * Reads SentencePiece's `.model` files: a protocol buffer with pieces, scores, training options and
 * the normaliser's character map.
 */
import { invalidTokenizer } from '../components/component-error.js';

/** Kinds of pieces, numbered as in SentencePiece's `ModelProto.SentencePiece.Type`. */
export type PieceType = 'normal' | 'unknown' | 'control' | 'user-defined' | 'unused' | 'byte';

/** What is read of a SentencePiece model file. */
export interface SentencePieceModel {
  readonly algorithm: 'unigram' | 'bpe';
  readonly pieces: readonly {
    readonly text: string;
    readonly score: number;
    readonly type: PieceType;
  }[];
  /** May be empty. */
  readonly charsmap: Uint8Array;
  /** A space is put in front of the text. */
  readonly addDummyPrefix: boolean;
  readonly byteFallback: boolean;
}

const TYPES: readonly (PieceType | undefined)[] = [
  undefined,
  'normal',
  'unknown',
  'control',
  'user-defined',
  'unused',
  'byte',
];

/** A field: its number, and a number or bytes. 64-bit and 32-bit fields come as their bytes. */
interface Field {
  readonly number: number;
  readonly value: number | Uint8Array;
}

/**
 * Reads the pieces and options of a SentencePiece model file.
 * @throws PEFT_TOKENIZER_INVALID if the file is cut off, holds no pieces, or was trained as neither
 *   Unigram nor BPE.
 */
export function parseSentencePieceModel(bytes: Uint8Array, path: string): SentencePieceModel {
  const fail = (what: string) => invalidTokenizer(`${path} is not a SentencePiece model: ${what}`);
  const inside = (value: number | Uint8Array, what: string): Field[] => {
    if (typeof value === 'number') throw fail(`its ${what} is no message.`);
    return fields(value, fail);
  };
  const pieces: { text: string; score: number; type: PieceType }[] = [];
  let charsmap: Uint8Array = new Uint8Array(0);
  let addDummyPrefix = true;
  let byteFallback = false;
  let algorithm = 1;
  for (const { number, value } of fields(bytes, fail)) {
    if (number === 1) {
      pieces.push(piece(inside(value, 'piece'), pieces.length, fail));
    } else if (number === 2) {
      for (const field of inside(value, 'training options')) {
        if (field.number === 3) algorithm = Number(field.value);
        if (field.number === 35) byteFallback = Number(field.value) !== 0;
      }
    } else if (number === 3) {
      for (const field of inside(value, 'normaliser')) {
        if (field.number === 2 && typeof field.value !== 'number') charsmap = field.value;
        if (field.number === 3) addDummyPrefix = Number(field.value) !== 0;
      }
    }
  }
  if (pieces.length === 0) throw fail('it has no pieces.');
  if (algorithm !== 1 && algorithm !== 2)
    throw fail(`it was trained as type ${algorithm}, not as Unigram (1) or BPE (2).`);
  return {
    algorithm: algorithm === 1 ? 'unigram' : 'bpe',
    pieces,
    charsmap,
    addDummyPrefix,
    byteFallback,
  };
}

function piece(
  parts: readonly Field[],
  index: number,
  fail: (what: string) => Error,
): { text: string; score: number; type: PieceType } {
  let text = '';
  let score = 0;
  let type: PieceType | undefined = 'normal';
  for (const { number, value } of parts) {
    if (number === 1 && typeof value !== 'number') text = new TextDecoder().decode(value);
    if (number === 2 && typeof value !== 'number' && value.length === 4)
      score = new DataView(value.buffer, value.byteOffset, 4).getFloat32(0, true);
    if (number === 3) type = TYPES[Number(value)];
  }
  if (type === undefined || !Number.isFinite(score))
    throw fail(`piece ${index} has an unknown type or no score.`);
  return { text, score, type };
}

function fields(bytes: Uint8Array, fail: (what: string) => Error): Field[] {
  const result: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at];
      if (byte === undefined) throw fail(`it ends in the middle of a number, at byte ${at}.`);
      at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw fail(`a number at byte ${at} is too long.`);
  };
  const take = (length: number) => {
    if (length > bytes.length - at)
      throw fail(`a field of ${length} bytes at byte ${at} goes past the end.`);
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const wire = tag % 8;
    if (wire === 0) result.push({ number, value: varint() });
    else if (wire === 1) result.push({ number, value: take(8) });
    else if (wire === 2) result.push({ number, value: take(varint()) });
    else if (wire === 5) result.push({ number, value: take(4) });
    else throw fail(`byte ${at} has the unknown wire type ${wire}.`);
  }
  return result;
}
