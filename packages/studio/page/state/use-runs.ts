/** The list of runs, and what the chosen ones say, as they change. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { RunDetails, RunLine, RunSeries } from '../../src/api-types.js';
import { address, get } from './api.js';
import { mergedSeries, pointsOf } from './merged-series.js';

export interface ChosenRun {
  readonly id: string;
  readonly details: RunDetails;
  readonly series: RunSeries;
}

export interface Runs {
  /** undefined while they are read. */
  readonly list: readonly RunLine[] | undefined;
  /** Those of the chosen runs that have been read. */
  readonly chosen: readonly ChosenRun[];
  readonly failure: Error | undefined;
  /** Reads the list again, after something was asked for. */
  readonly reload: () => void;
}

/** Points of a run that are kept before it is thinned anew. */
const MOST_POINTS = 6000;
/** No run's id. */
const LIST = '';

export function useRuns(ids: readonly string[]): Runs {
  const [list, setList] = useState<readonly RunLine[]>();
  const [chosen, setChosen] = useState<ReadonlyMap<string, ChosenRun>>(new Map());
  const [failure, setFailure] = useState<Error>();
  const latest = useRef(chosen);
  latest.current = chosen;
  const asked = useRef(0);
  /** Of each run, and of the list, which request was the last to be answered. */
  const answered = useRef(new Map<string, number>());
  /** @returns whether the answer to a request is newer than what is shown. */
  const isNewer = useCallback((what: string, request: number): boolean => {
    if (request < (answered.current.get(what) ?? 0)) return false;
    answered.current.set(what, request);
    return true;
  }, []);

  const reload = useCallback(async (): Promise<void> => {
    const request = (asked.current += 1);
    try {
      const { runs } = await get<{ runs: RunLine[] }>('/api/runs');
      if (!isNewer(LIST, request)) return;
      setList(runs);
      setFailure(undefined);
    } catch (error) {
      setFailure(error as Error);
    }
  }, []);

  const readRun = useCallback(async (id: string): Promise<void> => {
    const request = (asked.current += 1);
    const known = latest.current.get(id)?.series;
    const isLong = known !== undefined && pointsOf(known) > MOST_POINTS;
    const [details, series] = await Promise.all([
      get<RunDetails>('/api/run', { run: id }),
      get<RunSeries>('/api/series', {
        run: id,
        after: known && !isLong ? known.recordedSteps : 0,
        edition: known?.edition,
      }),
    ]);
    if (!isNewer(id, request)) return;
    const whole = known && !isLong ? mergedSeries(known, series) : series;
    setChosen((before) => new Map(before).set(id, { id, details, series: whole }));
  }, []);

  const read = useCallback((id: string): void => void readRun(id).catch(setFailure), [readRun]);
  const folders = new Set(list?.filter(hasFolder).map(({ id }) => id));
  const unread = ids.filter((id) => folders.has(id) && !chosen.has(id)).join('\n');
  useEffect(() => idsIn(unread).forEach(read), [unread, read]);

  const key = ids.join('\n');
  useEffect(() => {
    void reload();
    const events = new EventSource(address('/api/live', { run: idsIn(key) }));
    // what changed before it was open; the studio ends streams when many pages are, and the browser
    // opens them again
    events.addEventListener('ready', () => {
      for (const id of idsIn(key)) if (latest.current.has(id)) read(id);
      void reload();
    });
    events.addEventListener('runs', () => void reload());
    events.addEventListener('run', ({ data }: MessageEvent<string>) => {
      read(data);
      void reload();
    });
    return () => events.close();
  }, [key, reload, read]);

  return {
    list,
    chosen: ids.flatMap((id) => chosen.get(id) ?? []),
    failure,
    reload: () => void reload(),
  };
}

const idsIn = (key: string): string[] => (key === '' ? [] : key.split('\n'));

/** One that starts has none yet. */
const hasFolder = ({ state }: RunLine): boolean => state !== 'starting' && state !== 'not-started';
