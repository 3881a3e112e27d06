/** Calls that wait for each other. */
import { PeftError } from '@peft/errors';

export class OneByOne {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(readonly maxWaiting: number) {}

  /** Calls that wait or run. */
  get length(): number {
    return this.#waiting;
  }

  /** @throws PEFT_BATCH_FULL when too many wait; the signal's reason when it was aborted meanwhile */
  async run<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    if (this.#waiting > this.maxWaiting)
      throw new PeftError(
        'PEFT_BATCH_FULL',
        `server: ${this.#waiting} requests are waiting, which is as many as may.`,
        { hint: 'try again later' },
      );
    this.#waiting += 1;
    const before = this.#last;
    const own = (async () => {
      await before;
      signal.throwIfAborted();
      return call();
    })();
    this.#last = own.catch(() => undefined);
    try {
      return await own;
    } finally {
      this.#waiting -= 1;
    }
  }
}
