/** Options of LoRA's variants that are more than a switch. */
import { check, PeftError } from '@peft/errors';

/** Weights of KaSA's two terms of the loss. */
export interface KasaTerms {
  /** β of the singular values. PEFT's default: 1e-4. */
  readonly beta: number;
  /** γ of the orthogonality of A and B. PEFT's default: 1e-3. */
  readonly gamma: number;
}

/** What VeLoRA keeps of a layer's inputs for the backward pass. */
export interface VeloraOptions {
  /** G: numbers that are kept of each input. Default 64. */
  readonly groups?: number;
  /** s: what is made of them again is multiplied by it. Default 1. */
  readonly scale?: number;
  /** p: the mean of the groups of each micro-batch, or `random` and fixed. Default `batch_average`. */
  readonly init?: 'batch_average' | 'random';
}

/** With defaults. @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY */
export function parseVelora(input: VeloraOptions): Required<VeloraOptions> {
  const owner = 'lora: velora';
  check.knownKeys(owner, input, ['groups', 'scale', 'init']);
  const { groups = 64, scale = 1, init = 'batch_average' } = input;
  check.positiveInteger(owner, 'groups', groups);
  check.positive(owner, 'scale', scale);
  if ((init as string) === 'batch_average_once')
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `${owner}: init batch_average_once is not supported: which batch is the first depends on how ranks share them.`,
      { hint: 'batch_average takes the mean of each batch, random none' },
    );
  check.oneOf(owner, 'init', init, ['batch_average', 'random']);
  return Object.freeze({ groups, scale, init });
}

/** Where BD-LoRA's blocks are. */
export interface BlockDiagonal {
  /** A is block-diagonal where a layer's path holds one of these. Default: none. */
  readonly a?: readonly string[];
  /** B is. Default: none. */
  readonly b?: readonly string[];
  /** n. */
  readonly blocks: number;
  /** Refuse layers that neither list names. Default true. */
  readonly strict?: boolean;
}
