/** One run: how it stands, its curves, its settings, what it printed. */
import { useState } from 'preact/hooks';
import type { RunDetails, RunLine } from '../../src/api-types.js';
import { CopiedText } from '../parts/copied-text.js';
import { ExportTab } from '../exports/export-tab.js';
import { FailureNote } from '../parts/failure-note.js';
import { Tabs } from '../parts/tabs.js';
import { ResultsTab } from '../results/results-tab.js';
import { post } from '../state/api.js';
import { moment, valueText, wholeNumber } from '../state/format.js';
import { isLive, nameOf, STATE_WORDS, stateTone } from '../state/run-state.js';
import { hashOf } from '../state/use-route.js';
import type { ChosenRun } from '../state/use-runs.js';
import { Curves } from './curves.js';
import { Progress } from './progress.js';

interface OneRunProps {
  readonly line: RunLine;
  /** undefined while it is read, and before it has a folder. */
  readonly run: ChosenRun | undefined;
  /** Something was asked for: the list may have changed. */
  readonly onAsked: () => void;
}

const TABS = ['Curves', 'Results', 'Export', 'Settings', 'Output'] as const;

export function OneRun({ line, run, onAsked }: OneRunProps) {
  const [tab, setTab] = useState<(typeof TABS)[number]>('Curves');
  const details = run?.details;
  return (
    <>
      <header class="run-head">
        <h2>{nameOf(line.id)}</h2>
        <span class={`state ${stateTone(line.state)}`}>{STATE_WORDS[line.state]}</span>
        <Actions line={line} details={details} onAsked={onAsked} />
      </header>
      <p class="quiet facts">{factsOf(line, details).join(' · ')}</p>
      <Trouble line={line} details={details} />
      {run && (
        <>
          <Progress line={line} run={run} />
          <Warnings run={run} />
          <Tabs label="About this run" names={TABS} chosen={tab} onChoose={setTab}>
            {tab === 'Curves' && <Curves runs={[run]} ids={[run.id]} />}
            {tab === 'Results' && <Results line={line} />}
            {tab === 'Export' && <Export line={line} />}
            {tab === 'Settings' && <Settings details={run.details} />}
            {tab === 'Output' && <Output details={run.details} />}
          </Tabs>
        </>
      )}
    </>
  );
}

function factsOf(line: RunLine, details: RunDetails | undefined): string[] {
  const trains = details?.trainableParameters;
  const facts = [
    line.task,
    line.method,
    details?.modelType,
    line.engine,
    trains === undefined ? undefined : `${wholeNumber(trains)} parameters train`,
    line.startedAtMs === undefined ? undefined : moment(line.startedAtMs),
  ];
  return facts.filter((fact) => fact !== undefined);
}

function Actions({ line, details, onAsked }: Omit<OneRunProps, 'run'> & { details?: RunDetails }) {
  const [failure, setFailure] = useState<Error>();
  const [isAsking, setIsAsking] = useState(false);
  const ask = async (what: 'stop' | 'resume' | 'forget'): Promise<void> => {
    setIsAsking(true);
    setFailure(undefined);
    try {
      await post(`/api/${what}`, { run: line.id });
      onAsked();
    } catch (error) {
      setFailure(error as Error);
    } finally {
      setIsAsking(false);
    }
  };
  return (
    <>
      <div class="actions">
        {line.state === 'running' && (
          <button type="button" disabled={isAsking} onClick={() => void ask('stop')}>
            Stop
          </button>
        )}
        {details?.resumeCommand && (
          <button type="button" disabled={isAsking} onClick={() => void ask('resume')}>
            Resume
          </button>
        )}
        {line.state === 'not-started' && (
          <button type="button" disabled={isAsking} onClick={() => void ask('forget')}>
            Remove from the list
          </button>
        )}
        {line.isWhole && (
          <a class="button" href={hashOf('try', [line.id])}>
            Try it
          </a>
        )}
        {details?.request && (
          <a class="button" href={hashOf('start', [line.id])}>
            Start one like it
          </a>
        )}
      </div>
      <FailureNote failure={failure} />
    </>
  );
}

/** What went wrong, and the way on. */
function Trouble({ line, details }: { line: RunLine; details: RunDetails | undefined }) {
  const message = details?.error?.message ?? line.problem;
  const isStill = line.state === 'interrupted' && !message;
  if (!message && !isStill) return null;
  const [problem, hint] = (message ?? INTERRUPTED).split('\n  hint: ');
  return (
    <div class={`note ${message ? 'bad' : ''}`}>
      <p>{problem}</p>
      {hint && <p class="quiet">{hint}</p>}
      {details?.error && <p class="code-name">{details.error.code}</p>}
      {details?.resumeCommand && (
        <CopiedText label="Goes on from the last checkpoint" text={details.resumeCommand} />
      )}
    </div>
  );
}

const INTERRUPTED = 'Its process ended without saying why: it was killed, or the machine went off.';

function Warnings({ run: { series } }: { readonly run: ChosenRun }) {
  if (series.warnings.length === 0) return null;
  return (
    <details class="note warnings">
      <summary>
        {series.warnings.length === 1 ? '1 warning' : `${series.warnings.length} warnings`}
      </summary>
      <ul>
        {series.warnings.map(({ code, message, hint }, at) => (
          <li key={at}>
            {message} {hint && <span class="quiet">{hint}</span>}{' '}
            <span class="code-name">{code}</span>
          </li>
        ))}
      </ul>
    </details>
  );
}

function Results({ line }: { readonly line: RunLine }) {
  if (line.isWhole) return <ResultsTab id={line.id} />;
  return <p class="quiet">They are there when the run has ended and saved its model.</p>;
}

function Export({ line }: { readonly line: RunLine }) {
  if (line.isWhole) return <ExportTab key={line.id} id={line.id} />;
  return <p class="quiet">There is something to export when the run has saved its model.</p>;
}

function Settings({ details }: { readonly details: RunDetails }) {
  const entries = Object.entries({ ...details.settings, ...details.environment });
  return (
    <div class="wide" tabIndex={0} role="region" aria-label="Settings">
      <table>
        <tbody>
          {entries
            .filter(([, value]) => value !== undefined)
            .map(([name, value]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{valueText(value)}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}

function Output({ details }: { readonly details: RunDetails }) {
  if (details.output === undefined)
    return (
      <p class="quiet">
        {isLive(details)
          ? 'It runs in a terminal, which shows what it prints.'
          : 'It was started in a terminal, which showed what it printed.'}
      </p>
    );
  if (details.output.trim() === '') return <p class="quiet">It printed nothing.</p>;
  return (
    <pre tabIndex={0} aria-label="Output">
      {details.output}
    </pre>
  );
}
