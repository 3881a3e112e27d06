/** What was learnt, in the formats of other tools. */
import { useCallback, useEffect, useState } from 'preact/hooks';
import type { FormatExport, RunExports } from '../../src/api-types.js';
import { CopiedText } from '../parts/copied-text.js';
import { FailureNote } from '../parts/failure-note.js';
import { get, post } from '../state/api.js';
import { bytes, percent } from '../state/format.js';

/** Between two looks at an export that goes on. */
const LOOK_MS = 500;

export function ExportTab({ id }: { readonly id: string }) {
  const [state, setState] = useState<RunExports>();
  const [failure, setFailure] = useState<Error>();
  const look = useCallback(
    () => get<RunExports>('/api/exports', { run: id }).then(setState, setFailure),
    [id],
  );
  const isBusy = state?.exports.some((each) => each.state === 'running') ?? false;
  useEffect(() => {
    void look();
    if (!isBusy) return undefined;
    const timer = setInterval(() => void look(), LOOK_MS);
    return () => clearInterval(timer);
  }, [look, isBusy]);
  const ask = async (format: string, type: string): Promise<void> => {
    setFailure(undefined);
    try {
      await post('/api/export', { run: id, format, type: type === '' ? undefined : type });
      await look();
    } catch (error) {
      setFailure(error as Error);
    }
  };
  if (!state) return <FailureNote failure={failure} />;
  if (state.formats.length === 0)
    return <p class="quiet">This studio was started without the command that exports.</p>;
  return (
    <>
      <ExportForm state={state} onAsk={ask} />
      <FailureNote failure={failure} />
      {state.exports.map((each) => (
        <OneExport key={each.format} export={each} />
      ))}
    </>
  );
}

interface ExportFormProps {
  readonly state: RunExports;
  readonly onAsk: (format: string, type: string) => Promise<void>;
}

function ExportForm({ state: { formats, exports }, onAsk }: ExportFormProps) {
  const [name, setName] = useState(formats[0]!.name);
  const [type, setType] = useState('');
  const { summary, types } = formats.find((format) => format.name === name)!;
  const isRunning = exports.some((each) => each.format === name && each.state === 'running');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void onAsk(name, type);
      }}
    >
      <div class="fields">
        <div class="field">
          <label for="format">Format</label>
          <select
            id="format"
            value={name}
            aria-describedby="format-help"
            onChange={({ currentTarget }) => {
              setName(currentTarget.value);
              setType('');
            }}
          >
            {formats.map((format) => (
              <option key={format.name} value={format.name}>
                {format.name}
              </option>
            ))}
          </select>
          <p id="format-help" class="help">
            {summary}
          </p>
        </div>
        {types.length > 0 && (
          <div class="field">
            <label for="format-type">Weights as</label>
            <select
              id="format-type"
              value={type}
              onChange={({ currentTarget }) => setType(currentTarget.value)}
            >
              <option value="">as the format has it</option>
              {types.map((each) => (
                <option key={each} value={each}>
                  {each}
                </option>
              ))}
            </select>
          </div>
        )}
      </div>
      <button type="submit" class="main" disabled={isRunning}>
        Export
      </button>
    </form>
  );
}

function OneExport({ export: one }: { readonly export: FormatExport }) {
  const title = one.state === 'finished' && one.type ? `${one.format}, ${one.type}` : one.format;
  return (
    <section aria-label={title} class="export">
      <h3>{title}</h3>
      <p role="status">{statusOf(one)}</p>
      {one.state === 'running' && (
        <progress value={one.share} max={1} aria-label={`Written of ${title}`} />
      )}
      {one.state === 'failed' && <Refusal text={one.message} />}
      {one.state === 'finished' && (
        <>
          {one.warnings.map((warning) => (
            <p key={warning} class="note">
              {warning}
            </p>
          ))}
          <CopiedText label={`Where ${title} is`} text={one.output} />
          {one.next.length > 0 && (
            <CopiedText label={`What uses ${title}`} text={one.next.join('\n')} />
          )}
        </>
      )}
    </section>
  );
}

function statusOf(one: FormatExport): string {
  if (one.state === 'running') return `Exporting: ${percent(one.share)}`;
  return one.state === 'finished' ? `Exported: ${bytes(one.bytes)}` : 'Not exported.';
}

function Refusal({ text }: { readonly text: string }) {
  const [problem, hint] = text.split('\n  hint: ');
  return (
    <div class="note bad">
      <p>{problem}</p>
      {hint && <p class="quiet">{hint}</p>}
    </div>
  );
}
