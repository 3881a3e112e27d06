/**
 * Builds the post-processor of a `tokenizer.json`: puts special tokens around one or two texts and
 * numbers the segments.
 */
import { invalidTokenizer, unsupportedComponent } from './component-error.js';
import type { ComponentJson } from '../tokenizer-json.js';

/** Ids of one input with the segment of each, both `[T]`. */
export interface TokenSequence {
  /** Token ids `[T]`. */
  readonly ids: readonly number[];
  /** Segment of each token `[T]`. */
  readonly typeIds: readonly number[];
}

/**
 * Puts special tokens around one or two texts.
 * @param texts ids of one or two texts.
 */
export type PostProcessor = (
  texts: readonly (readonly number[])[],
  addSpecialTokens: boolean,
) => TokenSequence;

/** One step: sequences in, sequences out; a template joins them into one. */
type Step = (
  sequences: readonly TokenSequence[],
  addSpecialTokens: boolean,
) => readonly TokenSequence[];

/**
 * Makes the function that puts special tokens around texts and joins them.
 * @param json the `post_processor` entry; null for none, then two texts are segments 0 and 1.
 * @throws PEFT_TOKENIZER_UNSUPPORTED for an unknown type, PEFT_TOKENIZER_INVALID for a template
 *   that makes no sense.
 */
export function createPostProcessor(json: ComponentJson | null | undefined): PostProcessor {
  const step = createStep(json);
  return (texts, addSpecialTokens) =>
    joinAll(
      step(
        texts.map((ids, segment) => ({ ids, typeIds: ids.map(() => segment) })),
        addSpecialTokens,
      ),
    );
}

function createStep(json: ComponentJson | null | undefined): Step {
  switch (json?.type) {
    case undefined:
    case 'ByteLevel': // concerns character offsets only
      return (sequences) => sequences;
    case 'Sequence': {
      const steps = ((json.processors ?? []) as ComponentJson[]).map(createStep);
      return (sequences, addSpecialTokens) =>
        steps.reduce((result, step) => step(result, addSpecialTokens), sequences);
    }
    case 'TemplateProcessing':
      return template(json);
    case 'BertProcessing':
      return pairWithTokens(
        json,
        (cls, sep, i) => (i === 0 ? [cls, sep] : [undefined, sep]),
        (i) => i,
      );
    case 'RobertaProcessing':
      return pairWithTokens(
        json,
        (cls, sep, i) => [i === 0 ? cls : sep, sep],
        () => 0,
      );
    default:
      throw unsupportedComponent('post_processor', json!.type);
  }
}

/** Text i between the given tokens, all of them in one segment. */
function pairWithTokens(
  json: ComponentJson,
  around: (cls: number, sep: number, i: number) => [number | undefined, number],
  segment: (i: number) => number,
): Step {
  const id = (name: 'cls' | 'sep') => {
    const pair = json[name];
    if (!Array.isArray(pair) || !Number.isSafeInteger(pair[1]))
      throw invalidTokenizer(`the tokenizer's ${json.type} has no ${name} token.`);
    return pair[1] as number;
  };
  const [cls, sep] = [id('cls'), id('sep')];
  return (sequences, addSpecialTokens) =>
    sequences.map((sequence, i) => {
      const [before, after] = addSpecialTokens ? around(cls, sep, i) : [undefined, undefined];
      const ids = [
        ...(before === undefined ? [] : [before]),
        ...sequence.ids,
        ...(after === undefined ? [] : [after]),
      ];
      return { ids, typeIds: ids.map(() => segment(i)) };
    });
}

interface TemplatePiece {
  readonly SpecialToken?: { readonly id: string; readonly type_id: number };
  readonly Sequence?: { readonly id: string; readonly type_id: number };
}

function template(json: ComponentJson): Step {
  const specials = (json.special_tokens ?? {}) as Record<string, { ids?: readonly number[] }>;
  const parse = (pieces: unknown, name: string) => {
    if (!Array.isArray(pieces))
      throw invalidTokenizer(`the tokenizer's template "${name}" is not a list.`);
    return (pieces as TemplatePiece[]).map(({ SpecialToken: special, Sequence: sequence }) => {
      if (sequence)
        return { text: sequence.id === 'B' ? 1 : 0, ids: [], segment: sequence.type_id };
      const ids = special && specials[special.id]?.ids;
      if (!ids)
        throw invalidTokenizer(
          `the tokenizer's template "${name}" names the unknown special token ${JSON.stringify(special?.id)}.`,
        );
      return { text: undefined, ids, segment: special.type_id };
    });
  };
  const forms = [parse(json.single, 'single'), parse(json.pair, 'pair')];
  return (sequences, addSpecialTokens) => [
    joinAll(
      forms[sequences.length > 1 ? 1 : 0]!.map(({ text, ids, segment }) => {
        const special = addSpecialTokens ? ids : [];
        const all = text === undefined ? special : (sequences[text]?.ids ?? []);
        return { ids: all, typeIds: all.map(() => segment) };
      }),
    ),
  ];
}

function joinAll(sequences: readonly TokenSequence[]): TokenSequence {
  if (sequences.length === 1) return sequences[0]!;
  return {
    ids: sequences.flatMap((sequence) => sequence.ids),
    typeIds: sequences.flatMap((sequence) => sequence.typeIds),
  };
}
