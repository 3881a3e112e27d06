/** The studio's side of its thread. */
import type { Worker } from 'node:worker_threads';
import { PeftError } from '@peft/errors';
import { receiveError, startWorker } from '@peft/predictor';
import type { ThreadCalls } from './thread-calls.js';
import { READY, type ThreadAnswer, type ThreadQuestion } from './thread-messages.js';

interface Call {
  readonly name: keyof ThreadCalls;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A thread that starts when it is first asked, and again after it was ended. */
export class StudioThread {
  readonly #module: string;
  #worker: Worker | undefined;
  readonly #waiting = new Map<number, Call>();
  /** While the worker reads its modules, what it will be asked; undefined once it has. */
  #unsent: ThreadQuestion[] | undefined;
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
    const answer = new Promise((resolve, reject) =>
      this.#waiting.set(id, { name: call, resolve, reject }),
    );
    const question: ThreadQuestion = { id, call, values };
    if (this.#unsent) this.#unsent.push(question);
    else worker.postMessage(question);
    return answer as ReturnType<ThreadCalls[Name]>;
  }

  /**
   * Asks for a call of which the last counts: one that was asked for before is given up.
   * @throws what the call throws; PEFT_STUDIO_THREAD when it is asked for again, or the thread ended
   */
  askLast<Name extends keyof ThreadCalls>(
    call: Name,
    ...values: Parameters<ThreadCalls[Name]>
  ): ReturnType<ThreadCalls[Name]> {
    this.#giveUp(call);
    return this.ask(call, ...values);
  }

  /** Ends the thread, whatever it does; calls that run are rejected. */
  async end(): Promise<void> {
    const worker = this.#worker;
    this.#gone(ended());
    await worker?.terminate();
  }

  #giveUp(name: keyof ThreadCalls): void {
    const earlier = [...this.#waiting].filter(([, call]) => call.name === name);
    if (earlier.length === 0) return;
    for (const [id, { reject }] of earlier) {
      this.#waiting.delete(id);
      reject(ended());
    }
    if (this.#unsent) this.#unsent = this.#unsent.filter(({ call }) => call !== name);
    // what runs cannot be interrupted; but others may wait for what the thread does beside it
    else if (this.#waiting.size === 0) void this.end();
  }

  #start(): Worker {
    const worker = startWorker(
      new URL('./thread-entry', import.meta.url),
      import.meta.url.endsWith('.ts'),
      { module: this.#module },
    );
    this.#unsent = [];
    worker.on('message', (answer: ThreadAnswer) => {
      if (this.#worker !== worker) return;
      if (answer === READY) return this.#send(worker);
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

  #send(worker: Worker): void {
    for (const question of this.#unsent ?? []) worker.postMessage(question);
    this.#unsent = undefined;
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
