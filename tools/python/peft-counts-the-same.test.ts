/**
 * The counts of docs/trainable-parameters.md are those of Python's PEFT, on models without weights.
 */
import { peftFormat } from '@peft/core';
import { describe, expect, it } from 'vitest';
import {
  attachedTo,
  COUNTED_METHODS,
  COUNTED_MODELS,
  trainableCount,
} from '../checks/count-parameters.js';
import { askPeft, hasPeft, peftTitle } from './python-peft.js';

/** PEFT has no default targets for it there; it gets ours. */
const WITHOUT_DEFAULT = ['`lnTuning()` bert-base-uncased'];

const CASES = COUNTED_MODELS.flatMap((model) =>
  COUNTED_METHODS.flatMap(([method, make]) => {
    if (make().parts.some((part) => part.method.peftType === undefined)) return [];
    const adapter = attachedTo(model, make());
    if (!adapter) return [];
    const title = `${method} ${model.name}`;
    const targets = method.includes('all-linear') ? 'all-linear' : 'default';
    return [
      {
        title,
        ours: trainableCount(adapter),
        request: {
          model: model.config,
          head: model.head.kind,
          adapter: peftFormat.writeConfig(adapter, {}),
          ...(!WITHOUT_DEFAULT.includes(title) && { own_targets: targets }),
        },
      },
    ];
  }),
).filter(({ title }) => !title.includes('unipelt'));

describe.skipIf(!hasPeft)(peftTitle('trainable parameters'), () => {
  const theirs = hasPeft
    ? askPeft<number | string>(
        'peft_counts.py',
        CASES.map(({ request }) => request),
      )
    : [];

  it.each(CASES.map(({ title, ours }, i) => ({ title, ours, i })))(
    '$title: $ours',
    ({ ours, i }) => {
      expect(theirs[i]).toBe(ours);
    },
  );
});
