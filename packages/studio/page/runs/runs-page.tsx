/** The page Runs: the list, and what the chosen ones say. */
import { useEffect, useState } from 'preact/hooks';
import { RUN_COLOURS } from '../charts/use-colours.js';
import { FailureNote } from '../parts/failure-note.js';
import { hashOf } from '../state/use-route.js';
import { useRuns } from '../state/use-runs.js';
import { ComparedRuns } from './compared-runs.js';
import { OneRun } from './one-run.js';
import { RunList } from './run-list.js';

export function RunsPage({ ids }: { readonly ids: readonly string[] }) {
  const { list, chosen, failure, reload } = useRuns(ids);
  const [filter, setFilter] = useState('');
  const newest = list?.[0]?.id;
  useEffect(() => {
    if (ids.length === 0 && newest !== undefined) location.replace(hashOf('runs', [newest]));
  }, [ids.length, newest]);
  const choose = (next: readonly string[]): void => {
    location.hash = hashOf('runs', next.slice(-RUN_COLOURS));
  };
  const line = ids.length === 1 ? list?.find(({ id }) => id === ids[0]) : undefined;
  return (
    <main class="with-side" id="main">
      <h1 class="unseen">Runs</h1>
      <RunList list={list} ids={ids} filter={filter} onFilter={setFilter} onChoose={choose} />
      <div class="panel">
        <FailureNote failure={failure} />
        {line && <OneRun key={line.id} line={line} run={chosen[0]} onAsked={reload} />}
        {ids.length > 1 && <ComparedRuns runs={chosen} ids={ids} />}
        {list?.length === 0 && (
          <div class="nothing">
            <p>There are no runs in this folder yet.</p>
            <p>
              <a class="button" href="#/start">
                Start a run
              </a>
            </p>
            <p class="quiet">
              Runs of <code>peft fit … --output</code> that go into this folder appear here, too.
            </p>
          </div>
        )}
      </div>
    </main>
  );
}
