/**
 * Completions that further steps learn from, too. A checkpoint between two of these steps keeps them,
 * since the model that drew them is no more.
 */
import { PeftError } from '@peft/errors';
import type { PolicyBatch } from './policy-batch.js';

/** What was drawn for a step. */
export interface HeldSamples {
  readonly step: number;
  readonly batches: readonly PolicyBatch[];
}

const INTEGERS = [
  'inputIds',
  'offsets',
  'tokenLabels',
  'rows',
  'exampleOffsets',
  'prompts',
] as const;
const NUMBERS = ['advantages', 'old', 'reference'] as const;

/** JSON-safe: float32 values come back as they were. */
export const samplesState = ({ step, batches }: HeldSamples): unknown => ({
  step,
  batches: batches.map((batch) => ({
    ...Object.fromEntries(
      [...INTEGERS, ...NUMBERS].map((name) => [name, batch[name] && Array.from(batch[name])]),
    ),
    measures: batch.measures,
  })),
});

/** @throws PEFT_CHECKPOINT_DAMAGED for what `samplesState` has not made */
export function readSamples(state: unknown): HeldSamples {
  const { step, batches } = objectOf(state);
  if (!Number.isSafeInteger(step) || !Array.isArray(batches)) throw damaged('it names no step');
  return {
    step: step as number,
    batches: batches.map((each: unknown) => {
      const batch = objectOf(each);
      const list = (name: string): number[] => {
        const values = batch[name];
        if (Array.isArray(values) && values.every((value) => Number.isFinite(value)))
          return values as number[];
        throw damaged(`${name} is no list of numbers`);
      };
      const whole = (name: (typeof INTEGERS)[number]): Int32Array => Int32Array.from(list(name));
      const optional = (name: 'old' | 'reference'): Float32Array | undefined =>
        batch[name] === undefined ? undefined : Float32Array.from(list(name));
      const read = {
        inputIds: whole('inputIds'),
        offsets: whole('offsets'),
        tokenLabels: whole('tokenLabels'),
        rows: whole('rows'),
        exampleOffsets: whole('exampleOffsets'),
        prompts: whole('prompts'),
        advantages: Float32Array.from(list('advantages')),
        old: optional('old'),
        reference: optional('reference'),
        measures: objectOf(batch['measures']) as PolicyBatch['measures'],
      };
      requireSizes(read);
      return read;
    }),
  };
}

function requireSizes({ inputIds, offsets, tokenLabels, advantages, ...rest }: PolicyBatch): void {
  const labelled = tokenLabels.reduce((sum, label) => sum + (label >= 0 ? 1 : 0), 0);
  const isWhole =
    offsets.length > 1 &&
    offsets[0] === 0 &&
    offsets.every((offset, b) => b === 0 || offset > offsets[b - 1]!) &&
    offsets.at(-1) === inputIds.length &&
    tokenLabels.length === inputIds.length &&
    advantages.length === offsets.length - 1 &&
    [rest.old, rest.reference].every((values) => !values || values.length === labelled);
  if (!isWhole) throw damaged('its lists do not fit together');
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  throw damaged('something is missing');
}

const damaged = (what: string): PeftError =>
  new PeftError('PEFT_CHECKPOINT_DAMAGED', `grpo: the completions of a checkpoint: ${what}.`, {
    hint: 'resume from another checkpoint, or start again',
  });
