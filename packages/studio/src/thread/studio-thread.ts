/** The studio's side of its thread. */
import type { Worker } from 'node:worker_threads';
import { PeftError } from '@peft/errors';
import { receiveError, startWorker } from '@peft/predictor';
import type { ThreadCalls } from './thread-calls.js';
import type { ThreadAnswer, ThreadQuestion } from './thread-entry.js';

/** A thread that starts when it is first asked, and again after it was ended. */
export class StudioThread {
  readonly #module: string;
  #worker: Worker | undefined;
  readonly #waiting = new Map<
    number,
    { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }
  >();
  #ids = 0;

  /** @param module the URL of the module with the application's requests. */
  constructor(module: string) {
    this.#module = module;
  }

  /** Asks for one of its calls. @throws what the call throws; PEFT_STUDIO_THREAD when it ended */
  ask<Name extends keyof ThreadCalls>(
    call: Name,
    ...values: Parameters<ThreadCalls[Name]>
  ): ReturnType<ThreadCalls[Name]> {
    const worker = (this.#worker ??= this.#start());
    const id = (this.#ids += 1);
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    worker.postMessage({ id, call, values } satisfies ThreadQuestion);
    return answer as ReturnType<ThreadCalls[Name]>;
  }

  /** Whether nobody waits for an answer. */
  get isIdle(): boolean {
    return this.#waiting.size === 0;
  }

  /** Ends the thread, whatever it does; calls that run are rejected. */
  async end(): Promise<void> {
    const worker = this.#worker;
    this.#gone(ended());
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = startWorker(
      new URL('./thread-entry', import.meta.url),
      import.meta.url.endsWith('.ts'),
      { module: this.#module },
    );
    worker.on('message', (answer: ThreadAnswer) => {
      const call = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ('error' in answer) call?.reject(receiveError(answer.error));
      else call?.resolve(answer.value);
    });
    const gone = (error: Error): void => {
      if (this.#worker === worker) this.#gone(error);
    };
    worker.on('error', gone);
    worker.on('exit', () => gone(ended()));
    return worker;
  }

  #gone(error: Error): void {
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

const ended = (): PeftError =>
  new PeftError('PEFT_STUDIO_THREAD', 'studio: what was asked for was given up.', {
    hint: 'something newer was asked for, or the studio ended',
  });
