/** Which rows of a run's tensors belong to which sequence of the batch. */
import { PeftError } from '@peft/errors';
import { looksAtSequences, unknownLayout } from '../adapter/attachment-call.js';
import type { ModelDescription } from '../description/model-description.js';
import { siteIndex } from '../description/site-index.js';
import {
  behindVirtual,
  groupOffsets,
  keyRows,
  sharedError,
  type SharedStart,
} from './shared-start.js';

/** What a batch says of its sequences. */
interface Tokens {
  readonly inputIds: Int32Array;
  readonly offsets: Int32Array;
  readonly taskIds?: Int32Array;
}

/** The layouts that a run has met, `int32[B+1]` each: sequence b is rows `[o[b], o[b+1])`. */
export class SequenceLayouts {
  readonly #description: ModelDescription;
  #known: readonly Int32Array[] = [];
  /** Layout of what cross attention reads. */
  #memory: Int32Array | undefined;
  #padding: { readonly flags: Uint8Array; readonly offsets: Int32Array } | undefined;
  #isShared = false;
  /** What sequences of the batch stand behind. */
  #start: SharedStart | undefined;
  #tokens: Tokens | undefined;

  constructor(description: ModelDescription) {
    this.#description = description;
  }

  /** All of them, the current stack's last. */
  get known(): readonly Int32Array[] {
    return this.#known;
  }

  /** Whether the rows at hand belong to no sequence. */
  get isShared(): boolean {
    return this.#isShared;
  }

  /** Last row of each sequence of the stack at hand. */
  get lastRows(): Int32Array {
    return this.#known
      .at(-1)!
      .slice(1)
      .map((end) => end - 1);
  }

  /** The batch's own. @throws PEFT_TASK_ID_RANGE for task ids of another number of sequences */
  useTokens(batch: Tokens): void {
    const [given, sequences] = [batch.taskIds?.length, batch.offsets.length - 1];
    if (given !== undefined && given !== sequences)
      throw new PeftError(
        'PEFT_TASK_ID_RANGE',
        `a batch of ${sequences} sequences has ${given} task ids.`,
        { hint: 'give each sequence the id of its task' },
      );
    this.#tokens = batch;
    this.use(batch.offsets);
  }

