/** Asks what a run would do while it is put together: the last request counts. */
import { useEffect, useState } from 'preact/hooks';
import type { PreviewAnswer } from '../../src/api-types.js';
import { type ApiFailure, post } from '../state/api.js';

/** Time without a change before it is asked. */
const PAUSE_MS = 350;
/**
 * How often it is asked again when it was given up for another request: one that this page took back
 * may come to the studio after its successor, and a second page may ask as well.
 */
const TRIES = 10;
const GIVEN_UP = 'PEFT_STUDIO_THREAD';

export interface PreviewState {
  /** The last answer, which may be of an earlier request while `isLooking`. */
  readonly answer: PreviewAnswer | undefined;
  readonly isLooking: boolean;
}

export function usePreview(request: Readonly<Record<string, unknown>>): PreviewState {
  const [answer, setAnswer] = useState<PreviewAnswer>();
  const [isLooking, setIsLooking] = useState(false);
  const asked = JSON.stringify(request);
  useEffect(() => {
    const { train } = request;
    if (train === undefined) {
      setAnswer(undefined);
      return undefined;
    }
    const controller = new AbortController();
    setIsLooking(true);
    let timer: ReturnType<typeof setTimeout>;
    const askSoon = (tries: number): void => {
      timer = setTimeout(() => {
        void post<PreviewAnswer>('/api/preview', { request }, controller.signal)
          .catch((failure: Error): PreviewAnswer => {
            const { code = 'PEFT_STUDIO', hint } = failure as Partial<ApiFailure>;
            return { problem: { code, message: failure.message, hint } };
          })
          .then((given) => {
            if (controller.signal.aborted) return;
            if (given.problem?.code === GIVEN_UP && tries > 1) return askSoon(tries - 1);
            setAnswer(given);
            setIsLooking(false);
          });
      }, PAUSE_MS);
    };
    askSoon(TRIES);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [asked]);
  return { answer, isLooking };
}
