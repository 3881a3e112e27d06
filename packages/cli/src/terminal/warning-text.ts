/** A warning of a run as people read it. */
import type { TrainEvent } from '@peft/core';

type Warning = Extract<TrainEvent, { type: 'run/warned' }>;

/** `warning CODE: what is the matter`, and on a second line what to do. */
export const warningText = ({ code, message, hint }: Warning): string =>
  `warning ${code}: ${message}${hint === undefined ? '' : `\n  hint: ${hint}`}`;
