/** The steps among the events of a run. */
import type { TrainEventOf } from '@peft/core';

export const steps = (events: readonly { type: string }[]) =>
  events.filter(
    (event): event is TrainEventOf<'step/completed'> => event.type === 'step/completed',
  );
