/** A text to copy: a command line, a run file. */
import { useState } from 'preact/hooks';

const SHOWN_MS = 2000;

export function CopiedText({ text, label }: { readonly text: string; readonly label: string }) {
  const [isCopied, setIsCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setIsCopied(true);
    setTimeout(() => setIsCopied(false), SHOWN_MS);
  };
  return (
    <div class="copied">
      <div class="copied-head">
        <span>{label}</span>
        <button type="button" class="small" onClick={() => void copy()}>
          {isCopied ? 'Copied' : 'Copy'}
          <span class="unseen"> {label}</span>
        </button>
      </div>
      <pre tabIndex={0} aria-label={label}>
        {text}
      </pre>
    </div>
  );
}
