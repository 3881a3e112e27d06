/** Several runs: their curves over one another, and what they were asked for differently. */
import { valueText } from '../state/format.js';
import { nameOf } from '../state/run-state.js';
import type { ChosenRun } from '../state/use-runs.js';
import { Curves } from './curves.js';

interface ComparedRunsProps {
  readonly runs: readonly ChosenRun[];
  readonly ids: readonly string[];
}

export function ComparedRuns({ runs, ids }: ComparedRunsProps) {
  return (
    <>
      <h2>{ids.length} runs</h2>
      <ul class="legend">
        {ids.map((id, at) => (
          <li key={id} data-colour={at + 1}>
            {nameOf(id)}
          </li>
        ))}
      </ul>
      <Curves runs={runs} ids={ids} />
      <Differences runs={runs} />
    </>
  );
}

function Differences({ runs }: Pick<ComparedRunsProps, 'runs'>) {
  const names = [...new Set(runs.flatMap(({ details }) => Object.keys(details.settings)))];
  const rows = names
    .map((name) => ({
      name,
      values: runs.map(({ details }) => valueText(details.settings[name])),
    }))
    .filter(({ values }) => new Set(values).size > 1);
  return (
    <section>
      <h3>What differs</h3>
      {rows.length === 0 ? (
        <p class="quiet">Their settings are the same.</p>
      ) : (
        <div class="wide" tabIndex={0} role="region" aria-label="Settings that differ">
          <table>
            <thead>
              <tr>
                <th scope="col">setting</th>
                {runs.map(({ id }) => (
                  <th key={id} scope="col">
                    {nameOf(id)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map(({ name, values }) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  {values.map((value, at) => (
                    <td key={runs[at]!.id}>{value}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
