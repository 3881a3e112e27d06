/** An error: what is wrong, and what to do. */
import { ApiFailure } from '../state/api.js';

export function FailureNote({ failure }: { readonly failure: Error | undefined }) {
  if (!failure) return null;
  const { code, hint } =
    failure instanceof ApiFailure ? failure : { code: undefined, hint: undefined };
  return (
    <div class="note bad" role="alert">
      <p>{failure.message}</p>
      {hint && <p class="quiet">{hint}</p>}
      {code && <p class="code-name">{code}</p>}
    </div>
  );
}
