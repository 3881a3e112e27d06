/** What an attachment is told of the run, and why it may not be told where sequences begin. */
import { PeftError } from '@peft/errors';
import { dropout, standardNormal } from '@peft/ops';
import type { Adapter } from './adapter.js';
import type { AttachmentCall } from '../method/attachment.js';

/** The part of a run that it is made of. */
interface Run {
  readonly training: boolean;
  readonly host: { adapter(name: string): Adapter };
  randomKey(...parts: readonly (number | string)[]): readonly [number, number];
}

/** The call of what `owner` put on a site. */
export const attachmentCall = (
  run: Run,
  owner: Adapter,
  path: string,
  rows: Pick<AttachmentCall, 'layout' | 'tokens' | 'sequences' | 'tasks' | 'ahead'>,
): AttachmentCall => ({
  training: run.training,
  dropout: (x, rate, purpose = 'dropout') =>
    run.training && rate > 0 ? dropout(x, rate, run.randomKey(owner.name, path, purpose)) : x,
  normal: (shape, purpose = 'normal') =>
    standardNormal(shape, run.randomKey(owner.name, path, purpose)),
  ...rows,
  adapter: (name) => run.host.adapter(name),
});

export const unknownLayout = (path: string, rows: number): PeftError =>
  new PeftError(
    'PEFT_LAYOUT_UNKNOWN',
    `${path}: the sequences of a tensor of ${rows} rows are not known.`,
    {
      hint:
        'what looks at the tokens of a sequence (a gate, an invocation) works on tokens alone, and ' +
        'not in a batch that mixes adapters',
    },
  );

export const looksAtSequences = (path: string): PeftError =>
  new PeftError(
    'PEFT_CACHE_ADAPTER',
    `${path}: an adapter there looks at whole sequences (a gate, an invocation), and a run with a cache has only the new tokens.`,
    { hint: 'generate with cache: false' },
  );
