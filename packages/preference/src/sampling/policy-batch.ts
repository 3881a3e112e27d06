/** What a policy learns from: completions that were drawn and judged. */
import type { CausalBatch } from '@peft/trainer';

/** Completions behind their prompts, one sequence each. */
export interface PolicyBatch extends CausalBatch {
  /** A of each completion `[B]`. */
  readonly advantages: Float32Array;
  /** Rows of the prompts that were completed. */
  readonly prompts?: Int32Array | undefined;
  /** ln π_old of each labelled token, in the batch's order; none for the policy itself. */
  readonly old?: Float32Array | undefined;
  /** ln π_ref of each labelled token. */
  readonly reference?: Float32Array | undefined;
  /** Sums over the completions, by name. */
  readonly measures?: Readonly<Record<string, { readonly sum: number; readonly count: number }>>;
}
