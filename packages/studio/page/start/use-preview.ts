/** Asks what a run would do while it is put together: the last request counts. */
import { useEffect, useState } from 'preact/hooks';
import type { PreviewAnswer } from '../../src/api-types.js';
import { type ApiFailure, post } from '../state/api.js';

/** Time without a change before it is asked. */
const PAUSE_MS = 350;

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
    const timer = setTimeout(() => {
      post<PreviewAnswer>('/api/preview', { request }, controller.signal).then(
        (given) => {
          setAnswer(given);
          setIsLooking(false);
        },
        (failure: Error) => {
          if (controller.signal.aborted) return;
          const { code = 'PEFT_STUDIO', hint } = failure as Partial<ApiFailure>;
          setAnswer({ problem: { code, message: failure.message, hint } });
          setIsLooking(false);
        },
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [asked]);
  return { answer, isLooking };
}
