/** Words for how a run stands. */
import type { RunLine } from '../../src/api-types.js';

type State = RunLine['state'];

export const STATE_WORDS: Readonly<Record<State, string>> = {
  running: 'running',
  starting: 'starting',
  completed: 'completed',
  'stopped-early': 'stopped early',
  aborted: 'stopped',
  interrupted: 'interrupted',
  diverged: 'diverged',
  failed: 'failed',
  'not-started': 'did not start',
  unreadable: 'unreadable',
};

/** What a state is like, for its colour. */
export function stateTone(state: State): 'live' | 'good' | 'bad' | 'still' {
  switch (state) {
    case 'running':
    case 'starting':
      return 'live';
    case 'completed':
    case 'stopped-early':
      return 'good';
    case 'diverged':
    case 'failed':
    case 'not-started':
    case 'unreadable':
      return 'bad';
    default:
      return 'still';
  }
}

export const isLive = ({ state }: Pick<RunLine, 'state'>): boolean => stateTone(state) === 'live';

/** A run's folder as people call it. */
export const nameOf = (id: string): string => (id === '.' ? 'this folder' : id);
