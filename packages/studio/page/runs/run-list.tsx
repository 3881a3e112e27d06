/** The runs of the folder, to choose one or several from. */
import type { RunLine } from '../../src/api-types.js';
import { moment, shortNumber } from '../state/format.js';
import { nameOf, STATE_WORDS, stateTone } from '../state/run-state.js';

interface RunListProps {
  readonly list: readonly RunLine[] | undefined;
  readonly ids: readonly string[];
  readonly filter: string;
  readonly onFilter: (text: string) => void;
  readonly onChoose: (ids: readonly string[]) => void;
}

/** A filter is worth its room from so many runs on. */
const FILTERED_FROM = 8;

export function RunList({ list, ids, filter, onFilter, onChoose }: RunListProps) {
  if (!list) return <p class="side quiet">Reading the folder …</p>;
  const shown = list.filter((run) => fits(run, filter));
  const toggle = (id: string): void =>
    onChoose(ids.includes(id) ? ids.filter((each) => each !== id) : [...ids, id]);
  return (
    <nav class="side" aria-label="Runs">
      {list.length >= FILTERED_FROM && (
        <input
          type="search"
          class="filter"
          placeholder={`Search ${list.length} runs`}
          aria-label="Search the runs"
          value={filter}
          onInput={({ currentTarget }) => onFilter(currentTarget.value)}
        />
      )}
      <ul class="run-list">
        {shown.map((run) => (
          <li key={run.id} class={ids.includes(run.id) ? 'chosen' : ''}>
            <input
              type="checkbox"
              aria-label={`Compare ${nameOf(run.id)}`}
              checked={ids.includes(run.id)}
              onChange={() => toggle(run.id)}
              data-colour={ids.length > 1 ? colourOf(ids, run.id) : undefined}
            />
            <button type="button" onClick={() => onChoose([run.id])}>
              <span class="run-name">{nameOf(run.id)}</span>
              <span class="run-facts">
                <span class={`state ${stateTone(run.state)}`}>{STATE_WORDS[run.state]}</span>
                <span>{factsOf(run)}</span>
              </span>
            </button>
          </li>
        ))}
      </ul>
      {shown.length === 0 && list.length > 0 && <p class="quiet">No run is called that.</p>}
    </nav>
  );
}

/** Its place among the colours, from 1. */
function colourOf(ids: readonly string[], id: string): number | undefined {
  const at = ids.indexOf(id);
  return at < 0 ? undefined : at + 1;
}

const fits = (run: RunLine, filter: string): boolean =>
  [run.id, run.state, run.method, run.task].join(' ').toLowerCase().includes(filter.toLowerCase());

function factsOf(run: RunLine): string {
  const progress =
    run.state === 'running' && run.plannedSteps
      ? `${Math.floor((100 * (run.step ?? 0)) / run.plannedSteps)} %`
      : undefined;
  const score = run.score === undefined ? undefined : `${run.metric} ${shortNumber(run.score)}`;
  const when = run.startedAtMs === undefined ? undefined : moment(run.startedAtMs);
  return [run.method, progress, score ?? when].filter((fact) => fact !== undefined).join(' · ');
}
