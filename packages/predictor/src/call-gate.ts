/** One call at a time, and none once all is freed. */
import { PeftError } from '@peft/errors';

/** What the calls of a predictor go through. */
export class CallGate {
  #isBusy = false;
  #isDisposed = false;

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /** Lets no further call in. */
  dispose(): void {
    this.#isDisposed = true;
  }

  /** @throws PEFT_PREDICTOR_DISPOSED */
  refuseDisposed(): void {
    if (this.#isDisposed)
      throw new PeftError('PEFT_PREDICTOR_DISPOSED', 'predictor: it was disposed of.', {
        hint: 'load it again',
      });
  }

  /** @throws PEFT_PREDICTOR_BUSY while another call runs */
  async alone<T>(body: () => Promise<T>): Promise<T> {
    this.refuseDisposed();
    if (this.#isBusy)
      throw new PeftError('PEFT_PREDICTOR_BUSY', 'predictor: another call is still running.', {
        hint: 'await one call before the next',
      });
    this.#isBusy = true;
    try {
      return await body();
    } finally {
      this.#isBusy = false;
    }
  }
}