  /**
   * The layout of a tensor of that many rows at a site, for what needs sequences as a whole: the current
   * stack's comes last; keys and values of cross attention are the encoder's rows.
   * @throws PEFT_LAYOUT_UNKNOWN, PEFT_BATCH_SHARED, PEFT_CACHE_ADAPTER
   */
  wholeAt(
    path: string,
    rows: number,
    { isMixed, isCached }: { readonly isMixed: boolean; readonly isCached: boolean },
  ): Int32Array {
    const found = this.find(path, rows);
    this.refuseSharedStart(path);
    if (isCached && found !== this.#memory) throw looksAtSequences(path);
    if (!found || this.#isShared || isMixed) throw unknownLayout(path, rows);
    return found;
  }

  /** The tokens that the rows of a layout are. @throws PEFT_LAYOUT_UNKNOWN for any but the batch's own */
  tokensOf(path: string, offsets: Int32Array): Tokens {
    if (this.#tokens && isSameLayout(offsets, this.#tokens.offsets)) return this.#tokens;
    throw unknownLayout(path, offsets.at(-1)!);
  }

  /**
   * The sequence of each row of a tensor, or of each of the batch without a number.
   * @throws PEFT_LAYOUT_UNKNOWN, PEFT_BATCH_SHARED
   */
  sequencesOf(path: string, rows: number | undefined, isMixed: boolean): Int32Array {
    this.refuseSharedStart(path);
    const count = this.#tokens!.offsets.length - 1;
    const offsets = this.find(path, rows ?? count);
    if (isMixed || this.#isShared) throw unknownLayout(path, rows ?? count);
    if (rows === undefined || rows === count)
      return Int32Array.from({ length: count }, (_, b) => b);
    if (offsets?.length !== count + 1) throw unknownLayout(path, rows);
    const sequences = new Int32Array(rows);
    for (let b = 0; b < count; b += 1) sequences.fill(b, offsets[b], offsets[b + 1]);
    return sequences;
  }

  /** The tasks of the batch. @throws PEFT_TASK_ID_MISSING, PEFT_TASK_ID_RANGE, PEFT_BATCH_SHARED */
  tasksOf(path: string, count: number): Int32Array {
    this.refuseSharedStart(path);
    const ids = this.#tokens?.taskIds;
    if (!ids)
      throw new PeftError(
        'PEFT_TASK_ID_MISSING',
        `${path}: an adapter there has ${count} tasks, and the batch does not say which its sequences are of.`,
        { hint: 'give the batch taskIds, a number from 0 for each sequence' },
      );
    const bad = ids.find((id) => !(id >= 0 && id < count));
    if (bad === undefined) return ids;
    throw new PeftError(
      'PEFT_TASK_ID_RANGE',
      `${path}: a sequence is of task ${bad}, and an adapter there has tasks 0 to ${count - 1}.`,
    );
  }

  use(offsets: Int32Array): void {
    this.#known = [...this.#known, offsets];
  }

  /** A layout whose rows cross attention reads. */
  useMemory(offsets: Int32Array): void {
    this.#memory = offsets;
  }

  /** Runs `body` with the layouts that were known at another moment. */
  within<T>(known: readonly Int32Array[], body: () => T): T {
    const outer = this.#known;
    this.#known = known;
    try {
      return body();
    } finally {
      this.#known = outer;
    }
  }

  /** Runs `body` on rows that belong to no sequence, but to all of them. */
  shared<T>(body: () => T): T {
    const outer = this.#isShared;
    this.#isShared = true;
    try {
      return body();
    } finally {
      this.#isShared = outer;
    }
  }

  /** Sequences that stand behind rows of others. */
  useShared(start: SharedStart | undefined): void {
    this.#start = start;
  }

  /** What sequences stand behind, where they share rows. */
  get sharedStart(): SharedStart | undefined {
    return this.#start;
  }

  /** The layout of what virtual tokens stand in front of: sequences, with those that share their rows. */
  rootsOf(offsets: Int32Array): Int32Array {
    return this.#start ? groupOffsets(this.#start) : offsets;
  }

  /** Puts virtual tokens in front of what sequences share. @returns the new layout, if they do */
  behindVirtual(extra: number): Int32Array | undefined {
    this.#start = this.#start && behindVirtual(this.#start, extra);
    return this.#start?.offsets;
  }

  /** Moves positions behind the rows that a sequence shares. */
  behindShared(positions: Int32Array, offsets: Int32Array): Int32Array {
    this.#start?.lengths.forEach((length, b) => {
      for (let n = offsets[b]!; n < offsets[b + 1]!; n += 1) positions[n]! += length;
    });
    return positions;
  }

  /** A call that tells where sequences begin, which is an error to ask where they share rows. */
  toldTo<C extends object>(
    path: string,
    call: C,
    offsets: Int32Array,
  ): C & { readonly offsets: Int32Array } {
    const get = (): Int32Array => {
      this.refuseSharedStart(path);
      return offsets;
    };
    return Object.defineProperty(call, 'offsets', { enumerable: true, get }) as C & {
      readonly offsets: Int32Array;
    };
  }

  /** @param at the site that needs each sequence as a whole. @throws PEFT_BATCH_SHARED */
  refuseSharedStart(at: string): void {
    if (this.#start) throw sharedError(`what stands on ${at} looks at whole sequences`);
  }

  /**
   * Rows that the attention of each sequence sees and their layout, where sequences share rows.
   * @throws PEFT_BATCH_SHARED in a layout other than the batch's
   */
  sharedKeys(offsets: Int32Array): ReturnType<typeof keyRows> | undefined {
    if (!this.#start) return undefined;
    if (!isSameLayout(offsets, this.#start.offsets))
      throw sharedError('an attention met sequences of another layout');
    return keyRows(this.#start);
  }

  /** Marks rows that are computed but not attended to. @param flags 1 for padding, `[N]` */
  usePadding(flags: Uint8Array, offsets: Int32Array): void {
    this.#padding = { flags, offsets };
  }

  /** Moves the padding's flags behind `extra` rows that were put in front of each sequence. */
  shiftPadding(from: Int32Array, to: Int32Array, extra: number): void {
    if (!this.#padding || !isSameLayout(from, this.#padding.offsets)) return;
    const { flags } = this.#padding;
    const longer = new Uint8Array(to.at(-1)!); // virtual tokens are no padding
    for (let b = 0; b + 1 < from.length; b += 1)
      longer.set(flags.subarray(from[b], from[b + 1]), to[b]! + extra);
    this.usePadding(longer, to);
  }

  /**
   * Rows that attention sees and their layout, where some rows are padding; undefined where all are
   * seen.
   * @throws PEFT_BATCH_PADDING in a layout other than the batch's.
   */
  attended(
    offsets: Int32Array,
  ): { readonly rows: Int32Array; readonly offsets: Int32Array } | undefined {
    if (!this.#padding) return undefined;
    const { flags, offsets: own } = this.#padding;
    if (!isSameLayout(offsets, own))
      throw new PeftError(
        'PEFT_BATCH_PADDING',
        'a batch with padding rows met sequences of another layout.',
        { hint: 'padding works in a stack that reads the batch itself; leave it out' },
      );
    const rows = Int32Array.from(flags.keys()).filter((n) => flags[n] === 0);
    return { rows, offsets: offsets.map((offset) => rows.filter((row) => row < offset).length) };
  }

  /** The layout of a tensor of that many rows at a site: the latest that fits, if one does. */
  find(path: string, rows: number): Int32Array | undefined {
    const readsMemory = siteIndex(this.#description).memoryReaders.has(path);
    return readsMemory && this.#memory?.at(-1) === rows
      ? this.#memory
      : this.#known.findLast((layout) => layout.at(-1) === rows);
  }
}

const isSameLayout = (a: Int32Array, b: Int32Array): boolean =>
  a.length === b.length && a.every((offset, i) => offset === b[i]);
