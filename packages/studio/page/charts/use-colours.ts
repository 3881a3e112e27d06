/** The style sheet's colours, for what is drawn on a canvas. */
import { useEffect, useState } from 'preact/hooks';

export interface Colours {
  readonly runs: readonly string[];
  readonly quiet: string;
  readonly line: string;
  readonly font: string;
}

/** Runs that are told apart by colour. */
export const RUN_COLOURS = 6;

const DARK = '(prefers-color-scheme: dark)';

export function useColours(): Colours {
  const [colours, setColours] = useState(readColours);
  useEffect(() => {
    const scheme = matchMedia(DARK);
    const changed = (): void => setColours(readColours());
    scheme.addEventListener('change', changed);
    return () => scheme.removeEventListener('change', changed);
  }, []);
  return colours;
}

function readColours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string): string => style.getPropertyValue(name).trim();
  return {
    runs: Array.from({ length: RUN_COLOURS }, (_, at) => value(`--run-${at + 1}`)),
    quiet: value('--quiet'),
    line: value('--line'),
    font: value('--font'),
  };
}
