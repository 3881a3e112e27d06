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

export function useRuns(ids: readonly string[]): Runs {
  const [list, setList] = useState<readonly RunLine[]>();
  const [chosen, setChosen] = useState<ReadonlyMap<string, ChosenRun>>(new Map());
  const [failure, setFailure] = useState<Error>();
  const latest = useRef(chosen);
  latest.current = chosen;

  const reload = useCallback(async (): Promise<readonly RunLine[]> => {
    try {
      const { runs } = await get<{ runs: RunLine[] }>('/api/runs');
      setList(runs);
      setFailure(undefined);
      return runs;
    } catch (error) {
      setFailure(error as Error);
      return [];
    }
  }, []);

  const readRun = useCallback(async (id: string): Promise<void> => {
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
    const whole = known && !isLong ? mergedSeries(known, series) : series;
    setChosen((before) => new Map(before).set(id, { id, details, series: whole }));
  }, []);

  const key = ids.join('\n');
  useEffect(() => {
    const watched = key === '' ? [] : key.split('\n');
    const read = (id: string): void => void readRun(id).catch(setFailure);
    const refresh = async (): Promise<void> => {
      const there = (await reload()).filter(hasFolder).map(({ id }) => id);
      watched.filter((id) => there.includes(id) && !latest.current.has(id)).forEach(read);
    };
    void refresh();
    const events = new EventSource(address('/api/live', { run: watched }));
    events.addEventListener('runs', () => void refresh());
    events.addEventListener('run', ({ data }: MessageEvent<string>) => {
      read(data);
      void reload();
    });
    return () => events.close();
  }, [key, reload, readRun]);

  return {
    list,
    chosen: ids.flatMap((id) => chosen.get(id) ?? []),
    failure,
    reload: () => void reload(),
  };
}

/** One that starts has none yet. */
const hasFolder = ({ state }: RunLine): boolean => state !== 'starting' && state !== 'not-started';
