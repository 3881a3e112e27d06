/** A language model in a thread of its own, so that the server's event loop stays free. */
import { PeftError } from '@peft/errors';
import { receiveError, startWorker } from '@peft/predictor';
import type {
  LanguageAnswer,
  LanguageCard,
  LanguageLoad,
  LanguageRequest,
  LanguageStart,
  TextEnd,
  TextPiece,
  TextRequest,
} from './language-messages.js';

/** What the server asks of a language model. */
export interface LanguageThread {
  readonly card: LanguageCard;
  /** @throws what `TextWriter.write` throws; the signal's reason when aborted */
  write(
    request: TextRequest,
    signal: AbortSignal,
    onPiece: (piece: TextPiece) => void,
  ): Promise<TextEnd>;
  load(name: string, folder: string): Promise<void>;
  unload(name: string): Promise<void>;
  status(): Promise<LanguageLoad>;
  /** Ends the thread; what is being made is rejected. */
  dispose(): Promise<void>;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly onPiece: ((piece: TextPiece) => void) | undefined;
}

type WithoutId<R> = R extends { readonly id: number } ? Omit<R, 'id'> : never;

/** @throws what opening model and adapters throws */
export async function startLanguageThread(
  start: LanguageStart,
  onWarning: (message: string) => void,
  loading?: AbortSignal,
): Promise<LanguageThread> {
  loading?.throwIfAborted();
  const worker = startWorker(
    new URL('./language-entry', import.meta.url),
    import.meta.url.endsWith('.ts'),
    start,
  );
  const waiting = new Map<number, Waiting>();
  let count = 0;
  let isReady = false;
  let gone: Error | undefined;
  const end = (error: Error): void => {
    gone ??= error;
    for (const { reject } of waiting.values()) reject(gone);
    waiting.clear();
  };
  const receive = (id: number): Waiting | undefined => {
    const found = waiting.get(id);
    waiting.delete(id);
    return found;
  };
  const card = await new Promise<LanguageCard>((resolve, reject) => {
    loading?.addEventListener('abort', () => {
      reject(loading.reason as Error);
      if (!isReady) void worker.terminate();
    });
    worker.on('message', (answer: LanguageAnswer) => {
      if ('ready' in answer) {
        isReady = true;
        return resolve(answer.ready);
      }
      if ('failed' in answer) return reject(receiveError(answer.failed));
      if ('warned' in answer) return onWarning(answer.warned);
      if ('piece' in answer) return waiting.get(answer.id)?.onPiece?.(answer.piece);
      if ('error' in answer) return receive(answer.id)?.reject(receiveError(answer.error));
      receive(answer.id)?.resolve(answer.value);
    });
    worker.on('error', (error: Error) => {
      end(error);
      reject(error);
    });
    worker.on('exit', (code) => {
      end(endedError(code));
      reject(endedError(code));
    });
  });
  const ask = async <T>(
    request: WithoutId<LanguageRequest>,
    signal?: AbortSignal,
    onPiece?: (piece: TextPiece) => void,
  ): Promise<T> => {
    if (gone) throw gone;
    signal?.throwIfAborted();
    const id = (count += 1);
    const send = (message: LanguageRequest): void => worker.postMessage(message);
    const onAbort = (): void => {
      send({ abort: id });
      receive(id)?.reject(signal!.reason);
    };
    signal?.addEventListener('abort', onAbort);
    try {
      return await new Promise<T>((resolve, reject) => {
        waiting.set(id, { resolve: (value) => resolve(value as T), reject, onPiece });
        send({ ...request, id });
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  };
  return {
    card,
    write: (generate, signal, onPiece) => ask({ generate }, signal, onPiece),
    load: (name, folder) => ask({ load: { name, folder } }),
    unload: (unload) => ask({ unload }),
    status: () => ask({ status: true }),
    dispose: async () => {
      end(endedError(0));
      await worker.terminate();
    },
  };
}

const endedError = (code: number): PeftError =>
  new PeftError('PEFT_THREAD_ENDED', `server: the model's thread has ended (code ${code}).`, {
    hint: 'start the server again',
  });
